// Addresses of the bridge network: who has which, and which one is next.
import { isIPv4, isIPv6 } from 'node:net';
import { GantryError } from '../../errors.ts';
import type { ContainerRecord } from '../record.ts';
import { canonical6, freeAddress, isUsable, numberOfTwin, toNumber, toText, twin6 } from './addresses.ts';
import type { BridgeNetwork } from './bridge.ts';

export interface Addresses {
  ipv4: string;
  /** Empty: the network has none. */
  ipv6: string;
}

export interface Allocation {
  /** --ip and --ip6, or the container's own of the last time, or the next free one. @throws {GantryError} IN_USE, INVALID_ARGUMENT. */
  take(record: ContainerRecord, network: BridgeNetwork): Addresses;
  /** Takes what a running container has already. */
  keep(id: string, addresses: Addresses): void;
  free(id: string): void;
}

export function createAllocation(): Allocation {
  const held = new Map<string, Addresses>();
  let next = 0;

  const taken4 = (network: BridgeNetwork): Set<number> => {
    const numbers = new Set<number>();
    for (const { ipv4, ipv6 } of held.values()) {
      numbers.add(toNumber(ipv4));
      const twin = network.prefix6 === '' ? undefined : numberOfTwin(network.prefix6, network.subnet, ipv6);
      if (twin !== undefined) numbers.add(twin);
    }
    return numbers;
  };

  const choose4 = ({ config, endpoints }: ContainerRecord, network: BridgeNetwork): number => {
    const { subnet } = network;
    const taken = taken4(network);
    const wanted = config.host.ipv4Address;
    if (wanted) return given4(wanted, network, new Set([...held.values()].map(({ ipv4 }) => ipv4)));
    // A restarted container keeps its address, and the connections to it: as long as nobody else has it.
    const last = toNumber(endpoints.bridge?.ipv4 ?? '0.0.0.0');
    if (isUsable(subnet, last) && !taken.has(last)) return last;
    const found = freeAddress(subnet, taken, next);
    if (found === undefined)
      throw new GantryError('IN_USE', 'No available IPv4 addresses on the bridge network', {
        hint: `${toText(subnet.base)}/${subnet.prefixLength} is full: remove containers`,
      });
    next = found + 1;
    return found;
  };

  return {
    take(record, network) {
      const number = choose4(record, network);
      const ipv4 = toText(number);
      const wanted6 = record.config.host.ipv6Address;
      const taken6 = new Set([...held.values()].map(({ ipv6 }) => ipv6));
      const ipv6 = wanted6 ? given6(wanted6, network, taken6) : free6(network, number, taken6);
      held.set(record.id, { ipv4, ipv6 });
      return { ipv4, ipv6 };
    },
    keep: (id, { ipv4, ipv6 }) => void held.set(id, { ipv4, ipv6 }),
    free: (id) => void held.delete(id),
  };
}

function refused(address: string, reason: string, network: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid address ${address}: ${reason}`, {
    hint: `Choose one of ${network}, or leave it out`,
  });
}

function inUse(address: string): GantryError {
  return new GantryError('IN_USE', `Cannot give the container ${address}: Address already in use`, {
    hint: 'Choose another address, or leave it out for a free one',
  });
}

function given4(text: string, { subnet, gateway }: BridgeNetwork, taken: Set<string>): number {
  const network = `${toText(subnet.base)}/${subnet.prefixLength}`;
  if (!isIPv4(text)) throw refused(text, 'it is no IPv4 address', network);
  const address = toNumber(text);
  if (text === gateway) throw inUse(text);
  if (address < subnet.base || address >= subnet.base + 2 ** (32 - subnet.prefixLength))
    throw refused(text, "it does not belong to any of this network's subnets", network);
  if (!isUsable(subnet, address)) throw refused(text, 'it is the address of the network or of all in it', network);
  if (taken.has(toText(address))) throw inUse(text);
  return address;
}

function given6(text: string, { prefix6 }: BridgeNetwork, taken: Set<string>): string {
  if (prefix6 === '')
    throw new GantryError('INVALID_ARGUMENT', `Invalid address ${text}: the network has no IPv6`, {
      hint: 'Start the engine with GANTRY_IPV6=on',
    });
  const address = canonical6(text);
  if (!isIPv6(text) || !within64(prefix6, text))
    throw refused(text, "it does not belong to any of this network's subnets", `${prefix6}/64`);
  if (address === canonical6(`${prefix6}1`) || address === canonical6(prefix6) || taken.has(address)) throw inUse(text);
  return address;
}

/** The twin of the IPv4 address; where somebody asked for just that one, the next beyond the twins of all. */
function free6({ prefix6, subnet }: BridgeNetwork, number: number, taken: Set<string>): string {
  if (prefix6 === '') return '';
  const twin = twin6(prefix6, subnet, number);
  if (!taken.has(twin)) return twin;
  for (let more = 1; ; more++) {
    const address = canonical6(`${prefix6}${more.toString(16)}:${(number - subnet.base).toString(16)}`);
    if (!taken.has(address)) return address;
  }
}

/** Whether both have the same first 64 bits. */
function within64(prefix: string, address: string): boolean {
  const first = (text: string): string => {
    const [head = '', tail] = text.split('::');
    const groups = head === '' ? [] : head.split(':');
    const rest = tail === undefined || tail === '' ? [] : tail.split(':');
    const zeros = tail === undefined ? [] : Array.from({ length: 8 - groups.length - rest.length }, () => '0');
    return [...groups, ...zeros, ...rest]
      .slice(0, 4)
      .map((group) => Number.parseInt(group, 16))
      .join(':');
  };
  return first(canonical6(prefix)) === first(canonical6(address));
}

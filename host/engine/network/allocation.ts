// Addresses of one bridge network: who has which, and which one is next.
import { isIPv4, isIPv6 } from 'node:net';
import { GantryError } from '../../errors.ts';
import type { EndpointConfig } from '../../types.ts';
import {
  canonical6,
  contains,
  contains6,
  freeAddress,
  isUsable,
  type Subnet6,
  toNumber,
  toNumber6,
  toText,
  toText6,
} from './addresses.ts';
import type { BridgeNetwork } from './bridge.ts';

export interface Addresses {
  ipv4: string;
  /** Empty: the network has none. */
  ipv6: string;
}

export interface Allocation {
  /**
   * The addresses that are asked for, or the container's own of the last time, or the next free ones.
   * @throws {GantryError} IN_USE, INVALID_ARGUMENT.
   */
  take(id: string, wanted: EndpointConfig, last: Addresses | undefined, network: BridgeNetwork): Addresses;
  /** Takes what a running container has already. */
  keep(id: string, addresses: Addresses): void;
  free(id: string): void;
}

export function createAllocation(): Allocation {
  const held = new Map<string, Addresses>();
  let next = 0;

  const choose4 = (wanted: string | undefined, last: string | undefined, network: BridgeNetwork): number => {
    const { subnet, range, reserved } = network;
    const given = new Set([...held.values()].map(({ ipv4 }) => toNumber(ipv4)));
    if (wanted) return given4(wanted, network, given);
    const taken = new Set([...given, ...[...reserved].filter(isIPv4).map(toNumber)]);
    // A restarted container keeps its address, and the connections to it: as long as nobody else has it.
    const before = toNumber(last ?? '0.0.0.0');
    if (isUsable(subnet, before) && !taken.has(before)) return before;
    const found = freeAddress(subnet, taken, next, range);
    if (found === undefined)
      throw new GantryError('IN_USE', `No available IPv4 addresses on this network's address pools: ${network.label}`, {
        hint: `${toText(range.base)}/${range.prefixLength} is full: remove containers`,
      });
    next = found + 1;
    return found;
  };

  return {
    take(id, wanted, last, network) {
      const number = choose4(wanted.ipv4Address, last?.ipv4, network);
      const ipv4 = toText(number);
      const taken6 = new Set([...[...held.values()].map(({ ipv6 }) => ipv6), ...network.reserved]);
      const ipv6 = wanted.ipv6Address
        ? given6(wanted.ipv6Address, network, taken6)
        : free6(network, number, last?.ipv6, taken6);
      held.set(id, { ipv4, ipv6 });
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
  return new GantryError('PERMISSION_DENIED', `Cannot give the container ${address}: Address already in use`, {
    hint: 'Choose another address, or leave it out for a free one',
  });
}

const ELSEWHERE = "it does not belong to any of this network's subnets";

function given4(text: string, { subnet, reserved }: BridgeNetwork, taken: Set<number>): number {
  const network = `${toText(subnet.base)}/${subnet.prefixLength}`;
  if (!isIPv4(text)) throw refused(text, 'it is no IPv4 address', network);
  const address = toNumber(text);
  if (reserved.has(text)) throw inUse(text);
  if (!contains(subnet, address)) throw refused(text, ELSEWHERE, network);
  if (!isUsable(subnet, address)) throw refused(text, 'it is the address of the network or of all in it', network);
  if (taken.has(address)) throw inUse(text);
  return address;
}

function given6(text: string, { six }: BridgeNetwork, taken: Set<string>): string {
  if (six === undefined)
    throw new GantryError('INVALID_ARGUMENT', `Invalid address ${text}: the network has no IPv6`, {
      hint: 'On the default bridge: start the engine with GANTRY_IPV6=on; elsewhere: gantry network create --ipv6',
    });
  const network = `${toText6(six.subnet.base)}/${six.subnet.prefixLength}`;
  if (!isIPv6(text) || !contains6(six.subnet, toNumber6(text))) throw refused(text, ELSEWHERE, network);
  const address = canonical6(text);
  if (toNumber6(text) === six.subnet.base || taken.has(address)) throw inUse(text);
  return address;
}

/** The last one; else the same number as in the IPv4 network; where that is taken or does not fit, the next one that is free. */
function free6({ six, subnet }: BridgeNetwork, number: number, last: string | undefined, taken: Set<string>): string {
  if (six === undefined) return '';
  const fits = (text: string, pool: Subnet6): boolean => contains6(pool, toNumber6(text)) && !taken.has(text);
  if (last && fits(last, six.subnet) && toNumber6(last) !== six.subnet.base) return last;
  const twin = toText6(six.subnet.base + BigInt(number - subnet.base));
  if (fits(twin, six.range)) return twin;
  // Beyond the twins of all, where the network has room for that.
  const beyond = six.range.prefixLength <= 96 ? 1n << 32n : 1n;
  for (let address = six.range.base + beyond; contains6(six.range, address); address++) {
    const text = toText6(address);
    if (!taken.has(text)) return text;
  }
  throw new GantryError('IN_USE', `No available IPv6 addresses on this network's address pools`, {
    hint: `${toText6(six.range.base)}/${six.range.prefixLength} is full: remove containers`,
  });
}

// A bridge of this host: made when the first container needs it, removed with the last engine that ran it.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Backend } from '../../backend.ts';
import {
  BRIDGE_ALIAS,
  type Bridge,
  IFALIASZ,
  planBridge,
  planBridgeClaim,
  planBridgeRemoval,
  planBridgeUp,
} from '../../core/network-plans.ts';
import { GantryError } from '../../errors.ts';
import type { HostFacts } from '../../plan-types.ts';
import { readRecord, writeRecord } from '../state/state-store.ts';
import {
  freeSubnet,
  newSubnet6,
  parseSubnet,
  parseSubnet6,
  type Subnet,
  type Subnet6,
  toText,
  toText6,
} from './addresses.ts';
import { announcedInterfaces, wantsIPv6 } from './ipv6.ts';

/** The network as containers see it. */
export interface BridgeNetwork {
  /** What users call it. */
  label: string;
  /** Of the interface; its tables have the same. */
  name: string;
  /** Interface index. */
  index: number;
  subnet: Subnet;
  /** Where addresses are given from. */
  range: Subnet;
  gateway: string;
  /** Absent: no IPv6. */
  six?: { subnet: Subnet6; range: Subnet6; gateway: string };
  /** Addresses that no container gets unasked or asked: the gateways', and those kept for others. */
  reserved: Set<string>;
  /** Bytes; 0: the kernel's default. */
  mtu: number;
  /** Nothing leads in or out. */
  internal: boolean;
  /** Containers do not reach each other. */
  isolated: boolean;
  /** Containers keep their addresses outside: no masquerading. */
  direct: boolean;
  /** Where ports without an address are published; empty: everywhere. */
  hostIp: string;
}

export interface HostBridge {
  readonly name: string;
  /** Makes it where it is missing; cheap when it is there, and then gives the same object. @throws {GantryError} PLAN_FAILED. */
  ensure(): Promise<BridgeNetwork>;
  /** What `ensure` would give, without making anything. */
  preview(): Promise<BridgeNetwork>;
  /** Removes it with its rules; no container is left on it. */
  remove(): Promise<void>;
}

/** bridge.json: what the engine's network keeps from one life of the bridge to the next. */
interface BridgeRecord {
  /** "172.17.0.1/16". */
  address: string;
  /** "fd12:3456:789a::/64". */
  subnet6?: string;
}

/** "gantry0" for the user's own engine; an engine with a data root of its own has a bridge of its own. */
export function bridgeName(dataRoot: string): string {
  if (dataRoot === '/var/lib/gantry') return 'gantry0';
  return `gantry-${createHash('sha256').update(dataRoot).digest('hex').slice(0, 8)}`;
}

/** Whose a bridge is: once this data root is gone, any engine removes it. Longer ones than an alias may be are not named. */
function aliasOf(dataRoot: string): string {
  const alias = `${BRIDGE_ALIAS}${dataRoot}`;
  return Buffer.byteLength(alias) < IFALIASZ ? alias : '';
}

/** A bridge of which all is known ahead. */
export function createBridge(backend: Backend, dataRoot: string, network: Omit<BridgeNetwork, 'index'>): HostBridge {
  const { name, gateway, subnet } = network;
  const alias = aliasOf(dataRoot);
  const address = `${gateway}/${subnet.prefixLength}`;
  return keepBridge(backend, name, {
    async make(there) {
      const facts = await backend.facts();
      const spec = bridgeOf({ ...network, alias }, address);
      const index = there ?? (await makeFresh(backend, facts, spec, () => address)).index;
      await backend.run(planBridgeUp(facts, spec, index, announcedInterfaces()));
      return { ...network, index };
    },
    preview: (index) => ({ ...network, index }),
  });
}

/** The one that every engine has: its subnet is chosen when it is made. @param others subnets of other networks. */
export function createDefaultBridge(backend: Backend, dataRoot: string, others: () => Subnet[]): HostBridge {
  const path = join(dataRoot, 'bridge.json');
  const name = bridgeName(dataRoot);
  const alias = aliasOf(dataRoot);

  const networkOf = ({ address, subnet6 }: BridgeRecord, index: number): BridgeNetwork => {
    const gateway = address.split('/')[0]!;
    const subnet = parseSubnet(address);
    const six = subnet6 === undefined ? undefined : parseSubnet6(subnet6);
    const gateway6 = six === undefined ? '' : toText6(six.base + 1n);
    return {
      label: 'bridge',
      name,
      index,
      subnet,
      range: subnet,
      gateway,
      ...(six === undefined ? {} : { six: { subnet: six, range: six, gateway: gateway6 } }),
      reserved: new Set([gateway, gateway6]),
      mtu: 0,
      internal: false,
      isolated: false,
      direct: false,
      hostIp: '',
    };
  };

  return keepBridge(backend, name, {
    async make(there) {
      const facts = await backend.facts();
      const known = readRecord<BridgeRecord>(path);
      const subnet6 = wantsIPv6() ? (known?.subnet6 ?? newSubnet6()) : undefined;
      const choose = (tried: Subnet[]): string => addressIn(chooseSubnet([...tried, ...others()]));
      const made =
        there !== undefined && known !== undefined
          ? { index: there, address: known.address }
          : await makeFresh(backend, facts, { name, mtu: 0, alias }, choose);
      const record = { address: made.address, ...(subnet6 === undefined ? {} : { subnet6 }) };
      const network = networkOf(record, made.index);
      await backend.run(
        planBridgeUp(facts, bridgeOf({ ...network, alias }, made.address), made.index, announcedInterfaces()),
      );
      // A network that is switched off for a while keeps its number.
      const kept = { ...record, ...(known?.subnet6 === undefined ? {} : { subnet6: known.subnet6 }) };
      if (known?.address !== kept.address || known.subnet6 !== kept.subnet6) writeRecord(path, kept);
      return network;
    },
    preview(index) {
      const { address = addressIn(chooseSubnet(others())), subnet6 } = readRecord<BridgeRecord>(path) ?? {};
      return networkOf({ address, ...(wantsIPv6() ? { subnet6: subnet6 ?? PREVIEWED_SUBNET6 } : {}) }, index);
    },
  });
}

interface Making {
  /** @param there index of the interface, where it is up already. */
  make(there: number | undefined): Promise<BridgeNetwork>;
  preview(index: number): BridgeNetwork;
}

function keepBridge(backend: Backend, name: string, { make, preview }: Making): HostBridge {
  let making: Promise<BridgeNetwork> | undefined;
  return {
    name,
    async preview() {
      return preview((await backend.interfaceIndex(name)) ?? indexOf(name));
    },
    async ensure() {
      const before = making;
      const found = await before?.catch(() => undefined);
      const there = await backend.interfaceIndex(name);
      if (found !== undefined && there === found.index) return found;
      if (making === before) making = make(there);
      return making!;
    },
    async remove() {
      await making?.catch(() => {});
      await backend.run(planBridgeRemoval(await backend.facts(), name));
      making = undefined;
    },
  };
}

/** Shown in plans before the network has a number of its own. */
const PREVIEWED_SUBNET6 = 'fd00::/64';

type Named = Pick<Bridge, 'name' | 'mtu' | 'alias'>;

function bridgeOf({ name, mtu, alias, six }: Named & Pick<BridgeNetwork, 'six'>, address: string): Bridge {
  const address6 = six === undefined ? '' : `${six.gateway}/${six.subnet.prefixLength}`;
  return { name, mtu, alias, mac: macOf(address.split('/')[0]!), address, address6 };
}

/** Claims a network by its route: two engines that choose at the same time never have the same. @param choose may throw. */
async function makeFresh(
  backend: Backend,
  facts: HostFacts,
  named: Named,
  choose: (tried: Subnet[]) => string,
): Promise<{ index: number; address: string }> {
  const { name } = named;
  const index = indexOf(name);
  const tried: Subnet[] = [];
  await backend.run(planBridgeRemoval(facts, name));
  for (;;) {
    const address = choose(tried);
    const subnet = parseSubnet(address);
    const bridge = bridgeOf(named, address);
    if (tried.some(({ base }) => base === subnet.base)) {
      await backend.run(planBridgeRemoval(facts, name));
      throw poolOverlap(`${toText(subnet.base)}/${subnet.prefixLength}`);
    }
    if (tried.length === 0) await backend.run(planBridge(facts, bridge, index));
    try {
      await backend.run(planBridgeClaim(facts, bridge, index));
      return { index, address };
    } catch (error) {
      const errno = error instanceof GantryError ? error.details?.errno : undefined;
      if (errno === 'ENODEV')
        throw new GantryError('PLAN_FAILED', `Cannot make the bridge "${name}": the kernel refused it`, {
          hint: 'Run "gantry doctor"; without privileges use --network none or host',
          cause: error,
        });
      if (errno !== 'EEXIST') throw error;
      tried.push(subnet);
    }
  }
}

/** In docker's words. */
export function poolOverlap(subnet: string): GantryError {
  return new GantryError(
    'PERMISSION_DENIED',
    `Invalid pool request: Pool overlaps with other one on this address space (${subnet})`,
    { hint: 'Another network or interface of this host has it: choose another subnet, or leave it out' },
  );
}

const FIRST_INDEX = 1_000_000;

/** Interface index of the bridge, from its name: beyond those that the kernel gives, and known before it is made. */
function indexOf(name: string): number {
  return FIRST_INDEX + (createHash('sha256').update(name).digest().readUInt32BE() % (8 * FIRST_INDEX));
}

/** The bridge's own address: the first one. */
export function addressIn({ base, prefixLength }: Subnet): string {
  return `${toText(base + 1)}/${prefixLength}`;
}

/** @throws {GantryError} INVALID_ARGUMENT where none is left. */
export function chooseSubnet(tried: Subnet[]): Subnet {
  const subnet = freeSubnet(tried);
  if (subnet === undefined)
    throw new GantryError('INVALID_ARGUMENT', 'All predefined address pools have been fully subnetted', {
      hint: 'Every private subnet overlaps one of this host: name one with --subnet',
    });
  return subnet;
}

/** Docker's custom: 02:42 and the address. */
export function macOf(address: string): string {
  return ['02', '42', ...address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');
}

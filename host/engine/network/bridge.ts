// The default bridge of this engine: made when the first container needs it, removed with the last engine that ran it.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Backend } from '../../backend.ts';
import { type Bridge, planBridge, planBridgeClaim, planBridgeRemoval, planBridgeUp } from '../../core/network-plans.ts';
import { GantryError } from '../../errors.ts';
import type { HostFacts } from '../../plan-types.ts';
import { readRecord, writeRecord } from '../state-store.ts';
import { freeSubnet, newPrefix6, parseSubnet, type Subnet, toText } from './addresses.ts';
import { announcedInterfaces, wantsIPv6 } from './ipv6.ts';

/** The network as containers see it. */
export interface BridgeNetwork {
  name: string;
  /** Interface index. */
  index: number;
  subnet: Subnet;
  gateway: string;
  /** "fd12:3456:789a::", of 64 bits; empty: no IPv6. */
  prefix6: string;
}

export interface DefaultBridge {
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
  prefix6?: string;
}

/** "gantry0" for the user's own engine; an engine with a data root of its own has a bridge of its own. */
export function bridgeName(dataRoot: string): string {
  if (dataRoot === '/var/lib/gantry') return 'gantry0';
  return `gantry-${createHash('sha256').update(dataRoot).digest('hex').slice(0, 8)}`;
}

export function createDefaultBridge(backend: Backend, dataRoot: string): DefaultBridge {
  const path = join(dataRoot, 'bridge.json');
  const name = bridgeName(dataRoot);
  let making: Promise<BridgeNetwork> | undefined;

  const networkOf = ({ address, prefix6 = '' }: BridgeRecord, index: number): BridgeNetwork => {
    const gateway = address.split('/')[0]!;
    return { name, index, subnet: parseSubnet(address), gateway, prefix6 };
  };

  const make = async (): Promise<BridgeNetwork> => {
    const facts = await backend.facts();
    const known = readRecord<BridgeRecord>(path);
    const prefix6 = wantsIPv6() ? (known?.prefix6 ?? newPrefix6()) : '';
    const there = await backend.interfaceIndex(name);
    const made =
      there !== undefined && known !== undefined
        ? { index: there, address: known.address }
        : await makeFresh(backend, facts, name);
    const record = { ...made, ...(prefix6 === '' ? {} : { prefix6 }) };
    await backend.run(planBridgeUp(facts, bridgeOf(name, record), made.index, announcedInterfaces()));
    // A network that is switched off for a while keeps its number.
    const kept = { address: made.address, prefix6: known?.prefix6 ?? prefix6 };
    if (known?.address !== kept.address || known.prefix6 !== kept.prefix6) writeRecord(path, kept);
    return networkOf(record, made.index);
  };

  return {
    name,
    async preview() {
      const index = (await backend.interfaceIndex(name)) ?? indexOf(name);
      const { address = addressIn(chooseSubnet([])), prefix6 } = readRecord<BridgeRecord>(path) ?? {};
      return networkOf({ address, ...(wantsIPv6() ? { prefix6: prefix6 ?? PREVIEWED_PREFIX } : {}) }, index);
    },
    async ensure() {
      const found = await making?.catch(() => undefined);
      if (found !== undefined && (await backend.interfaceIndex(name)) === found.index) return found;
      making = make();
      return making;
    },
    async remove() {
      await making?.catch(() => {});
      await backend.run(planBridgeRemoval(await backend.facts(), name));
      making = undefined;
    },
  };
}

/** Shown in plans before the network has a number of its own. */
const PREVIEWED_PREFIX = 'fd00::';

function bridgeOf(name: string, { address, prefix6 = '' }: BridgeRecord): Bridge {
  return { name, mac: macOf(address.split('/')[0]!), address, address6: prefix6 === '' ? '' : `${prefix6}1/64` };
}

/** Claims a network by its route: two engines that choose at the same time never have the same. */
async function makeFresh(
  backend: Backend,
  facts: HostFacts,
  name: string,
): Promise<{ index: number; address: string }> {
  const index = indexOf(name);
  const tried: Subnet[] = [];
  await backend.run(planBridgeRemoval(facts, name));
  for (;;) {
    const subnet = chooseSubnet(tried);
    const address = addressIn(subnet);
    const bridge = bridgeOf(name, { address });
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

const FIRST_INDEX = 1_000_000;

/** Interface index of the bridge, from its name: beyond those that the kernel gives, and known before it is made. */
function indexOf(name: string): number {
  return FIRST_INDEX + (createHash('sha256').update(name).digest().readUInt32BE() % (8 * FIRST_INDEX));
}

/** The bridge's own address: the first one. */
function addressIn({ base, prefixLength }: Subnet): string {
  return `${toText(base + 1)}/${prefixLength}`;
}

function chooseSubnet(tried: Subnet[]): Subnet {
  const subnet = freeSubnet(tried);
  if (subnet === undefined)
    throw new GantryError('IN_USE', 'Cannot make the bridge: every private subnet overlaps one of this host');
  return subnet;
}

/** Docker's custom: 02:42 and the address. */
export function macOf(address: string): string {
  return ['02', '42', ...address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');
}

// The default bridge of this engine: made when the first container needs it, removed with the last engine that ran it.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Backend } from '../backend.ts';
import { type Bridge, planBridge, planBridgeRemoval, planBridgeUp } from '../core/network-plans.ts';
import { GantryError } from '../errors.ts';
import { freeSubnet, parseSubnet, type Subnet, toText } from './addresses.ts';
import { readRecord, writeRecord } from './state-store.ts';

export interface DefaultBridge {
  /** Makes it where it is missing; cheap when it is there. @throws {GantryError} PLAN_FAILED. */
  ensure(): Promise<{ bridge: Bridge; index: number; subnet: Subnet; gateway: string }>;
  /** What `ensure` would give, without making anything; index 0 where the bridge is not there. */
  preview(): Promise<{ name: string; index: number; subnet: Subnet; gateway: string }>;
  /** Removes it where no container is left on it. */
  remove(): Promise<void>;
}

/** "gantry0" for the user's own engine; an engine with a data root of its own has a bridge of its own. */
export function bridgeName(dataRoot: string): string {
  if (dataRoot === '/var/lib/gantry') return 'gantry0';
  return `gantry-${createHash('sha256').update(dataRoot).digest('hex').slice(0, 8)}`;
}

export function createDefaultBridge(backend: Backend, dataRoot: string): DefaultBridge {
  const path = join(dataRoot, 'bridge.json');
  const name = bridgeName(dataRoot);
  let making: ReturnType<DefaultBridge['ensure']> | undefined;

  const make: DefaultBridge['ensure'] = async () => {
    const known = readRecord<{ address: string }>(path);
    const there = await backend.interfaceIndex(name);
    const address = there !== undefined && known !== undefined ? known.address : chooseAddress();
    const subnet = parseSubnet(address);
    const gateway = address.split('/')[0]!;
    const bridge = { name, mac: macOf(gateway), address };
    const facts = await backend.facts();
    if (there === undefined) await backend.run(planBridge(facts, bridge));
    const index = await backend.interfaceIndex(name);
    if (index === undefined)
      throw new GantryError('PLAN_FAILED', `Cannot make the bridge "${name}": the kernel refused it`, {
        hint: 'Run "gantry doctor"; without privileges use --network none or host',
      });
    await backend.run(planBridgeUp(facts, bridge, index));
    if (known?.address !== address) writeRecord(path, { address });
    return { bridge, index, subnet, gateway };
  };

  return {
    async preview() {
      const index = (await backend.interfaceIndex(name)) ?? 0;
      const address = readRecord<{ address: string }>(path)?.address ?? chooseAddress();
      return { name, index, subnet: parseSubnet(address), gateway: address.split('/')[0]! };
    },
    async ensure() {
      const found = await making?.catch(() => undefined);
      if (found !== undefined && (await backend.interfaceIndex(name)) === found.index) return found;
      making = make();
      return making;
    },
    async remove() {
      const index = await backend.interfaceIndex(name);
      if (index !== undefined)
        await backend.run(planBridgeRemoval(await backend.facts(), { name, mac: '', address: '' }, index));
      making = undefined;
    },
  };
}

function chooseAddress(): string {
  const subnet = freeSubnet([]);
  if (subnet === undefined)
    throw new GantryError('IN_USE', 'Cannot make the bridge: every private subnet overlaps one of this host');
  return `${toText(subnet.base + 1)}/${subnet.prefixLength}`;
}

/** Docker's custom: 02:42 and the address. */
export function macOf(address: string): string {
  return ['02', '42', ...address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');
}

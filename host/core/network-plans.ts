// Plans of a bridge network: programs of netlink messages (rtnetlink(7), nf_tables), without any tool.
import type { HostFacts } from '../plan-types.ts';
import { callCore } from './core.ts';

export interface Bridge {
  /** Interface name, at most 15 characters; its table of rules has the same name. */
  name: string;
  /** "02:42:…". */
  mac: string;
  /** Address of the bridge with its prefix length: "172.17.0.1/16". */
  address: string;
}

function plan(request: object): Uint8Array {
  return callCore('planNetwork', new TextEncoder().encode(JSON.stringify(request)));
}

/** Makes the bridge where it is missing. @throws {GantryError} INVALID_ARGUMENT. */
export function planBridge(facts: HostFacts, { name, mac }: Bridge): Uint8Array {
  return plan({ facts, action: 'create', name, mac });
}

/** Address, link, forwarding and rules of a bridge that is there. @param index its interface index. */
export function planBridgeUp(facts: HostFacts, { name, address }: Bridge, index: number): Uint8Array {
  return plan({ facts, action: 'up', name, address, index });
}

export function planBridgeRemoval(facts: HostFacts, { name }: Bridge, index: number): Uint8Array {
  return plan({ facts, action: 'remove', name, index });
}

// Plans of a bridge network: programs of netlink messages (rtnetlink(7), nf_tables), without any tool.
import type { HostFacts, PlanFirewall, PlanPort } from '../plan-types.ts';
import { callCore } from './core.ts';

export interface Bridge {
  /** Interface name, at most 15 characters; its tables of rules have the same name. */
  name: string;
  /** "02:42:…". */
  mac: string;
  /** Address of the bridge with its prefix length: "172.17.0.1/16". */
  address: string;
  /** "fd12:3456:789a::1/64"; empty: no IPv6. */
  address6: string;
}

function plan(request: object): Uint8Array {
  return callCore('planNetwork', new TextEncoder().encode(JSON.stringify(request)));
}

/** Makes the bridge where it is missing, with this interface index. @throws {GantryError} INVALID_ARGUMENT. */
export function planBridge(facts: HostFacts, { name, mac }: Bridge, index: number): Uint8Array {
  return plan({ facts, action: 'create', name, mac, index });
}

/** Takes the network of a new bridge; running it fails with EEXIST where another interface has it. */
export function planBridgeClaim(facts: HostFacts, { name, address }: Bridge, index: number): Uint8Array {
  return plan({ facts, action: 'claim', name, address, index });
}

/** Addresses, link and forwarding of a bridge that is there. @param acceptRa interfaces that go on heeding routers. */
export function planBridgeUp(
  facts: HostFacts,
  { name, address, address6 }: Bridge,
  index: number,
  acceptRa: string[],
): Uint8Array {
  return plan({ facts, action: 'up', name, address, address6, index, acceptRa });
}

/** The whole of a bridge's rules, one table for each subnet's family, replaced at once. */
export function planFirewall(facts: HostFacts, name: string, subnets: string[], ports: PlanPort[]): Uint8Array {
  return plan({ facts, action: 'firewall', name, subnets, ports });
}

/** What tear-down does about published ports, alone. */
export function planUnpublish(facts: HostFacts, firewall: PlanFirewall): Uint8Array {
  return plan({ facts, action: 'unpublish', firewall });
}

/** Removes the bridge and its rules, what of them is there. */
export function planBridgeRemoval(facts: HostFacts, name: string): Uint8Array {
  return plan({ facts, action: 'remove', name });
}

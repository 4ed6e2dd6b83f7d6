// Plans of a bridge network: programs of netlink messages (rtnetlink(7), nf_tables), without any tool.
import type { HostFacts, PlanFirewall, PlanInterface, PlanPort, PlanResolver } from '../plan-types.ts';
import { callCore } from './core.ts';

export interface Bridge {
  /** Interface name, at most 15 characters; its tables of rules have the same name. */
  name: string;
  /** Bytes; 0: the kernel's default. */
  mtu: number;
  /** "02:42:…". */
  mac: string;
  /** Of the interface, for those who find it (ip link); empty: none. */
  alias: string;
  /** Address of the bridge with its prefix length: "172.17.0.1/16". */
  address: string;
  /** "fd12:3456:789a::1/64"; empty: no IPv6. */
  address6: string;
}

/** Begins the alias of a bridge; the data root that it belongs to follows. */
export const BRIDGE_ALIAS = 'gantry of ';
/** Room for an alias and its NUL (linux/if.h). */
export const IFALIASZ = 256;

function plan(request: object): Uint8Array {
  return callCore('planNetwork', new TextEncoder().encode(JSON.stringify(request)));
}

/** Makes the bridge where it is missing, with this interface index. @throws {GantryError} INVALID_ARGUMENT. */
export function planBridge(facts: HostFacts, { name, mac, mtu, alias }: Bridge, index: number): Uint8Array {
  return plan({ facts, action: 'create', name, mac, mtu, alias, index });
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

export interface Passage {
  /** Nothing leads in or out. */
  internal: boolean;
  /** Containers do not reach each other. */
  isolated: boolean;
  /** No masquerading. */
  direct: boolean;
}

/** The whole of a bridge's rules, one table for each subnet's family, replaced at once. */
export function planFirewall(
  facts: HostFacts,
  name: string,
  subnets: string[],
  ports: PlanPort[],
  { internal, isolated, direct }: Passage,
): Uint8Array {
  return plan({ facts, action: 'firewall', name, subnets, ports, internal, isolated, direct });
}

/** Ports of a container that runs already. */
export function planPublish(facts: HostFacts, firewall: PlanFirewall): Uint8Array {
  return plan({ facts, action: 'publish', firewall });
}

export interface Wiring {
  /** Host ends of interfaces that go. */
  removed: string[];
  /** Interfaces that come; `index` is needed, `gateways` are not looked at. */
  interfaces: PlanInterface[];
  /** Default routes, each in place of the one of its family. */
  routes: { index: number; gateway: string }[];
  resolver?: PlanResolver;
}

/** Changes the network of a running container: for the backend's `wire`. */
export function planWire(facts: HostFacts, wiring: Wiring): Uint8Array {
  return plan({ facts, action: 'wire', ...wiring });
}

/** Removes host ends of interfaces, those that are there. */
export function planUnlink(facts: HostFacts, removed: string[]): Uint8Array {
  return plan({ facts, action: 'unlink', removed });
}

/** What tear-down does about published ports, alone. */
export function planUnpublish(facts: HostFacts, firewall: PlanFirewall): Uint8Array {
  return plan({ facts, action: 'unpublish', firewall });
}

/** Removes the bridge and its rules, what of them is there. */
export function planBridgeRemoval(facts: HostFacts, name: string): Uint8Array {
  return plan({ facts, action: 'remove', name });
}

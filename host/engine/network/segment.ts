// One bridge network at work: who is in it with which addresses, and the rules in force.
import type { Backend } from '../../backend.ts';
import { planFirewall, planUnpublish } from '../../core/network-plans.ts';
import type { PlanPort } from '../../plan-types.ts';
import type { EndpointConfig } from '../../types.ts';
import { newId } from '../names.ts';
import type { ContainerRecord, Endpoint } from '../record.ts';
import { toText6 } from './addresses.ts';
import { createAllocation } from './allocation.ts';
import { type BridgeNetwork, type HostBridge, macOf } from './bridge.ts';
import type { NetworkRecord } from './definition.ts';

/** A container in the network, while it runs. */
export interface Member {
  record: ContainerRecord;
  endpoint: Endpoint;
  /** Ports that the rules of this network lead to it. */
  carried: PlanPort[];
  /** The rules were written as a whole since: tear-down may have come before that. */
  rewritten: boolean;
}

export interface Segment {
  readonly id: string;
  readonly name: string;
  /** Of user-defined networks. */
  readonly record: NetworkRecord | undefined;
  /** Name of the bridge and of its tables. */
  readonly table: string;
  readonly members: ReadonlyMap<string, Member>;
  /** Bridge and rules; the reason why there are no rules, or nothing. */
  ensure(): Promise<{ network: BridgeNetwork; trouble: string }>;
  preview(): Promise<BridgeNetwork>;
  /** @throws {GantryError} IN_USE, INVALID_ARGUMENT. */
  join(record: ContainerRecord, wanted: EndpointConfig, network: BridgeNetwork): Member;
  /** Takes up a container that runs already. */
  keep(record: ContainerRecord, carried: PlanPort[]): void;
  /** Gives the addresses back, and takes what the rules may still lead to them. */
  leave(id: string): Promise<void>;
  /** Puts the rules in force again. */
  repair(): Promise<boolean>;
  /** Removes bridge and rules. */
  remove(): Promise<void>;
}

export interface SegmentOptions {
  id: string;
  name: string;
  record?: NetworkRecord;
  bridge: HostBridge;
}

export function createSegment(backend: Backend, { id, name, record, bridge }: SegmentOptions): Segment {
  const members = new Map<string, Member>();
  const allocation = createAllocation();
  let enforced: { network: BridgeNetwork; works: Promise<string> } | undefined;

  const enforce = async (network: BridgeNetwork): Promise<string> => {
    const { subnet, gateway, six } = network;
    const subnets = [`${gateway}/${subnet.prefixLength}`];
    if (six !== undefined) subnets.push(`${toText6(six.subnet.base)}/${six.subnet.prefixLength}`);
    const ports = [...members.values()].flatMap(({ carried }) => carried);
    for (const member of members.values()) member.rewritten = true;
    try {
      await backend.run(planFirewall(await backend.facts(), bridge.name, subnets, ports, network));
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  const ensure = async (): Promise<{ network: BridgeNetwork; trouble: string }> => {
    const network = await bridge.ensure();
    if (enforced?.network !== network) enforced = { network, works: enforce(network) };
    return { network, trouble: await enforced.works };
  };

  return {
    id,
    name,
    record,
    table: bridge.name,
    members,
    ensure,
    preview: () => bridge.preview(),
    join(container, wanted, network) {
      const addresses = allocation.take(container.id, wanted, container.endpoints[name], network);
      const member = {
        record: container,
        endpoint: endpointOf(id, name, wanted, addresses, network),
        carried: [],
        rewritten: false,
      };
      members.set(container.id, member);
      return member;
    },
    keep(container, carried) {
      const endpoint = container.endpoints[name]!;
      allocation.keep(container.id, endpoint);
      members.set(container.id, { record: container, endpoint, carried, rewritten: true });
    },
    async leave(container) {
      const member = members.get(container);
      members.delete(container);
      allocation.free(container);
      if (member === undefined || !member.rewritten || member.carried.length === 0) return;
      await backend
        .run(planUnpublish(await backend.facts(), { table: bridge.name, ports: member.carried }))
        .catch(() => {});
    },
    async repair() {
      enforced = undefined;
      return (await ensure()).trouble === '';
    },
    async remove() {
      enforced = undefined;
      await bridge.remove();
    },
  };
}

/** @param network as it is, or as it would be. */
export function endpointOf(
  networkId: string,
  name: string,
  wanted: EndpointConfig,
  { ipv4, ipv6 }: { ipv4: string; ipv6: string },
  { subnet, gateway, six, internal }: BridgeNetwork,
): Endpoint {
  return {
    network: name,
    networkId,
    endpointId: newId(),
    mac: wanted.macAddress ?? macOf(ipv4),
    ipv4,
    ipv4PrefixLength: subnet.prefixLength,
    gateway: internal ? '' : gateway,
    ipv6,
    ipv6PrefixLength: six === undefined ? 0 : six.subnet.prefixLength,
    ipv6Gateway: internal || six === undefined ? '' : six.gateway,
    interfaceName: '',
    interfaceIndex: 0,
  };
}

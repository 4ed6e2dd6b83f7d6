// A container's place in the networks: which namespace, which addresses, which published ports. Read this file first.
import type { Backend } from '../../backend.ts';
import { planFirewall, planUnpublish } from '../../core/network-plans.ts';
import { readProgram } from '../../core/program.ts';
import { GantryError } from '../../errors.ts';
import type { PlanNetwork, PlanPort } from '../../plan-types.ts';
import type { ContainerConfig, PortBinding } from '../../types.ts';
import { newId } from '../names.ts';
import type { ContainerRecord, Endpoint } from '../record.ts';
import { createAllocation } from './allocation.ts';
import { type BridgeNetwork, bridgeName, createDefaultBridge, macOf } from './bridge.ts';
import { carriedPorts, firewallOf } from './carried-ports.ts';
import { type ReservedPort, reservePort, reservePorts } from './reserved-ports.ts';

export interface Attachment {
  network: PlanNetwork;
  endpoints: Record<string, Endpoint>;
  ports: PortBinding[];
  /** What does not work as it should, sentences for the user. */
  warnings: string[];
}

type Find = (name: string) => { id: string; pid: number };

export interface Networks {
  /** Allocates what a start needs; `release` undoes it. @throws {GantryError} NETWORK_NOT_FOUND, PORT_IN_USE. */
  attach(record: ContainerRecord, find: Find): Promise<Attachment>;
  /** What `attach` would give, for a plan that is only shown: nothing is allocated, the first address is taken. */
  preview(record: ContainerRecord, find: Find): Promise<PlanNetwork>;
  /** What tear-down needs to know of a container that an earlier engine started. */
  recorded(record: ContainerRecord): Pick<PlanNetwork, 'firewall'>;
  /** Once, when the engine starts: takes up what these have that may still run, and puts the rules of all in force. */
  restore(records: ContainerRecord[]): Promise<void>;
  /** After a failed start: true where the rules were gone (nft flush ruleset) and are there again. */
  repair(setup: Uint8Array, error: unknown): Promise<boolean>;
  /** Makes ready what a start of this container will need; gives the warnings that can be told already. Never rejects. */
  prepare(config: ContainerConfig): Promise<string[]>;
  release(record: ContainerRecord): Promise<void>;
  /** Lets go; published ports stay. @param unused no container runs any more: bridge and rules are removed. */
  close(unused: boolean): Promise<void>;
}

/** net.* that a network namespace of its own may have; docker's defaults since 20.10. */
export const privateSysctls = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
};

const BRIDGE = 'bridge';
const BRIDGE_ID = 'b'.repeat(64);
const NETLINK_NETFILTER = 12n;
/** Not more often are the rules put in force again because something reached the engine instead. */
const REPAIR_EVERY_MS = 5000;

/** What a container on the bridge holds while it runs. */
interface Place {
  reserved: ReservedPort[];
  carried: PlanPort[];
  /** The rules were written as a whole since: tear-down may have come before that. */
  rewritten: boolean;
}

export function createNetworks(backend: Backend, dataRoot: string): Networks {
  const bridge = createDefaultBridge(backend, dataRoot);
  const table = bridgeName(dataRoot);
  const allocation = createAllocation();
  const places = new Map<string, Place>();
  let enforced: { network: BridgeNetwork; works: Promise<string> } | undefined;
  let repairedAt = 0;

  const enforce = async (network: BridgeNetwork): Promise<string> => {
    const { subnet, gateway, prefix6 } = network;
    const subnets = [`${gateway}/${subnet.prefixLength}`, ...(prefix6 === '' ? [] : [`${prefix6}/64`])];
    const ports = [...places.values()].flatMap((place) => place.carried);
    for (const place of places.values()) place.rewritten = true;
    try {
      await backend.run(planFirewall(await backend.facts(), table, subnets, ports));
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  /** Bridge and rules; the reason why there are no rules, or nothing. */
  const ensure = async (): Promise<{ network: BridgeNetwork; trouble: string }> => {
    const network = await bridge.ensure();
    if (enforced?.network !== network) enforced = { network, works: enforce(network) };
    return { network, trouble: await enforced.works };
  };

  const repairNow = async (): Promise<boolean> => {
    enforced = undefined;
    repairedAt = Date.now();
    return (await ensure()).trouble === '';
  };

  /** Something came to this process: where the kernel should have carried it, its rules are gone. */
  const reached = (id: string) => (client: string) => {
    const carried = places.get(id)?.carried ?? [];
    const six = client.includes(':') && !client.startsWith('::ffff:');
    if (client === '::1' || !carried.some(({ address }) => address.includes(':') === six)) return;
    if (Date.now() - repairedAt > REPAIR_EVERY_MS) repairNow().catch(() => {});
  };

  const endpointOf = (record: ContainerRecord, network: BridgeNetwork): Endpoint => {
    const { subnet, gateway, prefix6 } = network;
    const { ipv4, ipv6 } = allocation.take(record, network);
    return {
      network: BRIDGE,
      networkId: BRIDGE_ID,
      endpointId: newId(),
      mac: record.config.host.macAddress ?? macOf(ipv4),
      ipv4,
      ipv4PrefixLength: subnet.prefixLength,
      gateway,
      ipv6,
      ipv6PrefixLength: ipv6 === '' ? 0 : 64,
      ipv6Gateway: ipv6 === '' ? '' : `${prefix6}1`,
      aliases: [],
    };
  };

  const attachBridge = async (record: ContainerRecord): Promise<Attachment> => {
    const place: Place = { reserved: [], carried: [], rewritten: false };
    places.set(record.id, place);
    const ready = ensure();
    ready.catch(() => {});
    place.reserved = await reservePorts(wantedPorts(record.config), reached(record.id));
    const { network, trouble } = await ready;
    const endpoint = endpointOf(record, network);
    const ports = place.reserved.map(({ binding }) => binding);
    for (const port of place.reserved) port.target(endpoint.ipv4);
    if (trouble === '') place.carried = carriedPorts(ports, endpoint, record.id);
    return {
      network: onBridge(network, endpoint, place.carried),
      endpoints: { [BRIDGE]: endpoint },
      ports,
      warnings: warningsOf(trouble),
    };
  };

  return {
    async attach(record, find) {
      if (record.config.host.networkMode === BRIDGE) return attachBridge(record);
      return { endpoints: {}, ports: [], warnings: [], network: withoutBridge(record.config, find) };
    },
    async preview(record, find) {
      const { host } = record.config;
      if (host.networkMode !== BRIDGE) return withoutBridge(record.config, find);
      const network = await bridge.preview();
      const { subnet, prefix6 } = network;
      const { ipv4, ipv6 } = createAllocation().take(record, network);
      const endpoint = {
        endpointId: record.id,
        mac: host.macAddress ?? macOf(ipv4),
        ipv4,
        ipv4PrefixLength: subnet.prefixLength,
        gateway: network.gateway,
        ipv6,
        ipv6Gateway: ipv6 === '' ? '' : `${prefix6}1`,
      };
      return onBridge(network, endpoint, carriedPorts(wantedPorts(record.config), endpoint, record.id));
    },
    recorded(record) {
      const firewall = firewallOf(record, table);
      return firewall === undefined ? {} : { firewall };
    },
    async restore(records) {
      const placed = records.filter(({ endpoints }) => endpoints[BRIDGE] !== undefined);
      for (const record of placed) {
        const endpoint = record.endpoints[BRIDGE]!;
        allocation.keep(record.id, endpoint);
        const carried = carriedPorts(record.ports, endpoint, record.id);
        places.set(record.id, { reserved: [], carried, rewritten: true });
      }
      if (placed.length === 0) return;
      await ensure();
      // One that another program took meanwhile stays with the kernel's rules; that is no reason to give up the container.
      for (const record of placed)
        for (const binding of record.ports) {
          const port = await reservePort(binding, reached(record.id)).catch(() => undefined);
          port?.target(record.endpoints[BRIDGE]!.ipv4);
          if (port !== undefined) places.get(record.id)?.reserved.push(port);
        }
    },
    async repair(setup, error) {
      const op = error instanceof GantryError ? error.details?.op : undefined;
      const failed = typeof op === 'number' ? readProgram(setup).ops[op] : undefined;
      const [protocol] = failed?.operands ?? [];
      if (failed?.name !== 'netlink' || protocol?.kind !== 'number' || protocol.value !== NETLINK_NETFILTER)
        return false;
      return repairNow();
    },
    async prepare({ host }) {
      if (host.networkMode === 'host' && host.ports.length > 0)
        return ['Published ports are discarded when using host network mode'];
      if (host.networkMode !== BRIDGE) return [];
      return ensure().then(
        ({ trouble }) => warningsOf(trouble),
        () => [],
      );
    },
    async release({ id }) {
      const place = places.get(id);
      places.delete(id);
      allocation.free(id);
      for (const port of place?.reserved ?? []) port.close();
      if (place === undefined || !place.rewritten || place.carried.length === 0) return;
      await backend.run(planUnpublish(await backend.facts(), { table, ports: place.carried })).catch(() => {});
    },
    async close(unused) {
      for (const port of [...places.values()].flatMap(({ reserved }) => reserved)) port.close();
      if (unused) await bridge.remove();
    },
  };
}

function warningsOf(trouble: string): string[] {
  return trouble === '' ? [] : [`Nothing leaves the bridge, and published ports rest without an engine: ${trouble}`];
}

function withoutBridge({ host: { networkMode } }: ContainerConfig, find: Find): PlanNetwork {
  if (networkMode === 'host') return { mode: 'host', interfaces: [], sysctls: {} };
  if (networkMode === 'none') return { mode: 'none', interfaces: [], sysctls: privateSysctls };
  const [, other] = /^container:(.+)$/.exec(networkMode) ?? [];
  if (other !== undefined) return { mode: 'join', pid: find(other).pid, interfaces: [], sysctls: {} };
  throw new GantryError('NETWORK_NOT_FOUND', `Network ${networkMode} not found`, {
    hint: 'bridge, host, none and container:NAME are there',
  });
}

type Link = Pick<Endpoint, 'endpointId' | 'mac' | 'ipv4' | 'ipv4PrefixLength' | 'gateway' | 'ipv6' | 'ipv6Gateway'>;

function onBridge({ name, index }: BridgeNetwork, endpoint: Link, carried: PlanPort[]): PlanNetwork {
  const { ipv4, ipv4PrefixLength, gateway, ipv6, ipv6Gateway } = endpoint;
  const link = {
    bridge: name,
    bridgeIndex: index,
    hostName: `gv${endpoint.endpointId.slice(0, 12)}`,
    name: 'eth0',
    mac: endpoint.mac,
    addresses: [`${ipv4}/${ipv4PrefixLength}`, ...(ipv6 === '' ? [] : [`${ipv6}/64`])],
    gateways: [gateway, ...(ipv6 === '' ? [] : [ipv6Gateway])],
  };
  const network = { mode: 'private' as const, sysctls: privateSysctls };
  if (carried.length === 0) return { ...network, interfaces: [link] };
  return { ...network, interfaces: [{ ...link, hairpin: true }], firewall: { table: name, ports: carried } };
}

/** -p as given, and with -P every exposed port that is not. */
function wantedPorts({ host, exposedPorts }: ContainerConfig): PortBinding[] {
  if (!host.publishAllPorts) return host.ports;
  const given = new Set(host.ports.map(({ containerPort, protocol }) => `${containerPort}/${protocol}`));
  const more = exposedPorts
    .filter((port) => !given.has(port))
    .map((port): PortBinding => {
      const [number, protocol = 'tcp'] = port.split('/');
      return { containerPort: Number(number), protocol: protocol as PortBinding['protocol'], hostIp: '', hostPort: 0 };
    });
  return [...host.ports, ...more];
}

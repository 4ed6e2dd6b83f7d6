// A container's place in the networks: which namespace, which addresses, which published ports.
import type { Backend } from '../backend.ts';
import { GantryError } from '../errors.ts';
import type { PlanNetwork } from '../plan-types.ts';
import type { ContainerConfig, PortBinding } from '../types.ts';
import { freeAddress, toNumber, toText } from './addresses.ts';
import { createDefaultBridge, macOf } from './bridge.ts';
import { newId } from './names.ts';
import { type PublishedPort, publishPorts } from './published-ports.ts';
import type { ContainerRecord, Endpoint } from './record.ts';

export interface Attachment {
  network: PlanNetwork;
  endpoints: Record<string, Endpoint>;
  ports: PortBinding[];
}

export interface Networks {
  /** Allocates what a start needs; `release` undoes it. @throws {GantryError} NETWORK_NOT_FOUND, PORT_IN_USE. */
  attach(record: ContainerRecord, find: (name: string) => { id: string; pid: number }): Promise<Attachment>;
  /** What `attach` would give, for a plan that is only shown: nothing is allocated, the first address is taken. */
  preview(record: ContainerRecord, find: (name: string) => { id: string; pid: number }): Promise<PlanNetwork>;
  /** Takes over what a container that is running already has: after a restart of the engine. */
  resume(record: ContainerRecord): Promise<void>;
  release(record: ContainerRecord): Promise<void>;
  /** @param unused no container runs any more. */
  close(unused: boolean): Promise<void>;
}

/** net.* that a network namespace of its own may have; docker's defaults since 20.10. */
export const privateSysctls = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
};

const BRIDGE = 'bridge';
const BRIDGE_ID = 'b'.repeat(64);

export function createNetworks(backend: Backend, dataRoot: string): Networks {
  const bridge = createDefaultBridge(backend, dataRoot);
  const addresses = new Map<string, number>();
  const published = new Map<string, PublishedPort[]>();
  let next = 0;

  const allocate = (record: ContainerRecord, subnet: Parameters<typeof freeAddress>[0]): number => {
    const taken = new Set(addresses.values());
    const wanted = record.config.host.ipv4Address;
    const address = wanted ? toNumber(wanted) : freeAddress(subnet, taken, next);
    if (address === undefined || (wanted && taken.has(address)))
      throw new GantryError(
        'IN_USE',
        `Cannot give "${record.name}" an address: ${wanted ? 'Address already in use' : 'no free address in the network'}`,
      );
    addresses.set(record.id, address);
    next = address + 1;
    return address;
  };

  const attachBridge = async (record: ContainerRecord): Promise<Attachment> => {
    const { config } = record;
    const wanted = wantedPorts(config);
    const [{ bridge: found, index, subnet, gateway }, ports] = await Promise.all([
      bridge.ensure(),
      wanted.length > 0 ? publishPorts(wanted) : [],
    ]);
    published.set(record.id, ports);
    const ipv4 = toText(allocate(record, subnet));
    const mac = config.host.macAddress ?? macOf(ipv4);
    for (const port of ports) port.target(ipv4);
    const endpoint: Endpoint = {
      network: BRIDGE,
      networkId: BRIDGE_ID,
      endpointId: newId(),
      mac,
      ipv4,
      ipv4PrefixLength: subnet.prefixLength,
      gateway,
      ipv6: '',
      ipv6PrefixLength: 0,
      ipv6Gateway: '',
      aliases: [],
    };
    return {
      network: onBridge(found.name, index, endpoint),
      endpoints: { [BRIDGE]: endpoint },
      ports: ports.map(({ binding }) => binding),
    };
  };

  return {
    async attach(record, find) {
      if (record.config.host.networkMode === BRIDGE) return attachBridge(record);
      return { endpoints: {}, ports: [], network: withoutBridge(record.config, find) };
    },
    async preview(record, find) {
      if (record.config.host.networkMode !== BRIDGE) return withoutBridge(record.config, find);
      const { name, index, subnet, gateway } = await bridge.preview();
      const ipv4 = record.config.host.ipv4Address ?? toText(subnet.base + 2);
      const mac = record.config.host.macAddress ?? macOf(ipv4);
      return onBridge(name, index, {
        endpointId: record.id,
        mac,
        ipv4,
        ipv4PrefixLength: subnet.prefixLength,
        gateway,
      });
    },
    async resume(record) {
      const endpoint = record.endpoints[BRIDGE];
      if (endpoint === undefined) return;
      addresses.set(record.id, toNumber(endpoint.ipv4));
      await bridge.ensure();
      const ports = await publishPorts(record.ports);
      for (const port of ports) port.target(endpoint.ipv4);
      published.set(record.id, ports);
    },
    async release({ id }) {
      addresses.delete(id);
      for (const port of published.get(id) ?? []) port.close();
      published.delete(id);
    },
    async close(unused) {
      for (const port of [...published.values()].flat()) port.close();
      if (unused) await bridge.remove();
    },
  };
}

function withoutBridge(
  { host: { networkMode } }: ContainerConfig,
  find: (name: string) => { pid: number },
): PlanNetwork {
  if (networkMode === 'host') return { mode: 'host', interfaces: [], sysctls: {} };
  if (networkMode === 'none') return { mode: 'none', interfaces: [], sysctls: privateSysctls };
  const [, other] = /^container:(.+)$/.exec(networkMode) ?? [];
  if (other !== undefined) return { mode: 'join', pid: find(other).pid, interfaces: [], sysctls: {} };
  throw new GantryError('NETWORK_NOT_FOUND', `Network ${networkMode} not found`, {
    hint: 'bridge, host, none and container:NAME are there',
  });
}

type Link = Pick<Endpoint, 'endpointId' | 'mac' | 'ipv4' | 'ipv4PrefixLength' | 'gateway'>;

function onBridge(
  bridge: string,
  bridgeIndex: number,
  { endpointId, mac, ipv4, ipv4PrefixLength, gateway }: Link,
): PlanNetwork {
  const hostName = `gv${endpointId.slice(0, 12)}`;
  const addresses = [`${ipv4}/${ipv4PrefixLength}`];
  const link = { bridge, bridgeIndex, hostName, name: 'eth0', mac, addresses, gateways: [gateway] };
  return { mode: 'private', interfaces: [link], sysctls: privateSysctls };
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

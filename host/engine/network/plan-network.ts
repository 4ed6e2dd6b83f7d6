// What a container's network is in the words of the plan: interfaces, default routes, published ports. Pure.
import { GantryError } from '../../errors.ts';
import type { PlanInterface, PlanNetwork, PlanPort, PlanResolver } from '../../plan-types.ts';
import type { ContainerConfig, EndpointConfig, PortBinding } from '../../types.ts';
import type { Endpoint } from '../record.ts';
import type { BridgeNetwork } from './bridge.ts';

export type Find = (name: string) => { id: string; pid: number };

/** net.* that a network namespace of its own may have; docker's defaults since 20.10. */
export const privateSysctls = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
};

/** Undefined where the container is in bridge networks. @throws {GantryError} where the container to join does not run. */
export function withoutBridge({ host: { networkMode } }: ContainerConfig, find: Find): PlanNetwork | undefined {
  if (networkMode === 'host') return { mode: 'host', interfaces: [], sysctls: {} };
  if (networkMode === 'none') return { mode: 'none', interfaces: [], sysctls: privateSysctls };
  const [, other] = /^container:(.+)$/.exec(networkMode) ?? [];
  return other === undefined ? undefined : { mode: 'join', pid: find(other).pid, interfaces: [], sysctls: {} };
}

/** One network of a container, ready. */
export interface Placed {
  network: BridgeNetwork;
  endpoint: Endpoint;
  wanted: EndpointConfig;
}

/**
 * The networks in the order in which they would have the default route, those that lead nowhere left out: docker's order.
 * By family: not every network has IPv6.
 */
export function gatewaysOf<T extends Placed>(places: T[]): { four: T | undefined; six: T | undefined } {
  const order = places
    .filter(({ network }) => !network.internal)
    .toSorted(
      (a, b) =>
        (b.wanted.gatewayPriority ?? 0) - (a.wanted.gatewayPriority ?? 0) ||
        Number(b.endpoint.ipv6 !== '') - Number(a.endpoint.ipv6 !== '') ||
        (a.network.label < b.network.label ? -1 : 1),
    );
  return { four: order[0], six: order.find(({ endpoint }) => endpoint.ipv6 !== '') };
}

/** @param published it has ports that lead to it. @param later it comes to a container that runs. */
export function linkOf(
  { network, endpoint }: Placed,
  gateways: string[],
  published: boolean,
  later = false,
): PlanInterface {
  const { ipv4, ipv4PrefixLength, ipv6, ipv6PrefixLength } = endpoint;
  return {
    bridge: network.name,
    bridgeIndex: network.index,
    hostName: hostNameOf(endpoint),
    name: endpoint.interfaceName,
    ...(endpoint.interfaceIndex === 0 ? {} : { index: endpoint.interfaceIndex }),
    ...(later ? { hostIndex: hostIndexOf(endpoint) } : {}),
    mac: endpoint.mac,
    addresses: [`${ipv4}/${ipv4PrefixLength}`, ...(ipv6 === '' ? [] : [`${ipv6}/${ipv6PrefixLength}`])],
    gateways,
    ...(network.mtu === 0 ? {} : { mtu: network.mtu }),
    ...(network.isolated ? { isolated: true } : {}),
    ...(published ? { hairpin: true } : {}),
  };
}

export function hostNameOf({ endpointId }: Pick<Endpoint, 'endpointId'>): string {
  return `gv${endpointId.slice(0, 12)}`;
}

const HOST_INDICES = 10_000_000;

/** Beyond the kernel's own and those of bridges; by chance, so that two engines hardly meet. */
function hostIndexOf({ endpointId }: Endpoint): number {
  return HOST_INDICES + (Number.parseInt(endpointId.slice(0, 8), 16) % 2_000_000_000);
}

export interface PrivateNetwork {
  places: Placed[];
  carried: PlanPort[];
  resolver: PlanResolver | undefined;
}

export function privateNetwork({ places, carried, resolver }: PrivateNetwork): PlanNetwork {
  const { four, six } = gatewaysOf(places);
  const interfaces = places.map((place) => {
    const gateways = [
      ...(place === four ? [place.endpoint.gateway] : []),
      ...(place === six ? [place.endpoint.ipv6Gateway] : []),
    ];
    return linkOf(place, gateways, place === four && carried.length > 0);
  });
  const table = four?.network.name;
  return {
    mode: 'private',
    sysctls: privateSysctls,
    interfaces,
    ...(carried.length === 0 || table === undefined ? {} : { firewall: { table, ports: carried } }),
    ...(resolver === undefined ? {} : { resolver }),
  };
}

/** -p as given, and with -P every exposed port that is not. @param hostIp where none is given. */
export function wantedPorts({ host, exposedPorts }: ContainerConfig, hostIp: string): PortBinding[] {
  const ports = host.ports.map((port) => (port.hostIp === '' ? { ...port, hostIp } : port));
  if (!host.publishAllPorts) return ports;
  const given = new Set(host.ports.map(({ containerPort, protocol }) => `${containerPort}/${protocol}`));
  const more = exposedPorts
    .filter((port) => !given.has(port))
    .map((port): PortBinding => {
      const [number, protocol = 'tcp'] = port.split('/');
      return { containerPort: Number(number), protocol: protocol as PortBinding['protocol'], hostIp, hostPort: 0 };
    });
  return [...ports, ...more];
}

/** Address of the resolver in containers of user-defined networks; docker's. */
export const RESOLVER = '127.0.0.11';
const WELL_KNOWN_PORT = 53;
/** Where its sockets are: beyond the ports that clients and servers take by themselves. */
const RESOLVER_PORT = 61053;

/** @param translated the kernel can lead the well-known port elsewhere. */
export function resolverOf(socket: string, owner: string, translated: boolean): PlanResolver {
  if (!translated) return { socket, address: RESOLVER, port: WELL_KNOWN_PORT, ports: [] };
  const lead = (protocol: 'udp' | 'tcp'): PlanPort => ({
    owner: owner.slice(0, 12),
    hostIp: RESOLVER,
    hostPort: WELL_KNOWN_PORT,
    protocol,
    address: RESOLVER,
    containerPort: RESOLVER_PORT,
  });
  return { socket, address: RESOLVER, port: RESOLVER_PORT, ports: [lead('udp'), lead('tcp')] };
}

export function networkNotFound(name: string): GantryError {
  return new GantryError('NETWORK_NOT_FOUND', `Network ${name} not found`, {
    hint: '"gantry network ls" lists them; container:NAME shares one',
  });
}

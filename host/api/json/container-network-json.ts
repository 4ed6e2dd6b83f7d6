// A container's networks and ports in docker's spelling.
import { dnsNames } from '../../engine/network/names.ts';
import type { ContainerRecord, Endpoint, Status } from '../../engine/record.ts';
import type { EndpointConfig } from '../../types.ts';
import { API_VERSION } from '../versions.ts';

function endpointJson(record: ContainerRecord, name: string, endpoint: Endpoint, version: string): object {
  const { aliases, links, ...wanted }: EndpointConfig = record.config.host.networks?.[name] ?? { aliases: [] };
  const user = name !== 'bridge' && endpoint.interfaceName !== '';
  const names = minor(version) < ALIASES_AS_GIVEN && user ? [...aliases, record.id.slice(0, 12)] : aliases;
  return {
    IPAMConfig: ipamConfigJson(wanted),
    Links: links ?? null,
    Aliases: names.length > 0 ? names : null,
    MacAddress: endpoint.mac,
    DriverOpts: null,
    GwPriority: wanted.gatewayPriority ?? 0,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.endpointId,
    Gateway: endpoint.gateway,
    IPAddress: endpoint.ipv4,
    IPPrefixLen: endpoint.ipv4PrefixLength,
    IPv6Gateway: endpoint.ipv6Gateway,
    GlobalIPv6Address: endpoint.ipv6,
    GlobalIPv6PrefixLen: endpoint.ipv6PrefixLength,
    DNSNames: user ? dnsNames(record, name) : null,
  };
}

/** API 1.45 took the container's ID out of its aliases. */
const ALIASES_AS_GIVEN = 45;

function minor(version: string): number {
  return Number(version.split('.')[1]);
}

function ipamConfigJson({ ipv4Address, ipv6Address }: Partial<EndpointConfig>): object | null {
  if (!ipv4Address && !ipv6Address) return null;
  return {
    ...(ipv4Address ? { IPv4Address: ipv4Address } : {}),
    ...(ipv6Address ? { IPv6Address: ipv6Address } : {}),
  };
}

export const noEndpoint: Endpoint = {
  network: '',
  networkId: '',
  endpointId: '',
  mac: '',
  ipv4: '',
  ipv4PrefixLength: 0,
  gateway: '',
  ipv6: '',
  ipv6PrefixLength: 0,
  ipv6Gateway: '',
  interfaceName: '',
  interfaceIndex: 0,
};

export function isUp({ state }: ContainerRecord): boolean {
  return state.status === 'running' || state.status === 'paused';
}

/** Where it does not run, only what was asked for. @param version of the API that the client speaks. */
export function networksJson(record: ContainerRecord, version = API_VERSION): Record<string, object> {
  const { endpoints, config } = record;
  const { networkMode, networks = {} } = config.host;
  if (networkMode.startsWith('container:')) return {};
  const names = ['host', 'none'].includes(networkMode) ? [networkMode] : Object.keys(networks);
  return Object.fromEntries(
    names.map((name) => {
      const { networkId = '' } = endpoints[name] ?? {};
      const shown = isUp(record) ? endpoints[name] : undefined;
      return [name, endpointJson(record, name, shown ?? { ...noEndpoint, networkId }, version)];
    }),
  );
}

/** Of its own: who shares the network of the host, or of another container, has none. */
function hasPorts(networkMode: string, status: Status): boolean {
  const shared = ['host', 'none'].includes(networkMode) || networkMode.startsWith('container:');
  return !shared && (status === 'running' || status === 'paused');
}

/** {"80/tcp": [{HostIp, HostPort}]}; exposed ports that are not published have null. */
export function portsJson({ config, ports, state }: ContainerRecord): Record<string, object[] | null> {
  const found: Record<string, object[] | null> = {};
  if (!hasPorts(config.host.networkMode, state.status)) return found;
  for (const port of config.exposedPorts) found[port] = null;
  for (const { containerPort, protocol, hostIp, hostPort } of ports) {
    const key = `${containerPort}/${protocol}`;
    const list = found[key] ?? [];
    found[key] = [...list, ...addresses(hostIp).map((HostIp) => ({ HostIp, HostPort: String(hostPort) }))];
  }
  return found;
}

function addresses(hostIp: string): string[] {
  return hostIp === '' ? ['0.0.0.0', '::'] : [hostIp];
}

interface PortJson {
  IP?: string;
  PrivatePort: number;
  PublicPort?: number;
  Type: string;
}

/** Ports of a list: published ones on each address, then the exposed. */
export function portList({ ports, state, config }: ContainerRecord): PortJson[] {
  if (!hasPorts(config.host.networkMode, state.status)) return [];
  const published = ports.flatMap(({ containerPort, protocol, hostIp, hostPort }) =>
    addresses(hostIp).map((IP) => ({ IP, PrivatePort: containerPort, PublicPort: hostPort, Type: protocol })),
  );
  const isPublished = (port: string): boolean =>
    ports.some(({ containerPort, protocol }) => port === `${containerPort}/${protocol}`);
  const exposed = config.exposedPorts
    .filter((port) => !isPublished(port))
    .map((port) => {
      const [number, type = 'tcp'] = port.split('/');
      return { PrivatePort: Number(number), Type: type };
    });
  return [...published, ...exposed];
}

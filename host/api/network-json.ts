// A container's place in its networks and its ports, in docker's spelling.
import type { ContainerRecord, Endpoint, Status } from '../engine/record.ts';

function endpointJson(endpoint: Endpoint): object {
  return {
    IPAMConfig: null,
    Links: null,
    Aliases: endpoint.aliases.length > 0 ? endpoint.aliases : null,
    MacAddress: endpoint.mac,
    DriverOpts: null,
    GwPriority: 0,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.endpointId,
    Gateway: endpoint.gateway,
    IPAddress: endpoint.ipv4,
    IPPrefixLen: endpoint.ipv4PrefixLength,
    IPv6Gateway: endpoint.ipv6Gateway,
    GlobalIPv6Address: endpoint.ipv6,
    GlobalIPv6PrefixLen: endpoint.ipv6PrefixLength,
    DNSNames: endpoint.aliases.length > 0 ? endpoint.aliases : null,
  };
}

/** Where there is no network. */
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
  aliases: [],
};

export function networksJson({ endpoints, config }: ContainerRecord): Record<string, object> {
  const found = Object.fromEntries(Object.entries(endpoints).map(([name, endpoint]) => [name, endpointJson(endpoint)]));
  const { networkMode } = config.host;
  if (Object.keys(found).length > 0 || networkMode.startsWith('container:')) return found;
  return { [networkMode]: endpointJson(noEndpoint) };
}

/** Of its own: who shares the network of the host, or of another container, has none. */
function hasPorts(networkMode: string, status: Status): boolean {
  const shared = networkMode === 'host' || networkMode.startsWith('container:');
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

// The whole of a container in docker's spelling: inspect.
import type { Container } from '../../engine/container.ts';
import type { ContainerConfig, Image } from '../../types.ts';
import { configJson } from './config-json.ts';
import { hostConfigJson } from './host-config-json.ts';
import { mountPointJson } from './mount-json.ts';
import { isUp, networksJson, noEndpoint, portsJson } from './container-network-json.ts';
import { stateJson } from './state-json.ts';
import type { ContainerSize } from './summary-json.ts';

/** What is not in the container's own record. */
export interface Inspected {
  image: Image | undefined;
  execIds: string[];
  /** As `shownLinks` tells them. */
  links: string[];
  size: ContainerSize | undefined;
}

/** @param version of the API that the client speaks. */
export function inspectJson({ record, files }: Container, inspected: Inspected, version: string): object {
  const { image, execIds, links, size } = inspected;
  const { config, state } = record;
  const [path = '', ...args] = [...config.entrypoint, ...config.command];
  // These are the default bridge's alone; clients look below Networks for the others.
  const endpoint = (isUp(record) ? record.endpoints.bridge : undefined) ?? noEndpoint;
  return {
    Id: record.id,
    Created: record.created,
    Path: path,
    Args: args,
    State: stateJson(state),
    Image: config.imageId,
    ResolvConfPath: files.resolvConf,
    HostnamePath: files.hostname,
    HostsPath: files.hosts,
    LogPath: config.host.logConfig.type === 'none' ? '' : files.log,
    Name: `/${record.name}`,
    RestartCount: state.restartCount,
    Driver: 'overlayfs',
    Platform: image?.platform.os ?? 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: apparmorProfile(config.host),
    ExecIDs: execIds.length > 0 ? execIds : null,
    HostConfig: hostConfigJson(record, links),
    GraphDriver: { Name: 'overlayfs', Data: { UpperDir: files.upper, WorkDir: files.work } },
    ...(size === undefined ? {} : { SizeRw: size.own, SizeRootFs: size.whole }),
    Mounts: record.mounts.map(mountPointJson),
    Config: configJson(config),
    NetworkSettings: {
      Bridge: '',
      SandboxID: '',
      SandboxKey: state.pid === 0 ? '' : `/proc/${state.pid}/ns/net`,
      Ports: portsJson(record),
      HairpinMode: false,
      LinkLocalIPv6Address: '',
      LinkLocalIPv6PrefixLen: 0,
      SecondaryIPAddresses: null,
      SecondaryIPv6Addresses: null,
      EndpointID: endpoint.endpointId,
      Gateway: endpoint.gateway,
      GlobalIPv6Address: endpoint.ipv6,
      GlobalIPv6PrefixLen: endpoint.ipv6PrefixLength,
      IPAddress: endpoint.ipv4,
      IPPrefixLen: endpoint.ipv4PrefixLength,
      IPv6Gateway: endpoint.ipv6Gateway,
      MacAddress: endpoint.mac,
      Networks: networksJson(record, version),
    },
  };
}

/** Empty: docker's where the kernel has it loaded. */
function apparmorProfile({ securityOpt, privileged }: ContainerConfig['host']): string {
  const given = securityOpt.findLast((option) => /^apparmor[=:]/.test(option))?.slice('apparmor='.length);
  return given ?? (privileged ? 'unconfined' : '');
}

// Containers in docker's spelling: the summary of lists and the whole of inspect.
import type { Container } from '../engine/container.ts';
import type { ContainerRecord, Endpoint, MountPoint } from '../engine/record.ts';
import type { ContainerConfig, DeviceRate, Healthcheck, Image, PortBinding } from '../types.ts';

const NEVER = '0001-01-01T00:00:00Z';

/** "Up 5 minutes", "Exited (0) 3 days ago". */
export function statusText({ state }: ContainerRecord, now = Date.now()): string {
  const since = (time: string): string => ago(now - Date.parse(time));
  switch (state.status) {
    case 'running':
      return `Up ${since(state.startedAt)}`;
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'exited':
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'dead':
      return 'Dead';
    default:
      return 'Created';
  }
}

const units: [number, string][] = [
  [365 * 86_400, 'years'],
  [30 * 86_400, 'months'],
  [7 * 86_400, 'weeks'],
  [86_400, 'days'],
  [3600, 'hours'],
  [60, 'minutes'],
];

/** A duration as docker words it: two of a unit at least. */
export function ago(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 1) return 'Less than a second';
  if (seconds < 60) return seconds === 1 ? '1 second' : `${seconds} seconds`;
  if (seconds < 120) return 'About a minute';
  if (seconds >= 3600 && seconds < 7200) return 'About an hour';
  const [size, name] = units.find(([unit]) => seconds >= 2 * unit) ?? [60, 'minutes'];
  return `${Math.floor(seconds / size)} ${name}`;
}

function mountJson({ type, name, source, target, readOnly, propagation }: MountPoint): object {
  return {
    Type: type,
    ...(name === '' ? {} : { Name: name, Driver: 'local' }),
    Source: source,
    Destination: target,
    Mode: type === 'volume' ? 'z' : '',
    RW: !readOnly,
    Propagation: propagation,
  };
}

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

const noEndpoint: Endpoint = {
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

function networksJson({ endpoints, config }: ContainerRecord): Record<string, object> {
  const found = Object.fromEntries(Object.entries(endpoints).map(([name, endpoint]) => [name, endpointJson(endpoint)]));
  const { networkMode } = config.host;
  if (Object.keys(found).length > 0 || networkMode.startsWith('container:')) return found;
  return { [networkMode]: endpointJson(noEndpoint) };
}

/** {"80/tcp": [{HostIp, HostPort}]}; exposed ports that are not published have null. */
export function portsJson({ config, ports, state }: ContainerRecord): Record<string, object[] | null> {
  const found: Record<string, object[] | null> = {};
  if (state.status !== 'running' && state.status !== 'paused') return found;
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

function portList({ ports, state, config }: ContainerRecord): object[] {
  if (state.status !== 'running' && state.status !== 'paused') return [];
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

export function summaryJson({ record }: Container, size?: { rw: number; root: number }): object {
  const { config } = record;
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: config.image,
    ImageID: config.imageId,
    Command: [...config.entrypoint, ...config.command].join(' '),
    Created: Math.floor(Date.parse(record.created) / 1000),
    Ports: portList(record),
    ...(size === undefined ? {} : { SizeRw: size.rw, SizeRootFs: size.root }),
    Labels: config.labels,
    State: record.state.status,
    Status: statusText(record),
    HostConfig: { NetworkMode: config.host.networkMode },
    NetworkSettings: { Networks: networksJson(record) },
    Mounts: record.mounts.map(mountJson),
  };
}

export function inspectJson({ record, files }: Container, image: Image | undefined, execIds: string[]): object {
  const { config, state } = record;
  const [path = '', ...args] = [...config.entrypoint, ...config.command];
  const [first] = Object.values(record.endpoints);
  const endpoint = first ?? noEndpoint;
  return {
    Id: record.id,
    Created: record.created,
    Path: path,
    Args: args,
    State: {
      Status: state.status,
      Running: state.status === 'running' || state.status === 'paused' || state.status === 'restarting',
      Paused: state.status === 'paused',
      Restarting: state.status === 'restarting',
      OOMKilled: state.oomKilled,
      Dead: state.status === 'dead',
      Pid: state.pid,
      ExitCode: state.exitCode,
      Error: state.error,
      StartedAt: state.startedAt || NEVER,
      FinishedAt: state.finishedAt || NEVER,
    },
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
    AppArmorProfile: '',
    ExecIDs: execIds.length > 0 ? execIds : null,
    HostConfig: hostConfigJson(record),
    GraphDriver: { Name: 'overlayfs', Data: { UpperDir: files.upper, WorkDir: files.work } },
    Mounts: record.mounts.map(mountJson),
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
      Networks: networksJson(record),
    },
  };
}

function orNull<T>(list: T[]): T[] | null {
  return list.length > 0 ? list : null;
}

function keySet(names: string[]): Record<string, object> | null {
  return names.length > 0 ? Object.fromEntries(names.map((name) => [name, {}])) : null;
}

export function healthcheckJson(healthcheck: Healthcheck | undefined): object {
  if (healthcheck === undefined) return {};
  const { test, interval, timeout, startPeriod, startInterval, retries } = healthcheck;
  return {
    Healthcheck: {
      Test: test,
      Interval: interval,
      Timeout: timeout,
      StartPeriod: startPeriod,
      StartInterval: startInterval,
      Retries: retries,
    },
  };
}

function configJson(config: ContainerConfig): object {
  return {
    Hostname: config.hostname,
    Domainname: config.domainname,
    User: config.user,
    AttachStdin: config.attachStdin,
    AttachStdout: config.attachStdout,
    AttachStderr: config.attachStderr,
    ...(config.exposedPorts.length > 0 ? { ExposedPorts: keySet(config.exposedPorts) } : {}),
    Tty: config.tty,
    OpenStdin: config.openStdin,
    StdinOnce: config.stdinOnce,
    Env: config.env,
    Cmd: orNull(config.command),
    Image: config.image,
    Volumes: keySet(config.volumes),
    WorkingDir: config.workingDir,
    Entrypoint: orNull(config.entrypoint),
    OnBuild: null,
    Labels: config.labels,
    StopSignal: config.stopSignal,
    ...(config.stopTimeout === undefined ? {} : { StopTimeout: config.stopTimeout }),
    ...healthcheckJson(config.healthcheck),
  };
}

function portBindingsJson(ports: PortBinding[]): Record<string, object[]> {
  const found: Record<string, object[]> = {};
  for (const { containerPort, protocol, hostIp, hostPort, hostPortLast } of ports) {
    const key = `${containerPort}/${protocol}`;
    const range = hostPortLast === undefined ? `${hostPort}` : `${hostPort}-${hostPortLast}`;
    const binding = { HostIp: hostIp, HostPort: hostPort === 0 ? '' : range };
    found[key] = [...(found[key] ?? []), binding];
  }
  return found;
}

function ratesJson(rates: DeviceRate[] | undefined): object[] | null {
  return rates?.map(({ path, rate }) => ({ Path: path, Rate: Number(rate) })) ?? null;
}

function hostConfigJson({ config: { host }, idMaps }: ContainerRecord): object {
  const { resources } = host;
  return {
    Binds: orNull(
      host.mounts
        .filter(({ type, createSource }) => type === 'bind' && createSource)
        .map((mount) => `${mount.source}:${mount.target}${mount.readOnly ? ':ro' : ''}`),
    ),
    ContainerIDFile: '',
    LogConfig: { Type: host.logConfig.type, Config: host.logConfig.config },
    NetworkMode: host.networkMode,
    PortBindings: portBindingsJson(host.ports),
    RestartPolicy: { Name: host.restartPolicy.name, MaximumRetryCount: host.restartPolicy.maximumRetryCount },
    AutoRemove: host.autoRemove,
    VolumeDriver: '',
    VolumesFrom: orNull(host.volumesFrom),
    ConsoleSize: [0, 0],
    CapAdd: orNull(host.capAdd),
    CapDrop: orNull(host.capDrop),
    CgroupnsMode: host.cgroupMode || 'private',
    Dns: host.dns,
    DnsOptions: host.dnsOptions,
    DnsSearch: host.dnsSearch,
    ExtraHosts: orNull(host.extraHosts),
    GroupAdd: null,
    IpcMode: host.ipcMode || 'private',
    Cgroup: '',
    Links: null,
    OomScoreAdj: host.oomScoreAdj,
    PidMode: host.pidMode,
    Privileged: host.privileged,
    PublishAllPorts: host.publishAllPorts,
    ReadonlyRootfs: host.readonlyRootfs,
    SecurityOpt: orNull(host.securityOpt),
    Tmpfs: host.tmpfs,
    UTSMode: host.utsMode,
    UsernsMode: host.userMode,
    // podman's name: docker has no field for what a namespace maps.
    ...(idMaps === undefined ? {} : { IDMappings: { UidMap: idMaps.uid, GidMap: idMaps.gid } }),
    ShmSize: Number(host.shmSize ?? 67108864),
    Sysctls: host.sysctls,
    Runtime: 'gantry',
    Isolation: '',
    CpuShares: resources.cpuShares ?? 0,
    Memory: Number(resources.memory ?? 0),
    NanoCpus: resources.nanoCpus ?? 0,
    CgroupParent: host.cgroupParent,
    BlkioWeight: resources.blkioWeight ?? 0,
    BlkioWeightDevice: resources.blkioWeightDevice?.map(({ path, weight }) => ({ Path: path, Weight: weight })) ?? [],
    BlkioDeviceReadBps: ratesJson(resources.blkioDeviceReadBps),
    BlkioDeviceWriteBps: ratesJson(resources.blkioDeviceWriteBps),
    BlkioDeviceReadIOps: ratesJson(resources.blkioDeviceReadIOps),
    BlkioDeviceWriteIOps: ratesJson(resources.blkioDeviceWriteIOps),
    CpuPeriod: resources.cpuPeriod ?? 0,
    CpuQuota: resources.cpuQuota ?? 0,
    CpuRealtimePeriod: resources.cpuRealtimePeriod ?? 0,
    CpuRealtimeRuntime: resources.cpuRealtimeRuntime ?? 0,
    CpusetCpus: resources.cpusetCpus ?? '',
    CpusetMems: resources.cpusetMems ?? '',
    Devices: host.devices.map(({ pathOnHost, pathInContainer, cgroupPermissions }) => ({
      PathOnHost: pathOnHost,
      PathInContainer: pathInContainer,
      CgroupPermissions: cgroupPermissions,
    })),
    DeviceCgroupRules: resources.deviceCgroupRules ?? null,
    DeviceRequests: null,
    MemoryReservation: Number(resources.memoryReservation ?? 0),
    MemorySwap: Number(resources.memorySwap ?? 0),
    MemorySwappiness: resources.memorySwappiness ?? null,
    OomKillDisable: resources.oomKillDisable ?? false,
    PidsLimit: resources.pidsLimit ?? null,
    Ulimits: orNull(host.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard }))),
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    Mounts: host.mounts
      .filter(({ createSource }) => !createSource)
      .map(({ type, source, target, readOnly }) => ({
        Type: type,
        Source: source,
        Target: target,
        ReadOnly: readOnly ?? false,
      })),
    MaskedPaths: host.privileged ? null : (host.maskedPaths ?? null),
    ReadonlyPaths: host.privileged ? null : (host.readonlyPaths ?? null),
    Init: host.init,
  };
}

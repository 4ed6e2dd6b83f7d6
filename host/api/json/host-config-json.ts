// HostConfig in docker's spelling: how a container runs.
import { confinedPaths } from '../../engine/confinement.ts';
import type { ContainerRecord } from '../../engine/record.ts';
import type { DeviceRate, PortBinding } from '../../types.ts';
import { orNull } from './config-json.ts';
import { bindsJson, mountsJson } from './mount-json.ts';

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

function ratesJson(rates: DeviceRate[] = []): object[] {
  return rates.map(({ path, rate }) => ({ Path: path, Rate: Number(rate) }));
}

/** Maps that docker leaves out where they are empty. */
function whereAny(name: string, map: Record<string, string>): Record<string, Record<string, string>> {
  return Object.keys(map).length > 0 ? { [name]: map } : {};
}

/** @param links as inspection shows them. */
export function hostConfigJson({ config, idMaps }: ContainerRecord, links: string[]): object {
  const { host } = config;
  const { resources } = host;
  // Null for a privileged one, to which all is open.
  const confined = host.privileged ? undefined : confinedPaths(host);
  return {
    Binds: bindsJson(host.mounts),
    ContainerIDFile: '',
    LogConfig: { Type: host.logConfig.type, Config: host.logConfig.config },
    NetworkMode: host.networkMode,
    PortBindings: portBindingsJson(host.ports),
    RestartPolicy: { Name: host.restartPolicy.name, MaximumRetryCount: host.restartPolicy.maximumRetryCount },
    AutoRemove: host.autoRemove,
    VolumeDriver: host.mounts.find(({ spelled }) => spelled !== undefined)?.volumeDriver ?? '',
    VolumesFrom: orNull(host.volumesFrom),
    ConsoleSize: host.consoleSize ?? [0, 0],
    CapAdd: orNull(host.capAdd),
    CapDrop: orNull(host.capDrop),
    CgroupnsMode: host.cgroupMode || 'private',
    Dns: host.dns,
    DnsOptions: host.dnsOptions,
    DnsSearch: host.dnsSearch,
    ExtraHosts: orNull(host.extraHosts),
    GroupAdd: orNull(config.groupAdd ?? []),
    IpcMode: host.ipcMode || 'private',
    Cgroup: '',
    Links: orNull(links),
    OomScoreAdj: host.oomScoreAdj,
    PidMode: host.pidMode,
    Privileged: host.privileged,
    PublishAllPorts: host.publishAllPorts,
    ReadonlyRootfs: host.readonlyRootfs,
    SecurityOpt: orNull(host.securityOpt),
    ...whereAny('Tmpfs', host.tmpfs),
    UTSMode: host.utsMode,
    UsernsMode: host.userMode,
    // podman's name: docker has no field for what a namespace maps.
    ...(idMaps === undefined ? {} : { IDMappings: { UidMap: idMaps.uid, GidMap: idMaps.gid } }),
    ShmSize: Number(host.shmSize ?? 67108864),
    ...whereAny('Sysctls', host.sysctls),
    Runtime: 'gantry',
    Isolation: host.isolation ?? '',
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
    // As much swap as memory, where nothing is said.
    MemorySwap: Number(resources.memorySwap || 2 * Number(resources.memory ?? 0)),
    MemorySwappiness: resources.memorySwappiness ?? null,
    OomKillDisable: resources.oomKillDisable ?? false,
    PidsLimit: resources.pidsLimit ?? null,
    Ulimits: host.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    ...mountsJson(host.mounts),
    MaskedPaths: confined?.masked ?? null,
    ReadonlyPaths: confined?.readOnly ?? null,
    ...(host.init ? { Init: true } : {}),
  };
}

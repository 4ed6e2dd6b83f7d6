// The configurations whose plans are kept as goldens: one for each thing that a plan can say.
import type { PlanRequest } from '../../host/plan-types.ts';
import type { HostConfig } from '../../host/types.ts';
import { resolverOf } from '../../host/engine/network/plan-network.ts';

type Change = (request: PlanRequest) => void;

const host =
  (change: Partial<HostConfig>): Change =>
  (request) => {
    Object.assign(request.container.host, change);
  };
const resources = (change: HostConfig['resources']): Change => host({ resources: change });
const bind =
  (more: object = {}): Change =>
  (request) => {
    request.mounts = [{ type: 'bind', source: '/srv/data', target: '/data', sourceIsDirectory: true, ...more }];
  };
const user =
  (uid: number, gid: number, additionalGids: number[] = []): Change =>
  (request) => {
    request.user = { uid, gid, additionalGids, home: '/' };
  };
const container =
  (change: Partial<PlanRequest['container']>): Change =>
  (request) => {
    Object.assign(request.container, change);
  };

const mapped: Partial<HostConfig> = { userMode: 'auto', uidMaps: ['0:1879048192:65536'] };

const bridge: Change = (request) => {
  const link = { bridge: 'gantry0', bridgeIndex: 7, hostName: 'gv0123456789', name: 'eth0', mac: '02:42:ac:11:00:02' };
  request.network = {
    mode: 'private',
    interfaces: [{ ...link, addresses: ['172.17.0.2/16', 'fd00::2/64'], gateways: ['172.17.0.1', 'fd00::1'] }],
    sysctls: { 'net.ipv4.ip_unprivileged_port_start': '0' },
  };
};

const published: Change = (request) => {
  bridge(request);
  request.network.interfaces[0]!.hairpin = true;
  const port = { owner: '0123456789ab', hostIp: '', hostPort: 8080, containerPort: 80, address: '172.17.0.2' };
  request.network.firewall = {
    table: 'gantry0',
    ports: [
      { ...port, protocol: 'tcp' },
      { ...port, protocol: 'tcp', address: 'fd00::2' },
      { ...port, protocol: 'udp', hostIp: '127.0.0.1', hostPort: 53, containerPort: 53 },
      { ...port, protocol: 'udp', hostIp: '2001:db8::1', hostPort: 53, containerPort: 53, address: 'fd00::2' },
    ],
  };
};

export const configurations: Record<string, Change> = {
  plain: () => {},
  'network bridge': bridge,
  'published ports': published,
  'two networks of a user': (request) => {
    bridge(request);
    const [first] = request.network.interfaces;
    const own = {
      bridge: 'br-back',
      bridgeIndex: 6,
      hostName: 'gvback',
      name: 'eth1',
      index: 3,
      mac: '02:42:ac:12:00:02',
    };
    request.network.interfaces = [
      { ...first!, index: 2 },
      { ...own, addresses: ['172.18.0.2/16'], gateways: [], mtu: 1400, isolated: true },
    ];
    request.network.resolver = resolverOf('/run/gantry/c/0123/names', request.id, true);
  },
  'network host': (request) => {
    request.network = { mode: 'host', interfaces: [], sysctls: {} };
    request.container.host.networkMode = 'host';
  },
  'part of a volume': (request) => {
    request.mounts = [
      {
        type: 'volume',
        source: '/srv/volume',
        target: '/data',
        volumeSubpath: 'a/b',
        sourceIsDirectory: true,
        copyUp: true,
      },
    ];
  },
  'image in an image': (request) => {
    request.mounts = [
      { type: 'image', source: 'tools', target: '/tools', layers: ['/l/2', '/l/1'], sourceIsDirectory: true },
    ];
  },
  'network of a container': (request) => {
    request.network = { mode: 'join', pid: 4711, interfaces: [], sysctls: {} };
  },
  'pid host': host({ pidMode: 'host' }),
  'pid of a container': (request) => {
    request.container.host.pidMode = 'container:other';
    request.joinPids = { pid: 4711 };
  },
  'ipc host': host({ ipcMode: 'host' }),
  'ipc of a container': (request) => {
    request.container.host.ipcMode = 'container:other';
    request.joinPids = { ipc: 4711 };
  },
  'uts host': host({ utsMode: 'host' }),
  'cgroup host': host({ cgroupMode: 'host' }),
  'time offset': host({ timeOffset: 'monotonic=86400,boottime=3600.5' }),
  'time of a container': (request) => {
    request.container.host.timeMode = 'container:other';
    request.joinPids = { time: 4711 };
  },
  'user namespace': host({ userMode: 'auto', uidMaps: ['0:1879048192:65536'] }),
  'user namespace by hand': host({ uidMaps: ['0:100000:1000', '1000:5000:10'], gidMaps: ['0:200000:3000'] }),
  'user namespace of another': (request) => {
    Object.assign(request.container.host, {
      userMode: 'container:other',
      pidMode: 'container:other',
      uidMaps: ['0:100000:65536'],
    });
    request.joinPids = { user: 4711, pid: 4711 };
  },
  'user namespace, others of the host': (request) => {
    Object.assign(request.container.host, { ...mapped, pidMode: 'host', ipcMode: 'host', cgroupMode: 'host' });
    request.network = { mode: 'host', interfaces: [], sysctls: {} };
  },
  'user namespace, mounts': (request) => {
    Object.assign(request.container.host, mapped);
    request.mounts = [
      { type: 'volume', source: '/srv/volume', target: '/volume', sourceIsDirectory: true, copyUp: true },
      { type: 'bind', source: '/srv/plain', target: '/plain', sourceIsDirectory: true },
      { type: 'bind', source: '/srv/own', target: '/own', sourceIsDirectory: true, idmap: true, readOnly: true },
      { type: 'bind', source: '/srv/shared', target: '/shared', sourceIsDirectory: true, propagation: 'rshared' },
    ];
  },
  'user namespace, user and terminal': (request) => {
    Object.assign(request.container.host, mapped, { ulimits: [{ name: 'nofile', soft: 1024, hard: 1048576 }] });
    Object.assign(request.container, { tty: true, openStdin: true });
    request.user = { uid: 1000, gid: 1000, additionalGids: [10], home: '/' };
  },
  memory: resources({ memory: '64m' }),
  'memory and swap': resources({ memory: '64m', memorySwap: '96m' }),
  'memory, unlimited swap': resources({ memory: '64m', memorySwap: -1 }),
  'memory reservation': resources({ memory: '64m', memoryReservation: '32m' }),
  swappiness: resources({ memory: '64m', memorySwappiness: 10 }),
  'oom kill disabled': resources({ memory: '64m', oomKillDisable: true }),
  cpus: resources({ nanoCpus: 1_500_000_000 }),
  'cpu quota and period': resources({ cpuQuota: 20000, cpuPeriod: 50000 }),
  'cpu shares': resources({ cpuShares: 512 }),
  cpuset: resources({ cpusetCpus: '0-1,3', cpusetMems: '0' }),
  'pids limit': resources({ pidsLimit: 64 }),
  'blkio weight': resources({ blkioWeight: 300 }),
  'blkio weight of a device': resources({ blkioWeightDevice: [{ path: '/dev/sda', weight: 500 }] }),
  'blkio rates': resources({
    blkioDeviceReadBps: [{ path: '/dev/sda', rate: '1m' }],
    blkioDeviceWriteIOps: [{ path: '/dev/sda', rate: 100 }],
  }),
  'device rule': resources({ deviceCgroupRules: ['c 42:* rw'] }),
  'unified files': resources({ unified: { 'memory.high': '1000000' } }),
  'every resource': resources({
    memory: '256m',
    memorySwap: '512m',
    nanoCpus: 5e8,
    cpuShares: 2048,
    cpusetCpus: '0',
    pidsLimit: 10,
  }),
  device: host({ devices: [{ pathOnHost: '/dev/fuse', pathInContainer: '/dev/fuse', cgroupPermissions: 'rwm' }] }),
  privileged: host({ privileged: true }),
  'no capabilities': host({ capDrop: ['ALL'] }),
  'one capability': host({ capDrop: ['ALL'], capAdd: ['NET_BIND_SERVICE'] }),
  'all capabilities': host({ capAdd: ['ALL'] }),
  'no new privileges': host({ securityOpt: ['no-new-privileges'] }),
  'seccomp unconfined': host({ securityOpt: ['seccomp=unconfined'] }),
  'own seccomp profile': host({
    securityOpt: [
      'seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}',
    ],
  }),
  'nothing masked': host({ securityOpt: ['systempaths=unconfined'] }),
  'read-only root': host({ readonlyRootfs: true }),
  init: (request) => {
    request.container.host.init = true;
    request.paths.init = '/data/init';
  },
  bind: bind(),
  'read-only bind': bind({ readOnly: true }),
  'bind of a file': bind({ sourceIsDirectory: false, target: '/etc/app.conf' }),
  'shared bind': bind({ propagation: 'rshared' }),
  'new volume': bind({ type: 'volume', copyUp: true }),
  tmpfs: host({ tmpfs: { '/scratch': 'size=1m,mode=700' } }),
  'shm size': host({ shmSize: '128m' }),
  user: user(1000, 1000, [10, 20]),
  terminal: container({ tty: true, openStdin: true }),
  'terminal of a size': (request) => {
    request.container.tty = true;
    request.container.host.consoleSize = [40, 132];
  },
  'stdin once': container({ openStdin: true, stdinOnce: true }),
  'working directory': container({ workingDir: '/srv/app' }),
  'environment and secrets': container({ env: ['A=1', 'DB_PASSWORD=hidden', 'PATH=/bin'] }),
  ulimits: host({ ulimits: [{ name: 'nofile', soft: 1024, hard: 2048 }] }),
  sysctl: host({ sysctls: { 'kernel.msgmax': '65536' } }),
  'oom score': host({ oomScoreAdj: 500 }),
  'cgroup parent': host({ cgroupParent: '/team/a' }),
  'volatile overlay': (request) => {
    request.rootfs.volatile = true;
  },
  'log without blocking': (request) => {
    Object.assign(request.paths, { logBuffer: 1000000 });
  },
  'log rotation': (request) => {
    Object.assign(request.paths, { logMaxSize: 1048576, logMaxFiles: 3 });
  },
  'log rotation, compressed': (request) => {
    Object.assign(request.paths, { logMaxSize: 1048576, logMaxFiles: 3, logCompress: true });
  },
};

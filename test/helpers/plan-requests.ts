// Plan requests for tests: one ordinary container on four kinds of host, and ways to vary it.
import type { HostFacts, PlanRequest } from '../../host/plan-types.ts';
import { plainHostConfig } from '../../host/engine/plain-host-config.ts';

const v1Controllers = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids'];

/** Facts of an imaginary host with four CPUs. */
export function hostFacts(layout: 'v1' | 'v2', architecture: 'x86_64' | 'aarch64'): HostFacts {
  const mounts =
    layout === 'v2'
      ? { '': '/sys/fs/cgroup' }
      : Object.fromEntries(v1Controllers.map((name) => [name, `/sys/fs/cgroup/${name}`]));
  return {
    architecture,
    kernel: [6, 18],
    cgroup: {
      layout,
      mounts,
      controllers: layout === 'v2' ? ['cpu', 'cpuset', 'memory', 'pids', 'io'] : v1Controllers,
    },
    cpus: 4,
    cpusetCpus: '0-3',
    cpusetMems: '0',
    memoryBytes: 8 * 1024 ** 3,
    swapAccounting: true,
    features: ['seccomp', 'time_namespace', 'user_namespace', 'idmapped_layers', 'overlay', 'bfq'],
    capabilities:
      'CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP NET_ADMIN SYS_ADMIN SYS_PTRACE SYS_TIME'
        .split(' ')
        .map((name) => `CAP_${name}`),
    hardLimits: { nofile: 20000 },
    oomScoreAdj: 0,
    pageSize: 4096,
    devices: { '/dev/sda': [8, 0, 'b'], '/dev/fuse': [10, 229, 'c'] },
  };
}

/** An ordinary container: `change` alters the request before it is planned. */
export function planRequest(facts: HostFacts, change: (request: PlanRequest) => void = () => {}): PlanRequest {
  const request: PlanRequest = {
    id: '0123456789abcdef'.repeat(4),
    facts,
    container: {
      image: 'busybox',
      imageId: 'sha256:0',
      entrypoint: [],
      command: ['sh', '-c', 'true'],
      env: ['LANG=C'],
      workingDir: '/',
      user: '',
      hostname: 'box',
      domainname: '',
      tty: false,
      openStdin: false,
      stdinOnce: false,
      attachStdin: false,
      attachStdout: true,
      attachStderr: true,
      labels: {},
      exposedPorts: [],
      volumes: [],
      stopSignal: 'SIGTERM',
      host: plainHostConfig(),
    },
    rootfs: {
      lower: ['/data/layers/b', '/data/layers/a'],
      upper: '/data/c/upper',
      work: '/data/c/work',
      volatile: false,
    },
    mounts: [],
    network: { mode: 'none', interfaces: [], sysctls: {} },
    paths: {
      hosts: '/data/c/hosts',
      hostname: '/data/c/hostname',
      resolvConf: '/data/c/resolv.conf',
      controlSocket: '/run/gantry/c/control.sock',
      log: '/data/c/log',
      exitRecord: '/data/c/exit.json',
      init: '/data/init',
      emptyDirectory: '/run/gantry/empty',
    },
    user: { uid: 0, gid: 0, additionalGids: [], home: '/root' },
    joinPids: {},
  };
  change(request);
  return request;
}

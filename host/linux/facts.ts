// What planning needs to know of a machine, from its /proc and /sys. Nothing is changed and no process is started.
import type { Machine } from '../machine.ts';
import type { CgroupFacts, HostFacts } from '../plan-types.ts';
import { capabilityNames } from './capabilities.ts';
import { cgroupLayout } from './cgroup-layout.ts';
import { thisMachine } from './this-machine.ts';

/** Reads the facts once; `devices` are looked up at each call, because nodes come and go. */
export function createFacts(machine: Machine = thisMachine): (devices?: string[]) => Promise<HostFacts> {
  let cached: Promise<HostFacts> | undefined;
  return async (devices = []) => {
    cached ??= readFacts(machine).then((facts) => Object.freeze(facts));
    const facts = await cached.catch((error: unknown) => {
      cached = undefined;
      throw error;
    });
    return devices.length === 0 ? facts : { ...facts, devices: await deviceNodes(machine, devices) };
  };
}

/** Everything but `devices`. */
export async function readFacts(machine: Machine): Promise<HostFacts> {
  const cgroup = await readCgroups(machine);
  const [status, limits, meminfo, score, auxv] = await Promise.all([
    text(machine, '/proc/self/status'),
    text(machine, '/proc/self/limits'),
    text(machine, '/proc/meminfo'),
    text(machine, '/proc/self/oom_score_adj'),
    machine.read('/proc/self/auxv'),
  ]);
  const kernel = kernelVersion(await text(machine, '/proc/sys/kernel/osrelease'));
  const [cpusetCpus, cpusetMems] = await readCpusets(machine, cgroup);
  return {
    architecture: machine.architecture,
    kernel,
    cgroup,
    cpus: Math.max(1, listLength(cpusetCpus)),
    cpusetCpus,
    cpusetMems,
    memoryBytes: Number(/^MemTotal:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0) * 1024,
    swapAccounting: await hasSwapAccounting(machine, cgroup),
    features: await readFeatures(machine, kernel, cgroup, status),
    capabilities: capabilityNames(BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)),
    hardLimits: parseHardLimits(limits),
    oomScoreAdj: Number(score.trim() || 0),
    pageSize: pageSize(auxv),
    devices: {},
  };
}

const decoder = new TextDecoder();

async function text(machine: Machine, path: string): Promise<string> {
  return decoder.decode(await machine.read(path));
}

/** "6.18.5-cloud" → [6, 18]. */
export function kernelVersion(name: string): [number, number] {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(name) ?? [];
  return [Number(major), Number(minor)];
}

async function readCgroups(machine: Machine): Promise<CgroupFacts> {
  const mountinfo = await text(machine, '/proc/self/mountinfo');
  const unified = cgroupLayout(mountinfo, '').mounts[''];
  return cgroupLayout(mountinfo, unified === undefined ? '' : await text(machine, `${unified}/cgroup.controllers`));
}

/** CPUs and memory nodes that this machine (or the cgroup namespace we run in) has, in list format. */
async function readCpusets(machine: Machine, cgroup: CgroupFacts): Promise<[string, string]> {
  const root = cgroup.layout === 'v2' ? cgroup.mounts[''] : cgroup.mounts.cpuset;
  const first = async (...paths: string[]): Promise<string> => {
    for (const path of paths) {
      const found = (await text(machine, path)).trim();
      if (found !== '') return found;
    }
    return '0';
  };
  return Promise.all([
    first(`${root}/cpuset.cpus.effective`, `${root}/cpuset.effective_cpus`, '/sys/devices/system/cpu/online'),
    first(`${root}/cpuset.mems.effective`, `${root}/cpuset.effective_mems`, '/sys/devices/system/node/online'),
  ]);
}

/** Number of entries of a list such as "0-2,7". */
export function listLength(list: string): number {
  let count = 0;
  for (const part of list.split(',')) {
    const [, from, to] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
    if (from !== undefined) count += Number(to ?? from) - Number(from) + 1;
  }
  return count;
}

/** v1 has the file in every cgroup; v2 in every cgroup but the root, so there the kernel's age decides (5.8). */
async function hasSwapAccounting(machine: Machine, { layout, mounts }: CgroupFacts): Promise<boolean> {
  if (layout === 'v2') return !/\bswapaccount=0\b/.test(await text(machine, '/proc/cmdline'));
  return mounts.memory !== undefined && (await machine.exists(`${mounts.memory}/memory.memsw.limit_in_bytes`));
}

async function readFeatures(
  machine: Machine,
  kernel: [number, number],
  cgroup: CgroupFacts,
  status: string,
): Promise<string[]> {
  const [filesystems, apparmor] = await Promise.all([
    text(machine, '/proc/filesystems'),
    text(machine, '/sys/module/apparmor/parameters/enabled'),
  ]);
  const atLeast = (major: number, minor: number): boolean =>
    kernel[0] > major || (kernel[0] === major && kernel[1] >= minor);
  const has = (name: string): boolean => new RegExp(`\\t${name}$`, 'm').test(filesystems);
  const namespace = (name: string): Promise<boolean> => machine.exists(`/proc/self/ns/${name}`);
  const found: Record<string, boolean> = {
    apparmor: apparmor.startsWith('Y'),
    selinux: await machine.exists('/sys/fs/selinux/enforce'),
    time_namespace: await namespace('time'),
    user_namespace:
      (await namespace('user')) && (await text(machine, '/proc/sys/user/max_user_namespaces')).trim() !== '0',
    cgroup_namespace: await namespace('cgroup'),
    // mount_setattr(2): Linux 5.12, together with idmapped mounts.
    idmapped_mounts: atLeast(5, 12),
    // overlayfs over idmapped mounts.
    idmapped_layers: atLeast(5, 19),
    mount_attr_recursive: atLeast(5, 12),
    seccomp: /^Seccomp:/m.test(status),
    overlay: has('overlay'),
    erofs: has('erofs'),
    fuse: has('fuse'),
    ipv6: await machine.exists('/proc/net/if_inet6'),
    bfq: cgroup.mounts.blkio !== undefined && (await machine.exists(`${cgroup.mounts.blkio}/blkio.bfq.io_serviced`)),
    blkio_weight: cgroup.mounts.blkio !== undefined && (await machine.exists(`${cgroup.mounts.blkio}/blkio.weight`)),
    psi: await machine.exists('/proc/pressure'),
    // cgroup.kill: Linux 5.14.
    cgroup_kill: cgroup.layout === 'v2' && atLeast(5, 14),
  };
  return Object.keys(found).filter((name) => found[name]);
}

/** The kernel's words for each limit of proc_pid_limits(5) → the name of getrlimit(2). */
const limitNames: Record<string, string> = {
  'cpu time': 'cpu',
  'file size': 'fsize',
  'data size': 'data',
  'stack size': 'stack',
  'core file size': 'core',
  'resident set': 'rss',
  processes: 'nproc',
  'open files': 'nofile',
  'locked memory': 'memlock',
  'address space': 'as',
  'file locks': 'locks',
  'pending signals': 'sigpending',
  'msgqueue size': 'msgqueue',
  'nice priority': 'nice',
  'realtime priority': 'rtprio',
  'realtime timeout': 'rttime',
};

/** Hard limits of /proc/PID/limits by name; -1 unlimited. */
export function parseHardLimits(limits: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const line of limits.split('\n')) {
    const [, words = '', hard = ''] = /^Max (.+?)\s{2,}\S+\s+(\S+)/.exec(line) ?? [];
    const name = limitNames[words];
    if (name !== undefined) found[name] = hard === 'unlimited' ? -1 : Number(hard);
  }
  return found;
}

const AT_PAGESZ = 6n;

/** getauxval(3): pairs of 64-bit words. */
function pageSize(auxv: Uint8Array): number {
  const view = new DataView(auxv.buffer, auxv.byteOffset, auxv.byteLength);
  for (let at = 0; at + 16 <= auxv.length; at += 16)
    if (view.getBigUint64(at, true) === AT_PAGESZ) return Number(view.getBigUint64(at + 8, true));
  return 4096;
}

/** Block and character devices among the paths; others are left out. */
async function deviceNodes(machine: Machine, paths: string[]): Promise<HostFacts['devices']> {
  const found: HostFacts['devices'] = {};
  await Promise.all(
    paths.map(async (path) => {
      const node = await machine.deviceNode(path);
      if (node !== undefined) found[path] = node;
    }),
  );
  return found;
}

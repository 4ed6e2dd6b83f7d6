// One OCI spec run by runc, crun and gantry: what the process inside sees and may do must be the same.
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanRequest } from '../../host/plan-types.ts';
import { executorProgram } from '../helpers/executor.ts';
import { createPlanned, type Planned } from '../helpers/planned.ts';
import { addProbe, type MountLine, mountLine, sectionsOf, whyNoProbe } from '../helpers/probe.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { endPlanners } from '../helpers/bundles.ts';
import { type Runtime, removeCompared, runBundle, whyNoRuntimes } from '../helpers/runtimes.ts';

type Change = (request: PlanRequest) => void;

const host =
  (change: Partial<PlanRequest['container']['host']>): Change =>
  (request) => {
    Object.assign(request.container.host, change);
  };

const configurations: Record<string, Change> = {
  'as it comes': () => {},
  'a user, groups and a directory': (request) => {
    request.user = { uid: 1000, gid: 1001, additionalGids: [7, 2000], home: '/home' };
    request.container.workingDir = '/srv/app';
  },
  'capabilities added and dropped': host({ capAdd: ['NET_ADMIN', 'SYS_PTRACE'], capDrop: ['CHOWN', 'MKNOD'] }),
  'no capabilities, no new privileges': host({ capDrop: ['ALL'], securityOpt: ['no-new-privileges'] }),
  'a read-only root with tmpfs': host({ readonlyRootfs: true, tmpfs: { '/tmp': 'size=1m,mode=1777', '/run': '' } }),
  privileged: host({ privileged: true }),
  'limits of the process': host({
    ulimits: [
      { name: 'nofile', soft: 128, hard: 256 },
      { name: 'core', soft: 0, hard: 0 },
      { name: 'nproc', soft: 50, hard: 60 },
    ],
    oomScoreAdj: 300,
  }),
  'limits of the cgroup': host({
    resources: { memory: '64m', memorySwap: '96m', nanoCpus: 5e8, cpuShares: 512, cpusetCpus: '0', pidsLimit: 33 },
  }),
  sysctls: host({ sysctls: { 'net.ipv4.ip_forward': '1', 'kernel.msgmax': '4096', 'fs.mqueue.msg_max': '20' } }),
  'nothing masked': host({ securityOpt: ['systempaths=unconfined', 'seccomp=unconfined'] }),
  'host and domain names': (request) => {
    request.container.hostname = 'crane';
    request.container.domainname = 'yard.example';
  },
  'a device': host({ devices: [{ pathOnHost: '/dev/fuse', pathInContainer: '/dev/lift', cgroupPermissions: 'r' }] }),
  'bind mounts': (request) => {
    request.mounts = [
      { type: 'bind', source: '/usr/share', target: '/read', sourceIsDirectory: true, readOnly: true },
      { type: 'bind', source: '/usr/share', target: '/write', sourceIsDirectory: true },
      { type: 'bind', source: '/etc/hostname', target: '/made/here/name', sourceIsDirectory: false },
      {
        type: 'bind',
        source: '/usr/share',
        target: '/top',
        sourceIsDirectory: true,
        nonRecursive: true,
        readOnly: true,
      },
      { type: 'tmpfs', source: '', target: '/scratch', sourceIsDirectory: true, tmpfsSize: '1m', tmpfsMode: 0o700 },
    ];
  },
  init: (request) => {
    request.container.host.init = true;
    request.paths.init = executorProgram;
  },
  'namespaces of the host': host({ pidMode: 'host', ipcMode: 'host', utsMode: 'host', cgroupMode: 'host' }),
};

const protectedPaths =
  '/proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/timer_list /proc/scsi /sys/firmware /sys/devices/virtual/powercap /proc/bus /proc/fs /proc/irq /proc/sys /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel /etc /tmp'.split(
    ' ',
  );
const values =
  '/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpuset/cpuset.cpus /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/devices/devices.list /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max'.split(
    ' ',
  );
const command = [
  '/bin/probe',
  'report',
  ...protectedPaths.flatMap((path) => ['access', path]),
  ...values.flatMap((path) => ['cat', path]),
  ...['/dev/lift', '/dev/fuse'].flatMap((path) => ['open', path, 'rw']),
];

const inHost = (line: string): boolean => {
  const type = line.split(':')[0]!;
  return readlinkSync(`/proc/self/ns/${type}`) === line;
};

/** A report in a form in which equal isolation reads equal. Every rule states a difference that is intended. */
function normalized(
  output: string,
  masked: Set<string>,
  runtime = '',
  wantedDomain = '(none)',
): Record<string, string[]> {
  const sections = sectionsOf(output);
  const { namespaces = [], mountinfo = [], devices = [], cgroup = [], ids = [] } = sections;
  const shared = new Set(namespaces.filter(inHost).map((line) => line.split(':')[0]));
  // The Debian versions of runc and crun have no time namespaces: gantry's own is left out here and tested elsewhere.
  sections.namespaces = namespaces
    .filter((line) => !line.startsWith('time'))
    .map((line) => `${line.split(':')[0]} ${inHost(line) ? 'host' : 'own'}`);
  sections.mountinfo = mountinfo.flatMap((line) => tableEntry(mountLine(line), masked)).sort();
  // runc makes /dev/core only where the kernel has /proc/kcore; a dangling link tells the same.
  // What others keep in the host's /dev/shm comes and goes.
  sections.devices = devices.filter((line) => !/^\/dev\/(core |shm\/)/.test(line)).sort();
  // Rules of one list in another order; runc and crun also join the v2 tree and name=systemd, where nothing is limited.
  sections['/sys/fs/cgroup/devices/devices.list']?.sort();
  sections.cgroup = cgroup
    .filter((line) => !/^0::|:name=/.test(line))
    .map((line) => line.replace(/:\/gantry-.+$/, ':its own'));
  // A file system that is read-only itself says EROFS before it looks at the mode, a read-only mount behind that.
  for (const [name, lines] of Object.entries(sections))
    sections[name] = lines.map((line) => line.replace(/ write (EROFS|EACCES)$/, ' write no'));
  // crun gives the descriptors of the caller to the user, the container's /dev/null too where it is stdin.
  sections.devices = sections.devices.map((line) => line.replace('/dev/null 20666 1000:1001', '/dev/null 20666 0:0'));
  // runc 1.1 does not know domainname.
  if (runtime === 'runc') sections.uts = sections.uts!.map((line) => line.replace('(none)', wantedDomain));
  // Threads of a runtime use up pids, and the host's are anybody's.
  sections.ids = ids.map((line) => line.replace(/^pid [2-9]\d* ppid 1 /, 'pid N ppid 1 '));
  if (shared.has('pid')) sections.ids = ids.filter((line) => !line.startsWith('pid '));
  return sections;
}

/** The root is an overlay here and a bind there; masks differ in what covers, but not in effect (compared apart). */
function tableEntry({ target, type, options, superOptions, propagation }: MountLine, masked: Set<string>): string[] {
  if (target === '/' || masked.has(target) || target === '/sys/fs/cgroup/systemd') return [];
  // The directory that holds the v1 hierarchies: gantry's is read-only like them.
  if (target === '/sys/fs/cgroup') return [`${target} ${type}`];
  // crun's read-only binds of /proc lose the flags of the mount that they are part of.
  if (/^\/proc\/(bus|fs|irq|sys)$/.test(target)) return [`${target} ${type} ${options.includes('ro')} ${propagation}`];
  // fsmount(2) makes the mount read-only, mount(2) the file system too: nobody else mounts this one.
  return [`${target} ${type} ${options} ${superOptions.filter((option) => !/^r[ow]$/.test(option))} ${propagation}`];
}

describe.skipIf(whyNoContainers() || whyNoRuntimes() || whyNoProbe())('runc, crun and gantry', () => {
  let planned: Planned;
  const tree = mkdtempSync(join(tmpdir(), 'gantry-compare-'));

  beforeAll(async () => {
    chmodSync(tree, 0o755);
    addProbe(tree);
    for (const name of ['proc', 'sys', 'dev', 'tmp', 'etc', 'srv/app'])
      mkdirSync(join(tree, name), { recursive: true });
    planned = await createPlanned(tree, ['/dev/fuse']);
  });

  afterAll(async () => {
    await planned.close();
    rmSync(tree, { recursive: true });
    removeCompared();
    endPlanners();
  });

  function runtimeReport(runtime: Runtime, spec: Record<string, unknown>): string {
    const copy = mkdtempSync(join(tmpdir(), 'gantry-compare-root-'));
    cpSync(tree, copy, { recursive: true });
    chmodSync(copy, 0o755);
    const { status, stdout, stderr } = runBundle(runtime, spec, copy);
    rmSync(copy, { recursive: true });
    if (status !== 0) throw new Error(`${runtime}: status ${status}\n${stderr}`);
    return stdout;
  }

  it.each(Object.entries(configurations))('agree on %s', async (_name, change) => {
    const { plan } = planned.plan(command, change);
    const outcome = await planned.run(plan);
    expect(outcome.failure).toBeUndefined();
    const masked = new Set((plan.spec.linux as { maskedPaths: string[] }).maskedPaths);
    const own = normalized(outcome.output, masked);
    const domain = (plan.spec.domainname as string | undefined) ?? '(none)';
    for (const runtime of ['runc', 'crun', 'gantry-runtime'] as const)
      expect(normalized(runtimeReport(runtime, plan.spec), masked, runtime, domain), runtime).toEqual(own);
  });
});

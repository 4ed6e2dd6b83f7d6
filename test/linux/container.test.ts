// Planned containers on this kernel: what runs inside sees what the plan says, and nothing stays behind.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  FRAME_EXITED,
  FRAME_HELLO,
  FRAME_READY,
  FRAME_STARTED,
  FRAME_TORN_DOWN,
  PHASE_VALIDATE,
} from '../../core-asm/abi.ts';
import { planContainer, planPool } from '../../host/core/plans.ts';
import { readProgram } from '../../host/core/program.ts';
import { planFailure } from '../../host/linux/plan-failure.ts';
import type { PlanRequest } from '../../host/plan-types.ts';
import { runPlan, startExecutor } from '../helpers/executor.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';

const busybox = '/bin/busybox';
const reason = !existsSync('/sys/fs/cgroup/memory/cgroup.procs')
  ? 'this host has no cgroup v1'
  : !existsSync(busybox)
    ? 'busybox-static is not installed'
    : process.getuid?.() !== 0
      ? 'root is needed'
      : '';
const noBfq = !existsSync('/sys/fs/cgroup/blkio/blkio.bfq.io_serviced');
if (noBfq && !reason) console.log('The weight of block I/O is not tested: this kernel has no BFQ');
if (reason) console.log(`Containers are not tested: ${reason}`);

describe.skipIf(reason)('a planned container', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-container-'));
  const socket = join(directory, 'executor.sock');
  let executor: Awaited<ReturnType<typeof startExecutor>>;
  let count = 0;
  const parent = `gantry-test-${process.pid}`;

  beforeAll(async () => {
    for (const name of ['root/bin', 'run', 'empty', 'empty-mask'])
      mkdirSync(join(directory, name), { recursive: true });
    copyFileSync(busybox, join(directory, 'root/bin/busybox'));
    for (const name of ['sh', 'cat', 'id', 'grep', 'sleep', 'kill', 'ls', 'head'])
      symlinkSync('busybox', join(directory, 'root/bin', name));
    for (const name of ['hosts', 'hostname', 'resolv.conf']) writeFileSync(join(directory, name), `${name}\n`);
    executor = await startExecutor(socket);
  });

  afterAll(async () => {
    await executor.stop();
    for (const mount of Object.values(hostFacts('v1', 'x86_64').cgroup.mounts)) rmdirSync(join(mount, parent));
    rmSync(directory, { recursive: true, force: true });
  });

  function planFor(command: string[], change: (request: PlanRequest) => void = () => {}) {
    const facts = hostFacts('v1', process.arch === 'arm64' ? 'aarch64' : 'x86_64');
    facts.cpus = cpus().length;
    facts.cpusetCpus = readFileSync('/sys/fs/cgroup/cpuset/cpuset.cpus', 'utf8').trim();
    facts.cpusetMems = readFileSync('/sys/fs/cgroup/cpuset/cpuset.mems', 'utf8').trim();
    const own = join(directory, `container-${count++}`);
    for (const name of ['upper', 'work']) mkdirSync(join(own, name), { recursive: true });
    const request = planRequest(facts, (made) => {
      made.id = `test-${process.pid}-${count}`;
      made.container.command = command;
      made.container.host.cgroupParent = parent;
      made.rootfs = {
        lower: [join(directory, 'root')],
        upper: join(own, 'upper'),
        work: join(own, 'work'),
        volatile: true,
      };
      made.paths = {
        hosts: join(directory, 'hosts'),
        hostname: join(directory, 'hostname'),
        resolvConf: join(directory, 'resolv.conf'),
        controlSocket: join(directory, 'run', `${count}.sock`),
        log: join(own, 'log'),
        exitRecord: join(own, 'exit.json'),
        init: '',
        emptyDirectory: join(directory, 'empty'),
      };
      change(made);
    });
    return { own, request, plan: planContainer(request) };
  }

  it('starts, prints, exits and is torn down, in that order', async () => {
    const { plan, own } = planFor(['sh', '-c', 'echo hello; exit 3']);
    const outcome = await runPlan(socket, plan);
    expect(outcome.output).toBe('hello\n');
    expect(outcome.exitCode).toBe(3);
    expect(outcome.frames.filter((type) => type !== 21)).toEqual([
      FRAME_HELLO,
      FRAME_STARTED,
      FRAME_EXITED,
      FRAME_TORN_DOWN,
    ]);
    expect(JSON.parse(readFileSync(join(own, 'exit.json'), 'utf8'))).toMatchObject({ exitCode: 3, oomKilled: false });
    expect(readFileSync(join(own, 'log'), 'utf8')).toContain('hello');
  });

  it('has the capabilities, the filter and the cgroup of the plan', async () => {
    const { plan } = planFor([
      'sh',
      '-c',
      'grep -E "CapEff|CapBnd|Seccomp:" /proc/self/status; grep memory /proc/self/cgroup; echo $$',
    ]);
    const { output } = await runPlan(socket, plan);
    expect(output).toMatch(/CapEff:\s+00000000a80425fb\nCapBnd:\s+00000000a80425fb\nSeccomp:\s+2\n/);
    expect(output).toContain(':memory:/\n1\n');
  });

  it('runs as the user of the plan, without capabilities', async () => {
    const { plan } = planFor(['sh', '-c', 'id; grep CapEff /proc/self/status'], (request) => {
      request.user = { uid: 1000, gid: 1001, additionalGids: [7], home: '/' };
    });
    expect((await runPlan(socket, plan)).output).toMatch(/uid=1000 gid=1001 groups=7\nCapEff:\s+0000000000000000\n/);
  });

  it('sees nothing of what is masked', async () => {
    const { plan } = planFor([
      'sh',
      '-c',
      'echo kcore=$(head -c 1 /proc/kcore | grep -c .); ls /sys/firmware; echo x > /proc/sys/kernel/hostname',
    ]);
    const { output } = await runPlan(socket, plan);
    expect(output).toContain('Read-only file system');
    expect(output).toContain('kcore=0\n');
  });

  it('is killed at its memory limit, and the record says so', async () => {
    const { plan, own } = planFor(['sh', '-c', 'a=x; while true; do a=$a$a; done'], (request) => {
      request.container.host.resources = { memory: '16m', memorySwap: '16m' };
    });
    expect((await runPlan(socket, plan)).exitCode).toBe(137);
    expect(JSON.parse(readFileSync(join(own, 'exit.json'), 'utf8'))).toMatchObject({ exitCode: 137, oomKilled: true });
  });

  it('cannot fork beyond its pids limit', async () => {
    const { plan } = planFor(['sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; echo all'], (request) => {
      request.container.host.resources = { pidsLimit: 4 };
    });
    expect((await runPlan(socket, plan)).output).toMatch(/fork/);
  });

  it.skipIf(noBfq)('has the weight of block I/O that it is given', async () => {
    const { plan } = planFor(['cat', '/sys/fs/cgroup/blkio/blkio.bfq.weight'], (request) => {
      request.container.host.resources = { blkioWeight: 300 };
    });
    expect((await runPlan(socket, plan)).output).toBe('300\n');
  });

  it('starts from a pool slot, in cgroups that were joined ahead', async () => {
    const slot = `slot-${process.pid}`;
    const { plan, request } = planFor(['sh', '-c', 'echo pooled; exit 4'], (made) => {
      made.pooledSlot = slot;
      made.container.host.resources = { pidsLimit: 20 };
    });
    const outcome = await runPlan(socket, plan, planPool(request.facts, slot, parent));
    expect(outcome.failure).toBeUndefined();
    expect(outcome.output).toBe('pooled\n');
    expect(outcome.exitCode).toBe(4);
    expect(outcome.frames).toContain(FRAME_READY);
    expect(existsSync(`/sys/fs/cgroup/memory/${parent}/${slot}`)).toBe(false);
  });

  it.each([
    ['this kernel', undefined],
    ['a kernel that takes all layers in one option', [6, 1]],
  ] as const)('maps its ids as planned for %s', async (_name, kernel) => {
    const { plan, own } = planFor(['sh', '-c', 'cat /proc/self/uid_map; echo x > /made; id'], (request) => {
      request.container.host.uidMaps = ['0:300000:65536'];
      if (kernel !== undefined) request.facts.kernel = [...kernel];
    });
    const { output, failure } = await runPlan(socket, plan);
    expect(failure).toBeUndefined();
    expect(output.replace(/ +/g, ' ')).toBe(' 0 300000 65536\nuid=0 gid=0\n');
    expect(statSync(join(own, 'upper/made')).uid).toBe(0);
  });

  it('maps its ids from a pool slot too, and says on which file system that is impossible', async () => {
    const slot = `slot-mapped-${process.pid}`;
    const { plan, request } = planFor(['id'], (made) => {
      made.pooledSlot = slot;
      made.container.host.uidMaps = ['0:300000:65536'];
    });
    expect((await runPlan(socket, plan, planPool(request.facts, slot, parent))).output).toBe('uid=0 gid=0\n');
    const { plan: onProc } = planFor(['id'], (made) => {
      made.container.host.uidMaps = ['0:300000:65536'];
      made.rootfs.lower = ['/proc/sys'];
    });
    const { failure } = await runPlan(socket, onProc);
    const error = planFailure(onProc.setup, { op: 0, errno: 0, phase: 0, ...failure });
    expect(error.message).toMatch(
      /Cannot set the attributes of the mount "\/proc\/sys": .*files of root belong to root/,
    );
    expect(error.hint).toContain('The file system there cannot map ids');
  });

  it('fails at its execve where the program does not exist', async () => {
    const { plan } = planFor(['nothing-of-the-kind']);
    const { failure } = await runPlan(socket, plan);
    expect(failure?.errno).toBe(2);
    expect(readProgram(plan.setup).ops[failure?.op ?? 0]?.name).toBe('execve');
  });

  it('is refused whole where its program is cut short', async () => {
    const { plan } = planFor(['true']);
    for (const length of [0, 31, 32, 96, 1000, plan.setup.length - 1]) {
      const { failure } = await runPlan(socket, { ...plan, setup: plan.setup.subarray(0, length) });
      expect(failure).toMatchObject({ errno: 22, phase: PHASE_VALIDATE });
    }
  });

  it('leaves no cgroup and no mount behind', () => {
    for (let i = 1; i <= count; i++)
      expect(existsSync(`/sys/fs/cgroup/memory/${parent}/test-${process.pid}-${i}`)).toBe(false);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(directory);
  });
});

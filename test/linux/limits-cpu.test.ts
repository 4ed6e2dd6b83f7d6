// Limits of CPU, processes and descriptors as a process feels them, and standing still while frozen.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../helpers/cli.ts';
import { whyNoProbe } from '../helpers/probe.ts';
import { createProbeInstallation, type ProbeInstallation } from '../helpers/probe-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const cpu = '/sys/fs/cgroup/cpu';
const v1 = existsSync(`${cpu}/cpu.shares`);

describe.skipIf(whyNoContainers() || whyNoProbe())('limits', () => {
  let here: ProbeInstallation;
  beforeAll(async () => {
    here = await createProbeInstallation();
  });
  afterAll(() => here?.close());

  const statFile = v1 ? `${cpu}/cpu.stat` : '/sys/fs/cgroup/cpu.stat';
  const throttled = (output: string): number => Number(/^nr_throttled (\d+)$/m.exec(output)?.[1]);

  it('of CPU time throttle: a fifth of a CPU gets about a fifth', async () => {
    const output = await here.box('--cpus', '0.2', 'box', 'probe', 'burn', '1000', 'cat', statFile);
    const used = Number(/^cpu (\d+)$/m.exec(output)?.[1]);
    expect(used).toBeGreaterThan(0);
    // One period more than its share at most: 200 ms of 1000, and the period that it began with.
    expect(used).toBeLessThan(400);
    expect(throttled(output)).toBeGreaterThan(3);
  });

  it('of CPU time throttle by quota and period too', async () => {
    const limits = ['--cpu-period', '50000', '--cpu-quota', '5000'];
    expect(throttled(await here.box(...limits, 'box', 'probe', 'burn', '500', 'cat', statFile))).toBeGreaterThan(3);
    expect(throttled(await here.box('box', 'probe', 'burn', '100', 'cat', statFile))).toBe(0);
  });

  it.skipIf(!v1)('of CPU weight stand in cpu.shares', async () => {
    expect(await here.box('-c', '512', 'box', 'cat', `${cpu}/cpu.shares`)).toBe('512');
  });

  it('of CPUs are the affinity of the process', async () => {
    for (const number of cpus().length > 1 ? ['0', '1'] : ['0'])
      expect(await here.box('--cpuset-cpus', number, 'box', 'probe', 'affinity')).toBe(`cpus ${number}`);
    expect(await here.box('--cpuset-mems', '0', 'box', 'grep', 'Mems_allowed_list', '/proc/self/status')).toMatch(/0$/);
  });

  it('of processes refuse the next fork', async () => {
    // The limit counts the process itself and, for a moment, the launcher that made it.
    expect(await here.box('--pids-limit', '10', 'box', 'probe', 'forkbomb', '50')).toMatch(/^forked [89] EAGAIN$/);
    expect(await here.box('box', 'probe', 'forkbomb', '50')).toBe('forked 50 ok');
    const { status, stderr } = await here.run('--pids-limit', '1', 'box', 'true');
    expect(status).toBe(125);
    expect(stderr).toContain('Hint: A limit on processes is reached');
  });

  it('of a process: descriptors, core files, processes', async () => {
    expect(await here.box('--ulimit', 'nofile=20:30', 'box', 'probe', 'nofile')).toBe('opened 17 EMFILE');
    const limits = await here.box('--ulimit', 'core=0', '--ulimit', 'nproc=40:50', 'box', 'probe', 'rlimits');
    expect(limits.split('\n')).toEqual(expect.arrayContaining(['4 0 0', '6 40 50']));
    // As another user, for root is not bound by it.
    expect(
      await here.box('-u', '4711', '--ulimit', 'nproc=5:5', '--cap-drop', 'ALL', 'box', 'probe', 'forkbomb', '20'),
    ).toMatch(/^forked \d EAGAIN$/);
  });

  it('of a process beyond what this machine may give: as far as it goes, with a warning', async () => {
    const hard = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
    const status = readFileSync('/proc/self/status', 'utf8');
    const effective = BigInt(`0x${/^CapEff:\s+(\w+)/m.exec(status)?.[1] ?? 0}`);
    if ((effective >> 24n) & 1n) {
      console.log('The clamped ulimit is not tested: this process has CAP_SYS_RESOURCE');
      return;
    }
    const {
      status: code,
      stdout,
      stderr,
    } = await here.run('--ulimit', `nofile=1024:${hard + 1000}`, 'box', 'probe', 'rlimits');
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^7 1024 ${hard}$`, 'm'));
    expect(stderr).toMatch(/ulimit.*nofile/);
  });

  it('of real-time CPU are refused where the parent has none to give', async () => {
    const { status, stdout, stderr } = await here.run('--cpu-rt-runtime', '1000', 'box', 'true');
    // The parent has no share to give unless the administrator gave it one; older kernels have no such file.
    expect(stdout).toBe('');
    expect(status).toBe(125);
    expect(stderr).toMatch(/Cannot write "1000" to "\S+cpu.rt_runtime_us": (invalid argument|no such file)/);
  });

  it('stop everything while frozen', async () => {
    const shared = join(here.dataRoot, 'ticks');
    await here.background('ticking', '-v', `${shared}:/ticks`, 'box', 'probe', 'tick', '/ticks/file');
    const size = (): number => (existsSync(join(shared, 'file')) ? statSync(join(shared, 'file')).size : 0);
    await until(() => size() > 3, 'the first ticks');
    await here.ok('pause', 'ticking');
    const before = size();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(size()).toBe(before);
    await here.ok('unpause', 'ticking');
    await until(() => size() > before + 3, 'ticks after the thaw');
    await here.ok('pause', 'ticking');
    await here.ok('rm', '-f', 'ticking');
  });
});

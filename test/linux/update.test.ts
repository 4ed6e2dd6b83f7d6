// `gantry update` as processes feel it: limits raised and lowered under them, kept over restarts, refused whole.
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../helpers/cli.ts';
import { whyNoProbe } from '../helpers/probe.ts';
import { createProbeInstallation, type ProbeInstallation } from '../helpers/probe-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const MB = 2 ** 20;
const v1 = existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes');

describe.skipIf(whyNoContainers() || whyNoProbe())('an update', () => {
  let here: ProbeInstallation;
  beforeAll(async () => {
    here = await createProbeInstallation();
    await here.background('live', '--pids-limit', '4', '-m', '64m', '--cpu-quota', '50000', 'box', 'sleep', '600');
  });
  afterAll(() => here?.close());

  const inside = (script: string): Promise<string> => here.ok('exec', 'live', 'sh', '-c', script);
  const read = (file: string): Promise<string> => inside(`cat /sys/fs/cgroup/${file} 2>/dev/null; true`);
  const setting = (name: string): Promise<string> => here.ok('inspect', '-f', `{{.HostConfig.${name}}}`, 'live');

  it('lets more processes run, then fewer, then any number', async () => {
    const many = 'for i in 1 2 3 4 5 6; do sleep 1 & done 2>&1; echo done; wait';
    expect((await here.gantry('exec', 'live', 'sh', '-c', many)).stdout).not.toContain('done');
    expect(await here.ok('update', '--pids-limit', '20', 'live')).toBe('live');
    expect(await inside(many)).toBe('done');
    await here.ok('update', '--pids-limit', '4', 'live');
    expect((await here.gantry('exec', 'live', 'sh', '-c', many)).stdout).not.toContain('done');
    await here.ok('update', '--pids-limit', '-1', 'live');
    expect(await read('pids/pids.max /sys/fs/cgroup/pids.max')).toBe('max');
    expect(await inside(many)).toBe('done');
  });

  it('lets a process take more memory, and one that takes too much end', async () => {
    const take = (megabytes: number) => here.gantry('exec', 'live', 'probe', 'memhog', String(megabytes));
    await here.ok('update', '--memory', '128m', 'live'); // As much as the swap that came with 64 MB allows.
    expect((await take(90)).stdout).toBe('touched 90\n');
    const refused = await here.gantry('update', '-m', '256m', 'live');
    expect(refused.stderr).toContain('Memory limit should be smaller than already set memoryswap limit');
    await here.ok('update', '-m', '256m', '--memory-swap', '256m', 'live');
    expect((await take(200)).stdout).toBe('touched 200\n');
    await here.ok('update', '-m', '48m', '--memory-swap', '48m', '--memory-reservation', '32m', 'live');
    expect((await take(90)).status).toBe(137);
    expect(await setting('Memory')).toBe(String(48 * MB));
  });

  it('writes weights, quotas and sets of CPUs', async () => {
    await here.ok('update', '--cpu-period', '50000', '--cpu-quota', '20000', '-c', '512', '--cpuset-cpus', '0', 'live');
    expect(await read('cpu/cpu.cfs_period_us /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max')).toMatch(
      /^(50000\n20000|20000 50000)$/,
    );
    expect(await inside('grep Cpus_allowed_list /proc/self/status')).toMatch(/:\s+0$/);
    expect((await here.gantry('update', '--cpus', '1', 'live')).stderr).toContain(
      'Nano CPUs cannot be updated as CPU Period has already been set',
    );
    expect(await setting('CpuShares')).toBe('512');
  });

  it('keeps them over a restart and the death of the engine', async () => {
    process.kill(here.enginePid()!, 'SIGKILL');
    await here.ok('restart', '-t', '0', 'live');
    expect(await setting('CpuQuota')).toBe('20000');
    expect((await here.gantry('exec', 'live', 'probe', 'memhog', '90')).status).toBe(137);
  });

  it('changes nothing where one part of it is refused', async () => {
    const before = await here.ok('inspect', '-f', '{{json .HostConfig}}', 'live');
    for (const [flags, why] of [
      [['--cpu-shares', '700', '--memory', '1m'], 'the minimum is 6 MiB'],
      [['--cpu-shares', '700', '--cpuset-cpus', '99'], 'this host has'],
      [['--pids-limit', '50', '--restart', 'sometimes'], "unknown policy 'sometimes'"],
      [['--kernel-memory', '64m'], 'Linux 5.4 deprecated that limit'],
      [[], 'You must provide one or more flags'],
    ] as [string[], string][]) {
      const { status, stderr } = await here.gantry('update', ...flags, 'live');
      expect(stderr).toContain(why);
      expect(status).toBeGreaterThan(0);
    }
    expect(await here.ok('inspect', '-f', '{{json .HostConfig}}', 'live')).toBe(before);
    expect((await here.gantry('update', '-m', '128m', 'nobody')).stderr).toContain('No such container: nobody');
  });

  it.skipIf(!v1)('changes nothing where the kernel refuses it: what is in use does not fit', async () => {
    await here.ok('update', '-m', '400m', '--memory-swap', '400m', 'live');
    const before = await here.ok('inspect', '-f', '{{json .HostConfig}}', 'live');
    await here.ok('exec', '-d', 'live', 'probe', 'memhog', '100', 'pause');
    const used = async (): Promise<number> => Number(await read('memory/memory.usage_in_bytes'));
    await until(async () => (await used()) > 100 * MB, 'the memory to be used');
    const { status, stderr } = await here.gantry('update', '-m', '48m', '-c', '300', 'live');
    expect(stderr).toContain('memory.limit_in_bytes');
    expect(status).toBe(1);
    expect(await read('memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.shares')).toBe(`${400 * MB}\n512`);
    expect(await here.ok('inspect', '-f', '{{json .HostConfig}}', 'live')).toBe(before);
  });

  it('changes one that rests, and the restart policy of one that runs', async () => {
    await here.ok('update', '--restart', 'on-failure:2', 'live');
    expect(await setting('RestartPolicy.Name')).toBe('on-failure');
    const pid = Number(await here.ok('inspect', '-f', '{{.State.Pid}}', 'live'));
    process.kill(pid, 'SIGKILL');
    await until(async () => (await here.ok('inspect', '-f', '{{.RestartCount}}', 'live')) === '1', 'its restart');
    await here.ok('stop', '-t', '0', 'live');
    await here.ok('update', '--pids-limit', '7', 'live');
    await here.ok('start', 'live');
    expect(await read('pids/pids.max /sys/fs/cgroup/pids.max')).toBe('7');
    await here.ok('run', '-d', '--rm', '--name', 'brief', '--network', 'none', 'box', 'sleep', '600');
    expect((await here.gantry('update', '--restart', 'always', 'brief')).stderr).toContain('AutoRemove is enabled');
    await here.ok('rm', '-f', 'brief', 'live');
    await until(async () => (await here.ok('ps', '-aq')) === '');
  });
});

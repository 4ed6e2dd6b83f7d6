// Limits of memory as a process feels them: killed, blocked, counted.
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../helpers/cli.ts';
import { whyNoProbe } from '../helpers/probe.ts';
import { createProbeInstallation, type ProbeInstallation } from '../helpers/probe-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const memory = '/sys/fs/cgroup/memory';
const v1 = existsSync(`${memory}/memory.limit_in_bytes`);
if (!v1) console.log('Values of cgroup v1 are not tested: this host has no v1 memory controller');

describe.skipIf(whyNoContainers() || whyNoProbe())('memory', () => {
  let here: ProbeInstallation;
  beforeAll(async () => {
    here = await createProbeInstallation();
  });
  afterAll(() => here?.close());

  const hog = ['box', 'probe', 'memhog', '200'];

  it('ends a process that takes more, and the container tells why', async () => {
    await here.background('hog', '-m', '32m', '--memory-swap', '32m', ...hog);
    expect(await here.ok('wait', 'hog')).toBe('137');
    expect(await here.ok('inspect', '-f', '{{.State.OOMKilled}} {{.State.ExitCode}}', 'hog')).toBe('true 137');
    expect(await here.ok('logs', 'hog')).toBe('');
    await here.ok('rm', 'hog');
  });

  it('lets a process be that takes less', async () => {
    expect(await here.box('-m', '64m', 'box', 'probe', 'memhog', '40')).toBe('touched 40');
  });

  it('ends only the child that takes more, where the first process survives', async () => {
    await here.background('parent', '-m', '32m', 'box', 'sh', '-c', 'probe memhog 200; echo child $?; exit 5');
    expect(await here.ok('wait', 'parent')).toBe('5');
    expect(await here.ok('logs', 'parent')).toContain('child 137');
    await here.ok('rm', 'parent');
  });

  it.skipIf(!v1)('counts swap, reservation and swappiness in the files of v1', async () => {
    const names = ['limit_in_bytes', 'memsw.limit_in_bytes', 'soft_limit_in_bytes', 'swappiness'];
    const read = ['cat', ...names.map((name) => `${memory}/memory.${name}`)];
    const limits = ['-m', '64m', '--memory-swap', '96m', '--memory-reservation', '32m', '--memory-swappiness', '7'];
    expect(await here.box(...limits, 'box', ...read)).toBe(
      [64 * 1024 ** 2, 96 * 1024 ** 2, 32 * 1024 ** 2, 7].join('\n'),
    );
    // Docker: as much swap as memory where only memory is given.
    expect(await here.box('-m', '64m', 'box', ...read.slice(0, 3))).toBe(`${64 * 1024 ** 2}\n${128 * 1024 ** 2}`);
    const unlimited = await here.box('-m', '64m', '--memory-swap', '-1', 'box', 'cat', read[2]!);
    expect(Number(unlimited)).toBeGreaterThan(2 ** 60);
  });

  it('moves the score of the OOM killer', async () => {
    const own = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
    expect(await here.box('--oom-score-adj', String(own + 300), 'box', 'cat', '/proc/self/oom_score_adj')).toBe(
      String(own + 300),
    );
    await here.background('scored', '--oom-score-adj', String(own + 200), 'box', 'sleep', '60');
    expect(await here.ok('exec', 'scored', 'cat', '/proc/self/oom_score_adj')).toBe(String(own + 200));
    await here.ok('rm', '-f', 'scored');
    const { status, stdout, stderr } = await here.run(
      '--oom-score-adj',
      '-999',
      'box',
      'cat',
      '/proc/self/oom_score_adj',
    );
    expect(status).toBe(0);
    // With CAP_SYS_RESOURCE it goes all the way, without as far as it may, and says so.
    if (stdout.trim() !== '-999') {
      expect(stdout.trim()).toBe(String(own));
      expect(stderr).toContain('WARNING: The OOM score adjustment of -999 is set to');
    }
  });

  it.skipIf(!v1)('blocks a process where the OOM killer is off, until someone ends it', async () => {
    await here.background('blocked', '-m', '32m', '--memory-swap', '32m', '--oom-kill-disable', ...hog);
    const id = await here.ok('inspect', '-f', '{{.Id}}', 'blocked');
    const control = (): string => readFileSync(`${memory}/gantry/${id}/memory.oom_control`, 'utf8');
    await until(() => control().includes('under_oom 1'), 'the process to be blocked');
    expect(control()).toContain('oom_kill_disable 1');
    expect(await here.ok('inspect', '-f', '{{.State.Running}}', 'blocked')).toBe('true');
    expect(await here.ok('logs', 'blocked')).toBe('');
    await here.ok('kill', 'blocked');
    expect(await here.ok('wait', 'blocked')).toBe('137');
    expect(await here.ok('inspect', '-f', '{{.State.OOMKilled}}', 'blocked')).toBe('false');
    await here.ok('rm', 'blocked');
  });
});

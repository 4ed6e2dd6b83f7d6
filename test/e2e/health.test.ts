// Health checks: docker's states by what a command in the container says, over pauses, kills of the engine, restarts.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, processesOf, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

interface Health {
  Status: string;
  FailingStreak: number;
  Log: { Start: string; End: string; ExitCode: number; Output: string }[];
}

describe.skipIf(whyNoContainers())('health checks', () => {
  const here = createInstallation();
  const { gantry, ok } = here;

  beforeAll(async () => {
    for (const [tag, config] of [
      ['box:latest', {}],
      [
        'checked:1',
        { Healthcheck: { Test: ['CMD-SHELL', 'cat /state'], Interval: 2e8, Retries: 2 }, Shell: ['ash', '-c'] },
      ],
    ] as [string, object][]) {
      const tree = busyboxTree();
      const archive = makeArchive(tree, tag, { config });
      await ok('load', '-i', archive);
      for (const path of [tree, archive]) rmSync(path, { recursive: true });
    }
  });
  afterAll(() => here.close());

  const background = (name: string, ...args: string[]): Promise<string> =>
    ok('run', '-d', '--name', name, '--network', 'none', ...args);
  const healthOf = async (name: string): Promise<Health> =>
    JSON.parse(await ok('inspect', '-f', '{{json .State.Health}}', name)) as Health;
  const becomes = (name: string, status: string): Promise<void> =>
    until(async () => (await healthOf(name)).Status === status, `${name} to be ${status}`);
  const statusOf = (name: string): Promise<string> => ok('ps', '--filter', `name=${name}`, '--format', '{{.Status}}');

  it("goes by the image's check: starting, unhealthy after its retries, healthy, with events", async () => {
    await background('web', 'checked:1', 'sleep', '600');
    await becomes('web', 'unhealthy');
    const ill = await healthOf('web');
    expect(ill.FailingStreak).toBeGreaterThanOrEqual(2);
    expect(ill.Log.at(-1)).toMatchObject({
      ExitCode: 1,
      Output: "cat: can't open '/state': No such file or directory\n",
    });
    expect(await statusOf('web')).toMatch(/\(unhealthy\)$/);
    await ok('exec', 'web', 'sh', '-c', 'yes | head -c 6000 > /state');
    await becomes('web', 'healthy');
    await until(async () => (await healthOf('web')).Log.length === 5, 'five results');
    const well = await healthOf('web');
    expect(well.FailingStreak).toBe(0);
    expect(well.Log.at(-1)?.Output).toBe(`${'y\n'.repeat(2048)}...`);
    expect(Date.parse(well.Log[1]!.Start)).toBeGreaterThan(Date.parse(well.Log[0]!.End));
    expect(await ok('ps', '-q', '--filter', 'health=healthy')).toHaveLength(12);
    expect(await ok('ps', '-q', '--filter', 'health=unhealthy')).toBe('');
    const told = await ok(
      'events',
      '--since',
      '1h',
      '--until',
      '0s',
      '-f',
      'event=health_status',
      '--format',
      '{{.Action}}',
    );
    expect(told.split('\n')).toEqual(['health_status: unhealthy', 'health_status: healthy']);
    expect(JSON.parse(await ok('inspect', '-f', '{{json .Config.Healthcheck}}', 'web'))).toMatchObject({
      Test: ['CMD-SHELL', 'cat /state'],
      Retries: 2,
    });
  });

  it('probes no paused container, goes on after a kill of the engine, and ends with the container', async () => {
    await ok('pause', 'web');
    const { Log } = await healthOf('web');
    expect(await statusOf('web')).toMatch(/\(Paused\)$/);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await healthOf('web')).Log).toEqual(Log);
    await ok('unpause', 'web');
    await until(async () => (await healthOf('web')).Log.at(-1)?.Start !== Log.at(-1)?.Start, 'another probe');
    process.kill(here.enginePid()!, 'SIGKILL');
    expect((await healthOf('web')).Status).toBe('healthy');
    expect((await healthOf('web')).Log).toHaveLength(5);
    await ok('exec', 'web', 'rm', '/state');
    await becomes('web', 'unhealthy');
    await ok('stop', '-t', '0', 'web');
    const last = await healthOf('web');
    expect(last.Status).toBe('unhealthy');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await healthOf('web')).toEqual(last);
    await ok('rm', 'web');
  });

  it('forgives failures in the start period, and takes the flags over the image', async () => {
    await background(
      'slow',
      '--health-cmd',
      'exit 3',
      '--health-start-period',
      '1h',
      '--health-start-interval',
      '50ms',
      '--health-retries',
      '1',
      'checked:1',
      'sleep',
      '600',
    );
    await until(async () => (await healthOf('slow')).Log.length === 5, 'five results');
    const health = await healthOf('slow');
    expect([health.Status, health.FailingStreak, health.Log[0]?.ExitCode]).toEqual(['starting', 0, 3]);
    expect(await statusOf('slow')).toMatch(/^Up .* \(health: starting\)$/);
    await background('none', '--no-healthcheck', 'checked:1', 'sleep', '600');
    expect(await healthOf('none')).toBe(null);
    expect(await ok('ps', '--filter', 'health=none', '--format', '{{.Names}}')).toBe('none');
    await ok('rm', '-f', 'slow', 'none');
  });

  it('kills a probe that takes too long, and says what keeps one from running', async () => {
    await background(
      'stuck',
      '--health-cmd',
      'echo begun; exec sleep 3456',
      '--health-interval',
      '50ms',
      '--health-timeout',
      '100ms',
      '--health-retries',
      '1',
      'box',
      'sleep',
      '600',
    );
    await becomes('stuck', 'unhealthy');
    expect((await healthOf('stuck')).Log[0]).toMatchObject({
      ExitCode: -1,
      Output: 'Health check exceeded timeout (100ms): begun\n',
    });
    expect((await ok('top', 'stuck')).match(/sleep 3456/g)?.length ?? 0).toBeLessThanOrEqual(1);
    await ok('rm', '-f', 'stuck');
    await background(
      'absent',
      '--health-cmd',
      'true',
      '--health-interval',
      '50ms',
      '--health-retries',
      '1',
      'box',
      'sleep',
      '600',
    );
    await ok('exec', 'absent', 'rm', '/bin/sh');
    await becomes('absent', 'unhealthy');
    expect((await healthOf('absent')).Log.at(-1)).toMatchObject({ ExitCode: -1 });
    expect((await healthOf('absent')).Log.at(-1)?.Output).toContain('no such file or directory');
    await ok('rm', '-f', 'absent');
    expect(processesOf(here.dataRoot).length).toBeGreaterThan(0);
  });

  it('refuses what cannot be meant', async () => {
    const refused = async (...flags: string[]): Promise<string> => (await gantry('create', ...flags, 'box')).stderr;
    expect(await refused('--no-healthcheck', '--health-cmd', 'true')).toContain('conflicts with --health-* options');
    expect(await refused('--health-cmd', 'true', '--health-interval', '1us')).toContain(
      'Interval in Healthcheck cannot be less than 1ms',
    );
    expect(await refused('--health-cmd', 'true', '--health-retries', '-1')).toContain('cannot be negative');
  });
});

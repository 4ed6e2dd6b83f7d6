// Fixtures of vitest that are containers, and when a container is ready.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { type Container, Engine, untilHealthy, untilHttp, untilLog, untilPort } from '../../host/library.ts';
import { container, createTest } from '../../host/vitest.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const dataRoot = mkdtempSync(join(tmpdir(), 'gantry-'));

const httpd = ['httpd', '-f', '-p', '80', '-h', '/var/www'];
const slow = (then: string[]): string[] => ['sh', '-c', `sleep 0.3; echo up; exec ${then.join(' ')}`];
const box = { image: 'box', init: true };

const it = createTest(async () => {
  const engine = await Engine.open({ dataRoot });
  const tree = busyboxTree();
  const archive = makeArchive(tree, 'box:latest');
  await engine.images.load(archive);
  for (const path of [tree, archive]) rmSync(path, { recursive: true });
  // Fixtures of a file outlive its afterAll.
  const close = engine.close.bind(engine);
  engine.close = async () => {
    await close();
    rmSync(dataRoot, { recursive: true, force: true });
  };
  return engine;
}).extend<{ each: Container; shared: Container }>({
  each: container({ ...box, cmd: slow(['sleep', '100']), network: 'none', ready: untilLog(/^up$/) }),
  shared: container(
    {
      ...box,
      cmd: slow(httpd),
      ports: ['127.0.0.1::80'],
      ready: [untilPort(80), untilHttp(80, '/absent', { status: 404 }), untilHttp(80), untilHealthy()],
      healthcheck: { cmd: ['true'], startIntervalMs: 100, startPeriodMs: 10_000, intervalMs: 1000 },
    },
    { scope: 'file' },
  ),
});

describe.skipIf(whyNoContainers())('fixtures', () => {
  const seen: string[] = [];

  it('are started and ready', async ({ each, shared }) => {
    seen.push(each.id, shared.id);
    expect(await each.logs().text()).toBe('up\n');
    expect((await shared.inspect()).health).toBe('healthy');
    expect(await (await fetch(`http://127.0.0.1:${await shared.port(80)}/`)).text()).toBe('served\n');
  });

  it('live as long as their scope', async ({ engine, each, shared }) => {
    expect(seen).not.toContain(each.id);
    expect(seen).toContain(shared.id);
    const left = (await engine.containers({ all: true })).map(({ id }) => id).sort();
    expect(left).toEqual([each.id, shared.id].sort());
  });

  it('that are not ready tell why, and are removed', async ({ engine }) => {
    const before = await engine.containers({ all: true });
    const cmd = ['sh', '-c', 'echo no luck; exit 3'];
    await expect(engine.start({ ...box, cmd, network: 'none', ready: untilLog('luck is here') })).rejects.toMatchObject(
      {
        code: 'INVALID_STATE',
        message: expect.stringContaining('ended with status 3'),
        hint: 'Its last lines: no luck',
      },
    );
    await expect(
      engine.start({ ...box, cmd: ['sleep', '100'], network: 'none', ready: untilLog('never'), readyTimeoutMs: 200 }),
    ).rejects.toMatchObject({ code: 'TIMED_OUT', hint: 'It has written nothing' });
    await expect(
      engine.start({ ...box, cmd: ['sleep', '100'], network: 'none', ready: untilHealthy() }),
    ).rejects.toThrow(/it has no health check/);
    const abort = new AbortController();
    const starting = engine.start({
      ...box,
      cmd: ['sleep', '100'],
      network: 'none',
      ready: async () => abort.abort(new Error('No longer')),
      signal: abort.signal,
    });
    await expect(starting).rejects.toThrow('No longer');
    expect((await engine.containers({ all: true })).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  });
});

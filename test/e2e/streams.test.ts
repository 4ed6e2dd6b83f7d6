// Pipes, signals and logs around a container: no byte is lost, no process is left, every end is an end.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('streams', () => {
  const here = createInstallation();
  const { gantry, ok, start } = here;
  const work = mkdtempSync(join(tmpdir(), 'gantry-streams-'));
  const file = (name: string, content: string): string => {
    writeFileSync(join(work, name), content);
    return join(work, name);
  };

  /** Runs with bytes on stdin; stdin stays open where there are none. */
  const binary = (input: Buffer | undefined, ...args: string[]): Promise<{ status: number; stdout: Buffer }> =>
    new Promise((resolve) => {
      const child = start(...args);
      const chunks: Buffer[] = [];
      child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
      child.stdin!.on('error', () => {});
      if (input !== undefined) child.stdin!.end(input);
      child.once('close', (status) => resolve({ status: status ?? -1, stdout: Buffer.concat(chunks) }));
    });

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest', { config: { Entrypoint: ['echo', 'entry'] } });
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(async () => {
    await here.close();
    rmSync(work, { recursive: true });
  });

  const shell = ['--entrypoint', 'sh', 'box', '-c'];

  it('carries 10 MB of any bytes through cat, run and exec alike', async () => {
    const input = randomBytes(10 << 20);
    const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    const run = await binary(input, 'run', '-i', '--rm', '--entrypoint', 'cat', 'box');
    expect([run.status, digest(run.stdout)]).toEqual([0, digest(input)]);
    await ok('run', '-d', '--name', 'cats', ...shell, 'sleep 60');
    const exec = await binary(input, 'exec', '-i', 'cats', 'cat');
    expect([exec.status, digest(exec.stdout)]).toEqual([0, digest(input)]);
    await ok('rm', '-f', 'cats');
  });

  it('ends with the container although stdin stays open, and does not wait for stdin without -i', async () => {
    expect((await binary(undefined, 'run', '-i', '--rm', ...shell, 'echo done')).stdout.toString()).toBe('done\n');
    expect((await binary(Buffer.alloc(0), 'run', '--rm', '--entrypoint', 'cat', 'box')).status).toBe(0);
    expect((await binary(Buffer.alloc(0), 'run', '-i', '--rm', '--entrypoint', 'cat', 'box')).status).toBe(0);
  });

  it('loses nothing of stdout and stderr at the exit, each in its order', async () => {
    const script = 'i=0; while [ $i -lt 3000 ]; do echo out$i; echo err$i >&2; i=$((i + 1)); done; exit 5';
    const { status, stdout, stderr } = await gantry('run', '--name', 'lines', ...shell, script);
    const wanted = (stream: string): string => Array.from({ length: 3000 }, (_, line) => `${stream}${line}\n`).join('');
    expect(status).toBe(5);
    expect(stdout).toBe(wanted('out'));
    expect(stderr).toBe(wanted('err'));
    const logs = await gantry('logs', 'lines');
    expect([logs.stdout, logs.stderr]).toEqual([wanted('out'), wanted('err')]);
    expect((await gantry('logs', '--tail', '3', 'lines')).stdout.split('\n').length).toBeLessThanOrEqual(4);
    await ok('rm', 'lines');
  });

  it('logs -f ends with the container; --since, --until and -t choose by time', async () => {
    await ok('run', '-d', '--name', 'timed', ...shell, 'echo early; sleep 1.2; echo late');
    const followed = await gantry('logs', '-f', '-t', 'timed');
    expect(followed.stdout).toMatch(/^(\d{4}-\d\d-\d\dT[\d:.]+Z) early\n\S+ late\n$/);
    const [early = ''] = followed.stdout.split(' ');
    const middle = String(Date.parse(early) / 1000 + 0.6);
    expect((await gantry('logs', '--until', middle, 'timed')).stdout).toBe('early\n');
    expect((await gantry('logs', '--since', middle, 'timed')).stdout).toBe('late\n');
    expect((await gantry('logs', '-n', '1', 'timed')).stdout).toBe('late\n');
    expect((await gantry('logs', '--since', '1h', '--tail', 'all', 'timed')).stdout).toBe('early\nlate\n');
    expect((await gantry('logs', '--tail', 'x', 'timed')).stderr).toMatch(/tail/);
    await ok('rm', 'timed');
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s to run reaches the program', async (signal) => {
    const trap = `trap 'echo got ${signal}; exit 6' ${signal.slice(3)}; echo ready; while true; do sleep 0.05; done`;
    const child = start('run', '--rm', ...shell, trap);
    let shown = '';
    child.stdout!.on('data', (chunk) => {
      shown += chunk;
    });
    await until(() => shown.includes('ready'));
    child.kill(signal);
    const status = await new Promise((resolve) => child.once('close', resolve));
    expect([status, shown]).toEqual([6, `ready\ngot ${signal}\n`]);
  });

  it('a run that is killed leaves its container, and --sig-proxy=false keeps signals to itself', async () => {
    for (const [name, signal, ...flags] of [
      ['orphan', 'SIGKILL'],
      ['calm', 'SIGTERM', '--sig-proxy=false'],
    ] as const) {
      const child = start('run', '--name', name, ...flags, ...shell, 'echo ready; sleep 60');
      await new Promise((resolve) => child.stdout!.once('data', resolve));
      child.kill(signal);
      await new Promise((resolve) => child.once('close', resolve));
      expect(await ok('inspect', '-f', '{{.State.Running}}', name)).toBe('true');
      await ok('rm', '-f', name);
    }
  });

  it('-d --rm removes at the end; --cidfile holds the ID and is not overwritten', async () => {
    const id = await ok('run', '-d', '--rm', '--cidfile', join(work, 'cid'), ...shell, 'true');
    expect(readFileSync(join(work, 'cid'), 'utf8')).toBe(id);
    await until(async () => (await ok('ps', '-aq')) === '', 'the container to go');
    const { status, stderr } = await gantry('run', '--cidfile', join(work, 'cid'), 'box');
    expect(stderr).toContain('Container ID file found');
    expect(status).toBe(125);
  });

  it('takes the environment from files, from here and from the command line, later ones first', async () => {
    const variables = file('env', '\uFEFF# comment\n\nFROM_FILE=a=b c\nHERE\nMISSING_HERE\n  INDENTED=x\nOVER=file\n');
    const child = start(
      'run',
      '--rm',
      '--env-file',
      variables,
      '-e',
      'OVER=flag',
      '-e',
      'EMPTY=',
      '-e',
      'NO_COLOR',
      ...shell,
      'env',
    );
    let shown = '';
    child.stdout!.on('data', (chunk) => {
      shown += chunk;
    });
    await new Promise((resolve) => child.once('close', resolve));
    for (const line of ['FROM_FILE=a=b c', 'INDENTED=x', 'OVER=flag', 'EMPTY=', 'NO_COLOR=1'])
      expect(shown.split('\n')).toContain(line);
    expect(shown).not.toMatch(/MISSING_HERE|^HERE/m);
    expect((await gantry('run', '--env-file', file('bad', 'A B=c\n'), 'box')).stderr).toContain('contains whitespaces');
  });

  it('labels come from files too; --entrypoint "" empties that of the image', async () => {
    const labels = file('labels', '# comment\none=1\ntwo\n');
    const id = await ok('create', '--label-file', labels, '-l', 'one=over', 'box');
    expect(await ok('inspect', '-f', '{{json .Config.Labels}}', id)).toBe('{"one":"over","two":""}');
    await ok('rm', id);
    expect(await ok('run', '--rm', 'box', 'hi')).toBe('entry hi');
    expect(await ok('run', '--rm', '--entrypoint', '', 'box', 'echo', 'bare')).toBe('bare');
    expect(await ok('run', '--rm', '--entrypoint', '/bin/pwd', 'box')).toBe('/');
  });

  it.each([
    ['never', 'absent', 125, 'No such image'],
    ['missing', 'box', 0, ''],
    ['sometimes', 'box', 125, 'must be one of "always", "missing" or "never"'],
  ] as const)('--pull %s with %s', async (mode, image, status, message) => {
    const result = await gantry('run', '--rm', '--pull', mode, image, 'hi');
    expect(result.stderr).toContain(message);
    expect(result.status).toBe(status);
  });
});

// cp and the archive API on containers in every state, and what a hostile container tries against them.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

/** A tar of files by name, made by GNU tar. */
function tarOf(files: Record<string, string>, ...options: string[]): Buffer {
  const work = mkdtempSync(join(tmpdir(), 'gantry-tar-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(work, name), content);
  const tar = execFileSync('tar', ['-cf', '-', '-P', ...options, '-C', work, ...Object.keys(files)]);
  rmSync(work, { recursive: true });
  return tar;
}

describe.skipIf(whyNoContainers())('cp', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = mkdtempSync(join(tmpdir(), 'gantry-copy-'));
  /** What no container may reach: it stays as it is, whatever is tried. */
  const canary = mkdtempSync(join(tmpdir(), 'gantry-canary-'));

  const call = async (method: string, path: string, sent?: Buffer) => {
    const { status, body, header } = await engineCall(here.dataRoot, method, path, sent);
    const stat = Buffer.from(header('x-docker-container-path-stat'), 'base64').toString();
    return { status, body, stat };
  };

  beforeAll(async () => {
    writeFileSync(join(canary, 'secret'), 'secret of the host\n');
    const tree = busyboxTree();
    // What a container could offer in place of the tools that a careless engine would run (CVE-2026-41567).
    for (const tool of ['xz', 'gzip', 'unpigz', 'tar', 'zstd'])
      writeFileSync(join(tree, 'bin', tool), '#!/bin/sh\ntouch /ran\n', { mode: 0o755 });
    symlinkSync(canary, join(tree, 'trap'));
    mkdirSync(join(tree, 'filled'));
    writeFileSync(join(tree, 'filled/from-image'), 'image\n');
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    writeFileSync(join(work, 'file'), 'content\n');
    chownSync(join(work, 'file'), 1234, 4321);
  });
  afterAll(async () => {
    expect(readFileSync(join(canary, 'secret'), 'utf8')).toBe('secret of the host\n');
    expect(execFileSync('ls', ['-A', canary], { encoding: 'utf8' })).toBe('secret\n');
    await here.close();
    for (const path of [work, canary]) rmSync(path, { recursive: true });
  });

  it('works on a container that was only created, with its volumes and binds', async () => {
    const bound = join(work, 'bound');
    mkdirSync(bound);
    await ok('create', '--name', 'new', '-v', 'vol:/filled', '-v', `${bound}:/bound`, 'box', 'cat', '/filled/file');
    await ok('cp', join(work, 'file'), 'new:/filled/');
    await ok('cp', join(work, 'file'), 'new:/bound/inner');
    await ok('cp', join(work, 'file'), 'new:/on-root');
    expect(readFileSync(join(bound, 'inner'), 'utf8')).toBe('content\n');
    expect(await ok('start', '-a', 'new')).toBe('content');
    await ok('cp', 'new:/filled', join(work, 'out'));
    // The volume was filled from the image before the first file was copied into it.
    expect(readFileSync(join(work, 'out/from-image'), 'utf8')).toBe('image\n');
    await ok('cp', 'new:/on-root', join(work, 'again'));
    expect(statSync(join(work, 'again')).uid).toBe(0);
    await ok('cp', '-a', 'new:/on-root', join(work, 'again'));
    expect(statSync(join(work, 'again')).uid).toBe(1234);
    await ok('rm', 'new');
    expect(existsSync(join(bound, 'inner'))).toBe(true);
  });

  it('works on a stopped, a running and a paused one, and starts nothing', async () => {
    await ok('run', '--name', 'done', 'box', 'sh', '-c', 'echo kept >/kept');
    await ok('cp', 'done:/kept', join(work, 'kept'));
    expect(readFileSync(join(work, 'kept'), 'utf8')).toBe('kept\n');
    expect(await ok('inspect', '-f', '{{.State.Status}}', 'done')).toBe('exited');
    await ok('cp', join(work, 'file'), 'done:/etc');
    await ok('rm', 'done');
    await ok('run', '-d', '--name', 'live', '--tmpfs', '/memory', 'box', 'sleep', '60');
    await ok('cp', join(work, 'file'), 'live:/memory/');
    expect(await ok('exec', 'live', 'cat', '/memory/file')).toBe('content');
    await ok('pause', 'live');
    await ok('cp', 'live:/memory/file', join(work, 'paused'));
    await ok('unpause', 'live');
    await ok('rm', '-f', 'live');
  });

  it('carries 40 MB, links, modes, times and owners through "-" both ways', async () => {
    const source = join(work, 'tree');
    mkdirSync(join(source, 'deep'), { recursive: true });
    const big = Buffer.alloc(40 << 20);
    for (let at = 0; at < big.length; at += 4) big.writeUInt32LE((at * 2654435761) >>> 0, at);
    writeFileSync(join(source, 'deep/big'), big);
    execFileSync('ln', [join(source, 'deep/big'), join(source, 'hard')]);
    symlinkSync('nowhere', join(source, 'dangling'));
    writeFileSync(join(source, `long-${'x'.repeat(240)}`), 'long\n', { mode: 0o4751 });
    execFileSync('touch', ['-d', '2001-02-03T04:05:06Z', join(source, 'deep')]);
    const box = await ok('create', 'box');
    const sh = (command: string): string => execFileSync('sh', ['-c', command], { env: here.env, encoding: 'utf8' });
    const program = `${process.execPath} ${join(import.meta.dirname, '../../dist/cli/main.js')}`;
    sh(`tar -C ${source} -cf - . | ${program} cp - ${box}:/tmp`);
    sh(`mkdir ${work}/back && ${program} cp ${box}:/tmp/. - | tar -C ${work}/back -xpf -`);
    const list = (root: string): string =>
      sh(`cd ${root} && find . -mindepth 1 -printf '%p %y %m %U:%G %s %T@ %l\\n' | sed 's/\\.[0-9]* / /' | sort`);
    expect(list(join(work, 'back'))).toBe(list(source));
    expect(readFileSync(join(work, 'back/deep/big')).equals(big)).toBe(true);
    expect(statSync(join(work, 'back/hard')).nlink).toBe(2);
    await ok('rm', box);
  });

  it('writes as the user of the container where -a asks for it', async () => {
    await ok('run', '-d', '--name', 'owned', '-u', 'user', 'box', 'sleep', '60');
    await ok('cp', '-a', join(work, 'file'), 'owned:/tmp/a');
    await ok('cp', join(work, 'file'), 'owned:/tmp/b');
    expect(await ok('exec', 'owned', 'stat', '-c', '%u:%g', '/tmp/a', '/tmp/b')).toBe('1000:1000\n1234:4321');
    await ok('rm', '-f', 'owned');
  });

  it('refuses what is read-only, and says which', async () => {
    const args = ['-d', '--name', 'fixed', '--read-only', '-v', 'vol:/fixed:ro', 'box', 'sleep', '60'];
    await ok('run', ...args);
    for (const [path, message] of [
      ['/etc', 'container rootfs is marked read-only'],
      ['/fixed', 'mounted volume is marked read-only'],
    ] as const) {
      expect((await gantry('cp', join(work, 'file'), `fixed:${path}`)).stderr).toContain(message);
      const { status } = await call('PUT', `/containers/fixed/archive?path=${path}`, tarOf({ x: 'x' }));
      expect(status).toBe(403);
    }
    await ok('rm', '-f', 'fixed');
    await ok('volume', 'rm', 'vol');
  });

  it('answers the API as docker does', async () => {
    await ok('run', '-d', '--name', 'api', 'box', 'sleep', '60');
    const url = '/v1.41/containers/api/archive';
    expect(JSON.parse((await call('HEAD', `${url}?path=/trap`)).stat)).toMatchObject({
      name: 'trap',
      mode: 2 ** 27 + 0o777,
      linkTarget: canary,
    });
    expect(JSON.parse((await call('HEAD', `${url}?path=/etc/`)).stat)).toMatchObject({
      name: 'etc',
      mode: 2 ** 31 + 0o755,
    });
    expect((await call('HEAD', `${url}?path=/absent`)).status).toBe(404);
    expect((await call('GET', url)).status).toBe(400);
    expect((await call('GET', `/containers/nobody/archive?path=/etc`)).status).toBe(404);
    expect((await call('PUT', `${url}?path=/etc/passwd`, tarOf({ x: 'x' }))).status).toBe(400);
    mkdirSync(join(work, 'kinds/etc'), { recursive: true });
    expect(
      (await call('PUT', `${url}?path=/&noOverwriteDirNonDir=1`, tarOf({ etc: 'a file' }))).body.toString(),
    ).toContain('Cannot overwrite directory \\"/etc\\" with non-directory');
    expect((await call('PUT', `${url}?path=/tmp`, gzipSync(tarOf({ zipped: 'x' })))).status).toBe(200);
    expect(await ok('exec', 'api', 'cat', '/tmp/zipped')).toBe('x');
  });

  it.each(['xz', 'bzip2'])('decompresses %s, and runs nothing of the container for it (I3)', async (program) => {
    const packed = spawnSync(program, ['-c'], { input: tarOf({ [program]: 'packed' }) }).stdout;
    expect((await call('PUT', '/containers/api/archive?path=/tmp', packed)).status).toBe(200);
    expect(await ok('exec', 'api', 'cat', `/tmp/${program}`)).toBe('packed');
    const cut = await call('PUT', '/containers/api/archive?path=/tmp', packed.subarray(0, 60));
    expect(cut.body.toString()).toContain(`invalid ${program} data: it is cut short`);
    expect((await gantry('exec', 'api', 'ls', '/ran')).status).not.toBe(0);
  });

  it.each([
    ['../x', ['--transform', 's,^,../../../../../../tmp/,']],
    ['an entry behind its own link', []],
  ] as [string, string[]][])('an archive does not leave its directory: %s', async (name, options) => {
    const links = mkdtempSync(join(tmpdir(), 'gantry-links-'));
    symlinkSync(canary, join(links, 'out'));
    mkdirSync(join(links, 'second/out'), { recursive: true });
    writeFileSync(join(links, 'second/out/escaped'), 'x');
    const tar =
      options.length > 0
        ? tarOf({ escaped: 'x' }, ...options)
        : execFileSync('tar', ['-cf', '-', '-C', links, 'out', '-C', join(links, 'second'), 'out/escaped']);
    const { status } = await call('PUT', '/containers/api/archive?path=/tmp', tar);
    if (name === '../x') expect(status).toBe(400);
    expect(existsSync('/tmp/escaped')).toBe(false);
    rmSync(links, { recursive: true });
  });

  it('follows links inside the container only, stopped or running, at the target of a volume too (I2)', async () => {
    for (const path of ['/trap', '/trap/', '/trap/secret', '/trap/.']) {
      const { body } = await call('GET', `/containers/api/archive?path=${path}`);
      expect(body.toString()).not.toContain('secret of the host');
    }
    expect((await call('PUT', '/containers/api/archive?path=/trap', tarOf({ x: 'x' }))).status).toBe(404);
    await ok('create', '--name', 'still', '-v', 'trapped:/trap', 'box');
    await gantry('cp', join(work, 'file'), 'still:/trap/');
    const { status, body } = await call('GET', '/containers/still/archive?path=/trap/secret');
    expect(status).toBeGreaterThanOrEqual(400);
    expect(body.toString()).not.toContain('secret of the host');
    await ok('rm', 'still');
  });

  it('is not led out by /proc of a container that sees the processes of the host', async () => {
    await ok('run', '-d', '--name', 'seeing', '--pid', 'host', 'box', 'sleep', '60');
    await ok('exec', 'seeing', 'sh', '-c', `ln -s /proc/1/root${canary} /door; ln -s /proc/self/root${canary} /door2`);
    for (const path of ['/door/secret', '/door2/secret', `/proc/1/root${canary}/secret`, '/door/.']) {
      const { body } = await call('GET', `/containers/seeing/archive?path=${path}`);
      expect(body.toString()).not.toContain('secret of the host');
    }
    for (const path of ['/door', '/door2'])
      expect((await call('PUT', `/containers/seeing/archive?path=${path}`, tarOf({ x: 'x' }))).status).not.toBe(200);
    await ok('rm', '-f', 'seeing');
  });

  it('loses no race against a container that exchanges the path (CVE-2018-15664)', async () => {
    const swap = `mkdir -p /race/real${canary}; cd /race; while true; do ln -sfn ${canary} at; rm at; mkdir at; rmdir at; done`;
    await ok('run', '-d', '--name', 'racer', 'box', 'sh', '-c', swap);
    const tar = tarOf({ planted: 'x' });
    for (let round = 0; round < 40; round++) {
      const [read] = await Promise.all([
        call('GET', '/containers/racer/archive?path=/race/at/secret'),
        call('PUT', '/containers/racer/archive?path=/race/at', tar),
      ]);
      expect(read.body.toString()).not.toContain('secret of the host');
    }
    expect(existsSync(join(canary, 'planted'))).toBe(false);
    await ok('rm', '-f', 'racer', 'api');
  });
});

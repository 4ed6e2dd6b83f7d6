// load and save against what others write and read: skopeo, compressed archives, layouts of several platforms, real images.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import type { TestRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { startServerRegistry, temporaryDirectory, whyNoServerImages } from '../helpers/server-images.ts';

describe.skipIf(whyNoContainers() || whyNoServerImages())('an archive', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  const at = (name: string): string => join(work, name);
  let registry: TestRegistry;
  let plain: string;
  const skopeo = (...args: string[]): string =>
    execFileSync('skopeo', ['--insecure-policy', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const copy = (from: string, to: string, ...options: string[]): string =>
    skopeo('copy', '--quiet', '--src-tls-verify=false', ...options, from, to);
  const stored = (part: string): string[] => readdirSync(join(here.dataRoot, part));

  beforeAll(async () => {
    registry = await startServerRegistry();
    const tree = busyboxTree();
    plain = makeArchive(tree, 'box:1', { config: { Labels: { from: 'archive' } } });
    rmSync(tree, { recursive: true });
  }, 300_000);
  beforeEach(async () => {
    const ids = (await ok('images', '-q')).split('\n').filter(Boolean);
    if (ids.length > 0) await ok('rmi', '-f', ...new Set(ids));
    // The last image takes all with it.
    await until(() => [...stored('blobs/sha256'), ...stored('layers')].length === 0, 'all of them to go');
  });
  afterAll(async () => {
    await here.close();
    await registry.close();
    rmSync(work, { recursive: true });
  });

  it.each(['gzip', 'zstd'])('is loaded when all of it is packed with %s', async (program) => {
    execFileSync('sh', ['-c', `${program} -c "$1" > "$2"`, 'sh', plain, at(`box.${program}`)]);
    expect(await ok('load', '-i', at(`box.${program}`))).toMatch(/^\w{12}: Loading layer\nLoaded image: box:1$/);
    expect(await ok('run', '--rm', '--network', 'none', 'box:1', 'echo', 'loaded')).toBe('loaded');
  });

  it('of several platforms gives the one that runs here', async () => {
    copy(`docker://${registry.host}/busybox`, `oci-archive:${at('many.tar')}:many:2`, '--all');
    expect(await ok('load', '-i', at('many.tar'))).toMatch(/Loaded image: many:2$/m);
    expect(await ok('run', '--rm', '--network', 'none', 'many:2', 'sh', '-c', 'echo $WHERE')).toBe('here');
  });

  it('of a real image comes from skopeo and runs, with gzip and with zstd layers', async () => {
    copy(`docker://${registry.host}/redis`, `oci-archive:${at('redis.tar')}:redis:7`);
    expect(await ok('load', '-i', at('redis.tar'))).toMatch(/Loaded image: redis:7$/m);
    const version = ['run', '--rm', '--network', 'none', 'redis:7', '--version'];
    expect(await ok(...version)).toContain('Redis server v=7');
    // And what is saved of it is again what skopeo takes, layer by layer.
    const saved = at('saved.tar');
    await ok('save', '-o', saved, 'redis:7');
    const before = JSON.parse(skopeo('inspect', '--raw', `oci-archive:${at('redis.tar')}`)) as {
      layers: object[];
      config: object;
    };
    const after = JSON.parse(skopeo('inspect', '--raw', `oci-archive:${saved}`)) as {
      layers: object[];
      config: object;
    };
    expect([after.config, after.layers]).toEqual([before.config, before.layers]);
    copy(`oci-archive:${saved}`, `dir:${at('layout')}`);
    copy(`docker-archive:${saved}`, `dir:${at('docker')}`);
    await ok('rmi', 'redis:7');
    expect(await ok('load', '-i', saved)).toMatch(/Loaded image: redis:7$/m);
  });

  it('of several images keeps each name, and shares layers', async () => {
    for (const name of ['debian', 'nginx']) await ok('pull', '-q', `${registry.host}/${name}`);
    await ok('tag', `${registry.host}/nginx`, 'team/web:2');
    await ok('save', '-o', at('both.tar'), `${registry.host}/debian`, `${registry.host}/nginx`, 'team/web:2');
    const names = execFileSync('tar', ['-tf', at('both.tar')], { encoding: 'utf8' })
      .split('\n')
      .filter((name) => name.startsWith('blobs/'));
    // Two layers, two configurations, two manifests.
    expect(new Set(names).size).toBe(6);
    expect(names).toHaveLength(6);
    expect(skopeo('inspect', `docker-archive:${at('both.tar')}:team/web:2`)).toContain('"Layers"');
    const list = await ok('images', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}');
    await ok('rmi', '-f', ...new Set(list.split('\n').map((line) => line.split(' ')[1]!)));
    await ok('load', '-i', at('both.tar'));
    expect((await ok('images', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}')).split('\n').toSorted()).toEqual(
      list.split('\n').toSorted(),
    );
    const again = at('again.tar');
    await ok('save', '-o', again, `${registry.host}/debian`, `${registry.host}/nginx`, 'team/web:2');
    // The same images make the same bytes.
    execFileSync('cmp', [at('both.tar'), again]);
  });

  it('that is not whole leaves nothing behind, not a blob', async () => {
    const broken = at('broken');
    mkdirSync(broken);
    execFileSync('tar', ['-xf', plain, '-C', broken]);
    const load = async (change: () => void): Promise<string> => {
      change();
      execFileSync('tar', ['-cf', `${broken}.tar`, '-C', broken, '.']);
      const { status, stderr } = await gantry('load', '-i', `${broken}.tar`);
      expect(status).toBe(1);
      expect([stored('blobs/sha256'), stored('layers'), stored('ingest')]).toEqual([[], [], []]);
      return stderr;
    };
    const manifest =
      (tag: string, layer: string): (() => void) =>
      () =>
        writeFileSync(
          join(broken, 'manifest.json'),
          JSON.stringify([{ Config: 'config.json', RepoTags: [tag], Layers: [layer] }]),
        );
    expect(await load(manifest('box:1', 'absent.tar'))).toContain('Cannot load the archive: it has no "absent.tar"');
    expect(await load(manifest('Not A Name', 'layer.tar'))).toContain(
      'Cannot load the archive: it names an image "Not A Name"',
    );
    expect(await load(() => writeFileSync(join(broken, 'manifest.json'), '{'))).toContain(
      '"manifest.json" is not JSON',
    );
    expect(await load(() => rmSync(join(broken, 'manifest.json')))).toContain(
      'it holds neither manifest.json nor index.json',
    );
  });

  it('is not left half where it cannot be written', async () => {
    await ok('load', '-i', plain);
    // A device of our own: what cannot be written is not removed either.
    const full = at('full');
    execFileSync('mknod', [full, 'c', '1', '7']);
    const { status, stderr } = await gantry('save', '-o', full, 'box:1');
    expect([status, stderr]).toEqual([1, expect.stringContaining('ENOSPC')]);
    expect(statSync(full).isCharacterDevice()).toBe(true);
    expect((await gantry('save', '-o', join(work, 'absent/box.tar'), 'box:1')).stderr).toContain('ENOENT');
    expect((await gantry('save', '-o', at('none.tar'), 'absent')).stderr).toContain('No such image: absent:latest');
    expect(readdirSync(work)).not.toContain('none.tar');
  });
});

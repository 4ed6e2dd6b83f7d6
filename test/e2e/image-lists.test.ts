// images, image prune and system df, on images that share layers.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('lists of images', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const json = async (path: string) => JSON.parse((await engineCall(here.dataRoot, 'GET', path)).body.toString());
  const filtered = async (...filters: string[]): Promise<string[]> =>
    (await ok('images', '--format', '{{.Repository}}', ...filters.flatMap((one) => ['-f', one])))
      .split('\n')
      .filter(Boolean)
      .sort();

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'base:1');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    for (const name of ['one', 'two']) {
      await ok('run', '--name', name, 'base:1', 'sh', '-c', `head -c 1000 /dev/zero >/${name}`);
      await ok('commit', '-c', `LABEL made=${name}`, name, `${name}:1`);
    }
  });
  afterAll(() => here.close());

  it('filters by age, label and name', async () => {
    expect(await filtered('since=base:1')).toEqual(['one', 'two']);
    expect(await filtered('before=one:1')).toEqual(['base']);
    expect(await filtered('until=2026-01-02T04:00:00Z')).toEqual(['base']);
    expect(await filtered('label=made=two')).toEqual(['two']);
    expect(await filtered('reference=t?o')).toEqual(['two']);
    expect((await gantry('images', '-f', 'since=absent')).stderr).toContain('No such image: absent');
    expect((await gantry('images', '-f', 'dangling=maybe')).stderr).toContain('Invalid filter');
  });

  it('counts what is shared once', async () => {
    const df = await json('/system/df');
    const sizes = new Map<string, { Size: number; SharedSize: number }>(
      df.Images.map((image: { RepoTags: string[] }) => [image.RepoTags[0], image]),
    );
    const base = sizes.get('base:1')!;
    expect(base.SharedSize).toBe(base.Size);
    for (const name of ['one:1', 'two:1'])
      expect(sizes.get(name)).toMatchObject({ Size: base.Size + 1000, SharedSize: base.Size });
    expect(df.LayersSize).toBe(base.Size + 2000);
    expect(
      df.Containers.map(({ SizeRw, SizeRootFs }: { SizeRw: number; SizeRootFs: number }) => [
        SizeRw,
        SizeRootFs - base.Size,
      ]),
    ).toEqual([
      [1000, 1000],
      [1000, 1000],
    ]);
    expect(await json('/system/df?type=volume')).toMatchObject({ Images: null, Containers: null, Volumes: [] });
    expect((await json('/images/json?shared-size=1')).map((image: { SharedSize: number }) => image.SharedSize)).toEqual(
      [base.Size, base.Size, base.Size],
    );
    expect(await ok('system', 'df')).toMatch(
      /Images +3 +1 .*\nContainers +2 +0 +2kB +2kB \(100%\)\nLocal Volumes +0 +0 +0B/,
    );
    expect(await ok('system', 'df', '-v')).toMatch(/one +1 +\w{12} .* 1kB +0\n/);
  });

  it('says what files hold: names of one once, holes as they look, links their length, directories nothing', async () => {
    const script =
      'head -c 5000 /dev/zero > $D/a; ln $D/a $D/b; dd if=/dev/zero of=$D/hole bs=1 count=1 seek=99999 2>/dev/null; mkdir -p $D/d/e; echo x > $D/d/e/f; ln -s some/where $D/link';
    const fill = (directory: string): string => script.replaceAll('$D', directory);
    const counted = '5000 100000 2 10'.split(' ').reduce((sum, size) => sum + Number(size), 0);
    await ok('volume', 'create', 'full');
    await ok('volume', 'create', 'empty');
    await ok('run', '--name', 'user', '-v', 'full:/v', 'base:1', 'sh', '-c', `mkdir /w; ${fill('/w')}; ${fill('/v')}`);
    const df = await json('/system/df');
    const own = df.Containers.find(({ Names }: { Names: string[] }) => Names[0] === '/user');
    expect(own.SizeRw).toBe(counted);
    const of = (wanted: string) => df.Volumes.find(({ Name }: { Name: string }) => Name === wanted).UsageData;
    expect([of('full'), of('empty')]).toEqual([
      { Size: counted, RefCount: 1 },
      { Size: 0, RefCount: 0 },
    ]);
    // The same of a layer, beside what tools of the container count.
    await ok('commit', 'user', 'filled:1');
    const filled = (await json('/system/df')).Images.find(
      ({ RepoTags }: { RepoTags: string[] }) => RepoTags[0] === 'filled:1',
    );
    expect(filled.Size - filled.SharedSize).toBe(counted);
    const seen = await ok(
      'run',
      '--rm',
      'filled:1',
      'sh',
      '-c',
      'find /w ! -type d -exec stat -c "%i %s" {} + | sort -u',
    );
    expect(seen.split('\n').reduce((sum, line) => sum + Number(line.split(' ')[1]), 0)).toBe(counted);
    await ok('rm', 'user');
    expect(
      (await json('/system/df?type=volume')).Volumes.map(({ UsageData }: { UsageData: object }) => UsageData),
    ).toEqual(expect.arrayContaining([{ Size: counted, RefCount: 0 }]));
    await ok('rmi', 'filled:1');
    await ok('volume', 'rm', 'full', 'empty');
  });

  it('prunes by age and label', async () => {
    await ok('image', 'prune', '-af', '--filter', 'until=2020-01-01T00:00:00Z');
    await ok('image', 'prune', '-af', '--filter', 'label!=made=two');
    expect(await filtered()).toEqual(['base', 'two']);
  });
});

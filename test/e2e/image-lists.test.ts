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

  it('prunes by age and label', async () => {
    await ok('image', 'prune', '-af', '--filter', 'until=2020-01-01T00:00:00Z');
    await ok('image', 'prune', '-af', '--filter', 'label!=made=two');
    expect(await filtered()).toEqual(['base', 'two']);
  });
});

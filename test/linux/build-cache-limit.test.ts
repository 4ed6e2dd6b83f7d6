// GANTRY_BUILD_CACHE: what goes after a build, and what stays.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { cacheLimitSetting } from '../../host/build/cache-limit.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { build } from '../helpers/builds.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

it('reads the limit', () => {
  expect(['', 'off', '1k', '2.5g'].map((text) => cacheLimitSetting(text))).toEqual([
    undefined,
    Number.POSITIVE_INFINITY,
    1024,
    2.5 * 2 ** 30,
  ]);
  for (const text of ['0', '-1', 'much']) expect(() => cacheLimitSetting(text)).toThrow(/GANTRY_BUILD_CACHE/);
});

describe.skipIf(whyNoContainers())('the build cache', () => {
  const here = createInstallation();
  here.env.GANTRY_BUILD_CACHE = '2500000';
  /** A step whose layer is in no image. */
  const made = async (name: string, run = `head -c 1000000 /dev/zero >/${name}`): Promise<void> => {
    const dockerfile = `FROM box AS work\nRUN ${run}; echo ${name} >/small\nFROM box\nCOPY --from=work /small /\n`;
    const { error } = await build(here.socket, dockerfile, { query: { t: 'made' } });
    expect(error).toBe('');
  };
  const large = async (): Promise<{ Type: string; Description: string; Size: number }[]> => {
    const { body } = await engineCall(here.dataRoot, 'GET', '/system/df?type=build-cache');
    return JSON.parse(body.toString()).BuildCache.filter(({ Size }: { Size: number }) => Size >= 1e6);
  };
  const names = async (): Promise<(string | undefined)[]> =>
    (await large()).map(({ Description }) => /zero >\/(\w+)/.exec(Description)?.[1] ?? Description).sort();
  /** Layers of such steps on the disk: the file, and "/small". */
  const layers = (): number[] =>
    readdirSync(join(here.dataRoot, 'layers'))
      .filter((name) => /^[0-9a-f]{64}$/.test(name))
      .map((name) => JSON.parse(readFileSync(join(here.dataRoot, 'layers', name, 'layer.json'), 'utf8')).bytes)
      .filter((bytes) => bytes > 1e6 && bytes < 1e6 + 10);

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await here.ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it('loses what was used least recently, and no more than it must', async () => {
    await made('one');
    await made('two');
    await made('one');
    expect(await names()).toEqual(['one', 'two']);
    expect(layers()).toHaveLength(2);
    await made('three');
    await vi.waitUntil(async () => (await large()).length < 3, { timeout: 20_000 });
    expect(await names()).toEqual(['one', 'three']);
    // Its bytes are removed behind it.
    await vi.waitUntil(() => layers().length === 2, { timeout: 20_000 });
  });

  it('counts directories of --mount=type=cache as they are after their last use', async () => {
    const mounted = (bytes: number): string => `--mount=type=cache,target=/c head -c ${bytes} /dev/zero >/c/file`;
    await made('four', mounted(1_200_000));
    await vi.waitUntil(async () => (await large()).length < 3, { timeout: 20_000 });
    expect(await names()).toEqual(['RUN --mount=type=cache', 'three']);
    await made('five', mounted(2_000_000));
    await vi.waitUntil(async () => (await large()).length < 2, { timeout: 20_000 });
    expect(await large()).toMatchObject([{ Type: 'exec.cachemount', Size: 2_000_000 }]);
    await made('six', mounted(2_600_000));
    await vi.waitUntil(async () => (await large()).length === 0, { timeout: 20_000 });
  });
});

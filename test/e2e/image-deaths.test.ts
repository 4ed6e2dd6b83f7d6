// An engine that is killed at any moment of a pull, a load, a removal or a prune: no half image, and the next one tidies up.
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { mortalEngine } from '../helpers/mortal-engine.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { type Front, startFront } from '../helpers/registry-front.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { engineCall } from '../helpers/engine-call.ts';

/** So many deaths for each kind of work, spread over the time that it takes. */
const DEATHS = 8;
const FILES = 300;

interface Catalog {
  images: Record<string, { layers: { blob: string; diffId: string }[]; manifest?: string }>;
  tags: Record<string, string>;
}

describe.skipIf(whyNoContainers() || whyNoRegistry())('an engine that is killed', () => {
  const here = createInstallation();
  const engine = mortalEngine(here);
  const at = (...parts: string[]): string => join(here.dataRoot, ...parts);
  const listed = (part: string): string[] => (existsSync(at(part)) ? readdirSync(at(part)) : []);
  let registry: TestRegistry;
  let front: Front;
  let archive: Buffer;
  let layer = '';

  const catalog = (): Catalog =>
    existsSync(at('images.json'))
      ? (JSON.parse(readFileSync(at('images.json'), 'utf8')) as Catalog)
      : { images: {}, tags: {} };
  /** Everything that images have on the disk: names, and bytes of the files. */
  const held = (): { names: string[]; bytes: number } => {
    const names = ['blobs/sha256', 'ingest', 'layers'].flatMap((part) => listed(part).map((name) => `${part}/${name}`));
    const sizeOf = (path: string): number => {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (!stat?.isDirectory()) return stat?.size ?? 0;
      return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
    };
    return { names: names.toSorted(), bytes: names.reduce((sum, name) => sum + sizeOf(at(name)), 0) };
  };
  const needed = (): string[] =>
    Object.entries(catalog().images)
      .flatMap(([id, { layers, manifest }]) => [
        ...[id, manifest ?? id, ...layers.map(({ blob }) => blob)].map((digest) => `blobs/sha256/${digest.slice(7)}`),
        ...layers.map(({ diffId }) => diffId.slice(7)),
      ])
      .toSorted();
  /** What is there is whole and needed; nothing else is there. */
  const expectWhole = async (): Promise<void> => {
    const wanted = [...new Set(needed())];
    const found = (): string[] => held().names.map((name) => name.replace(/^layers\/([0-9a-f]{64}).*$/, '$1'));
    await until(
      () => {
        const there = new Set(found());
        return there.size === wanted.length && wanted.every((name) => there.has(name));
      },
      `what images need, and nothing else: ${JSON.stringify({ wanted, found: found() })}`,
    );
    for (const name of listed('blobs/sha256'))
      expect(
        createHash('sha256')
          .update(readFileSync(at('blobs/sha256', name)))
          .digest('hex'),
      ).toBe(name);
    expect(readdirSync(here.dataRoot).filter((name) => name.endsWith('.new'))).toEqual([]);
    const images = JSON.parse((await engine.ask('/images/json')).body.toString()) as { Id: string; Size: number }[];
    expect(images.map(({ Id }) => Id).toSorted()).toEqual(Object.keys(catalog().images).toSorted());
    for (const { Size } of images) expect(Size).toBeGreaterThan(1 << 20);
  };
  const removeAll = async (): Promise<void> => {
    for (const id of Object.keys(catalog().images)) await engine.call('DELETE', `/images/${id}?force=1`);
    await until(() => held().names.length === 0, 'everything to go');
    expect(held().bytes).toBe(0);
  };
  const pull = (): Promise<unknown> => engine.call('POST', `/images/create?fromImage=${front.host}/box&tag=1`);
  const load = (): Promise<unknown> =>
    engineCall(here.dataRoot, 'POST', '/images/load', archive).catch(() => undefined);

  beforeAll(async () => {
    registry = await startRegistry();
    front = await startFront(registry.host);
    const tree = busyboxTree();
    for (let index = 0; index < FILES; index++)
      writeFileSync(join(tree, 'var/www', `f${index}`), `${index}`.repeat(5000));
    const path = makeArchive(tree, 'box:1');
    registry.push(path, 'box:1');
    archive = readFileSync(path);
    for (const gone of [tree, path]) rmSync(gone, { recursive: true });
    await engine.start();
    await pull();
    layer = Object.values(catalog().images)[0]!.layers[0]!.blob;
    await removeAll();
  });
  afterAll(async () => {
    await engine.close();
    await here.close();
    await front.close();
    await registry.close();
  });

  it('while a layer comes has nothing of it afterwards, wherever it stopped', async () => {
    const { size } = lstatSync(
      join(registry.directory, 'data/docker/registry/v2/blobs/sha256', layer.slice(7, 9), layer.slice(7), 'data'),
    );
    for (let death = 0; death < DEATHS; death++) {
      // The last one holds the connection when all has come.
      const holdAfter = Math.floor((size * death) / (DEATHS - 1));
      front.behave((asked) => (asked.includes(layer) ? { holdAfter, until: new Promise(() => {}) } : undefined));
      const done = pull();
      await until(() => front.seen.some(({ path }) => path.includes(layer)), 'the layer to be asked for');
      await new Promise((resolve) => setTimeout(resolve, 30));
      await engine.kill();
      await done;
      expect(catalog().images).toEqual({});
      front.behave(() => undefined);
      await engine.start();
      await expectWhole();
    }
    await pull();
    expect(Object.keys(catalog().tags)).toEqual([`${front.host}/box:1`]);
    await expectWhole();
    await removeAll();
  });

  /** Kills it at moments spread over the time that the work takes when nobody kills it. */
  const killDuring = async (prepare: () => Promise<unknown>, work: () => Promise<unknown>): Promise<number> => {
    await prepare();
    const began = performance.now();
    await work();
    const whole = performance.now() - began;
    let interrupted = 0;
    for (let death = 0; death < DEATHS; death++) {
      await prepare();
      const before = JSON.stringify(catalog());
      const done = work();
      await new Promise((resolve) => setTimeout(resolve, (whole * (death + 0.5)) / DEATHS));
      await engine.kill();
      await done;
      if (JSON.stringify(catalog()) === before) interrupted++;
      await engine.start();
      await expectWhole();
    }
    return interrupted;
  };

  it('while an archive is loaded has the image whole, or nothing of it', async () => {
    expect(await killDuring(removeAll, load)).toBeGreaterThan(0);
    await removeAll();
  });

  it.each([
    ['removed', () => engine.call('DELETE', '/images/box:1')],
    ['pruned', () => engine.call('POST', `/images/prune?filters=${encodeURIComponent('{"dangling":["false"]}')}`)],
  ])('while images are %s has them whole, or removes the rest', async (_name, work) => {
    const prepare = async (): Promise<void> => {
      if (catalog().tags['docker.io/library/box:1'] === undefined) await load();
    };
    await killDuring(prepare, work);
    await removeAll();
  });

  it('and one after the other, has what two pulls at once share only once', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    front.behave((asked) => (asked.includes(layer) ? { holdAfter: 10_000, until: held } : undefined));
    const both = [pull(), pull()];
    await until(() => front.seen.filter(({ path }) => path.includes('/manifests/')).length >= 2, 'both to ask');
    release();
    await Promise.all(both);
    expect(front.blobs().filter((path) => path.includes(layer))).toHaveLength(1);
    await expectWhole();
    await removeAll();
  });
});

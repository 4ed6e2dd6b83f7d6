// Layers of more names than an EROFS image may have memory for: they become directories, and everything else of them is the same.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openDamage } from '../../host/image/damage.ts';
import { createLayerStore, type LayerStore } from '../../host/image/layer-store.ts';
import { createLeaving } from '../../host/image/leaving.ts';
import { createUnpacker } from '../../host/image/unpack.ts';
import { createLayerMounter } from '../../host/engine/layer-mounter.ts';
import { createLinuxBackend } from '../../host/linux/backend.ts';
import { findExecutor } from '../../host/linux/executor.ts';
import { whyNoErofs } from '../helpers/mounted-image.ts';
import { makeTar, sha256 } from '../helpers/tar.ts';

describe.skipIf(whyNoErofs())('a layer of very many names', () => {
  const work = mkdtempSync(join(tmpdir(), 'gantry-many-'));
  const unpacker = createUnpacker(findExecutor());
  const mounter = createLayerMounter(createLinuxBackend({ stateDirectory: join(work, 'run') }), { owned: true });
  const open = (name: string, erofsMemory?: number): LayerStore =>
    createLayerStore(join(work, name), {
      unpacker,
      mounter,
      damage: openDamage(join(work, `${name}-damage`)),
      leaving: createLeaving(),
      setting: 'auto',
      ...(erofsMemory === undefined ? {} : { erofsMemory }),
    });
  const tar = makeTar([
    { name: 'd/', type: '5' },
    ...Array.from({ length: 1500 }, (_, index) => ({ name: `d/${'n'.repeat(60)}${index}`, content: `${index}` })),
    { name: 'd/.wh.gone' },
  ]);
  const diffId = sha256(tar);
  let opened = 0;
  const source = async function* (): AsyncGenerator<Uint8Array> {
    opened++;
    for (let at = 0; at < tar.length; at += 100_000) yield tar.subarray(at, at + 100_000);
  };
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it('is an EROFS file where its names fit, else a directory with the same in it', async () => {
    const enough = open('enough');
    await enough.add(diffId, source);
    expect(opened).toBe(1);
    const little = open('little', 256 << 10);
    await little.add(diffId, source);
    expect(opened).toBe(3);
    const trees = [enough, little].map((store) => store.path(diffId));
    try {
      expect(readdirSync(join(work, 'little')).filter((name) => name.startsWith('new-'))).toEqual([]);
      await enough.show([trees[0]!]);
      await little.show([trees[1]!]);
      const [names, others] = trees.map((tree) => readdirSync(join(tree, 'd')).sort());
      expect(names).toHaveLength(1501);
      expect(others).toEqual(names);
      expect(readFileSync(join(trees[1]!, 'd', `${'n'.repeat(60)}1471`), 'utf8')).toBe('1471');
      expect(await little.size(diffId)).toBe(await enough.size(diffId));
      expect(await little.verify(diffId, source)).toBeUndefined();
      expect(await enough.verify(diffId, source)).toBeUndefined();
    } finally {
      for (const store of [enough, little]) await store.close();
    }
  });

  it('is refused where it is not what it is called, as any', async () => {
    const little = open('other', 256 << 10);
    await expect(little.add(sha256('other'), source)).rejects.toThrow(/has the digest/);
    expect(await little.list()).toEqual([]);
    await little.close();
  });
});

// The same layers as EROFS images, as directories of our own unpacker and as what GNU tar extracts: the trees are equal.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GantryError } from '../../host/errors.ts';
import { writeErofs } from '../../host/image/erofs/write-erofs.ts';
import { createUnpacker } from '../../host/image/unpack.ts';
import { readErofs } from '../helpers/erofs-image.ts';
import { executorProgram } from '../helpers/executor.ts';
import { modelOf, Refused } from '../helpers/layer-model.ts';
import { mountedTree, whyNoErofs } from '../helpers/mounted-image.ts';
import { createRandom, type Random } from '../helpers/random.ts';
import type { LayerEntry } from '../helpers/tar-dialects.ts';
import { damage, encode, randomEntry } from '../helpers/tar-generator.ts';
import { listTree } from '../helpers/tree-listing.ts';

const CASES = 150;
const options = ['--numeric-owner', '--xattrs', '--xattrs-include=*'];

async function* whole(tar: Buffer): AsyncGenerator<Buffer> {
  yield tar;
}

describe.skipIf(whyNoErofs())('a layer made by chance', () => {
  let work = '';
  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), 'gantry-erofs-peers-'));
  });
  afterAll(() => rmSync(work, { recursive: true }));
  const unpacker = createUnpacker(executorProgram);

  /** Paths of which the archive says no time: directories that were made on the way, and whiteouts. */
  function timelessIn(image: string, directoryTimes: boolean): (path: string) => boolean {
    const paths = new Set<string>();
    for (const [path, file] of readErofs(readFileSync(image)).files)
      if (file.mtime === 0n || (file.kind === 'directory' && !directoryTimes))
        paths.add(Buffer.from(path, 'latin1').toString() || '.');
    return (path) => paths.has(path);
  }

  /** Null, or what was said against it. */
  const reasonOf = (work: Promise<unknown>): Promise<string | null> =>
    work.then(
      () => null,
      (error) => {
        if (error instanceof GantryError && error.code === 'INVALID_ARCHIVE') return error.message;
        throw error;
      },
    );

  async function compare(tar: Buffer, seed: number): Promise<void> {
    const image = join(work, 'image');
    const tree = join(work, 'tree');
    mkdirSync(tree, { mode: 0o755 });
    try {
      const [ofImage, ofTree] = [
        await reasonOf(writeErofs(image, whole(tar))),
        await reasonOf(unpacker.unpack(tree, whole(tar))),
      ];
      expect(ofImage === null, `seed ${seed}: ${ofImage}, but ${ofTree}`).toBe(ofTree === null);
      if (ofImage !== null) return;
      const timeless = timelessIn(image, true);
      expect(mountedTree(image, { timeless }), `seed ${seed}`).toEqual(listTree(tree, { timeless }));
    } finally {
      rmSync(image, { force: true });
      await unpacker.remove(tree);
    }
  }

  /**
   * A file system has room for few attributes only, and gives what is made below a directory with the setgid bit its group: in an
   * image, what the archive does not describe is root's.
   */
  const small = (entry: LayerEntry): LayerEntry => ({
    ...entry,
    mode: entry.type === '5' ? entry.mode & ~0o2000 : entry.mode,
    xattrs: Object.fromEntries(Object.entries(entry.xattrs).map(([name, value]) => [name, value.slice(0, 500)])),
  });

  const made = (random: Random): Buffer =>
    encode(
      random,
      Array.from({ length: 1 + random.below(12) }, () => small(randomEntry(random, false))),
    );

  it(`is what our unpacker makes of it, ${CASES} times`, async () => {
    for (let seed = 70_000; seed < 70_000 + CASES; seed++) await compare(made(createRandom(seed)), seed);
  }, 300_000);

  /** One that GNU tar reads as a layer's reader does: no attributes of overlayfs, no link on the way to anything. */
  function polite(random: Random): LayerEntry {
    const entry = small(randomEntry(random, true));
    if (entry.type === '2') entry.name = `${entry.name.replace(/\/$/, '').slice(-200)}-link`;
    // GNU tar pads every piece of a sparse file to whole blocks, and makes the file as long as its map goes; its own writer cuts
    // pieces and maps so that this is no question.
    if (entry.segments !== undefined) {
      const size = entry.content.length & ~511;
      entry.content = Buffer.alloc(size);
      entry.segments = entry.segments
        .map(([at]): [number, number] => [at & ~511, 512])
        .filter(([at], index, all) => at < size && at !== all[index - 1]?.[0]);
      for (const [at, length] of entry.segments) entry.content.fill(`piece ${at} `, at, at + length);
      entry.segments.push([size, 0]);
    }
    for (const name of Object.keys(entry.xattrs))
      if (name.includes('overlay') || !['0', '5'].includes(entry.type)) delete entry.xattrs[name];
    return entry;
  }

  it(`is what GNU tar makes of it, ${CASES} times`, async () => {
    let compared = 0;
    for (let seed = 80_000; compared < CASES && seed < 90_000; seed++) {
      const random = createRandom(seed);
      const entries = Array.from({ length: 1 + random.below(10) }, () => polite(random));
      try {
        modelOf(entries);
      } catch (error) {
        if (error instanceof Refused) continue;
        throw error;
      }
      const [tar, image, tree] = ['tar', 'image', 'tree'].map((name) => join(work, name)) as [string, string, string];
      writeFileSync(tar, encode(random, entries));
      mkdirSync(tree, { mode: 0o755 });
      await writeErofs(image, whole(readFileSync(tar)));
      // It does not put a file where there is a directory with something in it.
      const { status } = spawnSync('tar', [...options, '-xpf', tar, '-C', tree], { stdio: 'ignore' });
      if (status === 0) {
        compared++;
        // GNU tar sets a directory's time when it goes on to another, and not again after it has come back.
        const timeless = timelessIn(image, false);
        expect(mountedTree(image, { timeless }), `seed ${seed}`).toEqual(listTree(tree, { timeless }));
      }
      rmSync(image);
      await unpacker.remove(tree);
    }
  }, 300_000);

  it(`that is damaged is refused by both or by none, ${CASES} times`, async () => {
    for (let seed = 90_000; seed < 90_000 + CASES; seed++) {
      const random = createRandom(seed);
      const tar = damage(random, made(random));
      await compare(tar, seed);
    }
  }, 300_000);
});

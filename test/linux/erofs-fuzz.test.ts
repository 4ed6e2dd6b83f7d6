// Layers made by chance, 12,000 of them: the image is what a plain model makes of the entries, or both refuse. Seeds are in the names.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GantryError } from '../../host/errors.ts';
import { writeErofs } from '../../host/image/erofs/write-erofs.ts';
import { type ErofsFile, readErofs } from '../helpers/erofs-image.ts';
import { type ModelFile, modelOf, Refused } from '../helpers/layer-model.ts';
import { createRandom } from '../helpers/random.ts';
import type { LayerEntry } from '../helpers/tar-dialects.ts';
import { damage, encode, randomEntry } from '../helpers/tar-generator.ts';

let work = '';
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'gantry-erofs-fuzz-'));
});
afterAll(() => rm(work, { recursive: true }));

async function* inPieces(tar: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < tar.length; at += size) yield tar.subarray(at, at + size);
}

const LARGE = 1 << 26;

/** The image, or why there is none. */
async function outcome(tar: Buffer, chunk: number): Promise<Map<string, ErofsFile> | string> {
  const path = join(work, 'image');
  try {
    const { size } = await writeErofs(path, inPieces(tar, chunk));
    // A fault may make a hole of terabytes.
    if (size > LARGE) {
      await rm(path);
      return 'large';
    }
  } catch (error) {
    if (error instanceof GantryError && error.code === 'INVALID_ARCHIVE') return error.message;
    throw error;
  }
  const image = readFileSync(path);
  await rm(path);
  return readErofs(image).files;
}

function modelOutcome(entries: LayerEntry[]): Map<string, ModelFile> | string {
  let root: ModelFile;
  try {
    root = modelOf(entries);
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
  const files = new Map<string, ModelFile>();
  const visit = (path: string, file: ModelFile): void => {
    files.set(path, file);
    for (const [name, child] of file.children)
      visit(`${path}${path === '' ? '' : '/'}${Buffer.from(name).toString('latin1')}`, child);
  };
  visit('', root);
  return files;
}

/** All that a tree says, and which names are one file. */
function describeFiles(files: Map<string, ErofsFile | ModelFile>): string[] {
  const names = new Map<object, string>();
  return [...files.keys()].sort().map((path) => {
    const file = files.get(path)!;
    if (!names.has(file)) names.set(file, path);
    const content = typeof file.content === 'function' ? file.content() : file.content;
    const xattrs = Object.entries(file.xattrs)
      .map(([name, value]) => `${name}=${value.toString()}`)
      .sort();
    const text = file.kind === 'file' ? content.toString('base64') : '';
    return [
      path,
      names.get(file),
      file.kind,
      file.mode,
      file.uid,
      file.gid,
      file.mtime,
      file.device,
      file.target,
      text,
      xattrs,
    ].join(' | ');
  });
}

describe('12,000 layers', () => {
  it.each([1, 2, 3, 4])(
    'are read as the model does, from seed %i0000',
    async (round) => {
      let refused = 0;
      for (let seed = round * 10_000; seed < round * 10_000 + 2000; seed++) {
        const random = createRandom(seed);
        const entries = Array.from({ length: 1 + random.below(14) }, () => randomEntry(random, false));
        const tar = encode(random, entries);
        const expected = modelOutcome(entries);
        const found = await outcome(tar, random.pick([512, 700, 4096, 1 << 16]));
        if (typeof expected === 'string' || typeof found === 'string') {
          refused++;
          expect(found, `seed ${seed}`).toEqual(expect.stringMatching(new RegExp(String(expected), 'i')));
        } else expect(describeFiles(found), `seed ${seed}`).toEqual(describeFiles(expected));
      }
      // Neither all nor none: both ways are tried.
      expect(refused).toBeGreaterThan(100);
      expect(refused).toBeLessThan(1900);
    },
    300_000,
  );

  it.each([5, 6])(
    'that are damaged are refused or whole, from seed %i0000',
    async (round) => {
      let whole = 0;
      for (let seed = round * 10_000; seed < round * 10_000 + 2000; seed++) {
        const random = createRandom(seed);
        const entries = Array.from({ length: 1 + random.below(8) }, () => randomEntry(random, random.oneIn(2)));
        const tar = damage(random, encode(random, entries));
        const found = await outcome(tar, random.pick([512, 4096, 1 << 16])).catch((cause) => {
          throw new Error(`seed ${seed}`, { cause });
        });
        // Reading has checked every inode, name and number of links.
        if (typeof found !== 'string') {
          whole++;
          for (const file of found.values()) if (file.size < LARGE) file.content();
        }
      }
      expect(whole).toBeGreaterThan(50);
      expect(whole).toBeLessThan(1950);
    },
    300_000,
  );
});

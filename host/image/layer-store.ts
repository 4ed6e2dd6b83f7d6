// Unpacked layers by the digest of their plain tar. The one door to how layers lie on disk.
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError } from '../errors.ts';
import type { Unpacker } from './unpack.ts';

export interface LayerStore {
  has(diffId: string): Promise<boolean>;
  /** Makes a layer from what `open` gives; nothing of it is seen before it is whole. Who makes the same one waits. `signal` tells that a failure is of who made it only. @throws {GantryError} DIGEST_MISMATCH, INVALID_ARCHIVE, DISK_FULL. */
  add(diffId: string, open: () => AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>;
  /** Bytes of the layer's files. */
  size(diffId: string): Promise<number>;
  /** Directory of the layer's tree, in overlayfs' format of whiteouts. */
  path(diffId: string): string;
  remove(diffId: string): Promise<void>;
  /** Every layer that is there whole. */
  list(): Promise<string[]>;
}

export function createLayerStore(directory: string, unpacker: Unpacker): LayerStore {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const pathOf = (diffId: string): string => join(directory, diffId.slice('sha256:'.length));
  const working = new Map<string, { made: Promise<void>; signal: AbortSignal | undefined }>();
  // Half-made and half-removed layers of an engine that died.
  for (const name of readdirSync(directory))
    if (name.startsWith('new-') || name.startsWith('old-')) void unpacker.remove(join(directory, name)).catch(() => {});

  const make = async (diffId: string, tar: AsyncIterable<Uint8Array>): Promise<void> => {
    const temporary = join(directory, `new-${randomBytes(8).toString('hex')}`);
    const tree = join(temporary, 'tree');
    await mkdir(tree, { recursive: true, mode: 0o755 });
    try {
      const hash = createHash('sha256');
      const hashed = (async function* () {
        for await (const chunk of tar) {
          hash.update(chunk);
          yield chunk;
        }
      })();
      const { bytes, entries } = await unpacker.unpack(tree, hashed);
      for await (const _rest of hashed); // The unpacker stops at the end of the archive; the digest goes on to the end.
      const found = `sha256:${hash.digest('hex')}`;
      if (found !== diffId)
        throw new GantryError(
          'DIGEST_MISMATCH',
          `Cannot use the layer "${diffId}": its content has the digest ${found}`,
        );
      await writeFile(join(temporary, 'layer.json'), JSON.stringify({ bytes, entries }));
      await rename(temporary, pathOf(diffId));
    } catch (error) {
      await unpacker.remove(temporary).catch(() => rm(temporary, { recursive: true, force: true }));
      throw error;
    }
  };

  return {
    has: (diffId) =>
      access(join(pathOf(diffId), 'layer.json')).then(
        () => true,
        () => false,
      ),
    async add(diffId, open, signal) {
      for (let before = working.get(diffId); before !== undefined; before = working.get(diffId)) {
        try {
          return await before.made;
        } catch (error) {
          // Whoever made it has gone: the next of those who wait does.
          if (!before.signal?.aborted) throw error;
        }
      }
      const made = make(diffId, open()).finally(() => working.delete(diffId));
      working.set(diffId, { made, signal });
      return made;
    },
    async size(diffId) {
      const text = await readFile(join(pathOf(diffId), 'layer.json'), 'utf8');
      return (JSON.parse(text) as { bytes: number }).bytes;
    },
    list: async () =>
      (await readdir(directory)).filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => `sha256:${name}`),
    path: (diffId) => join(pathOf(diffId), 'tree'),
    async remove(diffId) {
      const leaving = join(directory, `old-${randomBytes(8).toString('hex')}`);
      await rename(pathOf(diffId), leaving).catch(() => {});
      await unpacker.remove(leaving).catch(() => {});
    },
  };
}

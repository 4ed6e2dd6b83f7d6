// Blobs by digest: written beside, checked, then renamed, so that what is there is whole.
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { createReadStream, mkdirSync, rmSync } from 'node:fs';
import { access, type FileHandle, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError } from '../errors.ts';
import type { Damage } from './damage.ts';
import { type DiskRoom, diskRoom } from './disk-room.ts';

export interface ContentStore {
  /** Of the file system that blobs and layers lie on. */
  readonly room: DiskRoom;
  /** What was found damaged is not there. */
  has(digest: string): Promise<boolean>;
  /** It was there once. */
  isDamaged(digest: string): boolean;
  /** Bytes of a blob. */
  size(digest: string): Promise<number>;
  read(digest: string): Promise<Buffer>;
  stream(digest: string): NodeJS.ReadableStream;
  /** A part of it: from `start` up to but without `end`. */
  range(digest: string, start: number, end: number): AsyncIterable<Uint8Array>;
  /** A blob to be written; nothing is there under its digest before `commit`. */
  begin(): Promise<Ingest>;
  /** Writes a small blob whole; returns its digest. */
  put(bytes: Uint8Array): Promise<string>;
  remove(digest: string): Promise<void>;
  /** Every digest that is there. */
  list(): Promise<string[]>;
}

export interface Ingest {
  write(chunk: Uint8Array): Promise<void>;
  /** Bytes so far. */
  readonly size: number;
  /** Puts the blob under its digest, which is returned. @throws {GantryError} DIGEST_MISMATCH where another was expected. */
  commit(expected?: string): Promise<string>;
  /** Forgets what was written; does nothing after `commit`. */
  abort(): Promise<void>;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** @param damage of blobs. */
export function createContentStore(directory: string, damage: Damage): ContentStore {
  const blobs = join(directory, 'blobs', 'sha256');
  const ingests = join(directory, 'ingest');
  rmSync(ingests, { recursive: true, force: true }); // What an engine that died left half written.
  mkdirSync(blobs, { recursive: true, mode: 0o700 });
  mkdirSync(ingests, { recursive: true, mode: 0o700 });
  const pathOf = (digest: string): string => {
    if (!/^sha256:[a-f0-9]{64}$/.test(digest))
      throw new GantryError('INVALID_ARCHIVE', `Cannot use the digest "${digest}": only sha256 is supported`);
    return join(blobs, digest.slice('sha256:'.length));
  };

  const store: ContentStore = {
    room: diskRoom(directory),
    has: async (digest) =>
      !damage.has(digest) &&
      access(pathOf(digest)).then(
        () => true,
        () => false,
      ),
    isDamaged: damage.has,
    size: async (digest) => (await stat(pathOf(digest))).size,
    read: (digest) => readFile(pathOf(digest)),
    stream: (digest) => createReadStream(pathOf(digest), { highWaterMark: 1 << 20 }),
    range: (digest, start, end) => createReadStream(pathOf(digest), { start, end: end - 1, highWaterMark: 1 << 18 }),
    async begin() {
      const path = join(ingests, randomBytes(12).toString('hex'));
      return createIngest(path, await open(path, 'wx', 0o600), pathOf, damage);
    },
    async put(bytes) {
      const ingest = await store.begin();
      await ingest.write(bytes);
      return ingest.commit();
    },
    remove: (digest) => rm(pathOf(digest), { force: true }),
    list: async () => (await readdir(blobs)).map((name) => `sha256:${name}`),
  };
  return store;
}

function createIngest(path: string, file: FileHandle, pathOf: (digest: string) => string, damage: Damage): Ingest {
  const hash: Hash = createHash('sha256');
  let size = 0;
  let open = true;
  const close = async (): Promise<void> => {
    if (open) await file.close();
    open = false;
  };
  return {
    async write(chunk) {
      hash.update(chunk);
      size += chunk.length;
      for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
    },
    get size() {
      return size;
    },
    async commit(expected) {
      const digest = `sha256:${hash.digest('hex')}`;
      if (expected !== undefined && digest !== expected) {
        await close();
        await rm(path, { force: true });
        throw new GantryError(
          'DIGEST_MISMATCH',
          `Cannot use the blob "${expected}": its content has the digest ${digest}`,
          {
            hint: 'The registry, a proxy or the archive damaged it; try again',
          },
        );
      }
      await close();
      await rename(path, pathOf(digest));
      damage.clear(digest);
      return digest;
    },
    async abort() {
      if (!open) return;
      await close();
      await rm(path, { force: true });
    },
  };
}

// Blobs by digest: written beside, checked, then renamed, so that what is there is whole.
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { createReadStream, mkdirSync, rmSync } from 'node:fs';
import { access, type FileHandle, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError } from '../errors.ts';
import type { Damage } from './damage.ts';
import { type DiskRoom, diskRoom } from './disk-room.ts';
import { writeAll } from './erofs/image-file.ts';
import type { Leaving } from './leaving.ts';

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
  /** It is not there any more; its bytes may still be on their way out. */
  remove(digest: string): Promise<void>;
  /** Every digest that is there. */
  list(): Promise<string[]>;
}

export interface Ingest {
  /** Takes a chunk that nobody changes any more; that it could not be written is told by a later call. */
  write(chunk: Uint8Array): Promise<void>;
  /** Bytes so far. */
  readonly size: number;
  /** Puts the blob under its digest, which is returned. @throws {GantryError} DIGEST_MISMATCH where another was expected. */
  commit(expected?: string): Promise<string>;
  /** Forgets what was written; does nothing after `commit`. */
  abort(): Promise<void>;
}

/** A network's chunks are small: so many bytes, or pieces, become one write. */
const BATCH = 1 << 20;
const PIECES_MAX = 512;

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** @param damage of blobs. */
export function createContentStore(directory: string, damage: Damage, leaving: Leaving): ContentStore {
  const blobs = join(directory, 'blobs', 'sha256');
  const ingests = join(directory, 'ingest');
  rmSync(ingests, { recursive: true, force: true }); // What an engine that died left half written, or half removed.
  mkdirSync(blobs, { recursive: true, mode: 0o700 });
  mkdirSync(ingests, { recursive: true, mode: 0o700 });
  const pathOf = (digest: string): string => {
    if (!/^sha256:[a-f0-9]{64}$/.test(digest))
      throw new GantryError('INVALID_ARCHIVE', `Cannot use the digest "${digest}": only sha256 is supported`);
    return join(blobs, digest.slice('sha256:'.length));
  };

  const store: ContentStore = {
    room: diskRoom(directory, leaving),
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
    async remove(digest) {
      const old = join(ingests, `old-${randomBytes(12).toString('hex')}`);
      const gone = await rename(pathOf(digest), old).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error;
          return false;
        },
      );
      if (gone) leaving.begin(() => rm(old));
    },
    list: async () => (await readdir(blobs)).map((name) => `sha256:${name}`),
  };
  return store;
}

function createIngest(path: string, file: FileHandle, pathOf: (digest: string) => string, damage: Damage): Ingest {
  const hash: Hash = createHash('sha256');
  let size = 0;
  let open = true;
  let pieces: Uint8Array[] = [];
  let waiting = 0;
  /** The write under way, behind the back of who brings the next chunks. */
  let working: Promise<void> = Promise.resolve();
  const begin = async (): Promise<void> => {
    const [work, at] = [pieces, size - waiting];
    pieces = [];
    waiting = 0;
    await working;
    working = writeAll(file, work, at);
    working.catch(() => {}); // Whoever waits next hears of it.
  };
  const close = async (): Promise<void> => {
    if (!open) return;
    open = false;
    await working.catch(() => {});
    await file.close();
  };
  return {
    async write(chunk) {
      hash.update(chunk);
      size += chunk.length;
      waiting += chunk.length;
      pieces.push(chunk);
      if (waiting >= BATCH || pieces.length >= PIECES_MAX) await begin();
    },
    get size() {
      return size;
    },
    async commit(expected) {
      await begin();
      await working;
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

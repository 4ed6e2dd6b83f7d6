// The files that a log lies in: PATH is written, PATH.1 and so on were rotated away, PATH.1.gz was then compressed.
import { type FileHandle, open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';

/** Where a gzip header tells whose frames it has (core-asm/abi.ts, LOG_ORIGIN): u64 inode, u64 time of the first frame. */
const LOG_ORIGIN = 16;
const LOG_ORIGIN_END = 32;

const CHUNK = 1 << 16;

export interface OpenFile {
  /** What is there from this offset on; each piece may be overwritten when the next one is asked for. */
  read(from: number): AsyncIterable<Buffer>;
  /** Both show the same frames, whatever they were called meanwhile, compressed or not. */
  isSame(other: OpenFile): Promise<boolean>;
  close(): Promise<void>;
  readonly ino: bigint;
  /** Inode and beginning of the file whose frames these are; undefined where there are none yet. */
  origin(): Promise<string | undefined>;
  readonly compressed: boolean;
}

/**
 * The log and what was rotated away, oldest first; `known` ends the search backwards. Newest is opened first: a rotation in
 * between then shows a file twice, which is noticed, and hides none.
 */
export async function openFrom(path: string, known?: OpenFile): Promise<OpenFile[]> {
  const files: OpenFile[] = [];
  for (let index = 0, missing = 0; missing < 2; index++) {
    const file = await openOne(index === 0 ? path : `${path}.${index}`);
    if (file === undefined) {
      missing++; // For an instant, a rotation leaves a name empty.
      continue;
    }
    const last = known !== undefined && (await file.isSame(known));
    const again = last || (await anyIs(files, file));
    if (again) await file.close();
    else files.unshift(file);
    if (last) break;
  }
  return files;
}

async function anyIs(files: OpenFile[], file: OpenFile): Promise<boolean> {
  for (const other of files) if (await file.isSame(other)) return true;
  return false;
}

/** In this order: the compressed one gets its name before the other loses its own. */
async function openOne(path: string): Promise<OpenFile | undefined> {
  const plain = await open(path, 'r').catch(() => undefined);
  if (plain !== undefined) return openedFile(plain, false);
  const compressed = await open(`${path}.gz`, 'r').catch(() => undefined);
  return compressed && openedFile(compressed, true);
}

async function openedFile(handle: FileHandle, compressed: boolean): Promise<OpenFile> {
  const { ino } = await handle.stat({ bigint: true });
  const file: OpenFile = {
    ino,
    compressed,
    read: (from) => (compressed ? unzipped(handle, from) : piecesOf(handle, from)),
    async isSame(other) {
      // While both are open, no inode is given to another file.
      if (other.compressed === compressed) return other.ino === ino;
      const origin = await file.origin();
      return origin !== undefined && origin === (await other.origin());
    },
    async origin() {
      const bytes = Buffer.alloc(LOG_ORIGIN_END - LOG_ORIGIN);
      if (compressed) {
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, LOG_ORIGIN);
        return bytesRead < bytes.length ? undefined : bytes.toString('hex');
      }
      bytes.writeBigUInt64LE(ino);
      const { bytesRead } = await handle.read(bytes, 8, 8, 0);
      return bytesRead < 8 ? undefined : bytes.toString('hex');
    },
    close: () => handle.close(),
  };
  return file;
}

async function* piecesOf(handle: FileHandle, from: number): AsyncGenerator<Buffer> {
  const chunk = Buffer.alloc(CHUNK);
  for (let at = from; ; ) {
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}

/** What is compressed is complete, and read once: from its beginning, or not at all. */
async function* unzipped(handle: FileHandle, from: number): AsyncGenerator<Buffer> {
  if (from > 0) return;
  const source = handle.createReadStream({ start: 0, autoClose: false, highWaterMark: CHUNK });
  const gunzip = createGunzip();
  source.on('error', (error) => gunzip.destroy(error)).pipe(gunzip);
  try {
    yield* gunzip;
  } catch (error) {
    // Damaged from here on, as a frame may be: what came before is told.
    if (!String((error as NodeJS.ErrnoException).code).startsWith('Z_')) throw error;
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

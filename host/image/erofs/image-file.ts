// The file of an image while it is written: small pieces become large writes, one at a time, behind the back of who makes them.
import { type FileHandle, open, rm } from 'node:fs/promises';
import { GantryError } from '../../errors.ts';

const BLOCK = 4096;
const BATCH = 1 << 20;
const PIECES_MAX = 512;
const zeros = Buffer.alloc(BLOCK);

export interface ImageFile {
  /** Takes bytes that nobody changes any more. Gaps are zeros. */
  put(position: number, bytes: Uint8Array): void;
  /** To be awaited where there is much: waits until a write that is under way is done, and begins the next. */
  hasMuch(): boolean;
  begin(): Promise<void>;
  /** All that was put is written: who lent bytes may change them. */
  flush(): Promise<void>;
  /** Everything is in the file, which is then `size` bytes long. @throws {GantryError} DISK_FULL. */
  finish(size: number): Promise<void>;
  /** Leaves no file. */
  discard(): Promise<void>;
}

/** @throws {GantryError} INTERNAL where there is a file already, or none can be made. */
export async function createImageFile(path: string): Promise<ImageFile> {
  const file = await open(path, 'wx', 0o600).catch((cause: Error) => {
    throw writeError(cause);
  });
  let pieces: Uint8Array[] = [];
  let start = 0;
  let end = 0;
  /** Writes that wait because what follows does not continue them. */
  let batches: { start: number; pieces: Uint8Array[] }[] = [];
  let waiting = 0;
  let working: Promise<void> = Promise.resolve();

  const cut = (): void => {
    if (pieces.length > 0) batches.push({ start, pieces });
    pieces = [];
  };
  const write = async (work: typeof batches): Promise<void> => {
    for (const batch of work) await writeAll(file, batch.pieces, batch.start);
  };
  const begin = async (): Promise<void> => {
    cut();
    const work = batches;
    batches = [];
    waiting = 0;
    await working;
    working = write(work);
    // Whoever waits next hears of a failure.
    working.catch(() => {});
  };

  const flush = async (): Promise<void> => {
    await begin();
    await working;
  };

  return {
    put(position, bytes) {
      const gap = position - end;
      if (pieces.length === 0 || gap < 0 || gap >= BLOCK || pieces.length >= PIECES_MAX) {
        cut();
        start = position;
      } else if (gap > 0) pieces.push(zeros.subarray(0, gap));
      pieces.push(bytes);
      end = position + bytes.length;
      waiting += bytes.length + 64;
    },
    hasMuch: () => waiting >= BATCH,
    begin,
    flush,
    async finish(size) {
      try {
        await flush();
        await file.truncate(size);
        await file.close();
      } catch (cause) {
        throw writeError(cause as Error);
      }
    },
    async discard() {
      await working.catch(() => {});
      await file.close().catch(() => {});
      await rm(path, { force: true });
    },
  };
}

/** Writes pieces behind each other, however often the kernel takes a part only. */
export async function writeAll(file: FileHandle, pieces: Uint8Array[], start: number): Promise<void> {
  let left = pieces;
  for (let position = start; left.length > 0; ) {
    let { bytesWritten } = await file.writev(left, position);
    position += bytesWritten;
    const whole = left.findIndex((piece) => {
      if (bytesWritten < piece.length) return true;
      bytesWritten -= piece.length;
      return false;
    });
    if (whole < 0) return;
    left = [left[whole]!.subarray(bytesWritten), ...left.slice(whole + 1)];
  }
}

export function writeError(cause: Error): Error {
  if (cause instanceof GantryError) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new GantryError('DISK_FULL', `Cannot unpack the layer: ${cause.message}`, {
      hint: 'Free space on the file system that holds the data root',
      cause,
    });
  if (code === undefined) return cause;
  return new GantryError('INTERNAL', `Cannot write the image of a layer: ${cause.message}`, { cause });
}

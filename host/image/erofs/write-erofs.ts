// Makes an EROFS image of a layer's tar in one pass: data goes from the stream into the file, the core says where.
import {
  ACTION_COPY,
  ACTION_DONE,
  ACTION_DRAIN,
  ACTION_READ,
  ACTION_SKIP,
  ACTION_WRITE,
} from '../../../core-asm/erofs/abi.ts';
import { createErofsCore, type ErofsCore } from '../../core/erofs.ts';
import { createImageFile, type ImageFile, writeError } from './image-file.ts';

const SMALL = 4096;

export interface ErofsImage {
  /** Of the archive. */
  entries: number;
  /** Of all regular files, and lengths of links. */
  bytes: number;
  /** Of the image file. */
  size: number;
}

/**
 * Writes the image of a plain tar to a new file at `path`; the stream is read to its end, beyond the archive's own. Chunks of
 * the stream must not change once they are given. The same tar makes the same bytes. Nothing is left where it fails.
 * @param memory bytes that names may take.
 * @throws {GantryError} INVALID_ARCHIVE, TOO_LARGE where they take more, DISK_FULL, and whatever the stream or the signal throws.
 */
export async function writeErofs(
  path: string,
  tar: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
  memory?: number,
): Promise<ErofsImage> {
  const core = await createErofsCore(memory);
  const file = await createImageFile(path);
  const stream = createInput(tar, signal);
  try {
    for (let action = core.next(); action !== ACTION_DONE; action = core.next()) {
      const moved = obey(action, core, stream, file);
      if (moved !== undefined) await moved;
      if (file.hasMuch()) await file.begin();
    }
    const totals = core.totals();
    await file.finish(totals.size);
    return totals;
  } catch (error) {
    await file.discard();
    throw writeError(error as Error);
  } finally {
    core.close();
    await stream.close();
  }
}

/** A promise only where it has to wait for the stream. */
function obey(action: number, core: ErofsCore, stream: Input, file: ImageFile): Promise<void> | undefined {
  switch (action) {
    case ACTION_WRITE:
      // Large ones are lent: the core does not go on before they are written.
      if (core.length() <= SMALL) {
        file.put(core.position(), core.memory().slice());
        return;
      }
      file.put(core.position(), core.memory());
      return file.flush();
    case ACTION_READ:
      return pass(core, stream, file, (piece, at) => core.memory().set(piece, at));
    case ACTION_COPY: {
      const start = core.position();
      return pass(core, stream, file, (piece, at) => file.put(start + at, piece));
    }
    case ACTION_SKIP:
      return pass(core, stream, file, () => {});
    case ACTION_DRAIN:
      return drain(stream);
    default:
      throw new Error(`The core asks for the unknown action ${action}`);
  }
}

/** Gives what the action is about, piece by piece, each with its place in the whole. */
function pass(
  core: ErofsCore,
  stream: Input,
  file: ImageFile,
  use: (piece: Uint8Array, at: number) => void,
): Promise<void> | undefined {
  const length = core.length();
  const first = stream.take(length);
  if (first.length > 0) use(first, 0);
  if (first.length === length) return;
  const rest = async (): Promise<void> => {
    for (let at = first.length; at < length; ) {
      if (file.hasMuch()) await file.begin();
      if (!(await stream.fill())) return core.ended(at);
      const piece = stream.take(length - at);
      use(piece, at);
      at += piece.length;
    }
  };
  return rest();
}

async function drain(stream: Input): Promise<void> {
  do stream.take(Number.POSITIVE_INFINITY);
  while (await stream.fill());
}

interface Input {
  /** At most `length` bytes of what is there, without waiting. */
  take(length: number): Uint8Array;
  /** Waits for more; false at the end. To be called when nothing is left. */
  fill(): Promise<boolean>;
  close(): Promise<void>;
}

function createInput(tar: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Input {
  const iterator = tar[Symbol.asyncIterator]();
  let chunk: Uint8Array = new Uint8Array();
  let at = 0;
  let isOver = false;
  return {
    take(length) {
      const piece = chunk.subarray(at, at + length);
      at += piece.length;
      return piece;
    },
    async fill() {
      while (at === chunk.length && !isOver) {
        signal?.throwIfAborted();
        const next = await iterator.next().catch((error) => {
          isOver = true;
          throw error;
        });
        if (next.done) isOver = true;
        chunk = next.done ? new Uint8Array() : next.value;
        at = 0;
      }
      return !isOver;
    },
    async close() {
      if (!isOver) await iterator.return?.();
    },
  };
}

// Reads the log that a supervisor writes (frames of core-asm/abi.ts) as lines; follows it while the container runs.
import { watch } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Sizes and offsets of a frame's header: u64 time, u32 length, u8 stream, u8 flags, u16 zero. */
const HEADER = 16;
const STDERR = 2;
const FRAME_MAX = 1 << 20;

export interface LogEntry {
  stream: 'stdout' | 'stderr';
  /** Nanoseconds since the epoch. */
  at: bigint;
  /** One line with its newline, or what was written without one. */
  data: Buffer;
}

export interface LogQuery {
  /** Nanoseconds since the epoch, inclusive. */
  since?: bigint;
  until?: bigint;
  /** Number of lines from the end; absent: all. */
  tail?: number;
  /** Go on until this resolves. */
  follow?: Promise<unknown>;
  signal?: AbortSignal;
}

/** Lines in the order in which they came. */
export async function* readLogs(path: string, query: LogQuery): AsyncGenerator<LogEntry> {
  const wanted = ({ at }: LogEntry): boolean =>
    (query.since === undefined || at >= query.since) && (query.until === undefined || at <= query.until);
  const current = await open(path, 'r').catch(() => undefined);
  try {
    const position = { offset: 0 };
    let last: LogEntry[] = [];
    for (const older of await rotated(path)) {
      const file = await open(older, 'r').catch(() => undefined);
      if (file === undefined) continue;
      for await (const entry of readFrames(file, { offset: 0 })) {
        if (!wanted(entry)) continue;
        if (query.tail === undefined) yield entry;
        else last = keep(last, entry, query.tail);
      }
      await file.close();
    }
    if (current !== undefined)
      for await (const entry of readFrames(current, position)) {
        if (!wanted(entry)) continue;
        if (query.tail === undefined) yield entry;
        else last = keep(last, entry, query.tail);
      }
    if (query.tail !== undefined) yield* last.slice(Math.max(0, last.length - query.tail));
    if (query.follow !== undefined && current !== undefined)
      yield* followFrames(path, current, position, query, wanted);
  } finally {
    await current?.close();
  }
}

/** Twice as many as needed at most, so that the array is not moved at each line. */
function keep(last: LogEntry[], entry: LogEntry, tail: number): LogEntry[] {
  last.push(entry);
  return last.length > 2 * tail + 64 ? last.slice(last.length - tail) : last;
}

/** path.N … path.1, oldest first. */
async function rotated(path: string): Promise<string[]> {
  const name = `${basename(path)}.`;
  const names = await readdir(dirname(path)).catch(() => []);
  return names
    .filter((file) => file.startsWith(name) && /^\d+$/.test(file.slice(name.length)))
    .sort((a, b) => Number(b.slice(name.length)) - Number(a.slice(name.length)))
    .map((file) => join(dirname(path), file));
}

/** Whole frames from the position on; an incomplete one at the end is left for the next call. */
async function* readFrames(file: FileHandle, position: { offset: number }): AsyncGenerator<LogEntry> {
  let held = Buffer.alloc(0);
  const chunk = Buffer.alloc(1 << 16);
  let at = position.offset;
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    held = Buffer.concat([held, chunk.subarray(0, bytesRead)]);
    let used = 0;
    while (held.length - used >= HEADER) {
      const length = held.readUInt32LE(used + 8);
      if (length > FRAME_MAX) return; // Damaged from here on: nothing behind it can be found.
      if (held.length - used < HEADER + length) break;
      const time = held.readBigUInt64LE(used);
      const stream = held.readUInt8(used + 12) === STDERR ? 'stderr' : 'stdout';
      const data = Buffer.from(held.subarray(used + HEADER, used + HEADER + length));
      used += HEADER + length;
      position.offset += HEADER + length;
      for (const line of linesOf(data)) yield { stream, at: time, data: line };
    }
    held = held.subarray(used);
  }
}

function* linesOf(data: Buffer): Generator<Buffer> {
  for (let from = 0; from < data.length; ) {
    const newline = data.indexOf(10, from);
    const to = newline < 0 ? data.length : newline + 1;
    yield data.subarray(from, to);
    from = to;
  }
}

async function* followFrames(
  path: string,
  first: FileHandle,
  position: { offset: number },
  { follow, signal }: LogQuery,
  wanted: (entry: LogEntry) => boolean,
): AsyncGenerator<LogEntry> {
  let ended = false;
  let changed = (): void => {};
  const wake = (): void => changed();
  const watcher = watch(path, wake);
  const stop = (): void => {
    ended = true;
    wake();
  };
  follow?.then(stop, stop);
  signal?.addEventListener('abort', stop);
  let file = first;
  let at = position;
  try {
    for (;;) {
      const finished = ended;
      const waiting = new Promise<void>((resolve) => {
        changed = resolve;
      });
      for await (const entry of readFrames(file, at)) if (wanted(entry)) yield entry;
      if (signal?.aborted) return;
      const fresh = await replaced(path, file);
      if (fresh !== undefined) {
        for await (const entry of readFrames(file, at)) if (wanted(entry)) yield entry;
        if (file !== first) await file.close();
        file = fresh;
        at = { offset: 0 };
        continue;
      }
      if (finished) return;
      // A rotation is not told by the watch on the old file: look again now and then.
      await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
    }
  } finally {
    watcher.close();
    signal?.removeEventListener('abort', stop);
    if (file !== first) await file.close();
  }
}

/** The new file where the log was rotated. */
async function replaced(path: string, file: FileHandle): Promise<FileHandle | undefined> {
  const fresh = await open(path, 'r').catch(() => undefined);
  if (fresh === undefined) return undefined;
  const [a, b] = await Promise.all([file.stat(), fresh.stat()]);
  if (a.ino !== b.ino) return fresh;
  await fresh.close();
  return undefined;
}

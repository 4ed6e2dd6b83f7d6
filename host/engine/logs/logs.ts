// Reads the log that a supervisor writes (frames of core-asm/abi.ts) as lines; follows it while the container runs.
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { type OpenFile, openFrom } from './log-files.ts';

/** Sizes and offsets of a frame's header: u64 time, u32 length, u8 stream, u8 flags, u16 zero. */
const LOG_HEADER = 16;
const STDERR = 2;
const FRAME_MAX = 1 << 20;
const NEWLINE = 10;
/** Where nothing can be watched. */
const POLL_MS = 200;

export interface LogEntry {
  stream: 'stdout' | 'stderr';
  /** Nanoseconds since the epoch. */
  at: bigint;
  /** One line with its newline, or what was written without one. */
  data: Buffer;
  /** It goes on where the one before of its stream stopped in the middle of a line. */
  continues: boolean;
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
  const files = await openFrom(path);
  const open = new OpenLines();
  try {
    const last: LogEntry[] = [];
    let position = { offset: 0 };
    for (const file of files) {
      position = { offset: 0 };
      for await (const entry of readFrames(file, position, open)) {
        if (!wanted(entry)) continue;
        if (query.tail === undefined) yield entry;
        else keep(last, entry, query.tail);
      }
    }
    yield* lastLines(last, query.tail ?? 0);
    if (query.follow !== undefined) yield* followFrames(path, files, position, open, query, wanted);
  } finally {
    for (const file of files) await file.close();
  }
}

/** Which streams are in the middle of a line. */
class OpenLines {
  readonly streams = new Set<LogEntry['stream']>();
}

/** Drops what is too much only now and then, so that the array is not moved at each line. */
function keep(last: LogEntry[], entry: LogEntry, tail: number): void {
  last.push(entry);
  if (last.length > 4 * tail + 256) last.splice(0, last.length, ...lastLines(last, tail));
}

/** From the beginning of the last so many lines on. */
function lastLines(entries: LogEntry[], tail: number): LogEntry[] {
  let lines = 0;
  let from = entries.length;
  while (from > 0 && lines < tail) if (!entries[--from]!.continues) lines++;
  return entries.slice(from);
}

/** Whole frames from the position on; an incomplete one at the end is left for the next call. */
async function* readFrames(
  file: OpenFile,
  position: { offset: number },
  { streams }: OpenLines,
): AsyncGenerator<LogEntry> {
  let held = Buffer.alloc(0);
  for await (const chunk of file.read(position.offset)) {
    held = Buffer.concat([held, chunk]);
    let used = 0;
    while (held.length - used >= LOG_HEADER) {
      const length = held.readUInt32LE(used + 8);
      if (length > FRAME_MAX) return; // Damaged from here on: nothing behind it can be found.
      if (held.length - used < LOG_HEADER + length) break;
      const time = held.readBigUInt64LE(used);
      const stream = held.readUInt8(used + 12) === STDERR ? 'stderr' : 'stdout';
      const data = Buffer.from(held.subarray(used + LOG_HEADER, used + LOG_HEADER + length));
      used += LOG_HEADER + length;
      position.offset += LOG_HEADER + length;
      for (const line of linesOf(data)) {
        yield { stream, at: time, data: line, continues: streams.has(stream) };
        if (line.at(-1) === NEWLINE) streams.delete(stream);
        else streams.add(stream);
      }
    }
    held = held.subarray(used);
  }
}

function* linesOf(data: Buffer): Generator<Buffer> {
  for (let from = 0; from < data.length; ) {
    const newline = data.indexOf(NEWLINE, from);
    const to = newline < 0 ? data.length : newline + 1;
    yield data.subarray(from, to);
    from = to;
  }
}

async function* followFrames(
  path: string,
  files: OpenFile[],
  position: { offset: number },
  open: OpenLines,
  { follow, signal }: LogQuery,
  wanted: (entry: LogEntry) => boolean,
): AsyncGenerator<LogEntry> {
  let ended = false;
  let changed = (): void => {};
  const stop = (): void => {
    ended = true;
    changed();
  };
  const watcher = watchDirectory(dirname(path), () => changed());
  follow?.then(stop, stop);
  signal?.addEventListener('abort', stop);
  try {
    for (let at = position; ; ) {
      const finished = ended;
      const waiting = new Promise<void>((resolve) => {
        changed = resolve;
      });
      const newest = files.at(-1);
      if (newest !== undefined) for await (const entry of readFrames(newest, at, open)) if (wanted(entry)) yield entry;
      if (signal?.aborted) return;
      for (const file of await openFrom(path, newest)) {
        // What was written to the old file between the last look and its rotation.
        const before = files.at(-1);
        if (before !== undefined)
          for await (const entry of readFrames(before, at, open)) if (wanted(entry)) yield entry;
        files.push(file);
        at = { offset: 0 };
      }
      if (files.at(-1) !== newest) continue;
      if (finished) return;
      await Promise.race([
        waiting,
        ...(watcher ? [] : [new Promise((resolve) => setTimeout(resolve, POLL_MS).unref())]),
      ]);
    }
  } finally {
    watcher?.close();
    signal?.removeEventListener('abort', stop);
  }
}

/** The directory, not the file: a rotation puts another file there. Undefined where the kernel has no watch left. */
function watchDirectory(directory: string, changed: () => void): FSWatcher | undefined {
  try {
    return watch(directory, changed).on('error', changed);
  } catch {
    return undefined;
  }
}

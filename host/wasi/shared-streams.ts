// Standard streams between the runner's thread and the program's, which waits in calls: memory that both have, and messages.
import type { MessagePort } from 'node:worker_threads';
import type { InputStream, OutputStream } from './preview1/descriptors.ts';

/** Words of the control block. */
const WRITTEN = 0;
const TAKEN = 1;
const CLOSED = 2;
/** Rises with whatever happens to the input. */
const CHANGED = 3;
/** Bytes of output that are on their way. */
const UNDER_WAY = 4;
const WORDS = 5;

const INPUT_SIZE = 65536;
/** So much output is on its way at most; then the program waits. */
const OUTPUT_LIMIT = 1 << 20;
const OUTPUT_PIECE = 1 << 18;

export interface SharedStreams {
  control: SharedArrayBuffer;
  input: SharedArrayBuffer;
}

export function shareStreams(): SharedStreams {
  return {
    control: new SharedArrayBuffer(WORDS * 4),
    input: new SharedArrayBuffer(INPUT_SIZE),
  };
}

/** The program's end of its input. @param taken called when there may be room again. */
export function programInput({ control, input }: SharedStreams, taken: () => void): InputStream {
  const words = new Int32Array(control);
  const ring = new Uint8Array(input);
  const here = (): number => (Atomics.load(words, WRITTEN) - Atomics.load(words, TAKEN)) | 0;
  const ready = (): boolean => here() > 0 || Atomics.load(words, CLOSED) === 1;
  const wait = (milliseconds: number): void => {
    const seen = Atomics.load(words, CHANGED);
    if (!ready()) Atomics.wait(words, CHANGED, seen, Math.max(0, milliseconds));
  };
  return {
    kind: 'input',
    ready,
    wait,
    read(into) {
      while (!ready()) wait(Number.POSITIVE_INFINITY);
      const at = (Atomics.load(words, TAKEN) >>> 0) % INPUT_SIZE;
      const count = Math.min(here(), into.length, INPUT_SIZE - at);
      into.set(ring.subarray(at, at + count));
      Atomics.add(words, TAKEN, count);
      if (count > 0) taken();
      return count;
    },
  };
}

export interface ProgramOutput {
  stream: 'stdout' | 'stderr';
  data: Uint8Array;
}

export function programOutput(
  { control }: SharedStreams,
  stream: ProgramOutput['stream'],
  port: Pick<MessagePort, 'postMessage'>,
): OutputStream {
  const words = new Int32Array(control);
  return {
    kind: 'output',
    write(bytes) {
      for (let at = 0; at < bytes.length; at += OUTPUT_PIECE) {
        const data = bytes.slice(at, at + OUTPUT_PIECE);
        for (;;) {
          const waiting = Atomics.load(words, UNDER_WAY);
          if (waiting < OUTPUT_LIMIT) break;
          Atomics.wait(words, UNDER_WAY, waiting);
        }
        Atomics.add(words, UNDER_WAY, data.length);
        port.postMessage({ stream, data } satisfies ProgramOutput, [data.buffer]);
      }
    },
  };
}

/** The runner's end. */
export interface Streams {
  write(data: Uint8Array): void;
  closeInput(): void;
  /** Bytes that the program has not asked for yet, beyond what lies in the shared memory. */
  readonly held: number;
  /** There may be room in the shared memory. */
  feed(): void;
  /** Output has left: the program may write as much again. */
  passed(bytes: number): void;
}

export function runnerStreams({ control, input }: SharedStreams): Streams {
  const words = new Int32Array(control);
  const ring = new Uint8Array(input);
  const waiting: Uint8Array[] = [];
  let held = 0;
  let closing = false;
  const tell = (): void => {
    Atomics.add(words, CHANGED, 1);
    Atomics.notify(words, CHANGED);
  };
  const feed = (): void => {
    let fed = false;
    for (let data = waiting[0]; data !== undefined; data = waiting[0]) {
      const written = Atomics.load(words, WRITTEN);
      const room = INPUT_SIZE - ((written - Atomics.load(words, TAKEN)) | 0);
      const at = (written >>> 0) % INPUT_SIZE;
      const count = Math.min(room, data.length, INPUT_SIZE - at);
      if (count === 0) break;
      ring.set(data.subarray(0, count), at);
      Atomics.add(words, WRITTEN, count);
      held -= count;
      fed = true;
      if (count === data.length) waiting.shift();
      else waiting[0] = data.subarray(count);
    }
    if (closing && waiting.length === 0 && Atomics.exchange(words, CLOSED, 1) === 0) fed = true;
    if (fed) tell();
  };
  return {
    write(data) {
      if (closing || data.length === 0) return;
      waiting.push(data.slice());
      held += data.length;
      feed();
    },
    closeInput() {
      closing = true;
      feed();
    },
    get held() {
      return held;
    },
    feed,
    passed(bytes) {
      Atomics.sub(words, UNDER_WAY, bytes);
      Atomics.notify(words, UNDER_WAY);
    },
  };
}

// What Node cannot decompress: xz, bzip2, and zstd before 22.15. A thread for each stream, with decoders in WebAssembly or JavaScript.
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

export type ThreadKind = 'zstd' | 'xz' | 'bzip2';

type Message = 'want' | 'done' | { error: string } | Uint8Array[];

class DamagedStream extends Error {
  readonly code = 'DAMAGED_STREAM';
}

/** Beside this file in the sources; one folder up from a chunk of the bundle. */
function program(): URL {
  const beside = new URL('./decompress-worker.mjs', import.meta.url);
  return existsSync(beside) ? beside : new URL('../decompress-worker.mjs', import.meta.url);
}

/** What its hostile streams may need at most: more ends the thread, and nothing but it. */
const HEAP_MEGABYTES = 256;

/** The plain bytes of a stream. @throws {DamagedStream} where it cannot be read; whatever `source` throws. */
export async function* decompressInThread(
  kind: ThreadKind,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  /** Counts what was sent: the thread waits for it to change. */
  const arrivals = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(program(), {
    execArgv: [],
    workerData: { kind, arrivals },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
  });
  const send = (message: Uint8Array | null | 'more'): void => {
    worker.postMessage(message);
    Atomics.add(arrivals, 0, 1);
    Atomics.notify(arrivals, 0);
  };
  const inbox = createInbox(worker);
  const wanted = createCounter();
  let isOver = false;
  const feed = async (): Promise<void> => {
    for await (const chunk of source) {
      await wanted.take();
      if (isOver) return;
      send(chunk);
    }
    send(null);
  };
  feed().catch(inbox.fail);
  try {
    for (;;) {
      const message = await inbox.next();
      if (message === 'want') wanted.add();
      else if (message === 'done') return;
      else if (Array.isArray(message)) {
        send('more');
        yield* message;
      } else throw new DamagedStream(`invalid ${kind} data: ${message.error}`);
    }
  } finally {
    isOver = true;
    wanted.add();
    await worker.terminate();
  }
}

interface Inbox {
  next(): Promise<Message>;
  fail(error: unknown): void;
}

function createInbox(worker: Worker): Inbox {
  const messages: Message[] = [];
  let failure: { error: unknown } | undefined;
  let wake = (): void => {};
  const fail = (error: unknown): void => {
    failure ??= { error };
    wake();
  };
  worker.on('message', (message: Message) => {
    messages.push(message);
    wake();
  });
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('The thread that decompresses has ended')));
  return {
    fail,
    async next() {
      while (messages.length === 0) {
        if (failure !== undefined) throw failure.error;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return messages.shift()!;
    },
  };
}

/** Counts what may be taken; who finds nothing waits. */
function createCounter(): { add(): void; take(): Promise<void> } {
  let count = 0;
  let wake = (): void => {};
  return {
    add() {
      count++;
      wake();
    },
    async take() {
      while (count === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      count--;
    },
  };
}

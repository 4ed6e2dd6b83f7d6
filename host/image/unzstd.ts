// zstd for a Node that has none of its own (before 22.15): a decoder in WebAssembly, in a thread for each stream.
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

type Message = 'want' | 'done' | { error: string } | Uint8Array[];

/** Beside this file in the sources; one folder up from a chunk of the bundle. */
function program(): URL {
  const beside = new URL('./unzstd-worker.mjs', import.meta.url);
  return existsSync(beside) ? beside : new URL('../unzstd-worker.mjs', import.meta.url);
}

/** The plain bytes of a zstd stream. @throws {Error} "invalid zstd data" or what it is cut short of; whatever `source` throws. */
export async function* unzstdInThread(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const worker = new Worker(program(), { execArgv: [] });
  const inbox = createInbox(worker);
  const wanted = createCounter();
  let isOver = false;
  const feed = async (): Promise<void> => {
    for await (const chunk of source) {
      await wanted.take();
      if (isOver) return;
      worker.postMessage(chunk);
    }
    worker.postMessage(null);
  };
  feed().catch(inbox.fail);
  try {
    for (;;) {
      const message = await inbox.next();
      if (message === 'want') wanted.add();
      else if (message === 'done') return;
      else if (Array.isArray(message)) {
        worker.postMessage('more');
        yield* message;
      } else throw new Error(`Invalid zstd data: ${message.error}`);
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

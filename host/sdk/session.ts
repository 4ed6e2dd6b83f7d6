// A process that is spoken to: input and output over one connection, exit status at its end.
import type { Socket } from 'node:net';
import type { Api, SendOptions } from '../client/api.ts';
import { type Abortable, under } from './abort.ts';
import { Output } from './output.ts';

/** What is sent as standard input: all at once, or piece by piece. */
export type Input = string | Uint8Array | Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

/** A running process with its streams. Disposing leaves it; the process goes on. */
export class Session extends Output implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #exit: () => Promise<number>;

  /** @internal */
  constructor(socket: Socket, raw: boolean, exit: () => Promise<number>, signal?: AbortSignal) {
    super(async () => ({ bytes: untilClosed(socket), raw, close: () => socket.destroy() }), signal);
    this.#socket = socket;
    this.#exit = exit;
    // Whoever reads is told; nobody else has to be.
    socket.on('error', () => {});
    const aborted = (): void => void socket.destroy();
    signal?.addEventListener('abort', aborted, { once: true });
    socket.once('close', () => signal?.removeEventListener('abort', aborted));
  }

  /** Sends input; resolves when more may be sent, to false where nobody takes it any more. */
  async write(data: string | Uint8Array): Promise<boolean> {
    if (this.#socket.destroyed) return false;
    if (this.#socket.write(data)) return true;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
    return !this.#socket.destroyed;
  }

  /** Ends the input: the process reads its end. */
  end(): void {
    this.#socket.end();
  }

  /** The exit status, once the process has ended and its output was read. */
  wait(): Promise<number> {
    return this.#exit();
  }

  /** Leaves the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
  }
}

/** A connection that breaks off is the end of output: how the process ended is asked separately. */
async function* untilClosed(socket: Socket): AsyncGenerator<Uint8Array> {
  try {
    yield* socket;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(code)) throw error;
  }
}

async function feed(session: Session, input: Input | undefined): Promise<void> {
  if (typeof input === 'string' || input instanceof Uint8Array) await session.write(input);
  else if (input !== undefined) for await (const piece of input) if (!(await session.write(piece))) return;
  session.end();
}

/**
 * Collects output while the input is sent: a process that answers before it has read all is not held up, and one that ends
 * does not wait for input that never ends. @internal
 */
export function converse(session: Session, input: Input | undefined): Promise<{ stdout: Buffer; stderr: Buffer }> {
  const failed = new Promise<never>((_resolve, reject) => {
    feed(session, input).catch(async (error: unknown) => {
      reject(error);
      await session[Symbol.asyncDispose]();
    });
  });
  return Promise.race([session.collect(), failed]);
}

/** @internal */
export async function openSession(
  api: Api,
  path: string,
  options: SendOptions & Abortable,
  exit: () => Promise<number>,
): Promise<Session> {
  const { signal } = options;
  const { socket, raw } = await under(signal, () => api.hijack(path, options));
  if (signal?.aborted) socket.destroy();
  signal?.throwIfAborted();
  return new Session(socket, raw, exit, signal);
}

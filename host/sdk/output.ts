// Output of containers: chunks as they come, lines, or all of it.
import { createDemultiplexer } from '../client/stdcopy.ts';
import { under } from './abort.ts';

/** A piece of output, as the engine sent it. */
export interface OutputChunk {
  /** What it was written to; all is `stdout` where the container has a terminal. */
  stream: 'stdout' | 'stderr';
  data: Uint8Array;
}

/** A line of output, without its end. */
export interface OutputLine {
  stream: 'stdout' | 'stderr';
  text: string;
}

/** Bytes of the engine, opened when somebody reads. */
export interface OutputSource {
  bytes: AsyncIterable<Uint8Array>;
  /** A terminal's: not framed. */
  raw: boolean;
  close(): void;
}

/** What a process wrote. Read it once, in one of the ways it offers; leaving the loop closes it. */
export class Output implements AsyncIterable<OutputChunk> {
  readonly #open: () => Promise<OutputSource>;
  readonly #signal: AbortSignal | undefined;

  /** @internal */
  constructor(open: () => Promise<OutputSource>, signal?: AbortSignal) {
    this.#open = open;
    this.#signal = signal;
  }

  /** Chunks, as they come. */
  async *[Symbol.asyncIterator](): AsyncGenerator<OutputChunk, void, undefined> {
    const { bytes, raw, close } = await under(this.#signal, this.#open);
    let ready: OutputChunk[] = [];
    const split = raw
      ? (data: Uint8Array) => void ready.push({ stream: 'stdout', data })
      : createDemultiplexer((stream, data) => void ready.push({ stream, data }));
    try {
      for await (const chunk of bytes) {
        split(chunk as Buffer);
        const now = ready;
        ready = [];
        yield* now;
      }
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw error;
    } finally {
      close();
    }
    this.#signal?.throwIfAborted();
  }

  /** Lines of both streams, each as soon as it is whole; what has no end of line comes last. */
  async *lines(): AsyncGenerator<OutputLine, void, undefined> {
    const held = { stdout: '', stderr: '' };
    const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
    for await (const { stream, data } of this) {
      const lines = (held[stream] + decoders[stream].decode(data, { stream: true })).split(/\r?\n/);
      held[stream] = lines.pop() ?? '';
      for (const text of lines) yield { stream, text };
    }
    for (const stream of ['stdout', 'stderr'] as const) {
      const text = held[stream] + decoders[stream].decode();
      if (text !== '') yield { stream, text };
    }
  }

  /** All of it, when it has ended. */
  async collect(): Promise<{ stdout: Buffer; stderr: Buffer }> {
    const chunks: Record<'stdout' | 'stderr', Uint8Array[]> = { stdout: [], stderr: [] };
    for await (const { stream, data } of this) chunks[stream].push(data);
    return { stdout: Buffer.concat(chunks.stdout), stderr: Buffer.concat(chunks.stderr) };
  }

  /** Both streams as text, when they have ended. */
  async text(): Promise<string> {
    const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
    let text = '';
    for await (const { stream, data } of this) text += decoders[stream].decode(data, { stream: true });
    return text + decoders.stdout.decode() + decoders.stderr.decode();
  }
}

/** How a process ended, and what it wrote. */
export interface Result {
  /** 128 and the signal's number where a signal ended it. A failure does not throw: look at this. */
  exitCode: number;
  stdout: string;
  stderr: string;
  /** The same as bytes, for what is no text. */
  bytes: { stdout: Uint8Array; stderr: Uint8Array };
}

/** @internal */
export function resultOf(exitCode: number, { stdout, stderr }: { stdout: Buffer; stderr: Buffer }): Result {
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString(), bytes: { stdout, stderr } };
}

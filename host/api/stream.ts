// Attached streams: docker's hijacked connections and the eight-byte frames of stdout and stderr.
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { OutputSink } from '../backend.ts';
import { GantryError } from '../errors.ts';
import type { Call } from './http.ts';
import { isBefore } from './versions.ts';

/** Header of docker's stdcopy format: u8 stream, three zeros, u32 length, big-endian. */
export function stdcopyFrame(stream: 'stdout' | 'stderr', data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(8 + data.length);
  frame.writeUInt32BE(stream === 'stderr' ? 0x02000000 : 0x01000000, 0);
  frame.writeUInt32BE(data.length, 4);
  frame.set(data, 8);
  return frame;
}

/** An archive as the answer. @param cancel ends whoever makes it where the client has gone, even before it began. */
export async function sendTar({ response }: Call, tar: AsyncIterable<Uint8Array>, cancel: () => void): Promise<void> {
  response.once('close', cancel);
  if (response.destroyed) cancel();
  // A failure on the way cuts the answer short: the client sees that it is not whole.
  await pipeline(tar, response).catch(() => response.destroy());
}

export interface Hijacked {
  /** Where output goes; `raw` without frames (a terminal). */
  sink(raw: boolean, wanted: { stdout: boolean; stderr: boolean }): OutputSink;
  /** What the client sends; `end` when it closes its half, `gone` when it is gone altogether. */
  input(listener: { data(chunk: Uint8Array): Promise<void> | void; end(): void; gone(): void }): void;
  end(): void;
  /** Ends with a message, and its hint, where output would have been. */
  fail(raw: boolean, error: Error): void;
}

/** Answers 101 (or 200 where no upgrade was asked for) and hands the connection over. */
export function hijack(call: Call, raw: boolean): Hijacked {
  const contentType = streamType(call, raw);
  const { upgraded, request, response } = call;
  let output: Duplex | Call['response'];
  let source: Duplex | Call['request'];
  if (upgraded) {
    response.detachSocket(upgraded.socket);
    upgraded.socket.write(
      `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${contentType}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`,
    );
    output = upgraded.socket;
    source = upgraded.socket;
    if (upgraded.head.length > 0) upgraded.socket.unshift(upgraded.head);
  } else {
    response.writeHead(200, { 'content-type': contentType });
    response.flushHeaders();
    output = response;
    source = request;
  }
  const write = (data: Uint8Array): Promise<void> | undefined => {
    if (output.destroyed || output.writableEnded || output.write(data)) return undefined;
    return new Promise((resolve) => {
      const done = (): void => {
        output.off('drain', done);
        output.off('close', done);
        resolve();
      };
      output.once('drain', done);
      output.once('close', done);
    });
  };
  output.on('error', () => {});
  return {
    sink: (rawOutput, wanted) => ({
      output(stream, data) {
        if (!wanted[stream] && !(rawOutput && wanted.stdout)) return undefined;
        return write(rawOutput ? data : stdcopyFrame(stream, data));
      },
      end: () => void output.end(),
    }),
    input(listener) {
      source.on('data', (chunk: Buffer) => {
        const wait = listener.data(chunk);
        if (wait === undefined) return;
        source.pause();
        wait.then(
          () => source.resume(),
          () => source.resume(),
        );
      });
      source.once('end', () => listener.end());
      (upgraded ? source : response).once('close', () => listener.gone());
      source.on('error', () => {});
      source.resume();
    },
    end: () => void output.end(),
    fail(rawOutput, error) {
      const hint = error instanceof GantryError && error.hint ? `Hint: ${error.hint}\r\n` : '';
      const line = Buffer.from(`${error.message}\r\n${hint}`);
      output.end(rawOutput ? line : stdcopyFrame('stderr', line));
    },
  };
}

/** Content-Type of output: with frames since 1.42, where it was named. */
export function streamType(call: Call, raw: boolean): string {
  return `application/vnd.docker.${raw || isBefore(call, '1.42') ? 'raw-stream' : 'multiplexed-stream'}`;
}

// Stands before a real registry and does what networks and registries do on bad days: cuts, refuses, waits, redirects.
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What becomes of one request; undefined: it is passed on. */
export interface Mischief {
  /** Answers itself. */
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  /** Passes on so many bytes of the answer's body, then cuts the connection. */
  cutAfter?: number;
  /** Passes on so many bytes and waits for this before it goes on. */
  holdAfter?: number;
  until?: Promise<void>;
  /** Headers beside the registry's own. */
  also?: Record<string, string>;
  /** Does not tell the registry which part is wanted. */
  ignoreRange?: boolean;
}

export interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
}

/** @param seenBefore how often this path was asked for. */
export type Behaviour = (path: string, seenBefore: number, request: Seen) => Mischief | undefined;

export interface Front {
  /** "127.0.0.1:PORT". */
  host: string;
  seen: Seen[];
  /** Paths of the blobs that were asked for. */
  blobs(): string[];
  /** Connections that clients have open. */
  connections(): Promise<number>;
  behave(mischief: Behaviour): void;
  close(): Promise<void>;
}

export async function startFront(registry: string): Promise<Front> {
  const seen: Seen[] = [];
  let mischief: Behaviour = () => undefined;

  const forward = (incoming: IncomingMessage, outgoing: ServerResponse, fault: Mischief): void => {
    const { range, ...others } = incoming.headers;
    const headers = fault.ignoreRange || range === undefined ? others : { ...others, range };
    const [host, port] = registry.split(':');
    const passed = httpRequest({ host, port, path: incoming.url, method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, { ...answer.headers, ...fault.also });
      void copy(answer, outgoing, fault);
    });
    passed.on('error', () => outgoing.destroy());
    outgoing.once('close', () => passed.destroy());
    incoming.pipe(passed);
  };

  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? '';
    const before = seen.filter((request) => request.path === path).length;
    const request = { method: incoming.method ?? '', path, headers: incoming.headers };
    seen.push(request);
    const fault = mischief(path, before, request) ?? {};
    if (fault.status === undefined) forward(incoming, outgoing, fault);
    else outgoing.writeHead(fault.status, fault.headers).end(fault.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    blobs: () => seen.map(({ path }) => path).filter((path) => path.includes('/blobs/')),
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    behave(next) {
      mischief = next;
      seen.length = 0;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function copy(answer: IncomingMessage, outgoing: ServerResponse, fault: Mischief): Promise<void> {
  let passed = 0;
  const write = async (chunk: Buffer): Promise<void> => {
    passed += chunk.length;
    if (outgoing.write(chunk)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        outgoing.off('drain', done).off('close', done);
        resolve();
      };
      outgoing.on('drain', done).on('close', done);
    });
  };
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const limit = fault.cutAfter ?? fault.holdAfter ?? Number.POSITIVE_INFINITY;
      const now = Math.max(0, Math.min(chunk.length, limit - passed));
      await write(chunk.subarray(0, now));
      if (now === chunk.length) continue;
      if (fault.cutAfter !== undefined) {
        // Behind what the kernel has not sent yet.
        outgoing.write('', () => setTimeout(() => outgoing.destroy(), 20));
        return;
      }
      await fault.until;
      await write(chunk.subarray(now));
      fault = {};
    }
    outgoing.end();
  } catch {
    outgoing.destroy();
  }
}

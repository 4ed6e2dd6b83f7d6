// Requests and answers of the API, between node:http and the routes.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { GantryError } from '../errors.ts';

export interface Call {
  method: string;
  /** Named parts of the path, decoded. */
  params: Record<string, string>;
  query: URLSearchParams;
  request: IncomingMessage;
  response: ServerResponse;
  /** API version of the path's prefix, "1.51" where there is none. */
  version: string;
  /** The raw connection where the client asked for an upgrade. */
  upgraded?: { socket: Duplex; head: Buffer };
}

export type Handler = (call: Call) => Promise<void> | void;

export interface Route {
  method: string;
  /** "/containers/:id/json"; ":name*" takes slashes too. */
  path: string;
  handler: Handler;
}

export const API_VERSION = '1.51';
export const API_VERSION_MIN = '1.24';

const BODY_MAX = 16 * 1024 * 1024;

/** The body as JSON; {} where there is none. @throws {GantryError} INVALID_ARGUMENT. */
export async function readJson<T>({ request }: Call): Promise<T> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > BODY_MAX)
      throw new GantryError('INVALID_ARGUMENT', `Cannot read the request: its body exceeds ${BODY_MAX} bytes`);
    chunks.push(chunk as Buffer);
  }
  const text = Buffer.concat(chunks).toString();
  if (text === '') return {} as T;
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new GantryError('INVALID_ARGUMENT', `Invalid JSON: ${(cause as Error).message}`);
  }
}

export function sendJson({ response }: Call, value: unknown, status = 200): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

export function sendNothing({ response }: Call, status = 204): void {
  response.writeHead(status);
  response.end();
}

/** The answer to a failure: docker's {"message"}, and what gantry knows more. */
export function sendError(call: Pick<Call, 'request' | 'response' | 'upgraded'>, error: unknown): void {
  const known = error instanceof GantryError ? error : undefined;
  const status = known?.httpStatus ?? 500;
  const message = error instanceof Error ? error.message : String(error);
  const value = { message, ...(known ? { code: known.code } : {}), ...(known?.hint ? { hint: known.hint } : {}) };
  const body = `${JSON.stringify(value)}\n`;
  if (call.upgraded) {
    const head = `HTTP/1.1 ${status} Error\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`;
    call.upgraded.socket.end(head + body);
  } else if (call.response.headersSent) call.response.end();
  else {
    call.response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    call.response.write(body);
    endAfterRequest(call);
  }
}

/** A client that is still sending must be let: a connection that closes under it takes the answer with it. */
const SENDING_MS = 5000;

function endAfterRequest({ request, response }: Pick<Call, 'request' | 'response'>): void {
  if (request.complete) {
    response.end();
    return;
  }
  const timer = setTimeout(end, SENDING_MS);
  function end(): void {
    clearTimeout(timer);
    response.end();
  }
  request.once('end', end).once('close', end);
  request.on('data', () => {});
  request.resume();
}

/** "1", "true", "True" are true; "", "0", "false" and absence are false. */
export function flag({ query }: Call, name: string): boolean {
  return /^(1|true|t|yes|on)$/i.test(query.get(name) ?? '');
}

/** Newline-delimited JSON as it comes. The status is sent with the first line, so that an early failure has its own. */
export function jsonLines({ response }: Call): { line(value: unknown): void; end(): void; readonly begun: boolean } {
  let begun = false;
  const begin = (): void => {
    if (!begun) response.writeHead(200, { 'content-type': 'application/json' });
    begun = true;
  };
  return {
    get begun() {
      return begun;
    },
    line(value) {
      begin();
      response.write(`${JSON.stringify(value)}\r\n`);
    },
    end() {
      begin();
      response.end();
    },
  };
}

/** Resolves when more can be written, or nobody reads any more. */
export function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

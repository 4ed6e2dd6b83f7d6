// Requests and answers of the API, between node:http and the routes.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { GantryError } from '../errors.ts';

export interface Call {
  method: string;
  /** Named parts of the path, decoded. */
  params: Record<string, string>;
  /** Of a parameter that is there twice the first counts, as for docker. */
  query: URLSearchParams;
  request: IncomingMessage;
  response: ServerResponse;
  /** API version of the path's prefix, the newest where there is none. */
  version: string;
  /** How long a client may take to send a JSON body, ms. */
  bodyTimeoutMs: number;
  /** The raw connection where the client asked for an upgrade and the route takes one; `response` works until then. */
  upgraded?: Upgraded;
}

export interface Upgraded {
  socket: Socket;
  /** What came behind the request's head. */
  head: Buffer;
  protocol: 'tcp' | 'websocket';
}

export type Handler = (call: Call) => Promise<void> | void;

export interface Route {
  method: string;
  /** "/containers/:id/json"; ":name*" takes slashes too. */
  path: string;
  handler: Handler;
  /** What the connection may become; a request to upgrade to anything else is an ordinary one. */
  upgrade?: Upgraded['protocol'];
  /** Why the operation is refused, for the table of what is served. */
  refused?: string;
}

/** Ten times what the largest create body of a client takes; an object of that size is no mistake any more. */
const BODY_MAX = 8 * 1024 * 1024;

/** The body as JSON; {} where there is none. @throws {GantryError} INVALID_ARGUMENT, TOO_LARGE, TIMED_OUT. */
export async function readJson<T>(call: Call): Promise<T> {
  const { headers } = call.request;
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (!hasBody) return {} as T;
  checkContentType(headers['content-type'] ?? '');
  if (Number(headers['content-length'] ?? 0) > BODY_MAX) throw tooLarge();
  const text = (await (call.upgraded ? upgradedBody(call, call.upgraded) : wholeBody(call))).toString();
  if (text === '') return {} as T;
  try {
    return (JSON.parse(text) ?? {}) as T;
  } catch (cause) {
    throw new GantryError('INVALID_ARGUMENT', `Invalid JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Docker's rule and words. Without it a web page could send what it likes as text/plain. */
function checkContentType(type: string): void {
  const [media = ''] = type.split(';');
  if (media.trim().toLowerCase() === 'application/json') return;
  throw new GantryError('INVALID_ARGUMENT', `Unsupported Content-Type header (${type}): must be 'application/json'`);
}

function tooLarge(): GantryError {
  return new GantryError('TOO_LARGE', `Cannot read the request: its body exceeds ${BODY_MAX} bytes`);
}

function late(milliseconds: number): GantryError {
  return new GantryError('TIMED_OUT', `Cannot read the request: its body did not come within ${milliseconds} ms`);
}

function wholeBody({ request, bodyTimeoutMs }: Call): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => done(late(bodyTimeoutMs)), bodyTimeoutMs);
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > BODY_MAX) done(tooLarge());
      else chunks.push(chunk);
    };
    const onEnd = (): void => done();
    const onClose = (): void => done(new GantryError('INVALID_ARGUMENT', 'Cannot read the request: it broke off'));
    function done(error?: GantryError): void {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).pause();
      if (error === undefined) resolve(Buffer.concat(chunks));
      else reject(error);
    }
    request.on('data', onData).on('end', onEnd).on('close', onClose);
  });
}

/** Takes the body off an upgraded connection; what follows it is stdin. */
async function upgradedBody({ request, bodyTimeoutMs }: Call, upgraded: Upgraded): Promise<Buffer> {
  if (request.headers['transfer-encoding'] !== undefined)
    throw new GantryError('INVALID_ARGUMENT', 'Cannot read the request: an upgrade needs a body with Content-Length');
  const { socket } = upgraded;
  const length = Number(request.headers['content-length']);
  const deadline = AbortSignal.timeout(bodyTimeoutMs);
  let bytes = upgraded.head;
  upgraded.head = Buffer.alloc(0);
  while (bytes.length < length) {
    const chunk = await nextChunk(socket, deadline);
    if (chunk === undefined) throw late(bodyTimeoutMs);
    bytes = Buffer.concat([bytes, chunk]);
  }
  upgraded.head = bytes.subarray(length);
  return bytes.subarray(0, length);
}

function nextChunk(socket: Socket, deadline: AbortSignal): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const onData = (chunk: Buffer): void => done(chunk);
    const onEnd = (): void => done(undefined);
    function done(chunk: Buffer | undefined): void {
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).pause();
      deadline.removeEventListener('abort', onEnd);
      resolve(chunk);
    }
    socket.on('data', onData).on('end', onEnd).on('close', onEnd);
    deadline.addEventListener('abort', onEnd);
  });
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
export function sendError({ response, bodyTimeoutMs }: Pick<Call, 'response' | 'bodyTimeoutMs'>, error: unknown): void {
  if (response.headersSent) {
    // What is cut short must not look whole.
    if (!response.writableEnded) response.destroy();
    return;
  }
  const known = error instanceof GantryError ? error : undefined;
  const status = known?.httpStatus ?? 500;
  const message = error instanceof Error ? error.message : String(error);
  const value = { message, ...(known ? { code: known.code } : {}), ...(known?.hint ? { hint: known.hint } : {}) };
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...(status === 405 ? { allow: String(known?.details?.allow) } : {}),
    ...(status === 408 || status === 413 ? { connection: 'close' } : {}),
  });
  response.write(body);
  if (status === 408) response.end();
  else endAfterRequest(response, Math.min(SENDING_MS, bodyTimeoutMs));
}

/** A client that is still sending must be let: a connection that closes under it takes the answer with it. */
export const SENDING_MS = 5000;

function endAfterRequest(response: ServerResponse, patienceMs: number): void {
  const request = response.req;
  if (request.complete) {
    response.end();
    return;
  }
  const timer = setTimeout(end, patienceMs);
  function end(): void {
    clearTimeout(timer);
    response.end();
  }
  request.once('end', end).once('close', end);
  request.on('data', () => {});
  request.resume();
}

/** Docker's reading of a truth value: whatever is not "", "0", "no", "false" or "none" is true. */
export function flag({ query }: Call, name: string): boolean {
  return !['', '0', 'no', 'false', 'none'].includes((query.get(name) ?? '').trim().toLowerCase());
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

/** Lines of progress; a failure behind the first line is a line, too. */
export async function withProgress(call: Call, work: (line: (value: object) => void) => Promise<void>): Promise<void> {
  const output = jsonLines(call);
  try {
    await work((value) => output.line(value));
  } catch (error) {
    if (!output.begun) throw error;
    call.request.resume();
    const { message } = error as Error;
    const known = error instanceof GantryError ? { code: error.code, hint: error.hint } : {};
    output.line({ errorDetail: { message }, error: message, ...known });
  }
  output.end();
}

/** Resolves when more can be written, or nobody reads any more. */
export function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve();
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

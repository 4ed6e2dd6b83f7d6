// A client of the engine's API over its unix socket: JSON, lines of JSON, raw streams, upgraded connections.
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import type { Socket } from 'node:net';
import { ERRORS, type ErrorCode, GantryError } from '../errors.ts';
import type { Endpoint } from './endpoint.ts';

export type Query = Record<string, string | number | boolean | undefined>;

export interface SendOptions {
  query?: Query;
  body?: unknown;
  /** Bytes to send in place of JSON. */
  stream?: NodeJS.ReadableStream;
  headers?: Record<string, string>;
  /** Told when the answer's head is there. */
  signal?: AbortSignal;
}

export interface Api {
  /** The answer as JSON; undefined where it is empty. @throws {GantryError} what the engine says. */
  send<T>(method: string, path: string, options?: SendOptions): Promise<T>;
  /** The answer's body as it comes. */
  open(method: string, path: string, options?: SendOptions): Promise<IncomingMessage>;
  /** A connection that both sides write to. */
  hijack(path: string, options?: SendOptions): Promise<{ socket: Socket; raw: boolean }>;
  readonly endpoint: Endpoint;
}

const VERSION = '/v1.51';

export function createApi(endpoint: Endpoint, start: (() => Promise<void>) | undefined): Api {
  let started: Promise<void> | undefined;

  const once = (method: string, path: string, options: SendOptions, headers: Record<string, string>) =>
    new Promise<{ answer: IncomingMessage; socket: Socket | undefined }>((resolve, reject) => {
      const target: RequestOptions = {
        socketPath: endpoint.socket,
        method,
        path: VERSION + path + queryOf(options.query),
        // An engine that refuses what is still being sent must not close before its answer is read.
        headers: {
          host: 'gantry',
          ...(options.stream === undefined ? {} : { connection: 'keep-alive' }),
          ...headers,
          ...options.headers,
        },
        ...(options.signal ? { signal: options.signal } : {}),
        agent: false,
      };
      const sent = request(target, (answer) => resolve({ answer, socket: undefined }));
      sent.once('error', reject);
      sent.once('upgrade', (answer, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        resolve({ answer, socket: socket as Socket });
      });
      if (options.stream !== undefined) options.stream.pipe(sent);
      else if (options.body === undefined) sent.end();
      else {
        const body = JSON.stringify(options.body);
        sent.setHeader('content-type', 'application/json');
        sent.setHeader('content-length', Buffer.byteLength(body));
        sent.end(body);
      }
    });

  const call = async (
    method: string,
    path: string,
    options: SendOptions = {},
    headers: Record<string, string> = {},
  ) => {
    try {
      return await once(method, path, options, headers);
    } catch (error) {
      if (start === undefined || !nobodyListens(error)) throw unreachable(endpoint, error);
      started ??= start();
      await started;
      return once(method, path, options, headers).catch((again) => {
        throw unreachable(endpoint, again);
      });
    }
  };

  return {
    endpoint,
    async send<T>(method: string, path: string, options?: SendOptions) {
      const { answer } = await call(method, path, options);
      const text = await readText(answer);
      if ((answer.statusCode ?? 500) >= 400) throw engineError(answer.statusCode ?? 500, text);
      return (text === '' || !/json/.test(answer.headers['content-type'] ?? '') ? undefined : JSON.parse(text)) as T;
    },
    async open(method, path, options) {
      const { answer } = await call(method, path, options);
      if ((answer.statusCode ?? 500) >= 400) throw engineError(answer.statusCode ?? 500, await readText(answer));
      return answer;
    },
    async hijack(path, options) {
      const { answer, socket } = await call('POST', path, options, { connection: 'Upgrade', upgrade: 'tcp' });
      if (socket === undefined) throw engineError(answer.statusCode ?? 500, await readText(answer));
      return { socket, raw: (answer.headers['content-type'] ?? '').includes('raw-stream') };
    },
  };
}

/** "?a=1&b=x&b=y"; what is empty is left away. */
export function queryOf(query: Record<string, Query[string] | string[]> = {}): string {
  const pairs = Object.entries(query).flatMap(([key, value]) =>
    [value]
      .flat()
      .flatMap((one) =>
        one === undefined || one === '' || one === false ? [] : [[key, String(one === true ? 1 : one)]],
      ),
  );
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}

async function readText(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function nobodyListens(error: unknown): boolean {
  return ['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function unreachable({ socket }: Endpoint, cause: unknown): GantryError {
  if (cause instanceof GantryError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM')
    return new GantryError('PERMISSION_DENIED', `Cannot connect to the engine at "${socket}": permission denied`, {
      hint: 'The engine belongs to another user; run as that user, or start your own without -H',
      cause,
    });
  return new GantryError('ENGINE_UNREACHABLE', `Cannot connect to the engine at "${socket}": ${code ?? message}`, {
    hint: nobodyListens(cause) ? `Start it: gantry serve -H unix://${socket}` : 'See what "gantry info" says',
    cause,
  });
}

const statusCodes: Record<number, ErrorCode> = {
  400: 'INVALID_ARGUMENT',
  401: 'AUTH_FAILED',
  403: 'PERMISSION_DENIED',
  404: 'CONTAINER_NOT_FOUND',
  409: 'INVALID_STATE',
  501: 'UNSUPPORTED',
  503: 'BACKEND_UNAVAILABLE',
};

/** {"message", "code", "hint"} of an answer, or of a line of progress. */
export function engineError(status: number, text: string): GantryError {
  let body: { message?: string; code?: string; hint?: string } = {};
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    body = { message: text.trim() || `The engine answered ${status}` };
  }
  const message = body.message ?? `The engine answered ${status}`;
  const code = body.code !== undefined && body.code in ERRORS ? (body.code as ErrorCode) : codeOf(status, message);
  return new GantryError(code, message, { hint: body.hint });
}

function codeOf(status: number, message: string): ErrorCode {
  if (/no such image/i.test(message)) return 'IMAGE_NOT_FOUND';
  if (/executable file not found|no such file or directory/i.test(message)) return 'COMMAND_NOT_FOUND';
  if (/permission denied|exec format error/i.test(message)) return 'COMMAND_NOT_EXECUTABLE';
  return statusCodes[status] ?? 'INTERNAL';
}

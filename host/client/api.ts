// A client of the engine's API over its unix socket, or to an engine elsewhere: JSON, lines of JSON, raw streams, upgraded connections.
import { type Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ERRORS, type ErrorCode, GantryError } from '../errors.ts';
import type { Endpoint } from './target.ts';

export type Query = Record<string, string | number | boolean | undefined>;

export interface SendOptions {
  query?: Query;
  body?: unknown;
  /** Bytes to send in place of JSON. */
  stream?: NodeJS.ReadableStream;
  headers?: Record<string, string>;
  /** Told when the answer's head is there. */
  signal?: AbortSignal | undefined;
}

export interface Api {
  /** The answer as JSON; undefined where it is empty. @throws {GantryError} what the engine says. */
  send<T>(method: string, path: string, options?: SendOptions): Promise<T>;
  /** The answer's body as it comes. */
  open(method: string, path: string, options?: SendOptions): Promise<IncomingMessage>;
  /** A connection that both sides write to. */
  hijack(path: string, options?: SendOptions): Promise<{ socket: Socket; raw: boolean }>;
  /** A connection that nothing was sent over yet. */
  dial(): Promise<Duplex>;
  endpoint(): Promise<Endpoint>;
  /** Lets go of kept connections. */
  close(): void;
}

const VERSION = '1.51';

/** How requests reach the engine. */
interface Way {
  endpoint: Endpoint;
  options: RequestOptions;
  /** The header Host. */
  host: string;
  version: string;
  dial(): Promise<Duplex>;
}

/** @param choose called at the first request. @param start called where the endpoint is this user's own and nobody listens. */
export function createApi(choose: () => Promise<Endpoint>, start: () => Promise<void>): Api {
  let started: Promise<void> | undefined;
  let found: Promise<Way> | undefined;

  const find = async (): Promise<Way> => {
    const endpoint = await choose();
    if (endpoint.remote === undefined) return localWay(endpoint, endpoint.socket!);
    const { openConnections } = await import('./remote.ts');
    const way = { endpoint, version: VERSION, ...openConnections(endpoint.remote) };
    const { answer } = await once(way, 'HEAD', '/_ping', {}, {}).catch((error: unknown) => {
      throw unreachable(endpoint, error);
    });
    // To its end, so that the connection is free for what comes next.
    await readText(answer);
    return { ...way, version: lesserVersion(String(answer.headers['api-version'] ?? VERSION)) };
  };

  const once = (way: Way, method: string, path: string, options: SendOptions, headers: Record<string, string>) =>
    new Promise<{ answer: IncomingMessage; socket: Socket | undefined }>((resolve, reject) => {
      const target: RequestOptions = {
        agent: false,
        ...way.options,
        method,
        path: (path === '/_ping' ? path : `/v${way.version}${path}`) + queryOf(options.query),
        // An engine that refuses what is still being sent must not close before its answer is read.
        headers: {
          host: way.host,
          ...(options.stream === undefined ? {} : { connection: 'keep-alive' }),
          ...headers,
          ...options.headers,
        },
        ...(options.signal ? { signal: options.signal } : {}),
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
    found ??= find();
    const way = await found;
    const { endpoint } = way;
    try {
      return await once(way, method, path, options, headers);
    } catch (error) {
      if (!endpoint.own || !nobodyListens(error)) throw unreachable(endpoint, error);
      started ??= start();
      await started;
      return once(way, method, path, options, headers).catch((again) => {
        throw unreachable(endpoint, again);
      });
    }
  };

  return {
    async endpoint() {
      found ??= find();
      return (await found).endpoint;
    },
    close() {
      found?.then(
        ({ options }) => (options.agent as Agent | undefined)?.destroy(),
        () => {},
      );
    },
    async dial() {
      found ??= find();
      const { endpoint, dial } = await found;
      return dial().catch((error: unknown) => {
        throw unreachable(endpoint, error);
      });
    },
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

function localWay(endpoint: Endpoint, socketPath: string): Way {
  const dial = async (): Promise<Duplex> => {
    const { connect } = await import('node:net');
    return new Promise((resolve, reject) => {
      const socket = connect({ path: socketPath, allowHalfOpen: true }, () => resolve(socket));
      socket.once('error', reject);
    });
  };
  return { endpoint, options: { socketPath }, host: 'gantry', version: VERSION, dial };
}

/** Engines elsewhere may be older: the lesser of theirs and ours. */
function lesserVersion(theirs: string): string {
  const [major = 0, minor = 0] = theirs.split('.').map(Number);
  const [ourMajor = 0, ourMinor = 0] = VERSION.split('.').map(Number);
  return major < ourMajor || (major === ourMajor && minor < ourMinor) ? theirs : VERSION;
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

function unreachable({ name, socket, remote }: Endpoint, cause: unknown): GantryError {
  if (cause instanceof GantryError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM')
    return new GantryError('PERMISSION_DENIED', `Cannot connect to the engine at "${name}": permission denied`, {
      hint: 'The engine belongs to another user; run as that user, or start your own without -H',
      cause,
    });
  const absent = nobodyListens(cause) && socket !== undefined;
  const plain = remote?.kind === 'tcp' && remote.tls === undefined;
  const tls = remote?.kind === 'tcp' && !plain && tlsFailures.find(([pattern]) => pattern.test(`${code} ${message}`));
  return new GantryError(
    'ENGINE_UNREACHABLE',
    `Cannot connect to the engine at "${name}": ${tls ? message.replace(/\s+/g, ' ').replace(/^\w+:error:\w+:(.*?):\.\.\/.*$/, '$1') : (code ?? message)}`,
    {
      hint: absent
        ? `Start it: gantry serve -H unix://${socket}`
        : tls
          ? tls[1]
          : remote?.kind === 'tcp' && nobodyListens(cause)
            ? `Nothing listens there: on that machine, gantry serve -H ${name} with --tlsverify and its certificates`
            : plain
              ? 'If it speaks TLS at that port, give --tlsverify'
              : 'See whether the machine and its engine are up',
      cause,
    },
  );
}

/** What OpenSSL and Node say → what to do. */
const tlsFailures: [RegExp, string][] = [
  [
    /alert|CERTIFICATE_REQUIRED|ECONNRESET|EPIPE/i,
    "The engine may refuse this client's certificate: see --tlscert and --tlskey",
  ],
  [/ALTNAME/, "The engine's certificate is for other names: connect by one of them"],
  [/SIGNED|LEAF|ISSUER|CERT_|certificate/, "The engine's certificate is not signed by the authority of --tlscacert"],
  [/WRONG_VERSION|wrong version|packet length/i, 'The engine speaks no TLS at that port'],
];

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

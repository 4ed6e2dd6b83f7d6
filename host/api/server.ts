// The API's front: HTTP over several sockets, version prefixes, upgrades, errors. Read this file first.
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Engine } from '../engine/engine.ts';
import { GantryError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Address } from './addresses.ts';
import { checkCaller, readTarget, wantedUpgrade } from './request.ts';
import { type Call, SENDING_MS, sendError, type Upgraded } from './http.ts';
import { type Listening, listen } from './listen.ts';
import { createMetrics } from './json/metrics.ts';
import { createRouter } from './router.ts';
import { allRoutes } from './routes.ts';
import { VERSION } from './routes/system-routes.ts';
import { API_VERSION, checkVersion } from './versions.ts';

export interface ApiServer {
  /** As -H takes them. */
  readonly addresses: string[];
  /** Requests and attached streams that are open. */
  readonly busy: number;
  /** Time of the last request, ms since the epoch. */
  readonly lastUsed: number;
  /** Reads certificates again. @throws {GantryError} INVALID_ARGUMENT; the old ones stay in force. */
  reload(): void;
  close(): Promise<void>;
}

export interface ServeApiOptions {
  addresses: Address[];
  log: Log;
  /** How long a client may take for the head of a request, and for a JSON body; ms. */
  clientTimeoutMs: number;
}

/** @throws {GantryError} IN_USE, PERMISSION_DENIED. */
export async function serveApi(engine: Engine, options: ServeApiOptions): Promise<ApiServer> {
  const { addresses, log, clientTimeoutMs } = options;
  const metrics = createMetrics(engine);
  const route = createRouter([...allRoutes(engine), metrics.route]);
  /** What is open on a connection: told when it closes, since a response that waits behind another is not. */
  const open = new Map<Duplex, Set<() => void>>();
  const upgradedSockets = new Set<Duplex>();
  const state = { busy: 0, lastUsed: Date.now() };

  /** Counts and logs a request until it is answered, or its connection has gone. */
  const track = (request: IncomingMessage, response: ServerResponse, upgraded: Upgraded | undefined): void => {
    const began = Date.now();
    const ends = open.get(request.socket);
    state.busy++;
    const done = (): void => {
      if (ends?.delete(done) === false) return;
      state.busy--;
      state.lastUsed = Date.now();
      log.debug(`${request.method} ${request.url}`, { status: response.statusCode, ms: Date.now() - began });
    };
    state.lastUsed = began;
    ends?.add(done);
    if (upgraded === undefined) response.once('close', done);
  };

  const answer = async (call: Call, listening: Listening): Promise<void> => {
    const { request, response } = call;
    try {
      checkCaller(request, listening.isOwnName);
      const { path, version } = readTarget(request.url ?? '/', call.query);
      if (call.method === 'OPTIONS') {
        response.writeHead(200, { 'content-length': 0 }).end();
        return;
      }
      call.version = version;
      checkVersion(version);
      const match = route(call.method, path);
      call.params = match.params;
      if (match.route.upgrade === 'websocket' && call.upgraded?.protocol !== 'websocket')
        throw new GantryError('INVALID_ARGUMENT', 'Cannot attach: the request is no websocket handshake');
      const began = process.hrtime.bigint();
      await match.route.handler(call);
      if (response.statusCode < 300) metrics.observe(match.route, Number(process.hrtime.bigint() - began) / 1e9);
    } catch (error) {
      const known = error instanceof GantryError && error.httpStatus < 500;
      if (!response.destroyed && !known)
        log.error(error instanceof Error ? error.message : String(error), { method: call.method, url: request.url });
      sendError(call, error);
    }
  };

  const begin = (
    listening: Listening,
    request: IncomingMessage,
    response: ServerResponse,
    upgraded?: Upgraded,
  ): void => {
    track(request, response, upgraded);
    response.setHeader('Api-Version', API_VERSION);
    response.setHeader('Ostype', 'linux');
    response.setHeader('Docker-Experimental', 'false');
    response.setHeader('Server', `gantry/${VERSION} (linux)`);
    // An answer that was quicker than the request: who goes on sending after it is left.
    response.once('finish', () => {
      if (request.complete) return;
      const timer = setTimeout(() => request.socket.destroy(), Math.min(SENDING_MS, clientTimeoutMs));
      request.once('close', () => clearTimeout(timer));
    });
    const call: Call = {
      method: request.method ?? 'GET',
      params: {},
      query: new URLSearchParams(),
      request,
      response,
      version: API_VERSION,
      bodyTimeoutMs: clientTimeoutMs,
      ...(upgraded ? { upgraded } : {}),
    };
    void answer(call, listening);
  };

  /** Which upgrade the route of a request takes; none for a route that does not exist, which answers so. */
  const takes = (request: IncomingMessage): Upgraded['protocol'] | undefined => {
    try {
      const wanted = wantedUpgrade(request);
      const { path } = readTarget(request.url ?? '/', new URLSearchParams());
      return route(request.method ?? 'GET', path).route.upgrade === wanted ? wanted : undefined;
    } catch {
      return undefined;
    }
  };

  /** The last answer of each connection. */
  const answering = new WeakMap<Duplex, ServerResponse>();

  const attend = (listening: Listening): void => {
    const { server } = listening;
    const connection = 'setSecureContext' in server ? 'secureConnection' : 'connection';
    server.on(connection, (socket: Duplex) => {
      if (open.has(socket)) return;
      const ends = new Set<() => void>();
      open.set(socket, ends);
      socket.once('close', () => {
        open.delete(socket);
        upgradedSockets.delete(socket);
        for (const done of [...ends]) done();
      });
    });
    server.on('request', (request, response) => {
      answering.set(request.socket, response);
      begin(listening, request, response);
    });
    const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const protocol = takes(request);
      if (protocol === undefined) {
        // As if it had not asked: Java's client and curl offer HTTP/2 with each first request.
        socket.unshift(Buffer.concat([withoutUpgrade(request), head]));
        server.emit(connection, socket);
        return;
      }
      upgradedSockets.add(socket);
      begin(listening, request, responseOn(socket as Socket, request), { socket: socket as Socket, head, protocol });
    };
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => {});
      // On a kept connection the last bytes of the answer before may still be under way; a connection has one answer at a time.
      const before = answering.get(socket);
      if (before?.socket !== socket) upgrade(request, socket, head);
      else
        before.once('close', () => {
          (socket as Socket).setTimeout(0);
          if (!socket.destroyed) upgrade(request, socket, head);
        });
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      // Behind an answer that has begun, another would be taken for a part of it.
      if (!socket.writable || (open.get(socket)?.size ?? 0) > 0) socket.destroy(error);
      else refuseMalformed(error, socket);
    });
  };

  const all: Listening[] = [];
  const closeAll = async (): Promise<void> => {
    const closed = all.map(({ server }) => new Promise((resolve) => server.close(resolve)));
    for (const { server, close } of all) {
      server.closeAllConnections();
      close();
    }
    for (const socket of upgradedSockets) socket.destroy();
    await Promise.all(closed);
  };
  try {
    for (const address of addresses) {
      const timeouts = {
        keepAliveTimeout: 60_000,
        requestTimeout: 0,
        headersTimeout: clientTimeoutMs,
        connectionsCheckingInterval: Math.min(clientTimeoutMs, 5000),
      };
      const listening = await listen(address, timeouts);
      all.push(listening);
      attend(listening);
      log.info('API listens', { address: listening.address });
    }
  } catch (error) {
    await closeAll();
    throw error;
  }
  return {
    addresses: all.map(({ address }) => address),
    get busy() {
      return state.busy;
    },
    get lastUsed() {
      return state.lastUsed;
    },
    reload() {
      for (const { reload } of all) reload();
    },
    close: closeAll,
  };
}

/** For what is answered in place of an upgrade; the connection ends with it. */
function responseOn(socket: Socket, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => {
    socket.resume();
    socket.end();
  });
  return response;
}

/** The head of a request once more, without the wish for another protocol. */
function withoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let at = 0; at < rawHeaders.length; at += 2)
    if (!/^(upgrade|connection|http2-settings)$/i.test(rawHeaders[at]!))
      lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

const malformed: Record<string, [string, string]> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The head of the request is too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The head of the request did not come in time'],
};

function refuseMalformed({ code = '', message }: NodeJS.ErrnoException, socket: Duplex): void {
  const [status, text] = malformed[code] ?? ['400 Bad Request', `Malformed request: ${message}`];
  const body = `${JSON.stringify({ message: text })}\n`;
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  socket.end(`${head}Connection: close\r\n\r\n${body}`);
}

// The API's front: HTTP over a unix socket, version prefixes, upgrades, errors. Read this file first.
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Engine } from '../engine/engine.ts';
import { GantryError } from '../errors.ts';
import { archiveRoutes } from './archive-routes.ts';
import { containerRoutes } from './container-routes.ts';
import { execRoutes } from './exec-routes.ts';
import { gantryRoutes } from './gantry-routes.ts';
import { API_VERSION, API_VERSION_MIN, type Call, sendError } from './http.ts';
import { imageRoutes } from './image-routes.ts';
import { createRouter } from './router.ts';
import { systemRoutes } from './system-routes.ts';
import { volumeRoutes } from './volume-routes.ts';

export interface ApiServer {
  /** Requests and attached streams that are open. */
  readonly busy: number;
  /** Time of the last request, ms since the epoch. */
  readonly lastUsed: number;
  close(): Promise<void>;
}

/** Listens on a unix socket that only the user can open. @throws {GantryError} IN_USE, PERMISSION_DENIED. */
export async function serveApi(engine: Engine, socketPath: string): Promise<ApiServer> {
  const route = createRouter([
    ...systemRoutes(engine),
    ...containerRoutes(engine),
    ...archiveRoutes(engine),
    ...execRoutes(engine),
    ...imageRoutes(engine),
    ...volumeRoutes(engine),
    ...gantryRoutes(engine),
  ]);
  /** The server itself forgets those, and would wait for them. */
  const upgraded = new Set<Duplex>();
  const state = { busy: 0, lastUsed: Date.now() };

  const handle = async (call: Call, path: string): Promise<void> => {
    const match = route(call.method, path);
    try {
      if (match === undefined) throw new GantryError('PATH_NOT_FOUND', `Page not found: ${call.method} ${path}`);
      if (match === 'wrong method') throw new GantryError('UNSUPPORTED', `Method not allowed: ${call.method} ${path}`);
      call.params = match.params;
      await match.route.handler(call);
    } catch (error) {
      sendError(call, error);
    }
  };

  const begin = (request: IncomingMessage, response: ServerResponse, upgraded?: Call['upgraded']): void => {
    state.busy++;
    state.lastUsed = Date.now();
    (upgraded?.socket ?? response).once('close', () => {
      state.busy--;
      state.lastUsed = Date.now();
    });
    response.setHeader('Api-Version', API_VERSION);
    response.setHeader('Ostype', 'linux');
    response.setHeader('Docker-Experimental', 'false');
    response.setHeader('Server', 'gantry');
    const url = request.url ?? '/';
    const mark = url.indexOf('?');
    const [, version = API_VERSION, path] =
      /^(?:\/v(\d+\.\d+))?(\/.*)$/.exec(mark < 0 ? url : url.slice(0, mark)) ?? [];
    const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
    const call: Call = {
      method: request.method ?? 'GET',
      params: {},
      query,
      request,
      response,
      version,
      ...(upgraded ? { upgraded } : {}),
    };
    const refused = checkVersion(version);
    if (refused !== undefined) sendError(call, refused);
    else void handle(call, path ?? '/');
  };

  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0, headersTimeout: 30_000 }, begin);
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {});
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    begin(request, new ServerResponse(request), { socket, head });
  });
  await listen(server, socketPath);
  return {
    get busy() {
      return state.busy;
    },
    get lastUsed() {
      return state.lastUsed;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        for (const socket of upgraded) socket.destroy();
        rmSync(socketPath, { force: true });
      }),
  };
}

function checkVersion(version: string): GantryError | undefined {
  const minor = (text: string): number => Number(text.split('.')[1]);
  const say = (how: string, bound: string): GantryError =>
    new GantryError('INVALID_ARGUMENT', `Client version ${version} is too ${how}. ${bound}`);
  if (!version.startsWith('1.') || minor(version) < minor(API_VERSION_MIN))
    return say('old', `Minimum supported API version is ${API_VERSION_MIN}`);
  if (minor(version) > minor(API_VERSION)) return say('new', `Maximum supported API version is ${API_VERSION}`);
  return undefined;
}

async function listen(server: ReturnType<typeof createServer>, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (existsSync(path)) {
    if (await answers(path))
      throw new GantryError('IN_USE', `Cannot listen on "${path}": another process does`, {
        hint: 'Choose another socket with -H',
      });
    rmSync(path, { force: true });
  }
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => resolve());
    });
    chmodSync(path, 0o600);
  } catch (cause) {
    throw new GantryError('PERMISSION_DENIED', `Cannot listen on "${path}": ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
    });
  } finally {
    process.umask(umask);
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

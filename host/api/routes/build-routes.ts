// POST /build: a context becomes an image; and what builds keep. Docker's clients are told it in lines, our own in events.
import type { BuildRequest } from '../../build/build-request.ts';
import type { Builder } from '../../build/builder.ts';
import { cacheLimitSetting } from '../../build/cache-limit.ts';
import { cacheUsage, pruneCache } from '../../build/cache-usage.ts';
import type { Dockerfile } from '../../build/dockerfile/ast.ts';
import { excerptOf, failureRange, sourceRange } from '../../build/dockerfile/failure.ts';
import type { BuildEvent } from '../../build/progress.ts';
import { remoteContext } from '../../build/remote-context.ts';
import { BUILD_BODY, BUILD_EVENTS, type BuildPreamble, readPreamble } from '../../build/request.ts';
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import { readBuildQuery } from '../fields/build-query.ts';
import { anyOf, readFilters, untilOf } from '../fields/filters.ts';
import { type Call, flag, jsonLines, type Route, sendJson } from '../http.ts';
import { createBuildEvents } from '../json/build-events.ts';
import { createBuildLines } from '../json/build-lines.ts';

export function buildRoutes(engine: Engine): Route[] {
  cacheLimitSetting(); // Refused before anything is built.
  let known: Promise<Builder> | undefined;
  /** Loaded with the first build: an engine that builds nothing does not hold it. */
  const builder = (): Promise<Builder> => {
    known ??= import('../../build/builder.ts').then(({ createBuilder }) => createBuilder(engine));
    return known;
  };

  const build = async (call: Call): Promise<void> => {
    const query = readBuildQuery(call);
    const credentials = registryCredentials(call.request.headers['x-registry-config']);
    const gone = new AbortController();
    call.response.once('close', () => {
      if (!call.response.writableEnded) gone.abort(new Error('The client has gone'));
    });
    const { preamble, files } = await readBody(call, gone.signal);
    const request: BuildRequest = {
      ...query,
      credentials,
      ...files,
      ...(preamble.dockerfile === undefined ? {} : { dockerfileText: preamble.dockerfile }),
      secrets: new Map(Object.entries(preamble.secrets ?? {}).map(([id, text]) => [id, Buffer.from(text, 'base64')])),
    };
    if (call.request.headers.accept === BUILD_EVENTS) await asEvents(call, request, gone.signal);
    else await asLines(call, request, gone.signal);
  };

  const asLines = async (call: Call, request: BuildRequest, signal: AbortSignal): Promise<void> => {
    const output = jsonLines(call);
    const removes = call.query.get('rm') === null || flag(call, 'rm');
    const lines = createBuildLines((value) => output.line(value), { quiet: flag(call, 'q'), removes });
    try {
      const { id, tags } = await (await builder()).build(request, lines.tell, signal);
      lines.done(id, tags);
    } catch (error) {
      if (!output.begun) throw error;
      call.request.resume();
      const { message } = error as Error;
      const known = error instanceof GantryError ? error : undefined;
      const { exitCode } = known?.details ?? {};
      output.line({
        errorDetail: { ...(typeof exitCode === 'number' ? { code: exitCode } : {}), message },
        error: message,
        ...(known ? { code: known.code, hint: known.hint } : {}),
      });
    }
    output.end();
  };

  const asEvents = async (call: Call, request: BuildRequest, signal: AbortSignal): Promise<void> => {
    let begun = false;
    const send = (event: BuildEvent): void => {
      if (!begun) call.response.writeHead(200, { 'content-type': BUILD_EVENTS });
      begun = true;
      call.response.write(`${JSON.stringify(event)}\n`);
    };
    let file: Dockerfile | undefined;
    try {
      const { id, names } = await (await builder()).build(request, createBuildEvents(send).tell, signal, (parsed) => {
        file = parsed;
      });
      send({ type: 'result', imageId: id, names });
    } catch (error) {
      const known = error instanceof GantryError ? error : undefined;
      const lines = known === undefined ? undefined : failureRange(known);
      const range = known && (excerptOf(known) ?? (lines && file && sourceRange(file.name, file.lines, lines)));
      if (!begun && range === undefined) throw error;
      call.request.resume();
      const { exitCode } = known?.details ?? {};
      send({
        type: 'error',
        message: (error as Error).message,
        ...(known ? { code: known.code } : {}),
        ...(known?.hint ? { hint: known.hint } : {}),
        ...(typeof exitCode === 'number' ? { exitCode } : {}),
        ...(range === undefined ? {} : { range }),
      });
    }
    call.response.end();
  };

  const prune = async (call: Call): Promise<void> => {
    const filters = readFilters(call.query.get('filters'), [
      'until',
      'unused-for',
      'id',
      'type',
      'description',
      'inuse',
      'shared',
    ]);
    if (bytesOf(call, 'min-free-space') > 0)
      throw new GantryError('UNSUPPORTED', 'Cannot prune by "min-free-space": others fill the disk, too', {
        hint: 'Say how much may stay: --max-used-space',
      });
    const { removed, bytes } = await pruneCache(engine, {
      all: flag(call, 'all'),
      // As BuildKit: what is reserved stays, however little may be used.
      keepBytes: Math.max(...['keep-storage', 'reserved-space', 'max-used-space'].map((name) => bytesOf(call, name))),
      until: untilOf(filters['unused-for'] === undefined ? filters : { ...filters, until: filters['unused-for'] }),
      matches: (usage) =>
        anyOf(filters.id, (id) => usage.id.startsWith(id)) &&
        anyOf(filters.type, (type) => usage.type === type) &&
        anyOf(filters.description, (text) => usage.description.includes(text)) &&
        anyOf(filters.shared, (text) => usage.shared === (text !== 'false' && text !== '0')) &&
        anyOf(filters.inuse, (text) => usage.inUse === (text !== 'false' && text !== '0')),
    });
    engine.events.emit('builder', 'prune', '', { reclaimed: String(bytes) });
    sendJson(call, { CachesDeleted: removed.length > 0 ? removed : null, SpaceReclaimed: bytes });
  };

  return [
    { method: 'POST', path: '/build', handler: build },
    { method: 'POST', path: '/build/prune', handler: prune },
  ];
}

/** @throws {GantryError} INVALID_ARGUMENT. */
function bytesOf(call: Call, name: string): number {
  const text = call.query.get(name) || '0';
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new GantryError('INVALID_ARGUMENT', `Invalid ${name} "${text}": it is no number of bytes`);
}

/** As /system/df lists it. */
export async function cacheJson(engine: Engine): Promise<object[]> {
  return (await cacheUsage(engine)).map((usage) => ({
    ID: usage.id,
    Type: usage.type,
    Description: usage.description,
    InUse: usage.inUse,
    Shared: usage.shared,
    Size: usage.size,
    CreatedAt: usage.createdAt,
    LastUsedAt: usage.lastUsedAt ?? null,
    UsageCount: usage.usageCount,
  }));
}

type Files = Pick<BuildRequest, 'context' | 'dockerfileText'>;

/** The context comes as the body, or from an address. */
async function readBody(call: Call, signal: AbortSignal): Promise<{ preamble: BuildPreamble; files: Files }> {
  const remote = call.query.get('remote');
  const body = call.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  if ((call.request.headers['content-type'] ?? '') === BUILD_BODY) {
    const { preamble, tar } = await readPreamble(body);
    return { preamble, files: remote ? await remoteContext(remote, signal) : { context: tar } };
  }
  return { preamble: {}, files: remote ? await remoteContext(remote, signal) : { context: body } };
}

/** X-Registry-Config: base64url of logins by registry. @throws {GantryError} INVALID_ARGUMENT. */
function registryCredentials(header: string | string[] | undefined): BuildRequest['credentials'] {
  if (typeof header !== 'string' || header === '') return () => undefined;
  let logins: Record<string, { username?: string; password?: string; auth?: string; identitytoken?: string }>;
  try {
    logins = (JSON.parse(Buffer.from(header, 'base64url').toString()) ?? {}) as typeof logins;
  } catch {
    throw new GantryError('INVALID_ARGUMENT', 'Cannot read the header X-Registry-Config: it is not base64url of JSON');
  }
  return (registry) => {
    const names =
      registry === 'docker.io'
        ? ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io']
        : [registry, `https://${registry}`];
    const login = names.map((name) => logins[name]).find((one) => one !== undefined);
    if (login === undefined) return undefined;
    const [username = '', password = ''] = login.auth
      ? Buffer.from(login.auth, 'base64').toString().split(/:(.*)/s)
      : [login.username, login.password];
    if (!username && !login.identitytoken) return undefined;
    return { username, password, ...(login.identitytoken ? { identityToken: login.identitytoken } : {}) };
  };
}

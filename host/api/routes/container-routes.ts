// /containers: create, list, inspect and what changes a container's state.
import { type Container, runningProcess, type WaitCondition } from '../../engine/container.ts';
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import { attachRoutes } from './attach-routes.ts';
import { shownLinks } from '../../engine/network/links.ts';
import { inspectJson } from '../json/container-json.ts';
import { containerListRoutes, containerSize } from './container-list-routes.ts';
import { readCreateBody } from '../fields/create-body.ts';
import { type Call, flag, type Handler, type Route, readJson, sendJson, sendNothing } from '../http.ts';
import { checkWanted } from '../fields/platform-query.ts';
import { readUpdateBody } from '../fields/update-body.ts';
import { usageRoutes } from './usage-routes.ts';

export function containerRoutes(engine: Engine): Route[] {
  /** A route on one container. */
  const on = (
    method: string,
    path: string,
    handler: (call: Call, container: Container) => Promise<void> | void,
  ): Route => ({
    method,
    path: `/containers/:id${path}`,
    handler: (call) => handler(call, engine.find(call.params.id!)),
  });

  const create: Handler = async (call) => {
    const input = readCreateBody(await readJson(call), call.version);
    const name = call.query.get('name')?.replace(/^\//, '') || undefined;
    const platform = call.query.get('platform');
    const image = input.image === '' ? undefined : await engine.images.find(input.image);
    if (platform && image) checkWanted(platform, image);
    const foreign = platform || !image ? undefined : engine.images.foreignness(image);
    const { record } = await engine.create(name, input);
    sendJson(call, { Id: record.id, Warnings: [...(foreign ? [foreign] : []), ...record.warnings] }, 201);
  };

  const wait = async (call: Call, container: Container): Promise<void> => {
    const condition = (call.query.get('condition') || 'not-running') as WaitCondition;
    if (!['not-running', 'next-exit', 'removed'].includes(condition))
      throw new GantryError('INVALID_ARGUMENT', `Invalid condition: "${condition}"`);
    const gone = new AbortController();
    call.response.once('close', () => gone.abort());
    const exit = container.wait(condition, gone.signal);
    // Clients start the container only once they see this head.
    call.response.writeHead(200, { 'content-type': 'application/json' });
    call.response.flushHeaders();
    const StatusCode = await exit;
    const { error } = container.record.state;
    call.response.end(`${JSON.stringify({ StatusCode, ...(error ? { Error: { Message: error } } : {}) })}\n`);
  };

  return [
    { method: 'POST', path: '/containers/create', handler: create },
    ...containerListRoutes(engine),
    on('GET', '/json', async (call, container) => {
      const image = await engine.images.find(container.record.config.imageId).catch(() => undefined);
      const execs = engine.execs.of(container).filter(({ status }) => status === 'running');
      sendJson(
        call,
        inspectJson(
          container,
          {
            image,
            execIds: execs.map(({ id }) => id),
            links: shownLinks(
              container.record,
              (id) => engine.list().find(({ record }) => record.id === id)?.record.name,
            ),
            size: flag(call, 'size') ? await containerSize(engine, container) : undefined,
          },
          call.version,
        ),
      );
    }),
    on('POST', '/start', async (call, container) => sendNothing(call, (await engine.start(container)) ? 204 : 304)),
    on('POST', '/stop', async (call, container) => {
      const stopped = await engine.stop(container, seconds(call), call.query.get('signal') ?? undefined);
      sendNothing(call, stopped ? 204 : 304);
    }),
    on('POST', '/restart', async (call, container) => {
      await engine.restart(container, seconds(call), call.query.get('signal') ?? undefined);
      sendNothing(call);
    }),
    on('POST', '/kill', async (call, container) => {
      await engine.kill(container, call.query.get('signal') || 'SIGKILL').catch((error: unknown) => {
        if (!(error instanceof GantryError)) throw error;
        const { code, message, hint } = error;
        throw new GantryError(code, `Cannot kill container: ${call.params.id}: ${message}`, { hint, cause: error });
      });
      sendNothing(call);
    }),
    on('POST', '/pause', async (call, container) => {
      await engine.pause(container);
      sendNothing(call);
    }),
    on('POST', '/unpause', async (call, container) => {
      await engine.unpause(container);
      sendNothing(call);
    }),
    on('POST', '/update', async (call, container) => {
      const warnings = await engine.update(container, readUpdateBody(await readJson(call)));
      sendJson(call, { Warnings: warnings.length > 0 ? warnings : null });
    }),
    on('POST', '/rename', (call, container) => {
      engine.rename(container, (call.query.get('name') ?? '').replace(/^\//, ''));
      sendNothing(call);
    }),
    on('POST', '/resize', (call, container) => {
      const [rows, columns] = size(call);
      runningProcess(container).resize(rows, columns);
      engine.announce(container, 'resize', { height: String(rows), width: String(columns) });
      sendNothing(call, 200);
    }),
    on('POST', '/wait', wait),
    on('DELETE', '', async (call, container) => {
      if (flag(call, 'link'))
        throw new GantryError('UNSUPPORTED', 'Cannot remove a link: not supported', {
          hint: 'It goes with either container; leave "link" out to remove one',
        });
      await engine.remove(container, { force: flag(call, 'force'), volumes: flag(call, 'v') });
      sendNothing(call);
    }),
    ...usageRoutes(engine),
    ...attachRoutes(engine),
  ];
}

function seconds({ query }: Call): number | undefined {
  const text = query.get('t');
  if (text === null || text === '') return undefined;
  if (!/^-?\d+$/.test(text)) throw new GantryError('INVALID_ARGUMENT', `Invalid timeout: "${text}"`);
  return Number(text);
}

/** Rows and columns of a resize. */
export function size({ query }: Call): [number, number] {
  const [rows, columns] = [Number(query.get('h')), Number(query.get('w'))];
  if (
    !Number.isInteger(rows) ||
    !Number.isInteger(columns) ||
    rows < 0 ||
    columns < 0 ||
    rows > 65535 ||
    columns > 65535
  )
    throw new GantryError('INVALID_ARGUMENT', `Invalid size: h=${query.get('h')} w=${query.get('w')}`);
  return [rows, columns];
}

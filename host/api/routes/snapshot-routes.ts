// A container's own files: changes, export, commit; and import, the way back.
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import type { ImageConfig } from '../../types.ts';
import { readHealthcheck } from '../fields/create-body.ts';
import { readFields } from '../fields/fields.ts';
import { type Call, flag, readJson, type Route, sendJson, withProgress } from '../http.ts';
import { sendTar } from '../stream.ts';

const kinds = { changed: 0, added: 1, deleted: 2 } as const;

/** "repo" and "tag" of a query; undefined where there is no name. */
export function targetOf({ query }: Call): string | undefined {
  const repo = query.get('repo') ?? '';
  const tag = query.get('tag') ?? '';
  return repo === '' ? undefined : `${repo}${tag === '' ? '' : `:${tag}`}`;
}

/** The container configuration that a client may send; what says nothing about an image means nothing here. */
function configOf(body: unknown): Partial<ImageConfig> {
  const fields = readFields(body, '');
  const check = readHealthcheck(fields);
  const text = (name: string, key: string): object => {
    const value = fields.text(name);
    return value === '' ? {} : { [key]: value };
  };
  const texts = (name: string, key: string, read: 'texts' | 'textsOrOne' = 'textsOrOne'): object => {
    const value = fields[read](name);
    return value === undefined || value.length === 0 ? {} : { [key]: value };
  };
  const keys = (name: string, key: string): object => {
    const value = Object.keys(fields.map(name));
    return value.length === 0 ? {} : { [key]: value };
  };
  const labels = fields.textMap('Labels');
  return {
    ...text('User', 'user'),
    ...text('WorkingDir', 'workingDir'),
    ...text('StopSignal', 'stopSignal'),
    ...texts('Env', 'env', 'texts'),
    ...texts('Cmd', 'command'),
    ...texts('Entrypoint', 'entrypoint'),
    ...texts('OnBuild', 'onBuild', 'texts'),
    ...texts('Shell', 'shell'),
    ...keys('ExposedPorts', 'exposedPorts'),
    ...keys('Volumes', 'volumes'),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(check ? { healthcheck: check } : {}),
  };
}

export function snapshotRoutes({ snapshots, copies, find, announce }: Engine): Route[] {
  return [
    {
      method: 'GET',
      path: '/containers/:id/changes',
      async handler(call) {
        const found = await snapshots.changes(find(call.params.id!));
        sendJson(
          call,
          found.map(({ kind, path }) => ({ Path: path, Kind: kinds[kind] })),
        );
      },
    },
    {
      method: 'GET',
      path: '/containers/:id/export',
      async handler(call) {
        const container = find(call.params.id!);
        const { tar, cancel } = await copies.exportRoot(container);
        call.response.writeHead(200, { 'content-type': 'application/x-tar' });
        await sendTar(call, tar, cancel);
        announce(container, 'export');
      },
    },
    {
      method: 'POST',
      path: '/commit',
      async handler(call) {
        const name = call.query.get('container') ?? '';
        if (name === '') throw new GantryError('INVALID_ARGUMENT', 'Cannot commit: no container is named');
        const { id } = await snapshots.commit(find(name), {
          target: targetOf(call),
          author: call.query.get('author') ?? '',
          comment: call.query.get('comment') ?? '',
          changes: call.query.getAll('changes'),
          config: configOf(await readJson(call)),
          pause: call.query.get('pause') === null || flag(call, 'pause'),
        });
        sendJson(call, { Id: id }, 201);
      },
    },
  ];
}

/** POST /images/create?fromSrc: "-" is the body, anything else an address. */
export function importRoute({ images, events }: Engine): (call: Call) => Promise<void> {
  return (call) =>
    withProgress(call, async (line) => {
      const source = call.query.get('fromSrc') ?? '';
      const target = targetOf(call);
      if (source !== '-') line({ status: `Downloading from ${source}` });
      const image = await images.import(
        {
          source,
          body: call.request.iterator({ destroyOnReturn: false }),
          changes: call.query.getAll('changes'),
          comment: call.query.get('message') ?? '',
          platform: call.query.get('platform') ?? undefined,
        },
        target,
      );
      line({ status: image.id });
      events.emit('image', 'import', image.id, { name: target ?? image.id });
    });
}

// /images: list, inspect, pull, load, save, tag, remove.
import { pipeline } from 'node:stream/promises';
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import type { Image, Progress } from '../../types.ts';
import { healthcheckJson } from '../json/config-json.ts';
import { type Call, type Route, flag, sendJson, withProgress } from '../http.ts';
import { descriptorJson, imageListRoutes, inspectedManifests, usersOf, virtualSize } from './image-list-routes.ts';
import { checkPlatform, platformOf } from '../fields/platform-query.ts';
import { importRoute } from './snapshot-routes.ts';
import { isBefore } from '../versions.ts';

export function imageRoutes(engine: Engine): Route[] {
  const { images, events } = engine;
  const importImage = importRoute(engine);

  const pull = (call: Call): Promise<void> => {
    const from = call.query.get('fromImage');
    if (!from && call.query.get('fromSrc')) return importImage(call);
    if (!from)
      throw new GantryError('INVALID_ARGUMENT', 'Cannot create an image: neither fromImage nor fromSrc is given');
    const tag = call.query.get('tag') ?? '';
    const name = tag === '' || hasTag(from) ? from : `${from}${tag.startsWith('sha256:') ? '@' : ':'}${tag}`;
    const credentials = credentialsOf(call.request.headers['x-registry-auth']);
    const wanted = call.query.get('platform');
    const gone = new AbortController();
    call.response.once('close', () => gone.abort());
    const request = { credentials, signal: gone.signal, ...(wanted ? { platform: platformOf(wanted) } : {}) };
    return withProgress(call, async (line) => {
      let shown = name;
      const one = async (name: string): Promise<boolean> => {
        const progress = (step: Progress): void => line(progressJson(step));
        const { image, digest, upToDate, name: familiar } = await images.pull(name, { ...request, progress });
        line({ status: `Digest: ${digest}` });
        events.emit('image', 'pull', familiar, { ...image.config.labels, name: familiar });
        shown = familiar;
        return upToDate;
      };
      const upToDate = hasTag(name) ? await one(name) : await allTags(name, request, one, line);
      line({
        status: `Status: ${upToDate ? 'Image is up to date' : 'Downloaded newer image'} for ${hasTag(name) ? shown : name}`,
      });
    });
  };

  /** As docker does it where no tag is given; what is no image for this machine is passed over, and said. */
  const allTags = async (
    name: string,
    request: Parameters<typeof images.pull>[1],
    one: (name: string) => Promise<boolean>,
    line: (value: object) => void,
  ): Promise<boolean> => {
    const tags = await images.remoteTags(name, request);
    let last: unknown = new GantryError('IMAGE_NOT_FOUND', `Cannot pull "${name}": the registry has no tag of it`);
    const found: boolean[] = [];
    for (const tag of tags)
      try {
        found.push(await one(`${name}:${tag}`));
      } catch (error) {
        if (!(error instanceof GantryError) || !['UNSUPPORTED', 'IMAGE_NOT_FOUND'].includes(error.code)) throw error;
        last = error;
        line({ status: `${tag}: Skipped: ${error.message}` });
      }
    if (found.length === 0) throw last;
    return !found.includes(false);
  };

  const load = (call: Call): Promise<void> =>
    withProgress(call, async (line) => {
      const loaded = await images.load(call.request.iterator({ destroyOnReturn: false }), (step) => {
        if (!flag(call, 'quiet')) line(progressJson(step));
      });
      for (const image of loaded) {
        const [name] = image.tags;
        for (const tag of image.tags) line({ stream: `Loaded image: ${tag}\n` });
        if (name === undefined) line({ stream: `Loaded image ID: ${image.id}\n` });
        events.emit('image', 'load', image.id, { ...image.config.labels, name: image.id });
      }
    });

  const save = async (call: Call, names: string[]): Promise<void> => {
    const archive = await images.save(names);
    for (const name of names) {
      const { id, config } = await images.find(name);
      events.emit('image', 'save', id, { ...config.labels, name: id });
    }
    call.response.writeHead(200, { 'content-type': 'application/x-tar' });
    // A failure cuts the connection: the client must not take half an archive for a whole one.
    await pipeline(archive, call.response);
  };

  const users = usersOf(engine);

  const removeOne = async (name: string, force: boolean): Promise<{ lines: object[]; bytes: number }> => {
    const { id, config } = await images.find(name);
    const { untagged, deleted, bytes } = await images.remove(name, force, users);
    for (const _name of untagged) events.emit('image', 'untag', id, { ...config.labels, name: id });
    if (deleted.length > 0) events.emit('image', 'delete', id, { name: id });
    return {
      lines: [...untagged.map((Untagged) => ({ Untagged })), ...deleted.map((Deleted) => ({ Deleted }))],
      bytes,
    };
  };

  return [
    ...imageListRoutes(engine, (id) => removeOne(id, true)),
    { method: 'POST', path: '/images/create', handler: pull },
    { method: 'POST', path: '/images/load', handler: load },
    { method: 'GET', path: '/images/get', handler: (call) => save(call, call.query.getAll('names')) },
    { method: 'GET', path: '/images/:name*/get', handler: (call) => save(call, [call.params.name!]) },
    {
      method: 'GET',
      path: '/images/:name*/json',
      async handler(call) {
        const image = await images.find(call.params.name!);
        const wantsManifests = !isBefore(call, '1.48') && flag(call, 'manifests');
        const platform = isBefore(call, '1.49') ? null : call.query.get('platform');
        if (wantsManifests && platform)
          throw new GantryError(
            'INVALID_ARGUMENT',
            'Conflicting options: manifests and platform options cannot both be set',
          );
        checkPlatform(platform, image, 'inspect');
        const manifests = wantsManifests ? inspectedManifests(engine, image) : {};
        const json = inspectJson(image);
        // Up to 1.44 they were always there, and typed clients ask for them; Compose 1 reads the configuration from this one
        // whatever the version.
        const older = isBefore(call, '1.45') ? { Container: '', DockerVersion: '' } : {};
        sendJson(call, {
          ...json,
          ContainerConfig: json.Config,
          ...older,
          ...virtualSize(call, image),
          ...descriptorJson(call, image),
          ...manifests,
        });
      },
    },
    {
      method: 'GET',
      path: '/images/:name*/history',
      handler: async (call) => sendJson(call, historyJson(await images.find(call.params.name!))),
    },
    {
      method: 'POST',
      path: '/images/:name*/tag',
      handler: async (call) => {
        const tag = call.query.get('tag');
        const name = `${call.query.get('repo') ?? ''}${tag ? `:${tag}` : ''}`;
        const written = await images.tag(call.params.name!, name);
        const { id, config } = await images.find(name);
        events.emit('image', 'tag', id, { ...config.labels, name: written });
        call.response.writeHead(201).end();
      },
    },
    {
      method: 'DELETE',
      path: '/images/:name*',
      handler: async (call) => sendJson(call, (await removeOne(call.params.name!, flag(call, 'force'))).lines),
    },
  ];
}

/** X-Registry-Auth: base64url of {"username", "password"} or {"identitytoken"}. */
export function credentialsOf(
  header: string | string[] | undefined,
): { username: string; password: string; identityToken?: string } | undefined {
  if (typeof header !== 'string' || header === '') return undefined;
  try {
    const {
      username = '',
      password = '',
      identitytoken,
    } = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, string>;
    if (username === '' && !identitytoken) return undefined;
    return { username, password, ...(identitytoken ? { identityToken: identitytoken } : {}) };
  } catch {
    throw new GantryError('INVALID_ARGUMENT', 'Cannot read the header X-Registry-Auth: it is not base64url of JSON');
  }
}

/** Whether a reference says which tag or digest it means. */
function hasTag(name: string): boolean {
  return /@|:[^/]+$/.test(name);
}

export function progressJson({ id, status, current, total }: Progress): object {
  return {
    status,
    ...(current === undefined ? {} : { progressDetail: { current, total }, progress: `${current}/${total}` }),
    ...(id === undefined ? {} : { id }),
  };
}

function keySet(names: string[]): Record<string, object> | null {
  return names.length > 0 ? Object.fromEntries(names.map((name) => [name, {}])) : null;
}

function inspectJson(image: Image): Record<string, unknown> & { Config: object } {
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: image.tags,
    RepoDigests: image.digests,
    Parent: '',
    Comment: image.history.at(-1)?.comment ?? '',
    Created: image.created,
    Author: image.author ?? '',
    Config: {
      User: config.user,
      ExposedPorts: keySet(config.exposedPorts),
      Env: config.env,
      Cmd: config.command.length > 0 ? config.command : null,
      Entrypoint: config.entrypoint.length > 0 ? config.entrypoint : null,
      Volumes: keySet(config.volumes),
      WorkingDir: config.workingDir,
      Labels: config.labels,
      StopSignal: config.stopSignal,
      ...healthcheckJson(config.healthcheck),
      OnBuild: config.onBuild ?? null,
      ...(config.shell ? { Shell: config.shell } : {}),
    },
    Architecture: image.platform.architecture,
    ...(image.platform.variant ? { Variant: image.platform.variant } : {}),
    Os: image.platform.os,
    Size: image.size,
    GraphDriver: { Name: 'overlayfs', Data: null },
    RootFS: { Type: 'layers', Layers: image.diffIds },
    Metadata: { LastTagTime: image.taggedAt ?? '0001-01-01T00:00:00Z' },
  };
}

function historyJson({ history, id, tags, layerSizes }: Image): object[] {
  let layer = 0;
  return history
    .map((entry, index) => ({
      Id: index === history.length - 1 ? id : '<missing>',
      Created: Math.floor(Date.parse(entry.created ?? '1970-01-01T00:00:00Z') / 1000),
      CreatedBy: entry.createdBy ?? '',
      Tags: index === history.length - 1 ? tags : null,
      Size: entry.emptyLayer ? 0 : (layerSizes[layer++] ?? 0),
      Comment: entry.comment ?? '',
    }))
    .reverse();
}

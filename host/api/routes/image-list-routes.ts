// /images/json, /images/prune and /system/df: which images, and what they hold.
import type { Engine } from '../../engine/engine.ts';
import type { ContainerRecord } from '../../engine/record.ts';
import { GantryError } from '../../errors.ts';
import type { Image, ImageManifest, ImageUsers } from '../../types.ts';
import {
  anyOf,
  type Filters,
  matchesLabels,
  matchesPruneLabels,
  readFilters,
  truthOf,
  untilOf,
} from '../fields/filters.ts';
import { type Call, flag, type Route, sendJson } from '../http.ts';
import { isBefore } from '../versions.ts';

/** Containers that use an image or mount it. */
export function usersOf(engine: Engine): (id: string) => ImageUsers {
  return (id) => {
    const users = containersOf(engine, id);
    const runs = ({ state: { status } }: ContainerRecord): boolean =>
      ['running', 'paused', 'restarting'].includes(status);
    const [running, stopped] = [users.find(runs), users.find((one) => !runs(one))];
    return { running: running?.id.slice(0, 12), stopped: stopped?.id.slice(0, 12) };
  };
}

function containersOf(engine: Engine, id: string): ContainerRecord[] {
  return engine
    .list()
    .map(({ record }) => record)
    .filter(({ config, mounts }) => config.imageId === id || mounts.some(({ image }) => image?.id === id));
}

type Remove = (id: string) => Promise<{ lines: object[]; bytes: number }>;

export function imageListRoutes(engine: Engine, remove: Remove): Route[] {
  const { images, events } = engine;
  const list = async (call: Call): Promise<void> => {
    const filters = readFilters(call.query.get('filters'), 'reference label dangling before since until'.split(' '));
    const all = await images.list();
    const matches = await matcher(engine, filters);
    const manifests = !isBefore(call, '1.47') && flag(call, 'manifests');
    const shared = flag(call, 'shared-size') ? sharedSizes(all) : undefined;
    // Of an image's names only those that were asked for.
    const isWanted = (name: string): boolean => anyOf(filters.reference, (pattern) => globMatches(pattern, name));
    const named = (image: Image): Image => ({
      ...image,
      tags: image.tags.filter(isWanted),
      digests: image.digests.filter(isWanted),
    });
    sendJson(
      call,
      all.filter(matches).map((image) => ({
        ...imageSummaryJson(named(image), containersOf(engine, image.id).length, shared?.get(image.id)),
        ...virtualSize(call, image),
        ...descriptorJson(call, image),
        ...(manifests ? manifestsJson(image, containersOf(engine, image.id)) : {}),
      })),
    );
  };

  const prune = async (call: Call): Promise<void> => {
    const filters = readFilters(call.query.get('filters'), ['dangling', 'label', 'label!', 'until']);
    const dangling = truthOf(filters, 'dangling') ?? true;
    const until = untilOf(filters);
    const unused = (await images.list()).filter(
      ({ id, tags, config, created }) =>
        (!dangling || tags.length === 0) &&
        containersOf(engine, id).length === 0 &&
        matchesPruneLabels(config.labels, filters) &&
        (until === undefined || Date.parse(created) <= until),
    );
    let SpaceReclaimed = 0;
    const ImagesDeleted: object[] = [];
    for (const { id } of unused) {
      const removed = await remove(id).catch(() => undefined); // A container has come meanwhile.
      ImagesDeleted.push(...(removed?.lines ?? []));
      SpaceReclaimed += removed?.bytes ?? 0;
    }
    events.emit('image', 'prune', '', { reclaimed: String(SpaceReclaimed) });
    sendJson(call, { ImagesDeleted: ImagesDeleted.length > 0 ? ImagesDeleted : null, SpaceReclaimed });
  };

  return [
    { method: 'GET', path: '/images/json', handler: list },
    { method: 'POST', path: '/images/prune', handler: prune },
  ];
}

async function matcher({ images }: Engine, filters: Filters): Promise<(image: Image) => boolean> {
  const madeAt = async (name: string): Promise<number> => Date.parse((await images.find(name)).created);
  const before = await Promise.all((filters.before ?? []).map(madeAt));
  const since = await Promise.all((filters.since ?? []).map(madeAt));
  const dangling = truthOf(filters, 'dangling');
  const until = untilOf(filters);
  return ({ config, tags, digests, created }) => {
    const made = Date.parse(created);
    return (
      matchesLabels(config.labels, filters.label) &&
      anyOf(filters.reference, (pattern) => [...tags, ...digests].some((name) => globMatches(pattern, name))) &&
      (dangling === undefined || dangling === (tags.length === 0)) &&
      before.every((time) => made < time) &&
      since.every((time) => made > time) &&
      (until === undefined || made <= until)
    );
  };
}

/** As path.Match of Go, on the name with its tag or digest, or without. */
function globMatches(pattern: string, name: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]');
  try {
    const whole = new RegExp(`^${expression}$`);
    return whole.test(name) || whole.test(name.replace(/(@.*|:[^:/]+)$/, ''));
  } catch {
    throw new GantryError('INVALID_ARGUMENT', `Invalid filter 'reference=${pattern}': syntax error in pattern`);
  }
}

/** Gone since 1.44. */
export function virtualSize(call: Call, { size }: Image): { VirtualSize?: number } {
  return isBefore(call, '1.44') ? { VirtualSize: size } : {};
}

const descriptorOf = ({ mediaType, digest, size }: ImageManifest): object => ({ mediaType, digest, size });

/** Since 1.48. What was loaded or made here came without a manifest and has none. */
export function descriptorJson(call: Call, { manifest }: Image): { Descriptor?: object } {
  return manifest === undefined || isBefore(call, '1.48') ? {} : { Descriptor: descriptorOf(manifest) };
}

/** Of an index only the manifest of one platform is here. */
function manifestsJson({ manifest, platform, size }: Image, users: ContainerRecord[]): { Manifests: object[] } {
  if (manifest === undefined) return { Manifests: [] };
  const summary = {
    ID: manifest.digest,
    Descriptor: descriptorOf(manifest),
    Available: true,
    Size: { Content: manifest.contentSize, Total: manifest.contentSize + size },
    Kind: 'image',
    ImageData: { Platform: platform, Containers: users.map(({ id }) => id), Size: { Unpacked: size } },
  };
  return { Manifests: [summary] };
}

/** Of an inspection that asks for them. */
export function inspectedManifests(engine: Engine, image: Image): { Manifests: object[] } {
  return manifestsJson(image, containersOf(engine, image.id));
}

/** Bytes of each image's layers that other images have, too. */
export function sharedSizes(all: Image[]): Map<string, number> {
  const owners = new Map<string, number>();
  for (const { diffIds } of all)
    for (const diffId of new Set(diffIds)) owners.set(diffId, (owners.get(diffId) ?? 0) + 1);
  return new Map(
    all.map(({ id, diffIds, layerSizes }) => [
      id,
      diffIds.reduce((sum, diffId, index) => sum + ((owners.get(diffId) ?? 0) > 1 ? (layerSizes[index] ?? 0) : 0), 0),
    ]),
  );
}

/** Bytes of all layers, each counted once. */
export function layersSize(all: Image[]): number {
  const sizes = new Map(
    all.flatMap(({ diffIds, layerSizes }) => diffIds.map((diffId, index) => [diffId, layerSizes[index] ?? 0])),
  );
  return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
}

export function imageSummaryJson(image: Image, containers: number, shared = -1): object {
  return {
    Containers: containers,
    Created: Math.floor(Date.parse(image.created) / 1000),
    Id: image.id,
    Labels: image.config.labels,
    ParentId: '',
    RepoDigests: image.digests,
    RepoTags: image.tags,
    SharedSize: shared,
    Size: image.size,
  };
}

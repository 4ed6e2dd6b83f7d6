// Images as the engine sees them: found by name or ID, pulled, loaded, tagged, removed. Read this file first.
import { GantryError } from '../errors.ts';
import type { Image, ImageManifest } from '../types.ts';
import { type Catalog, type CatalogEntry, type LayerEntry, openCatalog } from './catalog.ts';
import { checkLogin } from './registry/check-login.ts';
import { type ContentStore, createContentStore } from './content-store.ts';
import { openDamage } from './damage.ts';
import { collectGarbage } from './garbage.ts';
import { HELLO, makeHello } from './hello.ts';
import { fullTag, isId, lookUp, neighboursOf, pushTarget, tagOf } from './image-names.ts';
import { hostPlatform, type ParsedConfig, parseImageConfig, platformText, runsOn } from './image-config.ts';
import { createLayerStore } from './layer-store.ts';
import { createLeaving } from './leaving.ts';
import type { Mounter } from './layers/mounter.ts';
import { loadArchive } from './load.ts';
import { storedManifest } from './manifest.ts';
import { openBuildCache } from './build-cache.ts';
import { createBuilds, draftOf } from './builds.ts';
import { commitImage, importImage } from './new-image.ts';
import { listTags, pullImage, shortId } from './pull.ts';
import { inspectRemote, remoteReferrers } from './registry/distribution.ts';
import { pushImage } from './push.ts';
import { familiarName, familiarReference, parseReference, type Reference } from './reference.ts';
import type { ImageStore } from './image-requests.ts';
import { familiarKey, planRemoval, sweep } from './remove.ts';
import { saveArchive } from './save.ts';
import { searchRegistry } from './registry/search.ts';
import type { Unpacker } from './unpack.ts';
import { verifyImage } from './verify.ts';
import { storeManifest } from './write-manifest.ts';

export type { ImageStore, Pull, PullRequest, PushRequest, Removal } from './image-requests.ts';

export interface ImageStoreTools {
  unpacker: Unpacker;
  mounter: Mounter;
  /** GANTRY_LAYERS. */
  layers: string;
}

export function createImageStore(
  dataRoot: string,
  { unpacker, mounter, layers: setting }: ImageStoreTools,
): ImageStore {
  const damage = openDamage(`${dataRoot}/damaged/blobs`);
  const leaving = createLeaving();
  const content = createContentStore(dataRoot, damage, leaving);
  const layers = createLayerStore(`${dataRoot}/layers`, {
    unpacker,
    mounter,
    damage: openDamage(`${dataRoot}/damaged/layers`),
    leaving,
    setting,
  });
  const catalog = openCatalog(dataRoot);
  const builds = createBuilds(openBuildCache(dataRoot), content, layers, unpacker);
  /** What is read of an image once: every container that is made asks for it. */
  const parsed = new Map<string, { config: ParsedConfig; layerSizes: number[]; manifest: ImageManifest | undefined }>();

  const imageOf = async (id: string): Promise<Image> => {
    let known = parsed.get(id);
    if (known === undefined) {
      const config = parseImageConfig(await content.read(id), shortId(id));
      const entry = catalog.images[id];
      known = {
        config,
        layerSizes: await Promise.all(config.diffIds.map((diffId) => layers.size(diffId))),
        manifest: entry && (await storedManifest(entry, id, content)),
      };
      parsed.set(id, known);
    }
    const named = (table: Readonly<Record<string, string>>): string[] =>
      Object.keys(table)
        .filter((name) => table[name] === id)
        .map((name) => familiarReference(parseReference(name)));
    const entry = catalog.images[id];
    const { manifest } = known;
    const size = known.layerSizes.reduce((sum, bytes) => sum + bytes, 0);
    return {
      id,
      ...known.config,
      size,
      layerSizes: known.layerSizes,
      tags: named(catalog.tags),
      digests: named(catalog.digests),
      ...(entry?.taggedAt ? { taggedAt: entry.taggedAt } : {}),
      ...(manifest ? { manifest } : {}),
    };
  };

  /** One at a time: what a removal sweeps away and what an arrival relies on must not be the same. */
  let last: Promise<unknown> = Promise.resolve();
  const exclusively = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };

  let arriving = 0;
  const arrival = async <T>(work: () => Promise<T>): Promise<T> => {
    // Not in the middle of a collection.
    await exclusively(async () => {
      arriving++;
    });
    try {
      return await work();
    } finally {
      arriving--;
    }
  };
  const tidy = (): Promise<void> =>
    exclusively(async () => {
      if (arriving === 0) await collectGarbage(catalog, content, layers, builds);
    });
  const collect = (): Promise<void> => tidy().then(leaving.settled);
  // What an engine that was killed had brought of an image, or had not yet removed.
  if (!catalog.isNew) collect().catch(() => {}); // Tried again with each removal.

  /** False where something of it was removed in the meantime. */
  const register = (arrived: Arrived, tags: Reference[], digests: string[] = []): Promise<boolean> =>
    exclusively(async () => {
      const there = await Promise.all(arrived.layers.map(({ diffId }) => layers.has(diffId)));
      if (there.includes(false) || !(await content.has(arrived.id))) return false;
      const stored = await Promise.all(arrived.layers.map((layer) => storedLayer(layer, catalog, content)));
      const blobs = stored.map(({ blob }) => blob);
      const known = catalog.images[arrived.id]?.manifest;
      const manifest = arrived.manifest ?? known ?? (await storeManifest(arrived.id, blobs, content));
      const entry: CatalogEntry = {
        layers: stored,
        ...(manifest ? { manifest } : {}),
        addedAt: new Date().toISOString(),
      };
      catalog.change((file) => {
        file.images[arrived.id] ??= entry;
        if (tags.length > 0) file.images[arrived.id]!.taggedAt = entry.addedAt;
        for (const reference of tags) file.tags[fullTag(reference)] = arrived.id;
        for (const digest of digests) file.digests[digest] = arrived.id;
      });
      return true;
    });

  /** Brings it again where a removal took a part of it away while it came. */
  const bring = <T extends Arrived>(
    fetch: () => Promise<T>,
    tags: (arrived: T) => Reference[],
    digests?: (arrived: T) => string[],
  ): Promise<T> =>
    arrival(async () => {
      for (let tries = 1; ; tries++) {
        const arrived = await fetch();
        if (await register(arrived, tags(arrived), digests?.(arrived))) return arrived;
        if (tries === BRINGS_MAX)
          throw new GantryError(
            'IN_USE',
            `Cannot keep the image ${shortId(arrived.id)}: its layers are removed as they come`,
          );
      }
    });

  /** Images that builds ran in are found by their IDs only. */
  const stepOfBuild = (name: string): string | undefined => {
    if (!/^(sha256:)?[a-f0-9]{12,64}$/.test(name)) return undefined;
    return Object.keys(builds.cache.file.images).find((id) => id.startsWith(`sha256:${name.replace('sha256:', '')}`));
  };
  const layersOf = (id: string): LayerEntry[] | undefined =>
    (catalog.images[id] ?? builds.cache.file.images[id])?.layers;

  const findKnown = async (name: string): Promise<Image> => {
    const id = lookUp(catalog, name) ?? stepOfBuild(name);
    if (id !== undefined) return imageOf(id);
    throw new GantryError('IMAGE_NOT_FOUND', `No such image: ${name.includes(':') ? name : `${name}:latest`}`, {
      hint: `Pull it with "gantry pull ${name}", or load it from a file with "gantry load -i FILE"`,
    });
  };

  const ensureHello = async (): Promise<string> => {
    const tags = [parseReference(HELLO)];
    return (
      await bring(
        () => makeHello(content, layers),
        () => tags,
      )
    ).id;
  };

  const make = (names: string[], work: () => Promise<Arrived>): Promise<Image> =>
    arrival(async () => {
      const tags = names.map(tagOf);
      const made = await work();
      if (await register(made, tags)) return imageOf(made.id);
      throw new GantryError('IN_USE', 'Cannot keep the new image: its layers were removed in the meantime');
    });

  const store: ImageStore = {
    async list() {
      const images = await Promise.all(Object.keys(catalog.images).map(imageOf));
      return images.sort((a, b) => b.created.localeCompare(a.created) || a.id.localeCompare(b.id));
    },
    async find(name) {
      const isHello = name === HELLO || name === `${HELLO}:latest`;
      return isHello && lookUp(catalog, name) === undefined ? imageOf(await ensureHello()) : findKnown(name);
    },
    async pull(name, { platform, credentials, signal, progress = () => {} } = {}) {
      const reference = parseReference(name);
      if (familiarName(reference) === HELLO) {
        const image = await imageOf(await ensureHello());
        return { image, name, digest: image.id, upToDate: true };
      }
      const known = new Set(Object.keys(catalog.images));
      const pulled = await bring(
        () =>
          pullImage(reference, content, layers, {
            platform: platform ?? hostPlatform(),
            wanted: platform,
            credentials,
            signal,
            progress,
          }),
        // As with docker: who names a digest gets no tag.
        () => (reference.digest === undefined ? [reference] : []),
        ({ digest }) => [`${reference.registry}/${reference.repository}@${digest}`],
      );
      const upToDate = known.has(pulled.id);
      return { image: await imageOf(pulled.id), name: familiarReference(reference), digest: pulled.digest, upToDate };
    },
    async remoteTags(name, request = {}) {
      const reference = parseReference(name);
      return familiarName(reference) === HELLO ? ['latest'] : listTags(reference, request);
    },
    async load(archive, progress = () => {}) {
      try {
        const loaded = await arrival(async () => {
          const images = await loadArchive(archive, content, layers, hostPlatform(), progress);
          for (const image of images)
            if (!(await register(image, image.tags.map(parseReference))))
              throw new GantryError(
                'IN_USE',
                `Cannot load ${image.tags[0] ?? shortId(image.id)}: its layers were removed in the meantime`,
                { hint: 'Load it again' },
              );
          return images;
        });
        // Their names are those that the archive gave them, whatever others they have.
        return await Promise.all(
          loaded.map(async ({ id, tags }) => ({
            ...(await imageOf(id)),
            tags: tags.map((tag) => familiarReference({ tag: 'latest', ...parseReference(tag) })),
          })),
        );
      } finally {
        await collect();
      }
    },
    async save(names) {
      const wanted = new Map<string, string[]>();
      for (const name of names) {
        const image = await store.find(name);
        const tags = wanted.get(image.id) ?? [];
        if (!isId(name, image.id)) tags.push(familiarReference({ tag: 'latest', ...parseReference(name) }));
        wanted.set(image.id, tags);
      }
      return saveArchive(
        [...wanted].map(([id, tags]) => ({ id, tags })),
        catalog,
        content,
      );
    },
    pushable: (name, tag) => pushTarget(catalog, name, tag),
    checkLogin,
    inspectRemote: async (name, credentials) => inspectRemote(parseReference(name), credentials),
    referrers: async (name, type, credentials) => remoteReferrers(parseReference(name), type, credentials),
    search: searchRegistry,
    push(name, { credentials, progress = () => {} } = {}) {
      const reference = tagOf(name);
      const id = catalog.tags[fullTag(reference)];
      const entry = id === undefined ? undefined : catalog.images[id];
      if (id === undefined || entry === undefined)
        throw new GantryError(
          'IMAGE_NOT_FOUND',
          `An image does not exist locally with the tag: ${familiarName(reference)}`,
          { hint: `Give it that name first: gantry tag IMAGE ${familiarReference(reference)}` },
        );
      // As an arrival: what is packed for it is not collected.
      return arrival(() =>
        pushImage(reference, id, entry, content, {
          credentials,
          progress,
          neighbours: ({ blob }) => neighboursOf(catalog, reference, blob),
          packed: {
            get: (diffId) => catalog.packed[diffId],
            keep: (diffId, packed) =>
              catalog.change((file) => {
                file.packed = { ...file.packed, [diffId]: packed };
              }),
          },
        }),
      );
    },
    async tag(name, target) {
      const { id } = await store.find(name);
      const reference = tagOf(target);
      const step = builds.cache.file.images[id];
      catalog.change((file) => {
        file.tags[fullTag(reference)] = id;
        const now = new Date().toISOString();
        // A step of a build becomes an image of the list.
        if (step !== undefined) file.images[id] ??= { layers: step.layers, addedAt: now };
        file.images[id]!.taggedAt = now;
      });
      return familiarReference(reference);
    },
    async remove(name, force, usersOf) {
      await store.find(name);
      const removal = await exclusively(() => remove(name, force, usersOf));
      if (removal.deleted.length > 0) await tidy();
      return removal;
    },
    foreignness: ({ platform }) =>
      runsOn(platform, hostPlatform())
        ? undefined
        : `The requested image's platform (${platformText(platform)}) does not match the detected host platform (${platformText(hostPlatform())}) and no specific platform was requested`,
    layerPaths: (image) => layers.paths(image.diffIds),
    showLayers: layers.show,
    layerFormat: layers.format,
    async verify(name, checked = new Map()) {
      const image = await store.find(name);
      // As an arrival: nothing is collected meanwhile.
      const stored = { content, layers, damage };
      const entry = catalog.images[image.id] ?? { layers: layersOf(image.id) ?? [] };
      return arrival(async () => ({ image, ...(await verifyImage(image.id, entry, stored, checked)) }));
    },
    async changes(image, upper, lowest) {
      const lower = store.layerPaths(image);
      await layers.show(lower);
      return unpacker.changes(upper, [...lower, lowest]);
    },
    commit: (parent, commit, target) =>
      make(target === undefined ? [] : [target], () => {
        const below = layersOf(parent.id);
        if (below === undefined) throw new GantryError('IMAGE_NOT_FOUND', `No such image: ${parent.id}`);
        return commitImage(parent, below, commit, unpacker.pack(commit.upper), content, layers);
      }),
    import: (request, target) =>
      make(target === undefined ? [] : [target], () => importImage(request, content, layers)),
    builds,
    draft: (image) => draftOf(image, layersOf(image.id) ?? []),
    async keep(built, names) {
      // Built from the cache, under the names that it has: nothing is written.
      const isKept =
        built.id in catalog.images && names.every((name) => catalog.tags[fullTag(tagOf(name))] === built.id);
      return isKept ? imageOf(built.id) : make(names, async () => built);
    },
    arrival,
    collect,
    close: () => layers.close().then(leaving.settled),
  };

  const remove: ImageStore['remove'] = async (name, force, usersOf) => {
    const { id } = await findKnown(name);
    const entry = catalog.images[id];
    if (entry === undefined)
      throw new GantryError('IN_USE', `Cannot remove "${name}": it is a step of a build`, {
        hint: 'Remove what builds have kept: gantry builder prune',
      });
    const { names, deletes } = planRemoval(catalog, id, name, force, usersOf(id));
    catalog.change((file) => {
      for (const key of names) {
        delete file.tags[key];
        delete file.digests[key];
      }
      if (deletes) delete file.images[id];
      const left = new Set(Object.values(file.images).flatMap(({ layers }) => layers.map(({ diffId }) => diffId)));
      for (const diffId of Object.keys(file.packed ?? {})) if (!left.has(diffId)) delete file.packed?.[diffId];
    });
    parsed.delete(id);
    const untagged = names.map(familiarKey);
    if (!deletes) return { untagged, deleted: [], bytes: 0 };
    const swept = await sweep(catalog, content, layers, builds, id, entry);
    return { untagged, deleted: [id, ...swept.layers], bytes: swept.bytes };
  };
  return store;
}

/** Most attempts of a pull whose layers are removed while they come. */
const BRINGS_MAX = 3;

interface Arrived {
  id: string;
  layers: LayerEntry[];
  manifest?: string;
}

/** A layer that was there already may be stored packed otherwise, under another digest. */
async function storedLayer(layer: LayerEntry, catalog: Catalog, content: ContentStore): Promise<LayerEntry> {
  if (await content.has(layer.blob)) return layer;
  const others = Object.values(catalog.images).flatMap((entry) => entry.layers);
  return others.find(({ diffId }) => diffId === layer.diffId) ?? layer;
}

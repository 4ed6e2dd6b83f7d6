// Images in the making: layers that the steps of builds have made, and images that no list shows. Read by host/build.
import type { Image, Platform } from '../types.ts';
import type { BuildCache, CacheRecord } from './build-cache.ts';
import type { LayerEntry } from './catalog.ts';
import { type ContentStore, digestOf } from './content-store.ts';
import { emptyConfig, type ParsedConfig, writeImageConfig } from './image-config.ts';
import type { LayerStore } from './layer-store.ts';
import { storeLayer } from './new-image.ts';
import type { Unpacker } from './unpack.ts';

/** An image as far as it has come. */
export interface Draft {
  /** Of an image of the list, as long as nothing has changed. */
  id?: string;
  image: ParsedConfig;
  /** Lowest first. */
  layers: LayerEntry[];
}

export interface Builds {
  readonly cache: BuildCache;
  scratch(platform: Platform): Draft;
  /** What a key has led to, where it is still there whole. */
  cached(key: string): Promise<CacheRecord | undefined>;
  /** Stores a step's layer, from its plain tar; a tar that holds nothing makes none. */
  remember(key: string, description: string, tar: AsyncIterable<Uint8Array> | undefined): Promise<CacheRecord>;
  /** Makes it an image that containers can be created from by its ID, which is returned. */
  stepImage(draft: Draft): Promise<string>;
  /** The draft with its times: those of before where the same was made before. Returns its ID, too. */
  finish(draft: Draft, fixed?: string): Promise<Draft & { id: string }>;
  /** Directories of the layers, uppermost first, with their files in them. */
  layerPaths(draft: Draft): Promise<string[]>;
  /** A container's upper directory as a layer's plain tar. */
  pack: Unpacker['pack'];
  /** Makes the files of a tar in an empty directory, as those of a layer; removes a tree. */
  unpack: Unpacker['unpack'];
  removeTree: Unpacker['remove'];
  /** What is in a draft stays until it is let go, whoever removes the image that it began with. */
  pin(draft: Draft): () => void;
  /** Blobs and layers that builds hold. */
  held(): { blobs: string[]; layers: LayerEntry[] };
}

export function createBuilds(cache: BuildCache, content: ContentStore, layers: LayerStore, unpacker: Unpacker): Builds {
  const pinned = new Set<Draft>();
  return {
    cache,
    scratch: (platform) => ({
      image: { platform, created: '1970-01-01T00:00:00Z', diffIds: [], config: emptyConfig(), history: [] },
      layers: [],
    }),
    async cached(key) {
      const record = cache.get(key);
      if (record?.layer === undefined) return record;
      const { blob, diffId } = record.layer;
      return (await layers.has(diffId)) && (await content.has(blob)) ? record : undefined;
    },
    async remember(key, description, tar) {
      const made = tar === undefined ? undefined : await storeLayer(tar, content, layers, { compress: false });
      const layer = made?.isEmpty === false ? made.layer : undefined;
      const record: CacheRecord = {
        ...(layer === undefined ? {} : { layer }),
        description,
        size: layer === undefined ? 0 : await layers.size(layer.diffId),
        createdAt: new Date().toISOString(),
        usageCount: 0,
      };
      cache.change((file) => (file.records[key] = record));
      return record;
    },
    async stepImage(draft) {
      if (draft.id !== undefined) return draft.id;
      const id = await content.put(writeImageConfig(draft.image));
      const createdAt = new Date().toISOString();
      cache.change((file) => (file.images[id] = { layers: draft.layers, createdAt }));
      return id;
    },
    async finish({ id: unchanged, image, layers: all }, fixed) {
      if (unchanged !== undefined) return { id: unchanged, image, layers: all };
      const { created: _then, ...timeless } = image;
      const key = digestOf(Buffer.from(JSON.stringify([timeless, fixed])));
      const created = fixed ?? cache.file.times[key] ?? new Date().toISOString();
      if (cache.file.times[key] === undefined) cache.change((file) => (file.times[key] = created));
      let last = created;
      // What changed no file has the time of what came after it.
      const history = image.history.toReversed().map((entry) => {
        last = entry.created ?? last;
        return { ...entry, created: last };
      });
      const finished = { ...image, created, history: history.toReversed() };
      return { id: await content.put(writeImageConfig(finished)), image: finished, layers: all };
    },
    async layerPaths(draft) {
      const paths = layers.paths(draft.layers.map(({ diffId }) => diffId));
      await layers.show(paths);
      return paths;
    },
    pack: unpacker.pack,
    unpack: unpacker.unpack,
    removeTree: unpacker.remove,
    pin(draft) {
      pinned.add(draft);
      return () => pinned.delete(draft);
    },
    held() {
      const { records, images } = cache.file;
      const all = [
        ...Object.values(records).flatMap(({ layer }) => layer ?? []),
        ...Object.values(images).flatMap((image) => image.layers),
        ...[...pinned].flatMap((draft) => draft.layers),
      ];
      return { blobs: [...Object.keys(images), ...all.map(({ blob }) => blob)], layers: all };
    },
  };
}

/** What a build starts from where it starts from an image. */
export function draftOf(image: Image, layers: LayerEntry[]): Draft {
  const { id, platform, created, author, diffIds, config, history } = image;
  return { id, image: { platform, created, ...(author ? { author } : {}), diffIds, config, history }, layers };
}

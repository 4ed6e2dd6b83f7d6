// Images made here: a container's changes as a layer on top of its image (`commit`), or a tar as the only layer (`import`).
import { createHash } from 'node:crypto';
import { createGzip } from 'node:zlib';
import { GantryError } from '../errors.ts';
import type { Image, ImageConfig } from '../types.ts';
import type { LayerEntry } from './catalog.ts';
import type { ContentStore } from './content-store.ts';
import { decompress } from './decompress.ts';
import { hostPlatform, type ParsedConfig, parsePlatform, writeImageConfig } from './image-config.ts';
import { applyInstructions } from './instructions.ts';
import { openUrl } from './registry/transport.ts';
import type { LayerStore } from './layer-store.ts';

export interface Commit {
  /** The container's upper directory. */
  upper: string;
  config: ImageConfig;
  author: string;
  comment: string;
  /** For the history: what ran. */
  createdBy: string;
  /** Throws where the container has gone, and its upper directory may be another's. */
  stillThere(): void;
}

export interface Import {
  /** "-": `body`; else the address of a tar. */
  source: string;
  body: AsyncIterable<Uint8Array>;
  /** Dockerfile instructions. */
  changes: string[];
  comment: string;
  /** Such as "linux/amd64"; default: this machine's. */
  platform?: string | undefined;
}

const nothing: ImageConfig = {
  user: '',
  exposedPorts: [],
  env: [],
  entrypoint: [],
  command: [],
  volumes: [],
  workingDir: '',
  labels: {},
  stopSignal: '',
};

export interface Made {
  id: string;
  layers: LayerEntry[];
}

/** Digest of the tar that holds nothing. */
const EMPTY = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

/** Stores a plain tar as a gzip blob, then unpacks what was stored: what changes meanwhile is in neither or in both. */
async function storeLayer(
  tar: AsyncIterable<Uint8Array>,
  content: ContentStore,
  layers: LayerStore,
): Promise<LayerEntry> {
  const hash = createHash('sha256');
  const ingest = await content.begin();
  try {
    const { pipeline } = await import('node:stream/promises');
    await pipeline(
      async function* () {
        for await (const chunk of tar) {
          hash.update(chunk);
          yield chunk;
        }
      },
      createGzip(),
      async (source: AsyncIterable<Buffer>) => {
        for await (const chunk of source) await ingest.write(chunk);
      },
    );
    const blob = await ingest.commit();
    const diffId = `sha256:${hash.digest('hex')}`;
    if (diffId !== EMPTY && !(await layers.has(diffId)))
      await layers.add(diffId, () => decompress(content.stream(blob) as unknown as AsyncIterable<Uint8Array>));
    return { blob, diffId };
  } finally {
    await ingest.abort();
  }
}

export async function commitImage(
  parent: Image,
  below: LayerEntry[],
  { config, author, comment, createdBy, stillThere }: Commit,
  tar: AsyncIterable<Uint8Array>,
  content: ContentStore,
  layers: LayerStore,
): Promise<Made> {
  const layer = await storeLayer(tar, content, layers);
  stillThere();
  const isEmpty = layer.diffId === EMPTY;
  const created = new Date().toISOString();
  const image: ParsedConfig = {
    platform: parent.platform,
    created,
    ...(author ? { author } : {}),
    diffIds: isEmpty ? parent.diffIds : [...parent.diffIds, layer.diffId],
    config,
    history: [
      ...parent.history,
      { created, createdBy, author, comment, ...(isEmpty ? { emptyLayer: true as const } : {}) },
    ],
  };
  const id = await content.put(writeImageConfig(image));
  return { id, layers: isEmpty ? below : [...below, layer] };
}

export async function importImage(
  { source, body, changes, comment, platform: wanted }: Import,
  content: ContentStore,
  layers: LayerStore,
): Promise<Made> {
  const config = applyInstructions(nothing, changes);
  const platform = wanted ? parsePlatform(wanted) : hostPlatform();
  const tar = source === '-' ? body : await openUrl(/^https?:\/\//.test(source) ? source : `http://${source}`);
  const layer = await storeLayer(decompress(tar), content, layers);
  if (layer.diffId === EMPTY || layer.diffId === NOTHING)
    throw new GantryError('INVALID_ARCHIVE', 'Cannot import an image: the archive is empty');
  const created = new Date().toISOString();
  const history = [{ created, comment: comment || `Imported from ${source}` }];
  const id = await content.put(writeImageConfig({ platform, created, diffIds: [layer.diffId], config, history }));
  return { id, layers: [layer] };
}

const NOTHING = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

// Images made here: a container's changes as a layer on top of its image (`commit`), or a tar as the only layer (`import`).
import { createHash } from 'node:crypto';
import { createGzip } from 'node:zlib';
import { GantryError } from '../errors.ts';
import type { Image, ImageConfig } from '../types.ts';
import type { LayerEntry } from './catalog.ts';
import type { ContentStore, Ingest } from './content-store.ts';
import { decompress } from './decompress.ts';
import { emptyConfig, hostPlatform, type ParsedConfig, parsePlatform, writeImageConfig } from './image-config.ts';
import { applyInstructions } from './instructions.ts';
import { openUrl, withoutPassword } from './registry/transport.ts';
import type { LayerStore } from './layer-store.ts';
import { plainLayer } from './plain-layer.ts';

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

export interface Made {
  id: string;
  layers: LayerEntry[];
}

/** Digest of the tar that holds nothing. */
const EMPTY = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';
/** Digest of no byte. */
const NOTHING = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/**
 * Stores a plain tar as a blob, then unpacks what was stored: what changes meanwhile is in neither or in both.
 * @param compress with gzip; a push compresses what is not.
 */
export async function storeLayer(
  tar: AsyncIterable<Uint8Array>,
  content: ContentStore,
  layers: LayerStore,
  { compress }: { compress: boolean },
): Promise<{ layer: LayerEntry; isEmpty: boolean }> {
  const ingest = await content.begin();
  try {
    const diffId = await (compress ? writeCompressed(tar, ingest) : writePlain(tar, ingest));
    const isEmpty = diffId === EMPTY || diffId === NOTHING;
    if (isEmpty && !compress) return { layer: { blob: '', diffId }, isEmpty };
    const blob = await ingest.commit();
    if (!isEmpty && !(await layers.has(diffId)))
      await layers.add(diffId, () => plainLayer(content.stream(blob) as unknown as AsyncIterable<Uint8Array>, content));
    return { layer: { blob, diffId }, isEmpty };
  } finally {
    await ingest.abort();
  }
}

async function writePlain(tar: AsyncIterable<Uint8Array>, ingest: Ingest): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of tar) {
    hash.update(chunk);
    await ingest.write(chunk);
  }
  return `sha256:${hash.digest('hex')}`;
}

async function writeCompressed(tar: AsyncIterable<Uint8Array>, ingest: Ingest): Promise<string> {
  const hash = createHash('sha256');
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
  return `sha256:${hash.digest('hex')}`;
}

export async function commitImage(
  parent: Image,
  below: LayerEntry[],
  { config, author, comment, createdBy, stillThere }: Commit,
  tar: AsyncIterable<Uint8Array>,
  content: ContentStore,
  layers: LayerStore,
): Promise<Made> {
  const { layer, isEmpty } = await storeLayer(tar, content, layers, { compress: true });
  stillThere();
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
  const config = applyInstructions(emptyConfig(), changes);
  const platform = wanted ? parsePlatform(wanted) : hostPlatform();
  const tar = source === '-' ? body : await openUrl(/^https?:\/\//.test(source) ? source : `http://${source}`);
  const { layer, isEmpty } = await storeLayer(content.room.guard(decompress(tar)), content, layers, { compress: true });
  if (isEmpty) throw new GantryError('INVALID_ARCHIVE', 'Cannot import an image: the archive is empty');
  const created = new Date().toISOString();
  const history = [{ created, comment: comment || `Imported from ${withoutPassword(source)}` }];
  const id = await content.put(writeImageConfig({ platform, created, diffIds: [layer.diffId], config, history }));
  return { id, layers: [layer] };
}

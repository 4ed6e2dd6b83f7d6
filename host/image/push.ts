// From an image to a registry: layers side by side, then the configuration, then the manifest. What is there is not sent again.
import { createGzip } from 'node:zlib';
import { GantryError } from '../errors.ts';
import type { Progress } from '../types.ts';
import type { CatalogEntry, LayerEntry, Packed } from './catalog.ts';
import { type ContentStore, digestOf } from './content-store.ts';
import { type Credentials, storedCredentials } from './registry/credentials.ts';
import { eachLimited, shortId } from './pull.ts';
import type { Reference } from './reference.ts';
import { type Blob, createPush, type Push } from './registry/registry-push.ts';
import { originalManifest, type PackedLayer, packedLayer, writeManifest } from './write-manifest.ts';

export interface PushOptions {
  credentials?: Credentials | undefined;
  /** Repositories of the same registry that may have a layer already. */
  neighbours: (layer: LayerEntry) => string[];
  /** What plain layers were packed as before: where that is still there, they are not packed and sent again. */
  packed: { get(diffId: string): Packed | undefined; keep(diffId: string, packed: Packed): void };
  progress: (line: Progress) => void;
}

export interface Pushed {
  tag: string;
  digest: string;
  /** Bytes of the manifest. */
  size: number;
}

const CONCURRENT_LAYERS = 5;
const PROGRESS_EVERY = 512 * 1024;

export async function pushImage(
  reference: Reference,
  id: string,
  entry: CatalogEntry,
  content: ContentStore,
  { credentials, neighbours, packed, progress }: PushOptions,
): Promise<Pushed> {
  const { tag = 'latest' } = reference;
  for (const { diffId } of entry.layers) progress({ id: shortId(diffId), status: 'Preparing' });
  const alsoRead = [...new Set(entry.layers.flatMap(neighbours))];
  const known = credentials ?? (await storedCredentials(reference.registry));
  const push = createPush(reference, { credentials: known, alsoRead });
  const layerOf = new Map<string, PackedLayer>();
  const temporary: string[] = [];
  /** The blob as it came where that is compressed, so that its digest stays; else what it is, or was before, packed as. */
  const send = async (layer: LayerEntry): Promise<PackedLayer> => {
    const { blob, diffId } = layer;
    const offer = { push, id: shortId(diffId), neighbours: neighbours(layer), progress };
    if (!(await content.has(blob))) {
      if (!(await isThere(offer, blob))) throw missing(blob);
      return { digest: blob, size: 0, compression: '+gzip' }; // Its size is in the manifest that it came with.
    }
    const own = await packedLayer(content, blob);
    if (own.compression !== '') {
      if (!(await isThere(offer, blob))) await upload(offer, blob, content);
      return own;
    }
    const before = packed.get(diffId);
    if (before !== undefined && (await isThere(offer, before.digest))) return { ...before, compression: '+gzip' };
    const made = await pack(blob, content);
    temporary.push(made.digest);
    if (made.digest === before?.digest || !(await isThere(offer, made.digest)))
      await upload(offer, made.digest, content);
    packed.keep(diffId, { digest: made.digest, size: made.size });
    return made;
  };
  try {
    // The same layer may stand in an image several times.
    const different = [...new Map(entry.layers.map((layer) => [layer.diffId, layer])).values()];
    await eachLimited(different, CONCURRENT_LAYERS, async (layer) => {
      layerOf.set(layer.diffId, await send(layer));
    });
    if (!(await push.has(id))) await push.upload(await blobOf(content, id), () => {});
    const layers = entry.layers.map(({ diffId }) => layerOf.get(diffId)!);
    const { bytes, mediaType } =
      (await originalManifest(
        entry,
        id,
        layers.map(({ digest }) => digest),
        content,
      )) ?? writeManifest({ digest: id, size: await content.size(id) }, layers);
    await push.manifest(tag, bytes, mediaType);
    return { tag, digest: digestOf(bytes), size: bytes.length };
  } finally {
    push.close();
    const kept = new Set(entry.layers.map(({ blob }) => blob));
    for (const digest of temporary) if (!kept.has(digest)) await content.remove(digest);
  }
}

interface Offer {
  push: Push;
  /** For progress. */
  id: string;
  neighbours: string[];
  progress: (line: Progress) => void;
}

/** Whether the registry has a blob, in this repository or in one that it may be mounted from. */
async function isThere({ push, id, neighbours, progress }: Offer, digest: string): Promise<boolean> {
  if (await push.has(digest)) {
    progress({ id, status: 'Layer already exists' });
    return true;
  }
  for (const from of neighbours)
    if (await push.mount(digest, from)) {
      progress({ id, status: `Mounted from ${from}` });
      return true;
    }
  return false;
}

async function upload({ push, id, progress }: Offer, digest: string, content: ContentStore): Promise<Blob> {
  const blob = await blobOf(content, digest);
  let told = 0;
  await push.upload(blob, (sent) => {
    if (sent < told) told = 0; // Begun anew.
    if (sent - told < PROGRESS_EVERY && sent !== blob.size) return;
    told = sent;
    progress({ id, status: 'Pushing', current: sent, total: blob.size });
  });
  progress({ id, status: 'Pushed' });
  return blob;
}

async function blobOf(content: ContentStore, digest: string): Promise<Blob> {
  if (!(await content.has(digest))) throw missing(digest);
  const size = await content.size(digest);
  return { digest, size, read: (start, end) => (end > start ? content.range(digest, start, end) : nothing()) };
}

function missing(digest: string): GantryError {
  return new GantryError('IMAGE_NOT_FOUND', `Cannot push the layer ${digest}: its blob is not here`, {
    hint: 'Pull or load the image again',
  });
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Registries hold no plain layers: packed for the push. */
async function pack(blob: string, content: ContentStore): Promise<PackedLayer> {
  const ingest = await content.begin();
  try {
    const source = content.stream(blob).pipe(createGzip());
    for await (const chunk of source) await ingest.write(chunk as Uint8Array);
    const { size } = ingest;
    return { digest: await ingest.commit(), size, compression: '+gzip' };
  } finally {
    await ingest.abort();
  }
}

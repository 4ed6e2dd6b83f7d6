// From an image to a registry: layers side by side, then the configuration, then the manifest. What is there is not sent again.
import { createGzip } from 'node:zlib';
import { GantryError } from '../errors.ts';
import type { Progress } from '../types.ts';
import type { CatalogEntry, LayerEntry } from './catalog.ts';
import { type ContentStore, digestOf } from './content-store.ts';
import { type Credentials, storedCredentials } from './registry/credentials.ts';
import { parseManifest } from './manifest.ts';
import { eachLimited, shortId } from './pull.ts';
import type { Reference } from './reference.ts';
import { type Blob, createPush, type Push } from './registry/registry-push.ts';
import { compression } from './save.ts';

export interface PushOptions {
  credentials?: Credentials | undefined;
  /** Repositories of the same registry that may have a layer already. */
  neighbours: (layer: LayerEntry) => string[];
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
const DOCKER = 'application/vnd.docker';

export async function pushImage(
  reference: Reference,
  id: string,
  entry: CatalogEntry,
  content: ContentStore,
  { credentials, neighbours, progress }: PushOptions,
): Promise<Pushed> {
  const { tag = 'latest' } = reference;
  for (const { diffId } of entry.layers) progress({ id: shortId(diffId), status: 'Preparing' });
  const alsoRead = [...new Set(entry.layers.flatMap(neighbours))];
  const known = credentials ?? (await storedCredentials(reference.registry));
  const push = createPush(reference, { credentials: known, alsoRead });
  const packed = new Map<string, string>();
  try {
    // The same layer may stand in an image several times.
    const layers = [...new Map(entry.layers.map((layer) => [layer.diffId, layer])).values()];
    await eachLimited(layers, CONCURRENT_LAYERS, async (layer) => {
      const digest = await compressed(layer, content);
      packed.set(layer.diffId, digest);
      await pushLayer(push, layer, digest, content, neighbours(layer), progress);
    });
    if (!(await push.has(id))) await push.upload(await blobOf(content, id), () => {});
    const blobs = entry.layers.map(({ diffId }) => packed.get(diffId)!);
    const { bytes, mediaType } =
      (await originalManifest(entry, id, blobs, content)) ?? (await newManifest(id, blobs, content));
    await push.manifest(tag, bytes, mediaType);
    return { tag, digest: digestOf(bytes), size: bytes.length };
  } finally {
    push.close();
    // Made for the push alone.
    const kept = new Set(entry.layers.map(({ blob }) => blob));
    for (const digest of packed.values()) if (!kept.has(digest)) await content.remove(digest);
  }
}

async function pushLayer(
  push: Push,
  { diffId }: LayerEntry,
  digest: string,
  content: ContentStore,
  neighbours: string[],
  progress: (line: Progress) => void,
): Promise<void> {
  const id = shortId(diffId);
  if (await push.has(digest)) {
    progress({ id, status: 'Layer already exists' });
    return;
  }
  for (const from of neighbours)
    if (await push.mount(digest, from)) {
      progress({ id, status: `Mounted from ${from}` });
      return;
    }
  const blob = await blobOf(content, digest);
  let told = 0;
  await push.upload(blob, (sent) => {
    if (sent < told) told = 0; // Begun anew.
    if (sent - told < PROGRESS_EVERY && sent !== blob.size) return;
    told = sent;
    progress({ id, status: 'Pushing', current: sent, total: blob.size });
  });
  progress({ id, status: 'Pushed' });
}

async function blobOf(content: ContentStore, digest: string): Promise<Blob> {
  if (!(await content.has(digest)))
    throw new GantryError('IMAGE_NOT_FOUND', `Cannot push the layer ${digest}: its blob is not here`, {
      hint: 'Pull or load the image again',
    });
  const size = await content.size(digest);
  return { digest, size, read: (start, end) => (end > start ? content.range(digest, start, end) : nothing()) };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** The blob as it came where that is compressed, so that its digest stays; else packed now: registries hold no plain layers. */
async function compressed({ blob }: LayerEntry, content: ContentStore): Promise<string> {
  if (!(await content.has(blob)) || (await compression(content, blob)) !== '') return blob;
  const ingest = await content.begin();
  try {
    const source = content.stream(blob).pipe(createGzip());
    for await (const chunk of source) await ingest.write(chunk as Uint8Array);
    return await ingest.commit();
  } finally {
    await ingest.abort();
  }
}

interface Document {
  bytes: Buffer;
  mediaType: string;
}

/** What the image came with, where that names exactly these blobs: then its digest stays. */
async function originalManifest(
  { manifest }: CatalogEntry,
  id: string,
  blobs: string[],
  content: ContentStore,
): Promise<Document | undefined> {
  if (manifest === undefined || !(await content.has(manifest))) return undefined;
  const bytes = await content.read(manifest);
  const parsed = parseManifest(bytes, '', id);
  const same = (layers: { digest: string }[]): boolean =>
    layers.length === blobs.length && layers.every(({ digest }, index) => digest === blobs[index]);
  if (parsed.kind !== 'image' || parsed.config.digest !== id || !same(parsed.layers)) return undefined;
  const { mediaType } = JSON.parse(bytes.toString()) as { mediaType?: string };
  return { bytes, mediaType: mediaType ?? 'application/vnd.oci.image.manifest.v1+json' };
}

/** Docker's kind, which every registry takes; OCI's where a layer is packed as only that knows. */
async function newManifest(id: string, blobs: string[], content: ContentStore): Promise<Document> {
  const kinds = await Promise.all(blobs.map((blob) => compression(content, blob)));
  const oci = kinds.includes('+zstd');
  const mediaType = oci ? 'application/vnd.oci.image.manifest.v1+json' : `${DOCKER}.distribution.manifest.v2+json`;
  const layerType = (kind: string): string =>
    oci ? `application/vnd.oci.image.layer.v1.tar${kind}` : `${DOCKER}.image.rootfs.diff.tar.gzip`;
  const document = {
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: oci ? 'application/vnd.oci.image.config.v1+json' : `${DOCKER}.container.image.v1+json`,
      size: await content.size(id),
      digest: id,
    },
    layers: await Promise.all(
      blobs.map(async (digest, index) => ({
        mediaType: layerType(kinds[index]!),
        size: await content.size(digest),
        digest,
      })),
    ),
  };
  return { bytes: Buffer.from(JSON.stringify(document, null, 3)), mediaType };
}

// Manifests that are written here: of images that came without one, were made here, or are packed otherwise than they came.
import type { CatalogEntry } from './catalog.ts';
import type { ContentStore } from './content-store.ts';
import { parseManifest } from './manifest.ts';

/** As media types say it. */
export type Compression = '' | '+gzip' | '+zstd';

export interface PackedLayer {
  digest: string;
  /** Bytes. */
  size: number;
  compression: Compression;
}

export interface WrittenManifest {
  bytes: Buffer;
  mediaType: string;
}

const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';

/** Told by the first bytes of a blob. */
export async function compressionOf(content: ContentStore, digest: string): Promise<Compression> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.range(digest, 0, 4)) chunks.push(chunk);
  const head = Buffer.concat(chunks);
  if (head.length >= 2 && head.readUInt16BE(0) === 0x1f8b) return '+gzip';
  return head.length === 4 && head.readUInt32LE(0) === 0xfd2fb528 ? '+zstd' : '';
}

export async function packedLayer(content: ContentStore, digest: string): Promise<PackedLayer> {
  return { digest, size: await content.size(digest), compression: await compressionOf(content, digest) };
}

/**
 * The same image and layers make the same bytes.
 * @param kind Docker's, which every registry takes, or OCI's, which alone knows zstd.
 */
export function writeManifest(
  config: { digest: string; size: number },
  layers: PackedLayer[],
  kind: 'docker' | 'oci' = layers.some(({ compression }) => compression === '+zstd') ? 'oci' : 'docker',
): WrittenManifest {
  const mediaType = kind === 'oci' ? `${OCI}.manifest.v1+json` : `${DOCKER}.distribution.manifest.v2+json`;
  const layerType = (compression: Compression): string =>
    kind === 'oci'
      ? `${OCI}.layer.v1.tar${compression}`
      : `${DOCKER}.image.rootfs.diff.tar${compression.replace('+', '.')}`;
  const document = {
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: kind === 'oci' ? `${OCI}.config.v1+json` : `${DOCKER}.container.image.v1+json`,
      size: config.size,
      digest: config.digest,
    },
    layers: layers.map(({ digest, size, compression }) => ({ mediaType: layerType(compression), size, digest })),
  };
  return { bytes: Buffer.from(JSON.stringify(document, null, 3)), mediaType };
}

/** What the image came with, where that names exactly these blobs: then its digest stays. */
export async function originalManifest(
  { manifest }: CatalogEntry,
  id: string,
  blobs: string[],
  content: ContentStore,
): Promise<WrittenManifest | undefined> {
  if (manifest === undefined || !(await content.has(manifest))) return undefined;
  const bytes = await content.read(manifest);
  const parsed = parseManifest(bytes, '', id);
  if (parsed.kind !== 'image' || parsed.config.digest !== id) return undefined;
  const { layers } = parsed;
  if (layers.length !== blobs.length || layers.some(({ digest }, index) => digest !== blobs[index])) return undefined;
  const { mediaType = `${OCI}.manifest.v1+json` } = JSON.parse(bytes.toString()) as { mediaType?: string };
  return { bytes, mediaType };
}

/** Stores the manifest of an image that has none; its digest. Undefined where a blob of it is not here. */
export async function storeManifest(id: string, blobs: string[], content: ContentStore): Promise<string | undefined> {
  const there = await Promise.all([id, ...blobs].map((digest) => content.has(digest)));
  if (there.includes(false)) return undefined;
  const layers = await Promise.all(blobs.map((digest) => packedLayer(content, digest)));
  return content.put(writeManifest({ digest: id, size: await content.size(id) }, layers).bytes);
}

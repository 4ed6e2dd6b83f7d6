// Manifests and indexes (image-spec) as they come from a registry or an archive: checked before anything of them is believed.
import { GantryError } from '../errors.ts';
import type { ImageManifest, Platform } from '../types.ts';
import type { CatalogEntry } from './catalog.ts';
import type { ContentStore } from './content-store.ts';
import { isObject } from './field-types.ts';
import { wrongManifest } from './manifest-types.ts';

export interface Descriptor {
  mediaType?: string;
  digest: string;
  size: number;
  platform?: Platform;
  /** Of what is no image. */
  artifactType?: string;
  annotations?: Record<string, string>;
}

export type ManifestDocument =
  | { kind: 'index'; manifests: Descriptor[] }
  | { kind: 'image'; config: Descriptor; layers: Descriptor[]; artifactType?: string };

/** What registries accept, too (distribution: 4 MiB). */
export const MANIFEST_MAX = 4 * 1024 * 1024;
/** Index in index and so on: more makes no sense. */
export const INDEX_DEPTH_MAX = 4;

const SCHEMA_1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(prettyjws|json)$/;

const kinds: Record<string, 'index' | 'image'> = {
  'application/vnd.oci.image.index.v1+json': 'index',
  'application/vnd.docker.distribution.manifest.list.v2+json': 'index',
  'application/vnd.oci.image.manifest.v1+json': 'image',
  'application/vnd.docker.distribution.manifest.v2+json': 'image',
};

/**
 * One document, one kind: what can be read as both an index and a manifest is neither (CVE-2021-41190).
 * @param mediaType what it was announced as, where that is known.
 * @throws {GantryError} INVALID_ARCHIVE.
 */
export function parseManifest(bytes: Uint8Array, mediaType: string, what: string): ManifestDocument {
  const wrong = (reason: string, cause?: unknown): GantryError =>
    new GantryError('INVALID_ARCHIVE', `Cannot use the manifest of "${what}": ${reason}`, { cause });
  if (bytes.length > MANIFEST_MAX) throw wrong(`it is larger than ${MANIFEST_MAX} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw wrong('it is not JSON', cause);
  }
  if (!isObject(json)) throw wrong('it is no JSON object');
  const flaw = wrongManifest(json);
  if (flaw !== undefined) throw wrong(flaw);
  const own = (json.mediaType ?? '') as string;
  if (own !== '' && mediaType in kinds && own !== mediaType)
    throw wrong(`it calls itself "${own}" and was sent as "${mediaType}"`);
  if (json.schemaVersion === 1 || SCHEMA_1.test(own || mediaType))
    throw new GantryError('UNSUPPORTED', `Cannot use the manifest of "${what}": it is of Docker's old schema 1`, {
      hint: 'Registries gave it up: push the image anew with a docker of 1.10 or later',
    });
  const says = (name: string): boolean => json[name] !== undefined && json[name] !== null;
  const isIndex = says('manifests') || (json.manifests === null && !says('config'));
  const isImage = says('config') || says('layers');
  if (isIndex && isImage) throw wrong('it is an index and a manifest at once');
  const kind = isIndex ? 'index' : 'image';
  const announced = kinds[own] ?? kinds[mediaType];
  if ((!isIndex && !isImage) || (announced !== undefined && announced !== kind))
    throw wrong(`it is of an unknown kind (${own || mediaType || 'no media type'})`);
  // Go writes a list of nothing as null.
  const list = (value: unknown, field: string): Descriptor[] =>
    ((value ?? []) as unknown[]).map((entry) => descriptor(entry, field, wrong));
  if (isIndex) return { kind, manifests: list(json.manifests, 'manifests') } as ManifestDocument;
  return {
    kind,
    config: descriptor(json.config, 'config', wrong),
    layers: list(json.layers, 'layers'),
    ...(json.artifactType ? { artifactType: json.artifactType } : {}),
  } as ManifestDocument;
}

/** What the manifest of an image that is here leads to; undefined where the manifest was not kept. */
export async function storedManifest(
  entry: CatalogEntry,
  id: string,
  content: ContentStore,
): Promise<ImageManifest | undefined> {
  const { manifest: digest, layers } = entry;
  if (digest === undefined || !(await content.has(digest))) return undefined;
  const bytes = await content.read(digest);
  const { mediaType } = JSON.parse(bytes.toString()) as { mediaType?: string };
  // A layer that was here before may be stored packed otherwise, or not at all.
  const blobs = [...new Set([id, ...layers.map(({ blob }) => blob)])];
  const sizes = await Promise.all(blobs.map((blob) => content.size(blob).catch(() => 0)));
  return {
    mediaType: mediaType ?? 'application/vnd.oci.image.manifest.v1+json',
    digest,
    size: bytes.length,
    contentSize: sizes.reduce((sum, size) => sum + size, bytes.length),
  };
}

function descriptor(value: unknown, field: string, wrong: (reason: string) => GantryError): Descriptor {
  const { digest, size, ...others } = (value ?? {}) as Partial<Descriptor>;
  if (typeof digest !== 'string' || !/^sha256:[a-f0-9]{64}$/.test(digest))
    throw wrong(`"${field}" has the digest ${JSON.stringify(digest)}: only sha256 is supported`);
  if (!Number.isSafeInteger(size) || size! < 0) throw wrong(`"${field}" has the size ${JSON.stringify(size)}`);
  // What is null says nothing.
  const said = Object.entries(others).filter(([, one]) => one !== null);
  return { ...Object.fromEntries(said), digest, size } as Descriptor;
}

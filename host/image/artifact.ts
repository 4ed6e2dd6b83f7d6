// What registries hold beside images: charts, signatures, attestations. Told apart by media types, refused by name.
import { GantryError } from '../errors.ts';
import { matchesPlatform } from './image-config.ts';
import type { Descriptor, ManifestDocument } from './manifest.ts';
import type { Platform } from '../types.ts';

/** The last four are what registries make of a configuration that was pushed without a type. */
const CONFIGURATIONS = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
  'application/octet-stream',
  'application/json',
  'text/html',
  '',
]);

/** Tars, whatever they are packed with, and layers without a type. */
const LAYER = /^$|^application\/octet-stream$|\.tar(\b|$)/;

/** Programs that take what is no image here. */
const takers: [RegExp, string][] = [
  [/helm/, '"helm pull" takes it'],
  [/wasm/, 'A module of WebAssembly is one layer of application/wasm, and is pulled; "oras pull" takes anything'],
  [/cosign|sigstore|notary|in-toto/, 'It is about an image; "cosign" or "oras pull" reads it'],
];

/**
 * @param verb what is to be done with it.
 * @throws {GantryError} UNSUPPORTED where the manifest describes no image.
 */
export function checkIsImage(
  document: Extract<ManifestDocument, { kind: 'image' }>,
  verb: 'pull' | 'load' | 'inspect',
  name: string,
): void {
  const refused = (type: string): GantryError =>
    new GantryError('UNSUPPORTED', `Cannot ${verb} "${name}": it is no image, but an artifact of the type "${type}"`, {
      hint: takers.find(([pattern]) => pattern.test(type))?.[1] ?? '"oras pull" takes what is no image',
    });
  const { artifactType, config, layers } = document;
  const type = config.mediaType ?? '';
  if (!CONFIGURATIONS.has(type)) throw refused(artifactType ?? type);
  const other = layers.find(({ mediaType = '' }) => !LAYER.test(mediaType));
  if (other !== undefined) throw refused(artifactType ?? other.mediaType!);
  const secret = layers.find(({ mediaType = '' }) => mediaType.endsWith('+encrypted'));
  if (secret !== undefined)
    throw new GantryError('UNSUPPORTED', `Cannot ${verb} "${name}": its layers are encrypted (${secret.mediaType})`, {
      hint: 'Decrypt it first: "skopeo copy --decryption-key"',
    });
}

/** Entries of an index that are images: what BuildKit attests stands beside them. */
export function imagesOf(manifests: Descriptor[]): Descriptor[] {
  return manifests.filter(
    ({ platform, annotations, artifactType }) =>
      platform?.os !== 'unknown' && annotations?.['vnd.docker.reference.type'] === undefined && !artifactType,
  );
}

/** The entry for a platform: of the same variant before one without, before any; one that tells no platform last of all. */
export function choosePlatform(manifests: Descriptor[], wanted: Platform, name: string): Descriptor {
  const images = imagesOf(manifests);
  const suitable = images.filter(({ platform }) => platform !== undefined && matchesPlatform(platform, wanted));
  const found =
    suitable.find(({ platform }) => platform?.variant === wanted.variant) ??
    suitable.find(({ platform }) => !platform?.variant) ??
    suitable[0] ??
    images.find(({ platform }) => platform === undefined);
  if (found !== undefined) return found;
  const there = images.flatMap(({ platform }) => (platform ? [`${platform.os}/${platform.architecture}`] : []));
  throw new GantryError(
    'IMAGE_NOT_FOUND',
    `Cannot pull "${name}": no matching manifest for ${wanted.os}/${wanted.architecture}`,
    { hint: `It is there for ${[...new Set(there)].join(', ') || 'no platform'}` },
  );
}

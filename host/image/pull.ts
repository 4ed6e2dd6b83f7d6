// From a reference to blobs and layers: index → manifest → configuration, layers side by side.
import { GantryError } from '../errors.ts';
import type { Platform, Progress } from '../types.ts';
import { checkIsImage, choosePlatform } from './artifact.ts';
import type { CatalogEntry } from './catalog.ts';
import { type ContentStore, digestOf } from './content-store.ts';
import { type Credentials, storedCredentials } from './registry/credentials.ts';
import { matchesPlatform, parseImageConfig } from './image-config.ts';
import type { LayerStore } from './layer-store.ts';
import { type Descriptor, parseManifest } from './manifest.ts';
import { familiarName, type Reference } from './reference.ts';
import { plainLayer } from './plain-layer.ts';
import { mirrorsOf } from './registry/registry-settings.ts';
import { createRegistry, type Manifest, type Registry } from './registry/registry.ts';
import { moduleImage, moduleOf } from './wasm-artifact.ts';

export interface PullOptions {
  platform: Platform;
  /** What the user asked for by name: nothing else will do. */
  wanted?: Platform | undefined;
  credentials?: Credentials | undefined;
  /** Ends the pull, and what it has half. */
  signal?: AbortSignal | undefined;
  progress: (line: Progress) => void;
}

export interface Pulled extends Omit<CatalogEntry, 'addedAt' | 'taggedAt'> {
  id: string;
  /** Digest of what the reference names: an index's, or the manifest's. */
  digest: string;
}

const CONCURRENT_LAYERS = 3;
const PROGRESS_EVERY = 512 * 1024;

export function pullImage(
  reference: Reference,
  content: ContentStore,
  layers: LayerStore,
  options: PullOptions,
): Promise<Pulled> {
  return fromRegistry(reference, options, (registry) => pullFrom(registry, reference, content, layers, options));
}

/** Every tag that the repository of a reference has. */
export function listTags(
  reference: Reference,
  options: Pick<PullOptions, 'credentials' | 'signal'>,
): Promise<string[]> {
  return fromRegistry(reference, options, (registry) => registry.tags());
}

/** Asks the mirrors, then the registry itself: what a mirror has not, or cannot give, the registry may have. */
async function fromRegistry<T>(
  reference: Reference,
  { credentials, signal }: Pick<PullOptions, 'credentials' | 'signal'>,
  work: (registry: Registry) => Promise<T>,
): Promise<T> {
  for (const mirror of mirrorsOf(reference.registry)) {
    const registry = createRegistry(reference, { mirror, signal });
    try {
      return await work(registry);
    } catch (error) {
      if (!(error instanceof GantryError) || error.code === 'DISK_FULL' || signal?.aborted) throw error;
    } finally {
      registry.close();
    }
  }
  const known = credentials ?? (await storedCredentials(reference.registry));
  const registry = createRegistry(reference, { credentials: known, signal });
  try {
    return await work(registry);
  } finally {
    registry.close();
  }
}

async function pullFrom(
  registry: Registry,
  reference: Reference,
  content: ContentStore,
  layers: LayerStore,
  options: PullOptions,
): Promise<Pulled> {
  const name = familiarName(reference);
  const top = await fetchManifest(registry, reference.digest ?? reference.tag ?? 'latest', reference.digest, name);
  // Not before: a failure up to here is the answer's status, as docker's.
  if (reference.tag)
    options.progress({
      id: reference.tag,
      status: `Pulling from ${familiarName({ ...reference, registry: 'docker.io' })}`,
    });
  let document = parseManifest(top.bytes, top.mediaType, name);
  let manifestDigest = digestOf(top.bytes);
  let { wanted } = options;
  const digest = manifestDigest;
  await content.put(top.bytes);
  if (document.kind === 'index') {
    const chosen = choosePlatform(document.manifests, options.platform, name);
    if (chosen.platform === undefined) wanted = options.platform; // Its configuration tells.
    const inner = await fetchManifest(registry, chosen.digest, chosen.digest, name);
    document = parseManifest(inner.bytes, inner.mediaType, name);
    await content.put(inner.bytes);
    manifestDigest = chosen.digest;
  }
  if (document.kind === 'index')
    throw new GantryError('INVALID_ARCHIVE', `Cannot pull "${name}": its index leads to another index`);
  const module = moduleOf(document);
  if (module !== undefined) {
    options.progress({ id: shortId(module.digest), status: 'Pulling fs layer' });
    const told = await fetchSmall(registry, content, document.config);
    const blob = storing(registry, content, module, options.progress);
    return { ...(await moduleImage(blob, module.size, told, content, layers)), digest };
  }
  checkIsImage(document, 'pull', name);
  const { config, layers: blobs } = document;
  const bytes = await fetchSmall(registry, content, config);
  const { diffIds, platform } = parseImageConfig(bytes, name);
  if (wanted !== undefined && !matchesPlatform(platform, wanted))
    throw new GantryError(
      'IMAGE_NOT_FOUND',
      `Cannot pull "${name}": no matching manifest for ${wanted.os}/${wanted.architecture}`,
      { hint: `It is there for ${platform.os}/${platform.architecture}` },
    );
  if (diffIds.length !== blobs.length)
    throw new GantryError(
      'INVALID_ARCHIVE',
      `Cannot pull "${name}": ${blobs.length} layers but ${diffIds.length} digests of them`,
    );
  const found = blobs.map((blob, index) => ({ blob, diffId: diffIds[index]! }));
  for (const { blob } of found) options.progress({ id: shortId(blob.digest), status: 'Pulling fs layer' });
  await eachLimited(found, CONCURRENT_LAYERS, ({ blob, diffId }) =>
    fetchLayer(registry, content, layers, blob, diffId, options),
  );
  return {
    id: config.digest,
    digest,
    manifest: manifestDigest,
    layers: found.map(({ blob, diffId }) => ({ blob: blob.digest, diffId })),
  };
}

/** First twelve digits, as docker shows it. */
export function shortId(digest: string): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12);
}

/** The manifest, whose digest is what the registry or the user says. @throws {GantryError} DIGEST_MISMATCH. */
export async function fetchManifest(
  registry: Registry,
  wanted: string,
  digest: string | undefined,
  name: string,
): Promise<Manifest> {
  const manifest = await registry.manifest(wanted);
  const expected = digest ?? manifest.digest;
  const found = digestOf(manifest.bytes);
  if (expected?.startsWith('sha256:') && expected !== found)
    throw new GantryError(
      'DIGEST_MISMATCH',
      `Cannot pull "${name}": the manifest's digest is ${found}, not ${expected}`,
      {
        hint: 'The registry or a proxy damaged it; try again',
      },
    );
  return manifest;
}

const SMALL_MAX = 8 * 1024 * 1024;

async function fetchSmall(registry: Registry, content: ContentStore, { digest, size }: Descriptor): Promise<Buffer> {
  if (await content.has(digest)) return content.read(digest);
  if (size > SMALL_MAX)
    throw new GantryError('INVALID_ARCHIVE', `Cannot pull the configuration ${digest}: ${size} bytes are too many`);
  const ingest = await content.begin();
  try {
    for await (const chunk of registry.blob(digest, size)) await ingest.write(chunk);
    await ingest.commit(digest);
  } finally {
    await ingest.abort();
  }
  return content.read(digest);
}

/** Download, digest, decompression and unpacking run as one stream; what is there already is not done again. */
async function fetchLayer(
  registry: Registry,
  content: ContentStore,
  layers: LayerStore,
  { digest, size }: Descriptor,
  diffId: string,
  { progress, signal }: PullOptions,
): Promise<void> {
  const id = shortId(digest);
  if (await layers.has(diffId)) {
    if (content.isDamaged(digest)) for await (const _chunk of storing(registry, content, { digest, size }, progress));
    progress({ id, status: 'Already exists' });
    return;
  }
  if (await content.has(digest)) {
    progress({ id, status: 'Extracting', current: size, total: size });
    await layers.add(diffId, () => plainLayer(content.stream(digest) as unknown as AsyncIterable<Uint8Array>, content));
    progress({ id, status: 'Pull complete' });
    return;
  }
  await layers.add(diffId, () => plainLayer(storing(registry, content, { digest, size }, progress), content), signal);
  progress({ id, status: 'Pull complete' });
}

/** A blob as it comes, which is stored by the way. */
async function* storing(
  registry: Registry,
  content: ContentStore,
  { digest, size }: Descriptor,
  progress: (line: Progress) => void,
): AsyncGenerator<Uint8Array> {
  const id = shortId(digest);
  await content.room.check(size);
  const ingest = await content.begin();
  try {
    let told = 0;
    for await (const chunk of registry.blob(digest, size)) {
      await ingest.write(chunk);
      if (ingest.size - told >= PROGRESS_EVERY || ingest.size === size) {
        told = ingest.size;
        progress({ id, status: 'Downloading', current: told, total: size });
      }
      yield chunk;
    }
    await ingest.commit(digest); // Before the layer is believed: a wrong digest fails the unpacking too.
    progress({ id, status: 'Download complete' });
  } finally {
    await ingest.abort();
  }
}

/** Runs `work` on every item, so many at once; the first failure is thrown when the running ones have ended. */
export async function eachLimited<T>(items: T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  let failed: { error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (const item of left) {
      if (failed !== undefined) return;
      try {
        await work(item);
      } catch (error) {
        failed ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failed !== undefined) throw failed.error;
}

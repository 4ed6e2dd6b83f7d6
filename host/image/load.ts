// `load`: docker-archive and OCI layout tars, read once, front to back, compressed or not.
import { posix } from 'node:path';
import { GantryError } from '../errors.ts';
import type { Platform, Progress } from '../types.ts';
import { checkIsImage, imagesOf } from './artifact.ts';
import type { CatalogEntry } from './catalog.ts';
import type { ContentStore } from './content-store.ts';
import { decompress } from './decompress.ts';
import { matchesPlatform, parseImageConfig } from './image-config.ts';
import type { LayerStore } from './layer-store.ts';
import { INDEX_DEPTH_MAX, MANIFEST_MAX, parseManifest } from './manifest.ts';
import { plainLayer } from './plain-layer.ts';
import { shortId } from './pull.ts';
import { parseReference } from './reference.ts';

export interface Loaded extends Omit<CatalogEntry, 'addedAt'> {
  id: string;
  /** Names that the archive gives it. */
  tags: string[];
}

/** Files of the archive by name: digest of their content. */
type Files = Map<string, string>;

interface DockerManifest {
  Config: string;
  RepoTags?: string[] | null;
  Layers: string[];
}

const NAME_ANNOTATIONS = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'];

/** @throws {GantryError} INVALID_ARCHIVE where it is neither kind; nothing is listed then. */
export async function loadArchive(
  source: AsyncIterable<Uint8Array>,
  content: ContentStore,
  layers: LayerStore,
  platform: Platform,
  progress: (line: Progress) => void,
): Promise<Loaded[]> {
  const files = await readFiles(decompress(source), content);
  const read = async (name: string, expected?: string): Promise<Buffer> => {
    const digest = files.get(name);
    if (digest === undefined) throw damaged(`it has no "${name}"`);
    if (expected !== undefined && digest !== expected)
      throw new GantryError('DIGEST_MISMATCH', `Cannot load the archive: "${name}" has the digest ${digest}`);
    if ((await content.size(digest)) > MANIFEST_MAX) throw damaged(`"${name}" is larger than ${MANIFEST_MAX} bytes`);
    return content.read(digest);
  };
  const layout = async (): Promise<Source[] | undefined> =>
    files.has('index.json') ? layoutImages(await read('index.json'), 'index.json', read, platform) : undefined;
  const found = files.has('manifest.json')
    ? withManifests(dockerImages(dockerManifests(await read('manifest.json')), files), await layout().catch(() => []))
    : await layout();
  if (found === undefined) throw damaged('it holds neither manifest.json nor index.json');
  for (const tag of found.flatMap(({ tags }) => tags)) checkTag(tag);
  const loaded: Loaded[] = [];
  for (const image of found) loaded.push(await unpackImage(image, content, layers, progress));
  return loaded;
}

function damaged(reason: string, cause?: unknown): GantryError {
  return new GantryError('INVALID_ARCHIVE', `Cannot load the archive: ${reason}`, {
    hint: 'An archive of "gantry save", "docker save" or an OCI layout in a tar is expected',
    cause,
  });
}

function checkTag(tag: string): void {
  try {
    parseReference(tag);
  } catch (cause) {
    throw damaged(`it names an image "${tag}"`, cause);
  }
}

async function readFiles(tar: AsyncIterable<Uint8Array>, content: ContentStore): Promise<Files> {
  const { extract } = await import('tar-stream');
  const { Readable } = await import('node:stream');
  const files: Files = new Map();
  const links: [string, string][] = [];
  const unpack = extract();
  const feed = Readable.from(tar, { objectMode: false });
  feed.on('error', (error) => unpack.destroy(error));
  feed.pipe(unpack);
  try {
    for await (const entry of unpack) {
      const name = posix.normalize(entry.header.name).replace(/^\/+/, '');
      if (entry.header.type === 'symlink' || entry.header.type === 'link') {
        const target = entry.header.linkname ?? '';
        links.push([
          name,
          entry.header.type === 'link' ? posix.normalize(target) : posix.join(posix.dirname(name), target),
        ]);
        entry.resume();
      } else if (entry.header.type === 'file' || entry.header.type === 'contiguous-file') {
        await content.room.check(entry.header.size ?? 0);
        const ingest = await content.begin();
        try {
          for await (const chunk of entry) await ingest.write(chunk as Uint8Array);
          files.set(name, await ingest.commit());
        } finally {
          await ingest.abort();
        }
      } else entry.resume();
    }
  } catch (cause) {
    if (cause instanceof GantryError || (cause as NodeJS.ErrnoException).code === 'ENOSPC') throw cause;
    throw damaged(`it is no whole tar: ${(cause as Error).message}`, cause);
  }
  for (const [name, target] of links) if (files.has(target)) files.set(name, files.get(target)!);
  return files;
}

interface Source {
  configDigest: string;
  blobs: string[];
  tags: string[];
  manifest?: string;
}

function dockerManifests(bytes: Buffer): DockerManifest[] {
  try {
    const list = JSON.parse(bytes.toString()) as DockerManifest[];
    const texts = (value: unknown): boolean => Array.isArray(value) && value.every((text) => typeof text === 'string');
    const known = ({ Config, Layers, RepoTags }: DockerManifest): boolean =>
      typeof Config === 'string' && texts(Layers) && texts(RepoTags ?? []);
    if (Array.isArray(list) && list.every(known)) return list;
  } catch (cause) {
    throw damaged('"manifest.json" is not JSON', cause);
  }
  throw damaged('"manifest.json" is no list of images');
}

function dockerImages(manifests: DockerManifest[], files: Files): Source[] {
  const digest = (name: string): string => {
    const found = files.get(posix.normalize(name));
    if (found === undefined) throw damaged(`it has no "${name}"`);
    return found;
  };
  return manifests.map(({ Config, RepoTags, Layers }) => ({
    configDigest: digest(Config),
    blobs: Layers.map(digest),
    tags: RepoTags ?? [],
  }));
}

/** Archives of today are a layout, too: the manifest there is what the image's digest is of. */
function withManifests(images: Source[], others: Source[] = []): Source[] {
  const isSame = (a: Source, b: Source): boolean =>
    a.configDigest === b.configDigest && a.blobs.join() === b.blobs.join();
  return images.map((image) => {
    const manifest = others.find((other) => isSame(image, other))?.manifest;
    return manifest === undefined ? image : { ...image, manifest };
  });
}

/** Every image of an index that suits, whatever indexes lie between; each blob is what its digest says. */
async function layoutImages(
  bytes: Buffer,
  what: string,
  read: (name: string, expected: string) => Promise<Buffer>,
  platform: Platform,
  inherited: string[] = [],
  depth = 0,
): Promise<Source[]> {
  const document = parseManifest(bytes, '', what);
  if (document.kind === 'image' || depth > INDEX_DEPTH_MAX) throw damaged(`"${what}" is no index that can be used`);
  const found: Source[] = [];
  const suitable = imagesOf(document.manifests).filter(
    (entry) => entry.platform === undefined || matchesPlatform(entry.platform, platform),
  );
  if (suitable.length === 0) throw damaged(`it has no image for ${platform.os}/${platform.architecture}`);
  let other: { error: unknown } | undefined;
  for (const { annotations, digest } of suitable) {
    const named = NAME_ANNOTATIONS.flatMap((key) => annotations?.[key] ?? []).slice(0, 1);
    const tags = named.length > 0 ? named : inherited;
    const name = `blobs/${digest.replace(':', '/')}`;
    const inner = await read(name, digest);
    const manifest = parseManifest(inner, '', name);
    if (manifest.kind === 'image') {
      try {
        checkIsImage(manifest, 'load', tags[0] ?? shortId(digest));
      } catch (error) {
        other ??= { error }; // Beside images: left out.
        continue;
      }
    }
    if (manifest.kind === 'index') found.push(...(await layoutImages(inner, name, read, platform, tags, depth + 1)));
    else
      found.push({
        configDigest: manifest.config.digest,
        blobs: manifest.layers.map((layer) => layer.digest),
        tags,
        manifest: digest,
      });
  }
  if (found.length === 0 && other !== undefined) throw other.error;
  return found;
}

async function unpackImage(
  { configDigest, blobs, tags, manifest }: Source,
  content: ContentStore,
  layers: LayerStore,
  progress: (line: Progress) => void,
): Promise<Loaded> {
  if (!(await content.has(configDigest))) throw damaged(`it has no configuration ${configDigest}`);
  if ((await content.size(configDigest)) > MANIFEST_MAX) throw damaged('its configuration is too large');
  const { diffIds } = parseImageConfig(await content.read(configDigest), tags[0] ?? shortId(configDigest));
  if (diffIds.length !== blobs.length) throw damaged(`${blobs.length} layers but ${diffIds.length} digests of them`);
  for (const [index, blob] of blobs.entries()) {
    const diffId = diffIds[index]!;
    if (await layers.has(diffId)) continue;
    if (!(await content.has(blob))) throw damaged(`it has no layer ${blob}`);
    progress({ id: shortId(blob), status: 'Loading layer' });
    await layers.add(diffId, () => plainLayer(content.stream(blob) as unknown as AsyncIterable<Uint8Array>, content));
  }
  return {
    id: configDigest,
    tags,
    layers: blobs.map((blob, index) => ({ blob, diffId: diffIds[index]! })),
    ...(manifest === undefined ? {} : { manifest }),
  };
}

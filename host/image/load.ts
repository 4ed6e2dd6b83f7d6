// `load`: docker-archive and OCI layout tars, read once, front to back, compressed or not.
import { posix } from 'node:path';
import { GantryError } from '../errors.ts';
import type { Platform, Progress } from '../types.ts';
import type { CatalogEntry } from './catalog.ts';
import type { ContentStore } from './content-store.ts';
import { decompress } from './decompress.ts';
import { matchesPlatform, parseImageConfig } from './image-config.ts';
import type { LayerStore } from './layer-store.ts';
import { type Descriptor, shortId } from './pull.ts';
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
  const json = async <T>(name: string): Promise<T> => {
    const digest = files.get(name);
    if (digest === undefined) throw damaged(`it has no "${name}"`);
    try {
      return JSON.parse((await content.read(digest)).toString()) as T;
    } catch (cause) {
      throw damaged(`"${name}" is not JSON`, cause);
    }
  };
  const found = files.has('manifest.json')
    ? await dockerImages(await json<DockerManifest[]>('manifest.json'), files)
    : files.has('index.json')
      ? await layoutImages(await json<Index>('index.json'), json, platform)
      : undefined;
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

async function dockerImages(manifests: DockerManifest[], files: Files): Promise<Source[]> {
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

interface Index {
  manifests?: (Descriptor & { annotations?: Record<string, string> })[];
}

interface LayoutManifest extends Index {
  config?: Descriptor;
  layers?: Descriptor[];
}

async function layoutImages(
  index: Index,
  json: <T>(name: string) => Promise<T>,
  platform: Platform,
  inherited: string[] = [],
): Promise<Source[]> {
  const found: Source[] = [];
  const suitable = (index.manifests ?? []).filter(
    (entry) => entry.platform === undefined || matchesPlatform(entry.platform, platform),
  );
  if (suitable.length === 0) throw damaged(`it has no image for ${platform.os}/${platform.architecture}`);
  for (const descriptor of suitable) {
    const named = NAME_ANNOTATIONS.flatMap((key) => descriptor.annotations?.[key] ?? []).slice(0, 1);
    const tags = named.length > 0 ? named : inherited;
    const manifest = await json<LayoutManifest>(`blobs/${descriptor.digest.replace(':', '/')}`);
    if (manifest.manifests !== undefined) found.push(...(await layoutImages(manifest, json, platform, tags)));
    else if (manifest.config !== undefined && manifest.layers !== undefined)
      found.push({
        configDigest: manifest.config.digest,
        blobs: manifest.layers.map(({ digest }) => digest),
        tags,
        manifest: descriptor.digest,
      });
  }
  return found;
}

async function unpackImage(
  { configDigest, blobs, tags, manifest }: Source,
  content: ContentStore,
  layers: LayerStore,
  progress: (line: Progress) => void,
): Promise<Loaded> {
  if (!(await content.has(configDigest))) throw damaged(`it has no configuration ${configDigest}`);
  const { diffIds } = parseImageConfig(await content.read(configDigest), tags[0] ?? shortId(configDigest));
  if (diffIds.length !== blobs.length) throw damaged(`${blobs.length} layers but ${diffIds.length} digests of them`);
  for (const [index, blob] of blobs.entries()) {
    const diffId = diffIds[index]!;
    if (await layers.has(diffId)) continue;
    if (!(await content.has(blob))) throw damaged(`it has no layer ${blob}`);
    progress({ id: shortId(blob), status: 'Loading layer' });
    await layers.add(diffId, () => decompress(content.stream(blob) as unknown as AsyncIterable<Uint8Array>));
  }
  return {
    id: configDigest,
    tags,
    layers: blobs.map((blob, index) => ({ blob, diffId: diffIds[index]! })),
    ...(manifest === undefined ? {} : { manifest }),
  };
}

// `save`: images as one tar that is both a docker-archive and an OCI layout.
import { once } from 'node:events';
import type { Catalog, CatalogEntry } from './catalog.ts';
import { type ContentStore, digestOf } from './content-store.ts';
import { GantryError } from '../errors.ts';
import { parseReference } from './reference.ts';
import { originalManifest, packedLayer, writeManifest } from './write-manifest.ts';

export interface Saved {
  id: string;
  /** Names to write into it. */
  tags: string[];
}

const EPOCH = new Date(0);

/** The tar's bytes. The same images make the same bytes. */
export async function* saveArchive(
  images: Saved[],
  catalog: Catalog,
  content: ContentStore,
): AsyncGenerator<Uint8Array> {
  const { pack } = await import('tar-stream');
  const tar = pack();
  const gone = new Promise<void>((resolve) => tar.once('close', () => resolve()));
  const written = new Set<string>();
  const file = (name: string, text: string | Uint8Array): void => {
    tar.entry({ name, mode: 0o644, mtime: EPOCH }, Buffer.from(text));
  };
  const blobPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
  const blob = async (digest: string): Promise<void> => {
    if (written.has(digest)) return;
    written.add(digest);
    const header = { name: blobPath(digest), mode: 0o644, mtime: EPOCH, size: await content.size(digest) };
    const entry = tar.entry(header) as unknown as NodeJS.WritableStream;
    for await (const chunk of content.stream(digest)) {
      if (!entry.write(chunk as Buffer)) await Promise.race([once(entry, 'drain'), gone]);
      if (tar.destroyed) return; // The reader went away.
    }
    entry.end();
  };

  const fill = async (): Promise<void> => {
    const manifests: object[] = [];
    const docker: object[] = [];
    for (const { id, tags } of images) {
      const entry = catalog.images[id];
      if (entry === undefined) throw new GantryError('IMAGE_NOT_FOUND', `Cannot save "${id}": No such image`);
      for (const layer of entry.layers) await blob(layer.blob);
      await blob(id);
      const manifest = await manifestOf(id, entry, content);
      const digest = digestOf(manifest);
      if (!written.has(digest)) file(blobPath(digest), manifest);
      written.add(digest);
      for (const tag of tags.length > 0 ? tags : [undefined])
        manifests.push({
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest,
          size: manifest.length,
          ...(tag === undefined ? {} : { annotations: namesOf(tag) }),
        });
      docker.push({ Config: blobPath(id), RepoTags: tags, Layers: entry.layers.map((layer) => blobPath(layer.blob)) });
    }
    file('oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    file('index.json', JSON.stringify({ schemaVersion: 2, manifests }));
    file('manifest.json', JSON.stringify(docker));
    tar.finalize();
  };
  fill().catch((error: Error) => tar.destroy(error));
  for await (const chunk of tar) yield chunk as Uint8Array;
}

/** As it came, where that is of OCI's kind: layouts hold no other. */
async function manifestOf(id: string, entry: CatalogEntry, content: ContentStore): Promise<Buffer> {
  const blobs = entry.layers.map(({ blob }) => blob);
  const original = await originalManifest(entry, id, blobs, content);
  if (original?.mediaType === 'application/vnd.oci.image.manifest.v1+json') return original.bytes;
  const layers = await Promise.all(blobs.map((blob) => packedLayer(content, blob)));
  return writeManifest({ digest: id, size: await content.size(id) }, layers, 'oci').bytes;
}

/** containerd and docker read the whole name, skopeo and umoci the tag. */
function namesOf(tag: string): Record<string, string> {
  const { registry, repository, tag: short = 'latest' } = parseReference(tag);
  return {
    'io.containerd.image.name': `${registry}/${repository}:${short}`,
    'org.opencontainers.image.ref.name': short,
  };
}

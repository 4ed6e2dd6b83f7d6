// Whether everything that an image consists of is still what its digests say: documents, blobs, layers.
import { createHash } from 'node:crypto';
import type { CatalogEntry } from './catalog.ts';
import type { ContentStore } from './content-store.ts';
import type { Damage } from './damage.ts';
import { decompress } from './decompress.ts';
import { parseImageConfig } from './image-config.ts';
import type { LayerStore } from './layer-store.ts';
import { parseManifest } from './manifest.ts';

export interface Flaw {
  what: 'configuration' | 'manifest' | 'blob' | 'layer';
  digest: string;
  /** A clause about it: "its content has the digest …". */
  reason: string;
  /** A pull or load brings it again; else the image has to be removed first. */
  replaceable: boolean;
}

export interface Verification {
  /** Without those that an image before had, too. */
  bytesRead: number;
  flaws: Flaw[];
}

/** What was found of blobs and layers that several images have. */
export type Checked = Map<string, Promise<Flaw | undefined>>;

export interface Stored {
  content: ContentStore;
  layers: LayerStore;
  /** Of blobs. */
  damage: Damage;
}

/** Reads all of an image. What is broken counts as missing from then on. */
export async function verifyImage(
  id: string,
  entry: Pick<CatalogEntry, 'layers' | 'manifest'>,
  { content, layers, damage }: Stored,
  checked: Checked,
): Promise<Verification> {
  let bytesRead = 0;
  const once = (key: string, work: () => Promise<Flaw | undefined>): Promise<Flaw | undefined> => {
    const known = checked.get(key) ?? work();
    checked.set(key, known);
    return known;
  };

  const checkBlob = (what: Flaw['what'], digest: string, size?: number): Promise<Flaw | undefined> =>
    once(digest, async () => {
      const hash = createHash('sha256');
      let bytes = 0;
      let reason: string | undefined;
      try {
        for await (const chunk of content.stream(digest)) {
          hash.update(chunk as Buffer);
          bytes += chunk.length;
        }
        const found = `sha256:${hash.digest('hex')}`;
        if (found !== digest) reason = `its content has the digest ${found}`;
        else if (size !== undefined && bytes !== size) reason = `it has ${bytes} bytes, the manifest says ${size}`;
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        reason = code === 'ENOENT' ? 'it is missing' : `it cannot be read: ${message}`;
      }
      bytesRead += bytes;
      if (reason === undefined) return undefined;
      damage.mark(digest);
      return { what, digest, reason, replaceable: true };
    });

  const flaws: (Flaw | undefined)[] = [await checkBlob('configuration', id)];
  const sizes = new Map<string, number>();
  if (entry.manifest !== undefined) {
    const { manifest } = entry;
    const flaw = await checkBlob('manifest', manifest);
    flaws.push(flaw ?? (await readManifest(manifest)));
  }
  if (flaws[0] === undefined) {
    const { diffIds } = parseImageConfig(await content.read(id), id);
    if (diffIds.join() !== entry.layers.map(({ diffId }) => diffId).join())
      flaws.push({ what: 'configuration', digest: id, reason: 'it names other layers', replaceable: true });
  }
  for (const { blob, diffId } of entry.layers) {
    const flaw = await checkBlob('blob', blob, sizes.get(blob));
    flaws.push(flaw);
    flaws.push(
      await once(`layer ${diffId}`, async () => {
        const found = flaw
          ? { reason: 'it cannot be compared with its blob, which is damaged', replaceable: true }
          : await layers.verify(diffId, () => decompress(content.stream(blob) as unknown as AsyncIterable<Uint8Array>));
        return found && { what: 'layer' as const, digest: diffId, ...found };
      }),
    );
  }
  return { bytesRead, flaws: flaws.filter((flaw) => flaw !== undefined) };

  /** Remembers the sizes that it tells. */
  async function readManifest(digest: string): Promise<Flaw | undefined> {
    const document = parseManifest(await content.read(digest), '', digest);
    const named = document.kind === 'image' ? document.config.digest : undefined;
    if (named !== id || document.kind !== 'image')
      return { what: 'manifest', digest, reason: `it names the configuration ${named}`, replaceable: true };
    for (const layer of document.layers) sizes.set(layer.digest, layer.size);
    return undefined;
  }
}

// What no image needs: blobs and layers of failed loads and of pulls that nobody finished, removed when nothing arrives.
import type { Builds } from './builds.ts';
import type { Catalog } from './catalog.ts';
import type { ContentStore } from './content-store.ts';
import type { LayerStore } from './layer-store.ts';

/** Not to be called while an image arrives: what it has brought so far is in no catalog yet. */
export async function collectGarbage(
  catalog: Catalog,
  content: ContentStore,
  layers: LayerStore,
  builds: Pick<Builds, 'held'>,
): Promise<void> {
  const held = builds.held();
  const blobs = new Set(held.blobs);
  const diffIds = new Set(held.layers.map(({ diffId }) => diffId));
  for (const [id, entry] of Object.entries(catalog.images)) {
    for (const digest of [id, entry.manifest ?? id, ...entry.layers.map(({ blob }) => blob)]) blobs.add(digest);
    for (const { diffId } of entry.layers) diffIds.add(diffId);
  }
  for (const name of Object.keys(catalog.digests)) blobs.add(name.slice(name.indexOf('@') + 1));
  for (const digest of await content.list()) if (!blobs.has(digest)) await content.remove(digest);
  for (const diffId of await layers.list()) if (!diffIds.has(diffId)) await layers.remove(diffId);
}

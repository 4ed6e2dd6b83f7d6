// What taking a name or an ID away means, by docker's rules: which names go, whether the image goes, what forbids it.
import { GantryError } from '../errors.ts';
import type { ImageUsers } from '../types.ts';
import type { Builds } from './builds.ts';
import type { Catalog, CatalogEntry } from './catalog.ts';
import type { ContentStore } from './content-store.ts';
import { fullTag, isId } from './image-names.ts';
import type { LayerStore } from './layer-store.ts';
import { shortId } from './pull.ts';
import { familiarReference, parseReference } from './reference.ts';

export interface RemovalPlan {
  /** Keys of the catalog's tables, tags and digests. */
  names: string[];
  /** The image itself goes, too. */
  deletes: boolean;
}

/**
 * A container that is stopped keeps its image under force, without a name: it may start again.
 * @throws {GantryError} IN_USE in docker's words.
 */
export function planRemoval(
  catalog: Catalog,
  id: string,
  name: string,
  force: boolean,
  { running, stopped }: ImageUsers,
): RemovalPlan {
  const all = [...Object.keys(catalog.tags), ...Object.keys(catalog.digests)].filter(
    (key) => (catalog.tags[key] ?? catalog.digests[key]) === id,
  );
  const conflict = (said: string, hint: string): GantryError =>
    new GantryError('IN_USE', `Cannot remove "${name}": conflict: ${said}`, { hint });
  const undeletable = (how: 'must' | 'cannot', reason: string, hint: string): GantryError =>
    conflict(`unable to delete ${shortId(id)} (${how} be forced) - ${reason}`, hint);
  const key = keyOf(name);
  const user = running ?? stopped;

  if (isId(name, id) && !(key !== undefined && all.includes(key))) {
    if (running !== undefined)
      throw undeletable(
        'cannot',
        `image is being used by running container ${running}`,
        'Stop and remove the container first',
      );
    if (!force && all.length > 0 && !isSingle(all))
      throw undeletable(
        'must',
        'image is referenced in multiple repositories',
        'Remove its names one by one, or add -f',
      );
    if (stopped !== undefined && (!force || all.length === 0))
      throw undeletable(
        force ? 'cannot' : 'must',
        `image is being used by stopped container ${stopped}`,
        'Remove the container first',
      );
    return { names: all, deletes: stopped === undefined };
  }

  if (user !== undefined && !force && isSingle(all))
    throw conflict(
      `unable to remove repository reference "${name}" (must force) - container ${user} is using its referenced image ${shortId(id)}`,
      'Remove the container first',
    );
  const rest = all.filter((one) => one !== key);
  const repository = repositoryOf(key!);
  // With the last tag of a repository go its digests: nobody would know them any more.
  const lastTag = !key!.includes('@') && !rest.some((one) => !one.includes('@') && repositoryOf(one) === repository);
  const along = lastTag ? rest.filter((one) => repositoryOf(one) === repository) : [];
  return { names: [key!, ...along], deletes: user === undefined && rest.length === along.length };
}

/** Undefined where it can only be an ID. */
function keyOf(name: string): string | undefined {
  if (/^(sha256:[a-f0-9]+|[a-f0-9]{64})$/.test(name)) return undefined;
  const reference = parseReference(name);
  const { registry, repository, digest } = reference;
  return digest === undefined ? fullTag(reference) : `${registry}/${repository}@${digest}`;
}

const repositoryOf = (key: string): string => key.replace(/(@.*|:[^:/]+)$/, '');

/** All of one repository, and at most one of them a tag. */
function isSingle(keys: string[]): boolean {
  return new Set(keys.map(repositoryOf)).size === 1 && keys.filter((key) => !key.includes('@')).length <= 1;
}

/** A name of the catalog as people write it. */
export function familiarKey(key: string): string {
  return familiarReference(parseReference(key));
}

/** Removes what a removed image had and no other needs. Returns digests and size of the layers. */
export async function sweep(
  catalog: Catalog,
  content: ContentStore,
  layers: LayerStore,
  builds: Pick<Builds, 'held'>,
  id: string,
  gone: CatalogEntry,
): Promise<{ layers: string[]; bytes: number }> {
  const held = builds.held();
  const others = [...Object.values(catalog.images).flatMap((entry) => entry.layers), ...held.layers];
  const diffIds = new Set(others.map((layer) => layer.diffId));
  const blobs = new Set(others.map((layer) => layer.blob));
  const deleted = gone.layers.filter((layer) => !diffIds.has(layer.diffId));
  let bytes = 0;
  for (const { diffId } of deleted) {
    bytes += await layers.size(diffId);
    await layers.remove(diffId);
  }
  for (const { blob } of gone.layers) if (!blobs.has(blob)) await content.remove(blob);
  if (gone.manifest !== undefined) await content.remove(gone.manifest);
  if (!held.blobs.includes(id)) await content.remove(id);
  return { layers: deleted.map((layer) => layer.diffId), bytes };
}

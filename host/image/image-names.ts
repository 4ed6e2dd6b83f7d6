// Names → images of the catalog.
import { GantryError } from '../errors.ts';
import type { Catalog } from './catalog.ts';
import { familiarName, parseReference, type Reference } from './reference.ts';

/** Repositories that are asked for a layer before it is sent. */
const NEIGHBOURS_MAX = 4;

/** @throws {GantryError} INVALID_ARGUMENT where it is no name and tag. */
export function tagOf(target: string): Reference {
  const reference = parseReference(target);
  if (reference.digest !== undefined)
    throw new GantryError('INVALID_ARGUMENT', `Cannot tag an image as "${target}": a digest cannot be given`);
  return reference;
}

export function fullTag({ registry, repository, tag = 'latest' }: Reference): string {
  return `${registry}/${repository}:${tag}`;
}

export function isId(name: string, id: string): boolean {
  return /^(sha256:)?[a-f0-9]{4,64}$/.test(name) && id.startsWith(name.startsWith('sha256:') ? name : `sha256:${name}`);
}

/** Repositories of the same registry, by whose names images with this blob are known. */
export function neighboursOf(
  { images, tags, digests }: Catalog,
  { registry, repository }: Reference,
  blob: string,
): string[] {
  const names = [...Object.entries(tags), ...Object.entries(digests)]
    .filter(([, id]) => images[id]?.layers.some((layer) => layer.blob === blob))
    .map(([name]) => parseReference(name))
    .filter((other) => other.registry === registry && other.repository !== repository);
  return [...new Set(names.map((other) => other.repository))].slice(0, NEIGHBOURS_MAX);
}

/** A name wins over an ID that begins so. */
export function lookUp(catalog: Catalog, name: string): string | undefined {
  if (Object.hasOwn(catalog.images, name)) return name; // What every start asks for.
  const digits = name.replace(/^sha256:/, '');
  const hex = /^[a-f0-9]{4,64}$/.test(digits);
  const byId = (): string | undefined => {
    const found = hex ? Object.keys(catalog.images).filter((id) => id.startsWith(`sha256:${digits}`)) : [];
    if (found.length > 1)
      throw new GantryError('INVALID_ARGUMENT', `Cannot tell which image "${name}" is: ${found.length} begin so`);
    return found[0];
  };
  if (name.startsWith('sha256:') || /^[a-f0-9]{64}$/.test(name)) return byId();
  const reference = parseReference(name);
  const base = `${reference.registry}/${reference.repository}`;
  const named =
    reference.digest === undefined ? catalog.tags[fullTag(reference)] : catalog.digests[`${base}@${reference.digest}`];
  return named ?? byId();
}

export interface PushTarget {
  /** "docker.io/library/busybox", and as people write it. */
  address: string;
  repository: string;
  tags: string[];
}

/** @param tag empty: all tags. @throws {GantryError} IMAGE_NOT_FOUND in docker's words. */
export function pushTarget({ tags }: Catalog, name: string, tag: string): PushTarget {
  const reference = parseReference(name);
  const address = `${reference.registry}/${reference.repository}`;
  const repository = familiarName(reference);
  const all = Object.keys(tags)
    .filter((key) => key.startsWith(`${address}:`))
    .map((key) => key.slice(address.length + 1));
  const found = all.filter((one) => tag === '' || one === tag).sort();
  if (found.length > 0) return { address, repository, tags: found };
  throw new GantryError('IMAGE_NOT_FOUND', `An image does not exist locally with the tag: ${repository}`, {
    hint: `Give it that name first: gantry tag IMAGE ${repository}${tag === '' ? '' : `:${tag}`}`,
  });
}

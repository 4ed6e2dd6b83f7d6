// Image references: "busybox", "localhost:5000/team/app:1.2@sha256:…" (distribution's reference grammar).
import { GantryError } from '../errors.ts';

export interface Reference {
  /** "docker.io", "localhost:5000". */
  registry: string;
  /** "library/busybox". */
  repository: string;
  /** Absent only beside a digest. */
  tag?: string;
  /** "sha256:…". */
  digest?: string;
}

const DEFAULT_REGISTRY = 'docker.io';
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[a-f0-9]{64}$/;

function invalid(text: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Cannot read the image reference "${text}": invalid reference format`, {
    hint: `${reason}; a reference is [REGISTRY/]NAME[:TAG][@sha256:DIGEST], in lower case`,
  });
}

/** Reads what a user writes; tag "latest" where neither tag nor digest is given. @throws {GantryError} INVALID_ARGUMENT. */
export function parseReference(text: string): Reference {
  const [named = '', digest, ...more] = text.split('@');
  if (more.length > 0 || (digest !== undefined && !DIGEST.test(digest))) throw invalid(text, 'The digest is malformed');
  const slash = named.indexOf('/');
  const first = slash < 0 ? '' : named.slice(0, slash);
  const isRegistry = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  const registry = isRegistry ? first : DEFAULT_REGISTRY;
  const rest = isRegistry ? named.slice(slash + 1) : named;
  const colon = rest.indexOf(':');
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, 'The tag is malformed');
  if (path === '' || !path.split('/').every((part) => COMPONENT.test(part)))
    throw invalid(text, 'The name is malformed');
  if (registry === DEFAULT_REGISTRY && /^[a-f0-9]{64}$/.test(path)) throw invalid(text, 'The name is an identifier');
  const repository = registry === DEFAULT_REGISTRY && !path.includes('/') ? `library/${path}` : path;
  return {
    registry: registry === 'index.docker.io' ? DEFAULT_REGISTRY : registry,
    repository,
    ...(tag === undefined ? (digest === undefined ? { tag: 'latest' } : {}) : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** "busybox" for docker.io/library/busybox: the name as people write it, without tag and digest. */
export function familiarName({ registry, repository }: Reference): string {
  if (registry !== DEFAULT_REGISTRY) return `${registry}/${repository}`;
  return repository.replace(/^library\//, '');
}

/** "busybox:latest", "busybox@sha256:…". */
export function familiarReference(reference: Reference): string {
  const { tag, digest } = reference;
  return `${familiarName(reference)}${digest === undefined ? `:${tag ?? 'latest'}` : `@${digest}`}`;
}

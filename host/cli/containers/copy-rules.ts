// docker cp's rules: what a path means, and under which names an archive is laid down where.
import { lstat, readlink, realpath, stat } from 'node:fs/promises';
import { posix, resolve } from 'node:path';
import { GantryError } from '../../errors.ts';

/** One side of a copy, as far as the rules need it. */
export interface CopyInfo {
  path: string;
  exists: boolean;
  isDirectory: boolean;
  /** Name in place of the last part of the path: a link was followed. Empty: none. */
  rebaseName: string;
}

function refused(message: string, hint?: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', message, { hint });
}

/** "CONTAINER:PATH", or a local path: one that is absolute, has no colon, or begins with a dot. */
export function splitArgument(argument: string): { container: string; path: string } {
  const colon = argument.indexOf(':');
  if (argument.startsWith('/') || argument.startsWith('.') || colon < 0) return { container: '', path: argument };
  return { container: argument.slice(0, colon), path: argument.slice(colon + 1) };
}

const base = (path: string): string => posix.basename(path) || (path.startsWith('/') ? '/' : '.');
const endsWithDot = (path: string): boolean => /(^|\/)\.$/.test(path);
const endsWithSlash = (path: string): boolean => path.endsWith('/');

/** Both ends of a path: "/a/b/" is "/a" and "b", "/a/b/." is "/a/b" and ".". */
export function splitPath(path: string): [directory: string, name: string] {
  const clean = posix.normalize(path).replace(/(.)\/$/, '$1');
  if (endsWithDot(path) && clean !== '.') return [clean, '.'];
  return [posix.dirname(clean), base(clean)];
}

/** What the end of a path says ("must be a directory", "its content") is kept when the rest is resolved. */
function keepEnd(clean: string, original: string): string {
  let path = clean;
  if (endsWithDot(original) && !endsWithDot(path)) path = `${path.replace(/\/$/, '')}/.`;
  if (endsWithSlash(original) && !endsWithSlash(path)) path += '/';
  return path;
}

/** @returns an absolute path with the end of the given one. */
export function resolveLocal(path: string): string {
  return keepEnd(resolve(path), path);
}

/** Where the last part of a path was exchanged by following a link, the name that was asked for. */
export function rebase(path: string, resolved: string): { path: string; rebaseName: string } {
  const kept = keepEnd(resolved, path);
  return { path: kept, rebaseName: base(path) === base(kept) ? '' : base(path) };
}

/** Where a link that stands at `path` leads. */
export function linkedPath(path: string, target: string): string {
  return target.startsWith('/') ? target : posix.join(splitPath(path)[0], target);
}

function missing(path: string, cause: unknown): GantryError {
  const code = (cause as NodeJS.ErrnoException).code;
  const reason = code === 'ENOENT' ? 'no such file or directory' : code === 'ENOTDIR' ? 'not a directory' : code;
  return new GantryError('PATH_NOT_FOUND', `Cannot copy "${path}": ${reason}`, { cause });
}

/** What is to be copied from here. @throws {GantryError} PATH_NOT_FOUND. */
export async function localSource(path: string, followLink: boolean): Promise<CopyInfo> {
  try {
    if (followLink) {
      const found = rebase(path, await realpath(path));
      return { ...found, exists: true, isDirectory: (await lstat(found.path)).isDirectory() };
    }
    const cut = path.lastIndexOf('/') + 1;
    const resolved = posix.join(await realpath(path.slice(0, cut) || '/'), '/') + path.slice(cut);
    const rebaseName = endsWithSlash(path) && base(path) !== base(resolved) ? base(path) : '';
    return { path: resolved, exists: true, isDirectory: (await lstat(resolved)).isDirectory(), rebaseName };
  } catch (cause) {
    throw missing(path, cause);
  }
}

const LINKS_MAX = 10;

/** Where to copy to here: links are followed, the parent must be there. @throws {GantryError}. */
export async function localDestination(original: string): Promise<CopyInfo> {
  let path = original;
  for (let links = 0; ; links++) {
    if (links > LINKS_MAX) throw refused(`Too many symlinks in ${original}`);
    const found = await lstat(path).catch((error: NodeJS.ErrnoException) => error);
    if (found instanceof Error) {
      if (found.code !== 'ENOENT') throw missing(path, found);
      const parent = await stat(splitPath(path)[0]).catch((cause: unknown) => {
        throw missing(splitPath(path)[0], cause);
      });
      if (!parent.isDirectory()) throw refused(`${splitPath(path)[0]}: not a directory`);
      return { path, exists: false, isDirectory: false, rebaseName: '' };
    }
    if (!found.isSymbolicLink()) return { path, exists: true, isDirectory: found.isDirectory(), rebaseName: '' };
    path = linkedPath(path, await readlink(path));
  }
}

/** Before anything is asked of the engine: the directory must be there, and no device in the way. @throws {GantryError}. */
export async function checkLocalDestination(path: string): Promise<void> {
  const directory = posix.dirname(posix.normalize(path).replace(/(.)\/$/, '$1'));
  const parent = await stat(directory).catch(() => undefined);
  if (parent === undefined)
    throw refused(
      `Invalid output path: directory "${directory}" does not exist`,
      `Make it first: mkdir -p ${directory}`,
    );
  const found = await stat(path).catch(() => undefined);
  if (found?.isCharacterDevice() || found?.isBlockDevice())
    throw refused(`Invalid output path: "${path}" must be a directory or a regular file: got a device`);
}

export interface Placement {
  /** Directory that the archive is laid down in. */
  directory: string;
  /** Beginning of the entries' names → its replacement; undefined: they stay. */
  rename: [from: string, to: string] | undefined;
}

/**
 * Copying what `source` is to what `destination` is: the one place with docker's table of cases.
 * @throws {GantryError} where a directory would become a file or the other way round.
 */
export function placeArchive(source: CopyInfo, destination: CopyInfo): Placement {
  if (destination.exists && destination.isDirectory) return { directory: destination.path, rename: undefined };
  if (destination.exists && source.isDirectory)
    throw refused('Cannot copy directory', `"${destination.path}" is a file; choose a directory or a new name`);
  if (!destination.exists && !source.isDirectory && (endsWithSlash(destination.path) || endsWithDot(destination.path)))
    throw refused('No such directory', `"${destination.path}" does not exist; without the slash a file is made`);
  const [directory, to] = splitPath(destination.path);
  const from = source.rebaseName || splitPath(source.path)[1];
  return { directory, rename: [from === '/' ? '' : from, to] };
}

/** An entry's name under a placement. */
export function renamed(name: string, rename: Placement['rename']): string {
  if (rename === undefined || !name.startsWith(rename[0])) return name;
  return rename[1] + name.slice(rename[0].length);
}

// A path in a volume, looked up without leaving it: for a refusal in words. What is mounted is looked up by the kernel, again.
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { isAbsolute, join, normalize } from 'node:path';
import { GantryError } from '../../errors.ts';

/** As many as the kernel follows (path_resolution(7)). */
const LINKS_MAX = 40;

/** @throws {GantryError} INVALID_ARGUMENT where it is no relative path that stays below. */
export function checkSubpath(subpath: string): void {
  const clean = normalize(subpath);
  if (isAbsolute(subpath) || clean === '..' || clean.startsWith('../'))
    throw new GantryError('INVALID_ARGUMENT', 'Subpath must be a relative path within the volume');
}

/** @throws {GantryError} PATH_NOT_FOUND, INVALID_ARGUMENT where a link leads out of the directory. */
export function statInside(directory: string, subpath: string): Stats {
  const open = subpath.split('/').filter((part) => part !== '' && part !== '.');
  const inside: string[] = [];
  let links = 0;
  while (open.length > 0) {
    const part = open.shift()!;
    if (part === '..') {
      if (inside.pop() === undefined) throw escapes(directory, subpath);
      continue;
    }
    const path = join(directory, ...inside, part);
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined)
      throw new GantryError(
        'PATH_NOT_FOUND',
        `Cannot access path ${join(directory, subpath)}: no such file or directory`,
        {
          hint: 'A subpath must be in the volume before it is mounted',
        },
      );
    if (!stats.isSymbolicLink()) {
      inside.push(part);
      continue;
    }
    const target = readlinkSync(path);
    if (isAbsolute(target)) throw escapes(directory, subpath);
    if (++links > LINKS_MAX)
      throw new GantryError('INVALID_ARGUMENT', `Cannot access path ${join(directory, subpath)}: too many links`);
    open.unshift(...target.split('/').filter((word) => word !== '' && word !== '.'));
  }
  return lstatSync(join(directory, ...inside));
}

function escapes(base: string, subpath: string): GantryError {
  return new GantryError(
    'INVALID_ARGUMENT',
    `Path concatenation escapes the base directory, base: ${base}, subpath: ${subpath}`,
  );
}

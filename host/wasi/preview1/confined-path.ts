// Paths of a program, walked one name at a time below a directory that it was given: nothing leads out of that.
import { closeSync, constants, existsSync, fstatSync, lstatSync, openSync, readlinkSync } from 'node:fs';
import { join, sep } from 'node:path';
import { WasiError } from './errno.ts';

/**
 * An open directory. Node has no openat(2): on Linux a name below a descriptor in /proc/self/fd is looked up in the very directory
 * that is open, whatever was renamed meanwhile. Elsewhere names are looked up by path, with no link in it when it was walked.
 */
export interface Place {
  readonly fd: number;
  readonly path: string;
}

/** Where an operation takes place: a name in a directory, which is "." for the directory itself. */
export interface Target {
  /** For calls that do not follow a link at its end. */
  readonly path: string;
  readonly name: string;
  close(): void;
}

const { O_RDONLY, O_DIRECTORY = 0, O_NOFOLLOW = 0 } = constants;
const LINKS_MAX = 40;
const byDescriptor = existsSync('/proc/self/fd/0') || existsSync('/proc/self/fd');

/** A directory of the host by its path, for a program to work below; what a program names is to be no link at its end. */
export function openPlace(path: string, { follow }: { follow: boolean }): Place {
  const fd = openDirectory(path, follow ? 0 : O_NOFOLLOW);
  if (fd < 0 && !follow && !lstatSync(path).isDirectory()) throw new WasiError('notdir');
  return placed(path, fd);
}

function openDirectory(path: string, more: number): number {
  if (O_DIRECTORY === 0) return -1; // Windows opens no directories.
  return openSync(path, O_RDONLY | O_DIRECTORY | more);
}

function placed(path: string, fd: number): Place {
  return byDescriptor ? { fd, path: `/proc/self/fd/${fd}` } : { fd, path };
}

export function closePlace({ fd }: Place): void {
  if (fd >= 0) closeSync(fd);
}

/** Of a name in it. */
export function below(place: Place, name: string): string {
  return byDescriptor ? `${place.path}/${name}` : join(place.path, name);
}

/** @param follow a link at the end, too. @throws {WasiError} notcapable where the path leads out. */
export function walk(base: Place, path: string, follow: boolean): Target {
  if (path === '') throw new WasiError('noent');
  if (path.startsWith('/')) throw new WasiError('notcapable');
  const trail: Place[] = [];
  const here = (): Place => trail.at(-1) ?? base;
  const names = parts(path);
  let mustBeDirectory = path.endsWith('/');
  let links = 0;
  const done = (name: string): Target => {
    const directory = trail.pop();
    for (const place of trail.splice(0)) closePlace(place);
    const target = below(directory ?? base, name);
    return { path: target, name, close: () => directory !== undefined && closePlace(directory) };
  };
  try {
    for (;;) {
      const name = names.shift();
      if (name === undefined) return done('.');
      if (name === '..') {
        const left = trail.pop();
        if (left === undefined) throw new WasiError('notcapable');
        closePlace(left);
        continue;
      }
      checkName(name);
      const last = names.length === 0;
      if (last && !follow && !mustBeDirectory) return done(name);
      const found = lstatSync(below(here(), name), { throwIfNoEntry: false });
      if (found === undefined) {
        if (last) return done(name);
        throw new WasiError('noent');
      }
      if (found.isSymbolicLink()) {
        if (++links > LINKS_MAX) throw new WasiError('loop');
        const target = readlinkSync(below(here(), name));
        if (target.startsWith('/') || target.startsWith(sep)) throw new WasiError('notcapable');
        if (last) mustBeDirectory ||= target.endsWith('/');
        names.unshift(...parts(target));
      } else if (last && !(mustBeDirectory && !found.isDirectory())) return done(name);
      else if (found.isDirectory()) trail.push(openPlace(below(here(), name), { follow: false }));
      else throw new WasiError('notdir');
    }
  } catch (error) {
    for (const place of trail) closePlace(place);
    throw error;
  }
}

function parts(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

/** Windows takes more for a separator, and a colon for a drive or a stream. */
function checkName(name: string): void {
  if (sep !== '/' && /[\\:]/.test(name)) throw new WasiError('notcapable');
  if (name.includes('\0')) throw new WasiError('inval');
}

/** Opens what is no link, and nothing that may block or be a device. */
export function openFile(target: Target, flags: number): number {
  const fd = openSync(target.path, flags | O_NOFOLLOW | (constants.O_NONBLOCK ?? 0), 0o666);
  const stat = fstatSync(fd);
  if (stat.isFile()) return fd;
  closeSync(fd);
  throw new WasiError(stat.isDirectory() ? 'isdir' : 'acces');
}

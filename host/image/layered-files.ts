// Reads a file of a container's root without mounting it: walks the overlay's layers by fds, as the kernel would merge them.
import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync, type Stats } from 'node:fs';

const O_PATH = 0o10000000;
const LINKS_MAX = 40;

interface Found {
  stats: Stats;
  /** Path through an fd that is held: its last component cannot be exchanged for one of another directory. */
  path: string;
  close(): void;
}

/**
 * Content of a regular file, e.g. /etc/passwd; undefined where it is missing or anything else than a regular file. What the
 * container made of the path cannot lead outside, hang or grow beyond `limit` bytes: symbolic links are followed inside the
 * layers only, each directory is opened once and held, a FIFO or device is never opened for reading.
 * @param layers directories, uppermost first.
 */
export function readLayeredFile(layers: string[], path: string, limit = 1 << 20): Buffer | undefined {
  let left = path.split('/').filter(Boolean);
  let at: string[] = [];
  for (let links = 0; left.length > 0; ) {
    const name = left.shift()!;
    if (name === '.') continue;
    if (name === '..') {
      at.pop();
      continue;
    }
    const found = lookUp(layers, at, name);
    if (found === undefined) return undefined;
    try {
      if (found.stats.isSymbolicLink()) {
        if (++links > LINKS_MAX) return undefined;
        const target = readlinkSync(found.path);
        if (target.startsWith('/')) at = [];
        left = [...target.split('/').filter(Boolean), ...left];
      } else if (left.length === 0) return found.stats.isFile() ? readWhole(found.path, limit) : undefined;
      else if (found.stats.isDirectory()) at.push(name);
      else return undefined;
    } catch {
      return undefined; // Exchanged in the meantime.
    } finally {
      found.close();
    }
  }
  return undefined;
}

/** What layers have under one name; a link is not followed. */
export type LayeredEntry = { mode: number; uid: number; gid: number /** Seconds. */; mtime: number } & (
  | { type: 'symlink'; target: string }
  | { type: 'file' | 'directory' | 'other' }
);

/** Looks one name up in a directory, whose path must have no links. @param layers directories, uppermost first. */
export function lookUpLayered(layers: string[], directory: string[], name: string): LayeredEntry | undefined {
  const found = lookUp(layers, directory, name);
  if (found === undefined) return undefined;
  try {
    const { stats } = found;
    const { uid, gid } = stats;
    const common = { mode: stats.mode & 0o7777, uid, gid, mtime: Math.max(0, Math.floor(stats.mtimeMs / 1000)) };
    if (stats.isSymbolicLink()) return { ...common, type: 'symlink', target: readlinkSync(found.path) };
    return { ...common, type: stats.isDirectory() ? 'directory' : stats.isFile() ? 'file' : 'other' };
  } finally {
    found.close();
  }
}

/** The uppermost layer that has the entry; a whiteout or an opaque parent hides those below. */
function lookUp(layers: string[], directory: string[], name: string): Found | undefined {
  for (const layer of layers) {
    const opened = openDirectory(layer, directory);
    if (opened === 'hidden') return undefined;
    if (opened === undefined) continue;
    const path = `/proc/self/fd/${opened}/${name}`;
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) {
      closeSync(opened);
      continue;
    }
    const whiteout = stats.isCharacterDevice() && stats.rdev === 0;
    if (whiteout) closeSync(opened);
    return whiteout ? undefined : { stats, path, close: () => closeSync(opened) };
  }
  return undefined;
}

/** An fd; undefined where this layer has no such directory; "hidden" where it covers that of the layers below. */
function openDirectory(layer: string, parts: string[]): number | 'hidden' | undefined {
  const flags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  let fd: number;
  try {
    fd = openSync(layer, flags);
  } catch {
    return undefined; // Not made yet: the upper directory of a container that only is planned.
  }
  for (const part of parts) {
    const path = `/proc/self/fd/${fd}/${part}`;
    try {
      const next = openSync(path, flags);
      closeSync(fd);
      fd = next;
    } catch {
      const there = lstatSync(path, { throwIfNoEntry: false }) !== undefined;
      closeSync(fd);
      return there ? 'hidden' : undefined;
    }
  }
  return fd;
}

function readWhole(path: string, limit: number): Buffer | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size } = fstatSync(fd);
    if (!fstatSync(fd).isFile() || size > limit) return undefined;
    const bytes = Buffer.alloc(size);
    let at = 0;
    while (at < size) {
      const got = readSync(fd, bytes, at, size - at, at);
      if (got === 0) break;
      at += got;
    }
    return bytes.subarray(0, at);
  } finally {
    closeSync(fd);
  }
}

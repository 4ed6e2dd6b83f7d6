// How a path below a share is walked so that nothing outside it is ever reached: the one place where hosts differ.
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  type PathLike,
  realpathSync,
} from 'node:fs';
import { sep } from 'node:path';
import { ShareError } from './errno.ts';
import type { ShareNode } from './node.ts';

export interface Anchors {
  /** Path of a name in a directory of the share. The name may be a symbolic link: none of what is before it is. */
  in(directory: ShareNode, name: string): PathLike;
  /** The directory itself, to be listed. */
  directory(node: ShareNode): PathLike;
  /** What it is now. @throws {ShareError} ESTALE where its names lead to something else. */
  stat(node: ShareNode): BigIntStats;
  /** A path that leads to the file itself, even if its name is given to another one meanwhile, for as long as `use` runs. */
  held<Result>(node: ShareNode, use: (path: PathLike) => Result): Result;
  /** Opens a regular file. @param flags of this host. */
  open(node: ShareNode, flags: number): number;
  /** To be called between requests: gives back what there is too much of. */
  trim(): void;
  close(): void;
}

/** Not in Node's list of constants (open(2)). */
const O_PATH = 0x200000;
const DIRECTORIES_KEPT = 1000;
const S_IFREG = 0o100000;

const bigint = { bigint: true } as const;
const orAbsent = { bigint: true, throwIfNoEntry: false } as const;
const { O_NOFOLLOW = 0, O_NONBLOCK = 0, O_NOCTTY = 0, O_DIRECTORY = 0 } = constants;

/** A name with bytes beyond ASCII goes to the system as those bytes. */
export function pathOf(directory: string, name: string): PathLike {
  const path = `${directory}/${name}`;
  for (let at = directory.length + 1; at < path.length; at++)
    if (path.charCodeAt(at) > 0x7f)
      return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(name, 'latin1')]) as unknown as PathLike;
  return path;
}

function isSame(node: ShareNode, stats: BigIntStats): boolean {
  return stats.ino === node.ino && stats.dev === node.dev;
}

/**
 * Linux: each directory is an fd, opened in its parent's without following links, and "/proc/self/fd/N/name" is what openat(2)
 * would take. Names are looked at once: what is swapped meanwhile is found out by its inode.
 */
export function linuxAnchors(source: string, root: ShareNode): Anchors {
  const rootFd = openSync(source, O_PATH);
  /** The least recently used first. */
  const directories = new Map<ShareNode, number>();

  const directoryFd = (node: ShareNode): number => {
    if (node === root) return rootFd;
    const kept = directories.get(node);
    if (kept !== undefined) {
      directories.delete(node);
      directories.set(node, kept);
      return kept;
    }
    const fd = openPath(node, O_DIRECTORY);
    directories.set(node, fd);
    return fd;
  };
  const path = (node: ShareNode): string => `/proc/self/fd/${directoryFd(node)}`;
  const openPath = (node: ShareNode, flags = 0): number => {
    for (const { parent, name } of node.links.toReversed()) {
      let fd: number;
      try {
        fd = openSync(pathOf(path(parent), name), O_PATH | O_NOFOLLOW | flags);
      } catch {
        continue;
      }
      if (isSame(node, fstatSync(fd, bigint))) return fd;
      closeSync(fd);
    }
    throw new ShareError('ESTALE');
  };
  const held = <Result>(node: ShareNode, use: (path: string, fd: number) => Result): Result => {
    const [open] = node.handles;
    const kept = node === root ? rootFd : (open ?? directories.get(node));
    if (kept !== undefined) return use(`/proc/self/fd/${kept}`, kept);
    const fd = openPath(node);
    try {
      return use(`/proc/self/fd/${fd}`, fd);
    } finally {
      closeSync(fd);
    }
  };

  return {
    in: (directory, name) => pathOf(path(directory), name),
    directory: path,
    stat(node) {
      const [open] = node.handles;
      const kept = node === root ? rootFd : (open ?? directories.get(node));
      if (kept !== undefined) return fstatSync(kept, bigint);
      for (const { parent, name } of node.links.toReversed()) {
        const stats = lstatSync(pathOf(path(parent), name), orAbsent);
        if (stats !== undefined && isSame(node, stats)) return stats;
      }
      throw new ShareError('ESTALE');
    },
    held,
    // O_PATH opens nothing: a FIFO or device that has taken the place is not woken.
    open: (node, flags) =>
      held(node, (object, fd) => {
        if ((Number(fstatSync(fd).mode) & constants.S_IFMT) !== S_IFREG) throw new ShareError('ENXIO');
        return openSync(object, flags | O_NONBLOCK | O_NOCTTY);
      }),
    trim() {
      for (const [node, fd] of directories) {
        if (directories.size <= DIRECTORIES_KEPT) return;
        directories.delete(node);
        closeSync(fd);
      }
    },
    close() {
      for (const fd of [rootFd, ...directories.values()]) closeSync(fd);
      directories.clear();
    },
  };
}

/**
 * Hosts without /proc: paths, of which no directory may be a symbolic link at the moment when they are used. Somebody on the
 * host who swaps a directory for a link in between could lead a request astray: nobody in the guest can.
 */
export function portableAnchors(source: string, root: ShareNode): Anchors {
  const resolved = realpathSync.native(source);

  const path = (node: ShareNode): string => {
    if (node === root) return resolved;
    const [link] = node.links.slice(-1);
    if (link === undefined) throw new ShareError('ESTALE');
    return `${path(link.parent)}${sep}${Buffer.from(link.name, 'latin1').toString()}`;
  };
  const verified = (node: ShareNode): string => {
    const given = path(node);
    const stats = lstatSync(given, orAbsent);
    if (stats === undefined || !isSame(node, stats)) throw new ShareError('ESTALE');
    if (!stats.isSymbolicLink() && realpathSync.native(given) !== given) throw new ShareError('ESTALE');
    return given;
  };

  return {
    in: (directory, name) => `${verified(directory)}${sep}${Buffer.from(name, 'latin1').toString()}`,
    directory: verified,
    stat(node) {
      const [open] = node.handles;
      return open === undefined ? lstatSync(verified(node), bigint) : fstatSync(open, bigint);
    },
    held(node, use) {
      if (lstatSync(verified(node)).isSymbolicLink()) throw new ShareError('EOPNOTSUPP');
      return use(path(node));
    },
    open(node, flags) {
      if (node.type !== S_IFREG) throw new ShareError('ENXIO');
      const fd = openSync(verified(node), flags | O_NOFOLLOW | O_NONBLOCK);
      const stats = fstatSync(fd, bigint);
      if (isSame(node, stats) && stats.isFile()) return fd;
      closeSync(fd);
      throw new ShareError('ESTALE');
    },
    trim() {},
    close() {},
  };
}

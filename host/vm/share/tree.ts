// A shared directory (or file): what can be done with it, confined to it, and refused here where it is read-only. Knows no protocol.
import {
  type BigIntStats,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  type StatsFs,
  statfsSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { type Anchors, linuxAnchors, portableAnchors } from './anchor.ts';
import { ShareError } from './errno.ts';
import { createNodeTable, type NodeTable, type ShareNode } from './node.ts';
import { makeFifo, makeSocket } from './special-files.ts';

export interface TreeOptions {
  source: string;
  readOnly: boolean;
  /** Absent: owners are as here, and files belong to who makes them. Else all of them are shown as this user's, and stay who runs this. */
  owner?: Owner | undefined;
  /** Without /proc. */
  portable?: boolean;
}

export interface Owner {
  uid: number;
  gid: number;
}

export interface Entry {
  node: ShareNode;
  stats: BigIntStats;
}

export interface Changes {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  /** Seconds. */
  atime?: number | 'now';
  mtime?: number | 'now';
}

export interface OpenFile {
  fd: number;
  node: ShareNode;
  writes: boolean;
}

export interface DirectoryEntry {
  name: string;
  /** DT_* of readdir(3). */
  type: number;
}

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
const S_IFIFO = 0o010000;
const S_IFSOCK = 0o140000;
const PERMISSIONS = 0o7777;
const NAME_MAX = 255;
const orAbsent = { bigint: true, throwIfNoEntry: false } as const;

export interface Tree {
  readonly nodes: NodeTable;
  readonly owner: Owner | undefined;
  lookup(directory: ShareNode, name: string): Entry | undefined;
  stat(node: ShareNode): BigIntStats;
  /** What is there now, without the guest knowing of it. */
  peek(directory: ShareNode, name: string): BigIntStats | undefined;
  /** A path to the directory that counts for the moment. */
  directoryPath(directory: ShareNode): string;
  change(node: ShareNode, changes: Changes, file?: OpenFile): BigIntStats;
  readlink(node: ShareNode): Buffer;
  symlink(directory: ShareNode, name: string, target: Buffer, owner: Owner): Entry;
  mkdir(directory: ShareNode, name: string, mode: number, owner: Owner): Entry;
  /** Regular files, FIFOs and sockets; no devices. */
  mknod(directory: ShareNode, name: string, mode: number, owner: Owner): Entry;
  link(node: ShareNode, directory: ShareNode, name: string): Entry;
  unlink(directory: ShareNode, name: string): void;
  rmdir(directory: ShareNode, name: string): void;
  rename(from: ShareNode, name: string, to: ShareNode, newName: string, keep: boolean): void;
  open(node: ShareNode, flags: number): OpenFile;
  create(directory: ShareNode, name: string, flags: number, mode: number, owner: Owner): Entry & { file: OpenFile };
  release(file: OpenFile): void;
  list(node: ShareNode): DirectoryEntry[];
  space(node: ShareNode): StatsFs;
  /** Between requests. */
  trim(): void;
  close(): void;
}

/** Flags of open(2) that count, as every Linux that is a guest here has them. */
export const GUEST_O_ACCMODE = 3;
export const GUEST_O_EXCL = 0o200;
export const GUEST_O_TRUNC = 0o1000;
export const GUEST_O_APPEND = 0o2000;

/** @throws what opening the source says. */
export function openTree({ source, readOnly, owner, portable = false }: TreeOptions): Tree {
  const nodes = createNodeTable(statSync(source, { bigint: true }));
  const anchors: Anchors = (portable ? portableAnchors : linuxAnchors)(source, nodes.root);
  const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

  const writable = (): void => {
    if (readOnly) throw new ShareError('EROFS');
  };
  const place = (directory: ShareNode, name: string) => anchors.in(inDirectory(directory), checked(name));
  const look = (directory: ShareNode, name: string): BigIntStats | undefined =>
    lstatSync(place(directory, name), orAbsent);
  const entry = (directory: ShareNode, name: string): Entry => {
    const stats = look(directory, name);
    if (stats === undefined) throw new ShareError('ENOENT');
    return { node: nodes.found(directory, name, stats), stats };
  };
  /** What is new belongs to who made it; where the directory gives its group on (S_ISGID), the host's kernel has done that. */
  const ownerOf = (stats: BigIntStats, { uid, gid }: Owner): Owner | undefined => {
    if (owner !== undefined) return undefined;
    const group = Number(stats.gid) === own.gid ? gid : Number(stats.gid);
    return Number(stats.uid) === uid && Number(stats.gid) === group ? undefined : { uid, gid: group };
  };
  /** The mode again: this process's umask was applied, and a new owner takes S_ISUID away. */
  const settle = (directory: ShareNode, name: string, mode: number, given: Owner): Entry => {
    const made = entry(directory, name);
    const wanted = ownerOf(made.stats, given);
    const keepsGroup = Number(made.stats.mode) & 0o2000 & ~mode; // A directory's own S_ISGID.
    if (wanted === undefined && (Number(made.stats.mode) & PERMISSIONS) === (mode | keepsGroup)) return made;
    anchors.held(made.node, (path) => {
      if (wanted !== undefined) chownSync(path, wanted.uid, wanted.gid);
      chmodSync(path, mode | keepsGroup);
    });
    return entry(directory, name);
  };
  const open = (node: ShareNode, flags: number): OpenFile => {
    const writes = (flags & GUEST_O_ACCMODE) !== constants.O_RDONLY;
    if (writes || flags & GUEST_O_TRUNC) writable();
    if (node.type !== S_IFREG) throw new ShareError(node.type === S_IFDIR ? 'EISDIR' : 'ENXIO');
    const fd = anchors.open(node, hostFlags(flags));
    node.handles.add(fd);
    return { fd, node, writes };
  };
  const setTimes = (path: Parameters<typeof utimesSync>[0], stats: BigIntStats, { atime, mtime }: Changes): void => {
    const now = Date.now() / 1000;
    const time = (wanted: Changes['atime'], kept: bigint): number | Date => {
      const seconds = wanted === 'now' ? now : (wanted ?? Number(kept) / 1e9);
      return seconds < 0 ? new Date(seconds * 1000) : seconds; // Node takes a negative number for now.
    };
    utimesSync(path, time(atime, stats.atimeNs), time(mtime, stats.mtimeNs));
  };

  return {
    nodes,
    owner,
    lookup(directory, name) {
      const stats = look(directory, name);
      if (stats === undefined) return void nodes.lost(directory, name);
      return { node: nodes.found(directory, name, stats), stats };
    },
    stat: (node) => anchors.stat(node),
    peek: look,
    directoryPath: (directory) => String(anchors.directory(directory)),
    change(node, changes, file) {
      writable();
      const { mode, uid, gid, size, atime, mtime } = changes;
      if (size !== undefined) {
        if (file?.writes) ftruncateSync(file.fd, size);
        else {
          if (node.type !== S_IFREG) throw new ShareError(node.type === S_IFDIR ? 'EISDIR' : 'EINVAL');
          const fd = anchors.open(node, constants.O_WRONLY);
          try {
            ftruncateSync(fd, size);
          } finally {
            closeSync(fd);
          }
        }
      }
      const ids = owner === undefined && (uid !== undefined || gid !== undefined);
      if (ids || mode !== undefined || atime !== undefined || mtime !== undefined)
        anchors.held(node, (path) => {
          if (ids) {
            const now = statOf(path);
            chownSync(path, uid ?? Number(now.uid), gid ?? Number(now.gid));
          }
          if (mode !== undefined) chmodSync(path, mode & PERMISSIONS);
          if (atime !== undefined || mtime !== undefined) setTimes(path, anchors.stat(node), changes);
        });
      return anchors.stat(node);
    },
    readlink(node) {
      for (const { parent, name } of node.links.toReversed()) {
        const stats = look(parent, name);
        if (stats?.ino === node.ino && stats.isSymbolicLink())
          return readlinkSync(anchors.in(parent, name), { encoding: 'buffer' });
      }
      throw new ShareError('ESTALE');
    },
    symlink(directory, name, target, given) {
      writable();
      if (target.length === 0 || target.includes(0)) throw new ShareError('EINVAL');
      symlinkSync(target as unknown as string, place(directory, name));
      const made = entry(directory, name);
      const wanted = ownerOf(made.stats, given);
      if (wanted === undefined) return made;
      lchownSync(place(directory, name), wanted.uid, wanted.gid);
      return entry(directory, name);
    },
    mkdir(directory, name, mode, given) {
      writable();
      mkdirSync(place(directory, name), mode & PERMISSIONS);
      return settle(directory, name, mode & PERMISSIONS, given);
    },
    mknod(directory, name, mode, given) {
      writable();
      const path = place(directory, name);
      const type = mode & S_IFMT;
      const permissions = mode & PERMISSIONS;
      if (type === S_IFREG || type === 0) {
        closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, permissions));
        return settle(directory, name, permissions, given);
      }
      // Devices of the host are nobody's to make in a guest.
      if (type !== S_IFIFO && type !== S_IFSOCK) throw new ShareError('EPERM');
      if (look(directory, name) !== undefined) throw new ShareError('EEXIST');
      if (type === S_IFIFO) makeFifo(path);
      else makeSocket(String(anchors.directory(directory)), path);
      return settle(directory, name, permissions, given);
    },
    link(node, directory, name) {
      writable();
      if (node.type === S_IFDIR) throw new ShareError('EPERM');
      const [at] = node.links.slice(-1);
      if (at === undefined) throw new ShareError('ENOENT');
      const stats = look(at.parent, at.name);
      if (stats?.ino !== node.ino || stats.dev !== node.dev) throw new ShareError('ESTALE');
      linkSync(anchors.in(at.parent, at.name), place(directory, name));
      return entry(directory, name);
    },
    unlink(directory, name) {
      writable();
      unlinkSync(place(directory, name));
      nodes.lost(directory, name);
    },
    rmdir(directory, name) {
      writable();
      rmdirSync(place(directory, name));
      nodes.lost(directory, name);
    },
    rename(from, name, to, newName, keep) {
      writable();
      // The guest's requests come one after the other: between both calls only the host could make it.
      if (keep && look(to, newName) !== undefined) throw new ShareError('EEXIST');
      renameSync(place(from, name), place(to, newName));
      nodes.moved({ parent: from, name }, { parent: to, name: newName });
    },
    open,
    create(directory, name, flags, mode, given) {
      writable();
      const path = place(directory, name);
      let fd: number;
      try {
        // Always exclusive: what is there may be a FIFO or a device.
        fd = openSync(path, hostFlags(flags) | constants.O_CREAT | constants.O_EXCL, mode & PERMISSIONS);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || flags & GUEST_O_EXCL) throw error;
        const there = entry(directory, name);
        const file = open(there.node, flags);
        return { node: there.node, stats: fstatSync(file.fd, { bigint: true }), file };
      }
      let stats = fstatSync(fd, { bigint: true });
      const wanted = ownerOf(stats, given);
      if (wanted !== undefined) fchownSync(fd, wanted.uid, wanted.gid);
      if (wanted !== undefined || (Number(stats.mode) & PERMISSIONS) !== (mode & PERMISSIONS)) {
        fchmodSync(fd, mode & PERMISSIONS);
        stats = fstatSync(fd, { bigint: true });
      }
      const node = nodes.found(directory, name, stats);
      node.handles.add(fd);
      return { node, stats, file: { fd, node, writes: (flags & GUEST_O_ACCMODE) !== constants.O_RDONLY } };
    },
    release({ fd, node }) {
      node.handles.delete(fd);
      closeSync(fd);
    },
    list(node) {
      const entries = readdirSync(anchors.directory(inDirectory(node)), { withFileTypes: true, encoding: 'buffer' });
      return entries.map((found) => ({ name: found.name.toString('latin1'), type: typeOf(found) }));
    },
    space: (node) => anchors.held(node, (path) => statfsSync(path)),
    trim: () => anchors.trim(),
    close: () => anchors.close(),
  };
}

function statOf(path: Parameters<typeof lstatSync>[0]): BigIntStats {
  return statSync(path, { bigint: true });
}

function inDirectory(node: ShareNode): ShareNode {
  if (node.type !== S_IFDIR) throw new ShareError('ENOTDIR');
  return node;
}

/** A name, and no path: ".." is for the guest's kernel alone. */
function checked(name: string): string {
  if (name.length > NAME_MAX) throw new ShareError('ENAMETOOLONG');
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) throw new ShareError('EINVAL');
  return name;
}

/** No O_SYNC, O_DIRECT or the like: the guest asks for FSYNC, and these numbers differ between architectures. */
function hostFlags(flags: number): number {
  const { O_APPEND, O_TRUNC } = constants;
  const more = (flags & GUEST_O_APPEND ? O_APPEND : 0) | (flags & GUEST_O_TRUNC ? O_TRUNC : 0);
  return (flags & GUEST_O_ACCMODE) | more;
}

type Kinds = Pick<BigIntStats, 'isFile' | 'isDirectory' | 'isSymbolicLink' | 'isFIFO' | 'isSocket' | 'isBlockDevice'>;

function typeOf(found: Kinds): number {
  if (found.isFile()) return S_IFREG >> 12;
  if (found.isDirectory()) return S_IFDIR >> 12;
  if (found.isSymbolicLink()) return S_IFLNK >> 12;
  if (found.isFIFO()) return S_IFIFO >> 12;
  if (found.isSocket()) return S_IFSOCK >> 12;
  return found.isBlockDevice() ? 6 : 2;
}

// FUSE's messages as <linux/fuse.h> lays them out (version 7.31 and newer): numbers, what is read of requests, what is written of replies.
import type { BigIntStats, StatsFs } from 'node:fs';

export const MAJOR = 7;
/** What is answered; older guests are refused, newer ones speak this. */
export const MINOR = 31;
export const IN_HEADER = 40;
export const OUT_HEADER = 16;
/** One request reads or writes so much, in pages of 4 KiB. */
export const MAX_PAGES = 256;
export const MAX_WRITE = MAX_PAGES * 4096;
export const REQUEST_MAX = MAX_WRITE + 4096;

export const opcodes = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
  READDIRPLUS: 44,
  RENAME2: 45,
  COPY_FILE_RANGE: 47,
} as const;

/** Of INIT. Without POSIX_LOCKS and FLOCK_LOCKS the guest keeps locks itself. */
export const initFlags = {
  ASYNC_READ: 1 << 0,
  ATOMIC_O_TRUNC: 1 << 3,
  BIG_WRITES: 1 << 5,
  AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13,
  PARALLEL_DIROPS: 1 << 18,
  MAX_PAGES: 1 << 22,
} as const;

export const SETATTR_MODE = 1 << 0;
export const SETATTR_UID = 1 << 1;
export const SETATTR_GID = 1 << 2;
export const SETATTR_SIZE = 1 << 3;
export const SETATTR_ATIME = 1 << 4;
export const SETATTR_MTIME = 1 << 5;
export const SETATTR_FH = 1 << 6;
export const SETATTR_ATIME_NOW = 1 << 7;
export const SETATTR_MTIME_NOW = 1 << 8;

export const OPEN_KEEP_CACHE = 1 << 1;
export const RENAME_NOREPLACE = 1;
export const FSYNC_DATA_ONLY = 1;

/** Codes of messages that answer no request (FUSE_NOTIFY_*). */
export const NOTIFY_INVAL_INODE = 2;
export const NOTIFY_INVAL_ENTRY = 3;

export const ATTR_BYTES = 88;
export const ENTRY_BYTES = 40 + ATTR_BYTES;
const DIRENT_HEADER = 24;

/** A request that has fewer bytes than its kind needs. */
export class ShortRequest extends Error {}

/** Reads a request front to back; little-endian, as both architectures are. */
export class RequestReader {
  private at = IN_HEADER;
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Another reader of the same request, at the same place. */
  clone(): RequestReader {
    const other = new RequestReader(this.bytes);
    other.at = this.at;
    return other;
  }

  u32(): number {
    this.need(4);
    const value = this.bytes.readUInt32LE(this.at);
    this.at += 4;
    return value;
  }

  /** Exact up to 2^53: what is beyond is no number of ours, and no offset that a file can have. */
  u64(): number {
    return this.u32() + this.u32() * 2 ** 32;
  }

  i64(): number {
    const low = this.u32();
    return low + (this.u32() | 0) * 2 ** 32;
  }

  skip(bytes: number): void {
    this.need(bytes);
    this.at += bytes;
  }

  /** Up to the next NUL, one character a byte. */
  name(): string {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0) throw new ShortRequest();
    const name = this.bytes.toString('latin1', this.at, end);
    this.at = end + 1;
    return name;
  }

  take(length: number): Buffer {
    this.need(length);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  private need(length: number): void {
    if (this.at + length > this.bytes.length) throw new ShortRequest();
  }
}

/** How long what is told counts, in seconds. */
export interface Lifetime {
  entry: number;
  attributes: number;
}

export interface Shown {
  stats: BigIntStats;
  owner: { uid: number; gid: number } | undefined;
}

/** The number of an inode on another file system than the share's own must not be that of one there. */
function inodeNumber({ dev, ino }: BigIntStats, rootDevice: bigint): bigint {
  return BigInt.asUintN(64, dev === rootDevice ? ino : ino ^ (dev << 40n));
}

export function writeAttributes(out: Buffer, at: number, { stats, owner }: Shown, rootDevice: bigint): void {
  out.writeBigUInt64LE(inodeNumber(stats, rootDevice), at);
  out.writeBigUInt64LE(stats.size, at + 8);
  out.writeBigUInt64LE(stats.blocks ?? 0n, at + 16);
  const times = [stats.atimeNs, stats.mtimeNs, stats.ctimeNs];
  for (let index = 0; index < 3; index++) {
    const time = times[index]!;
    let nanoseconds = time % 1_000_000_000n;
    if (nanoseconds < 0n) nanoseconds += 1_000_000_000n; // Before 1970.
    out.writeBigInt64LE((time - nanoseconds) / 1_000_000_000n, at + 24 + 8 * index);
    out.writeUInt32LE(Number(nanoseconds), at + 48 + 4 * index);
  }
  out.writeUInt32LE(Number(stats.mode), at + 60);
  out.writeUInt32LE(Number(stats.nlink), at + 64);
  out.writeUInt32LE(owner?.uid ?? Number(stats.uid), at + 68);
  out.writeUInt32LE(owner?.gid ?? Number(stats.gid), at + 72);
  out.writeUInt32LE(encodeDevice(Number(stats.rdev)), at + 76);
  out.writeUInt32LE(Number(stats.blksize ?? 4096n), at + 80);
  out.writeUInt32LE(0, at + 84);
}

/** new_encode_dev(): 12 bits of the major, 20 of the minor; of glibc's 64 those that fit. */
function encodeDevice(rdev: number): number {
  const major = Math.floor(rdev / 256) & 0xfff;
  const minor = (rdev & 0xff) | (Math.floor(rdev / 4096) & 0xfff00);
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** fuse_entry_out; a node of 0 says that there is nothing, and how long that counts. */
export function writeEntry(
  out: Buffer,
  at: number,
  node: number,
  shown: Shown | undefined,
  lifetime: Lifetime,
  rootDevice: bigint,
): void {
  out.fill(0, at, at + ENTRY_BYTES);
  writeNumber(out, at, node);
  writeNumber(out, at + 16, lifetime.entry);
  writeNumber(out, at + 24, lifetime.attributes);
  if (shown !== undefined) writeAttributes(out, at + 40, shown, rootDevice);
}

/** u64. */
export function writeNumber(out: Buffer, at: number, value: number): void {
  out.writeUInt32LE(value >>> 0, at);
  out.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

/** Bytes that a name takes in a listing, filled up to eight. */
export function direntBytes(name: string): number {
  return (DIRENT_HEADER + name.length + 7) & ~7;
}

/** fuse_dirent. @param next where the listing goes on behind it. */
export function writeDirent(out: Buffer, at: number, ino: bigint, next: number, type: number, name: string): void {
  out.writeBigUInt64LE(ino, at);
  writeNumber(out, at + 8, next);
  out.writeUInt32LE(name.length, at + 16);
  out.writeUInt32LE(type, at + 20);
  out.write(name, at + DIRENT_HEADER, 'latin1');
  out.fill(0, at + DIRENT_HEADER + name.length, at + direntBytes(name));
}

/** fuse_statfs_out. */
export function encodeSpace(space: StatsFs): Buffer {
  const out = Buffer.alloc(80);
  const numbers = [space.blocks, space.bfree, space.bavail, space.files, space.ffree];
  for (const [index, value] of numbers.entries()) writeNumber(out, 8 * index, Math.max(0, Number(value)));
  out.writeUInt32LE(Number(space.bsize), 40);
  out.writeUInt32LE(255, 44);
  out.writeUInt32LE(Number(space.bsize), 48);
  return out;
}

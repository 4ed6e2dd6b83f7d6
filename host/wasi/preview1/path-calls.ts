// The calls of WASI preview 1 that name paths: each is walked below the directory that its descriptor stands for.
import {
  type BigIntStats,
  constants,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { openFile, openPlace, type Target, walk } from './confined-path.ts';
import { type OpenFile, rights } from './descriptors.ts';
import { WasiError } from './errno.ts';
import type { Call, Calling } from './calling.ts';

const OPEN_CREATE = 1;
const OPEN_DIRECTORY = 2;
const OPEN_EXCLUSIVE = 4;
const OPEN_TRUNCATE = 8;
const FOLLOW = 1;
const APPEND = 1;

/** Times to be set, in seconds as node:fs takes them: nanoseconds below the microsecond are lost. */
export function timesOf(
  { atimeNs, mtimeNs }: BigIntStats,
  accessed: bigint,
  modified: bigint,
  flags: number,
): [number, number] {
  if ((flags & 3) === 3 || (flags & 12) === 12) throw new WasiError('inval');
  const seconds = (given: bigint, set: number, toNow: number, had: bigint): number =>
    (flags & toNow) !== 0 ? Date.now() / 1000 : Number(((flags & set) !== 0 ? given : had) / 1000n) / 1e6;
  return [seconds(accessed, 1, 2, atimeNs), seconds(modified, 4, 8, mtimeNs)];
}

export function pathCalls({ memory, open }: Calling): Record<string, Call> {
  const at = <T>(number: number, pointer: number, length: number, follow: boolean, use: (target: Target) => T): T => {
    const target = walk(open.directory(number).place, memory.text(pointer, length), follow);
    try {
      return use(target);
    } finally {
      target.close();
    }
  };
  const change = (number: number, pointer: number, length: number, use: (target: Target) => void): void => {
    open.writable(number);
    at(number, pointer, length, false, use);
  };

  const openPath = (number: number, target: Target, oflags: number, base: bigint, fdflags: number): number => {
    const { readonly } = open.directory(number);
    const stat = lstatSync(target.path, { throwIfNoEntry: false });
    if (stat?.isDirectory() || (oflags & OPEN_DIRECTORY) !== 0) {
      if (stat === undefined) throw new WasiError('noent');
      if (stat.isSymbolicLink()) throw new WasiError('loop');
      if (!stat.isDirectory()) throw new WasiError('notdir');
      if ((oflags & OPEN_EXCLUSIVE) !== 0 && (oflags & OPEN_CREATE) !== 0) throw new WasiError('exist');
      if ((oflags & OPEN_TRUNCATE) !== 0) throw new WasiError('isdir');
      return open.add({ kind: 'directory', place: openPlace(target.path, { follow: false }), readonly });
    }
    const writes = (base & rights.resize) !== 0n;
    if (readonly && (writes || (oflags & (OPEN_CREATE | OPEN_TRUNCATE)) !== 0)) throw new WasiError('rofs');
    const reads = (base & rights.read) !== 0n || !writes;
    const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC } = constants;
    let flags = writes || (oflags & OPEN_TRUNCATE) !== 0 ? (reads ? O_RDWR : O_WRONLY) : O_RDONLY;
    if ((oflags & OPEN_CREATE) !== 0) flags |= O_CREAT;
    if ((oflags & OPEN_EXCLUSIVE) !== 0) flags |= O_EXCL;
    if ((oflags & OPEN_TRUNCATE) !== 0) flags |= O_TRUNC;
    const fd = openFile(target, flags);
    const granted = rights.file & (reads ? rights.all : ~rights.read) & (writes ? rights.all : ~rights.write);
    const file: OpenFile = {
      kind: 'file',
      fd,
      position: 0n,
      append: (fdflags & APPEND) !== 0,
      flags: fdflags & ~APPEND,
      rights: granted,
    };
    return open.add(file);
  };

  return {
    path_create_directory: (number: number, pointer: number, length: number) =>
      void change(number, pointer, length, ({ path }) => mkdirSync(path)),
    path_filestat_get: (number: number, flags: number, pointer: number, length: number, stat: number) =>
      void at(number, pointer, length, (flags & FOLLOW) !== 0, ({ path }) =>
        memory.filestat(stat, lstatSync(path, { bigint: true })),
      ),
    path_filestat_set_times(
      number: number,
      flags: number,
      pointer: number,
      length: number,
      accessed: bigint,
      modified: bigint,
      times: number,
    ) {
      open.writable(number);
      at(number, pointer, length, (flags & FOLLOW) !== 0, ({ path }) =>
        lutimesSync(path, ...timesOf(lstatSync(path, { bigint: true }), accessed, modified, times)),
      );
    },
    path_link(
      from: number,
      flags: number,
      oldPointer: number,
      oldLength: number,
      to: number,
      newPointer: number,
      newLength: number,
    ) {
      open.writable(from); // The new name could change a file of a read-only directory.
      open.writable(to);
      at(from, oldPointer, oldLength, (flags & FOLLOW) !== 0, (old) =>
        change(to, newPointer, newLength, ({ path }) => linkSync(old.path, path)),
      );
    },
    path_open(
      number: number,
      lookup: number,
      pointer: number,
      length: number,
      oflags: number,
      base: bigint,
      _inheriting: bigint,
      fdflags: number,
      opened: number,
    ) {
      // What must be new follows no link to it.
      const follow = (lookup & FOLLOW) !== 0 && (oflags & OPEN_EXCLUSIVE) === 0;
      const given = at(number, pointer, length, follow, (target) => openPath(number, target, oflags, base, fdflags));
      memory.view().setUint32(opened >>> 0, given, true);
    },
    path_readlink: (number: number, pointer: number, length: number, buffer: number, size: number, used: number) =>
      void at(number, pointer, length, false, ({ path }) => {
        const text = readlinkSync(path, 'buffer').subarray(0, size);
        memory.bytes(buffer, text.length).set(text);
        memory.view().setUint32(used >>> 0, text.length, true);
      }),
    path_remove_directory: (number: number, pointer: number, length: number) =>
      void change(number, pointer, length, ({ path }) => rmdirSync(path)),
    path_rename(
      from: number,
      oldPointer: number,
      oldLength: number,
      to: number,
      newPointer: number,
      newLength: number,
    ) {
      change(from, oldPointer, oldLength, (old) =>
        change(to, newPointer, newLength, ({ path }) => renameSync(old.path, path)),
      );
    },
    path_symlink(targetPointer: number, targetLength: number, number: number, pointer: number, length: number) {
      const target = memory.text(targetPointer, targetLength);
      // Others would follow it out, who are not confined.
      if (target.startsWith('/')) throw new WasiError('notcapable');
      change(number, pointer, length, ({ path }) => symlinkSync(target, path));
    },
    path_unlink_file: (number: number, pointer: number, length: number) =>
      void change(number, pointer, length, ({ path }) => unlinkSync(path)),
  };
}

// The functions of WASI preview 1, as a program imports them. Read this file first; paths are in path-calls.ts.
import { fdatasyncSync, fstatSync, fsyncSync, ftruncateSync, futimesSync, lstatSync, readdirSync } from 'node:fs';
import { randomFillSync } from 'node:crypto';
import type { Call, Calling } from './calling.ts';
import { below } from './confined-path.ts';
import { allocate, createDescriptors, type Descriptor, readFile, rights, seek, writeFile } from './descriptors.ts';
import { errno, errnoOf, WasiError } from './errno.ts';
import { createMemory, filetype, typeOf } from './memory.ts';
import { pathCalls, timesOf } from './path-calls.ts';
import { now, poll, resolution } from './poll.ts';

/** What a program is given. */
export interface Given {
  args: string[];
  env: string[];
  /** In order: standard input, output and error, then what is preopened. */
  descriptors: Descriptor[];
}

/** Thrown by proc_exit, through the program. */
export class ProgramExit {
  readonly code: number;
  constructor(code: number) {
    this.code = code;
  }
}

/** @param memory of the program, once it exists. */
export function createImports(given: Given, memory: () => { buffer: ArrayBuffer }): Record<string, Call> {
  const calling: Calling = { memory: createMemory(memory), open: createDescriptors(given.descriptors) };
  const calls: Record<string, Call> = {
    ...processCalls(given, calling),
    ...descriptorCalls(calling),
    ...pathCalls(calling),
  };
  return Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, guarded(call)]));
}

function guarded(call: Call): Call {
  return (...operands) => {
    try {
      const returned = call(...operands);
      return typeof returned === 'number' ? returned : errno.success;
    } catch (error) {
      if (error instanceof ProgramExit) throw error;
      return errnoOf(error);
    }
  };
}

function processCalls({ args, env }: Given, { memory, open }: Calling): Record<string, Call> {
  const encoder = new TextEncoder();
  const encoded = (texts: string[]): Uint8Array[] => texts.map((text) => encoder.encode(`${text}\0`));
  const words = encoded(args);
  const variables = encoded(env);
  const sizes = (texts: Uint8Array[]) => (count: number, size: number) => {
    memory.view().setUint32(count >>> 0, texts.length, true);
    memory.view().setUint32(
      size >>> 0,
      texts.reduce((all, text) => all + text.length, 0),
      true,
    );
  };
  const write = (texts: Uint8Array[]) => (pointers: number, buffer: number) => {
    let at = buffer >>> 0;
    for (const [index, text] of texts.entries()) {
      memory.view().setUint32((pointers >>> 0) + index * 4, at, true);
      memory.bytes(at, text.length).set(text);
      at += text.length;
    }
  };
  const ofCall =
    <T extends unknown[]>(call: (...operands: T) => unknown) =>
    (...operands: T): undefined => {
      call(...operands);
    };
  const refuseSocket = (socket: number): number => {
    open.get(socket);
    return errno.notsock;
  };
  return {
    args_sizes_get: ofCall(sizes(words)),
    args_get: ofCall(write(words)),
    environ_sizes_get: ofCall(sizes(variables)),
    environ_get: ofCall(write(variables)),
    clock_res_get: ofCall((clock: number, pointer: number) =>
      memory.view().setBigUint64(pointer >>> 0, resolution(clock), true),
    ),
    clock_time_get: ofCall((clock: number, _precision: bigint, pointer: number) =>
      memory.view().setBigUint64(pointer >>> 0, now(clock), true),
    ),
    random_get: ofCall((pointer: number, length: number) => randomFillSync(memory.bytes(pointer, length))),
    sched_yield: () => errno.success,
    proc_exit(code: number) {
      throw new ProgramExit(code >>> 0);
    },
    proc_raise: () => errno.notsup,
    poll_oneoff: (subscriptions: number, events: number, count: number, stored: number) =>
      poll({ memory, open }, subscriptions >>> 0, events >>> 0, count, stored >>> 0),
    // A program of preview 1 cannot make a socket, only be given one: none is.
    sock_accept: refuseSocket,
    sock_recv: refuseSocket,
    sock_send: refuseSocket,
    sock_shutdown: refuseSocket,
  };
}

function descriptorCalls(calling: Calling): Record<string, Call> {
  const { memory, open } = calling;
  const count = (pointer: number, value: number): void => memory.view().setUint32(pointer >>> 0, value, true);
  const hostOf = (number: number): number => {
    const found = open.get(number);
    if (found.kind === 'file') return found.fd;
    if (found.kind === 'directory') return found.place.fd;
    throw new WasiError('inval');
  };
  return {
    fd_advise(number: number) {
      open.file(number);
    },
    fd_allocate: (number: number, offset: bigint, length: bigint) => void allocate(open.file(number), offset, length),
    fd_close: (number: number) => void open.close(number),
    fd_datasync: (number: number) => void fdatasyncSync(hostOf(number)),
    fd_sync: (number: number) => void fsyncSync(hostOf(number)),
    fd_renumber: (from: number, to: number) => void open.renumber(from, to),
    fd_fdstat_get(number: number, pointer: number) {
      const found = open.get(number);
      const view = memory.view();
      const at = pointer >>> 0;
      const { type, base, inheriting } = describe(found);
      view.setBigUint64(at, BigInt(type), true);
      view.setUint16(at + 2, found.kind === 'file' ? (found.append ? 1 : 0) | found.flags : 0, true);
      view.setBigUint64(at + 8, base, true);
      view.setBigUint64(at + 16, inheriting, true);
    },
    fd_fdstat_set_flags(number: number, flags: number) {
      const found = open.get(number);
      if (found.kind !== 'file') return; // Streams always wait.
      found.append = (flags & 1) !== 0;
      found.flags = flags & ~1;
    },
    fd_fdstat_set_rights(number: number, base: bigint) {
      const found = open.get(number);
      const { base: had } = describe(found);
      if ((base & ~had) !== 0n) throw new WasiError('notcapable');
      if (found.kind === 'file') found.rights = base;
    },
    fd_filestat_get(number: number, pointer: number) {
      const found = open.get(number);
      if (found.kind === 'file') return void memory.filestat(pointer, fstatSync(found.fd, { bigint: true }));
      if (found.kind === 'directory')
        return void memory.filestat(pointer, lstatSync(below(found.place, '.'), { bigint: true }));
      memory.bytes(pointer, 64).fill(0); // A stream is of no known type.
      return;
    },
    fd_filestat_set_size(number: number, size: bigint) {
      const file = open.file(number);
      if ((file.rights & rights.write) === 0n) throw new WasiError('badf');
      ftruncateSync(file.fd, Number(size));
    },
    fd_filestat_set_times(number: number, accessed: bigint, modified: bigint, flags: number) {
      const file = open.file(number);
      if ((file.rights & rights.write) === 0n) throw new WasiError('badf');
      const times = timesOf(fstatSync(file.fd, { bigint: true }), accessed, modified, flags);
      futimesSync(file.fd, ...times);
    },
    fd_pread: (number: number, buffers: number, length: number, offset: bigint, pointer: number) =>
      count(pointer, readFile(open.file(number), memory.buffers(buffers, length), offset)),
    fd_pwrite: (number: number, buffers: number, length: number, offset: bigint, pointer: number) =>
      count(pointer, writeFile(open.file(number), memory.buffers(buffers, length), offset)),
    fd_prestat_get(number: number, pointer: number) {
      const found = open.get(number);
      if (found.kind !== 'directory' || found.name === undefined) throw new WasiError('badf');
      memory.view().setUint32(pointer >>> 0, 0, true);
      count(pointer + 4, Buffer.byteLength(found.name));
    },
    fd_prestat_dir_name(number: number, pointer: number, length: number) {
      const { name } = open.directory(number);
      if (name === undefined) throw new WasiError('badf');
      const encoded = Buffer.from(name);
      if (encoded.length > length) throw new WasiError('nametoolong');
      memory.bytes(pointer, encoded.length).set(encoded);
    },
    fd_read(number: number, buffers: number, length: number, pointer: number) {
      const found = open.get(number);
      if (found.kind === 'file') return count(pointer, readFile(found, memory.buffers(buffers, length)));
      if (found.kind === 'directory') throw new WasiError('isdir');
      if (found.kind === 'output') throw new WasiError('badf');
      // What is there is given at once, as a pipe does.
      const into = memory.buffers(buffers, length).find((buffer) => buffer.length > 0);
      return count(pointer, into === undefined ? 0 : found.read(into));
    },
    fd_write(number: number, buffers: number, length: number, pointer: number) {
      const found = open.get(number);
      if (found.kind === 'file') return count(pointer, writeFile(found, memory.buffers(buffers, length)));
      if (found.kind !== 'output') throw new WasiError(found.kind === 'directory' ? 'isdir' : 'badf');
      let total = 0;
      for (const buffer of memory.buffers(buffers, length)) {
        if (buffer.length > 0) found.write(buffer);
        total += buffer.length;
      }
      return count(pointer, total);
    },
    fd_seek(number: number, offset: bigint, whence: number, pointer: number) {
      memory.view().setBigUint64(pointer >>> 0, seek(open.file(number), offset, whence), true);
    },
    fd_tell(number: number, pointer: number) {
      memory.view().setBigUint64(pointer >>> 0, open.file(number).position, true);
    },
    fd_readdir: (number: number, pointer: number, length: number, cookie: bigint, used: number) =>
      count(used, listDirectory(calling, number, memory.bytes(pointer, length), Number(cookie))),
  };
}

function describe(found: Descriptor): { type: number; base: bigint; inheriting: bigint } {
  if (found.kind === 'file') return { type: filetype.regular, base: found.rights, inheriting: 0n };
  if (found.kind !== 'directory') return { type: filetype.unknown, base: rights.stream, inheriting: 0n };
  // Of a read-only one, too: programs mask what they ask for by it, and would not hear that it is read-only.
  return { type: filetype.directory, base: rights.all, inheriting: rights.all };
}

const DIRENT = 24;

/** Entries behind the cookie until the buffer is full, the last one cut off where it does not fit: preview 1's way. */
function listDirectory({ open }: Calling, number: number, into: Uint8Array, cookie: number): number {
  const directory = open.directory(number);
  if (cookie === 0 || directory.entries === undefined) {
    const names = ['.', '..', ...readdirSync(below(directory.place, '.'))];
    directory.entries = names.flatMap((name) => {
      const path = below(directory.place, name === '..' ? '.' : name); // What is above is none of its business.
      const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      return stat === undefined ? [] : [{ name, type: typeOf(stat), inode: stat.ino }];
    });
  }
  let used = 0;
  for (let index = cookie; index < directory.entries.length && used < into.length; index++) {
    const { name, type, inode } = directory.entries[index]!;
    const encoded = Buffer.from(name);
    const entry = Buffer.alloc(DIRENT + encoded.length);
    entry.writeBigUInt64LE(BigInt(index + 1), 0);
    entry.writeBigUInt64LE(BigInt.asUintN(64, inode), 8);
    entry.writeUInt32LE(encoded.length, 16);
    entry.writeUInt8(type, 20);
    entry.set(encoded, DIRENT);
    const part = entry.subarray(0, into.length - used);
    into.set(part, used);
    used += part.length;
  }
  return used;
}

// What a program's descriptors stand for: streams of the container, files and directories of the host.
import { closeSync, fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { closePlace, type Place } from './confined-path.ts';
import { WasiError } from './errno.ts';

const right = (...bits: number[]): bigint => bits.reduce((all, bit) => all | (1n << BigInt(bit)), 0n);
/** Bits as preview 1 numbers them. */
export const rights = {
  read: right(1),
  write: right(6),
  /** What needs a file that is open for writing: writing, allocating, another size. */
  resize: right(6, 8, 22),
  stream: right(1, 3, 6, 21, 27),
  file: right(0, 1, 2, 3, 4, 5, 6, 7, 8, 21, 22, 23, 27),
  all: (1n << 30n) - 1n,
} as const;

export interface InputStream {
  kind: 'input';
  /** Waits for input; 0 at its end. */
  read(into: Uint8Array): number;
  /** There is input, or its end. */
  ready(): boolean;
  /** Until it is ready, or so long. */
  wait(milliseconds: number): void;
}

export interface OutputStream {
  kind: 'output';
  write(data: Uint8Array): void;
}

export interface OpenFile {
  kind: 'file';
  fd: number;
  position: bigint;
  append: boolean;
  flags: number;
  rights: bigint;
}

export interface OpenDirectory {
  kind: 'directory';
  place: Place;
  readonly: boolean;
  /** Preopened as this; absent: the program has opened it. */
  name?: string;
  /** As it was when the program began to read it. */
  entries?: { name: string; type: number; inode: bigint }[];
}

export type Descriptor = InputStream | OutputStream | OpenFile | OpenDirectory;

export interface Descriptors {
  get(number: number): Descriptor;
  file(number: number): OpenFile;
  directory(number: number): OpenDirectory;
  /** One that may be changed. */
  writable(number: number): OpenDirectory;
  /** In the lowest number that is free. */
  add(descriptor: Descriptor): number;
  close(number: number): void;
  renumber(from: number, to: number): void;
}

export function createDescriptors(first: Descriptor[]): Descriptors {
  const open: (Descriptor | undefined)[] = [...first];
  const get = (number: number): Descriptor => {
    const found = open[number];
    if (found === undefined) throw new WasiError('badf');
    return found;
  };
  const directory = (number: number): OpenDirectory => {
    const found = get(number);
    if (found.kind !== 'directory') throw new WasiError('notdir');
    return found;
  };
  const close = (number: number): void => {
    const found = get(number);
    open[number] = undefined;
    if (found.kind === 'file') closeSync(found.fd);
    else if (found.kind === 'directory') closePlace(found.place);
  };
  return {
    get,
    file(number) {
      const found = get(number);
      if (found.kind === 'file') return found;
      throw new WasiError(found.kind === 'directory' ? 'isdir' : 'spipe');
    },
    directory,
    writable(number) {
      const found = directory(number);
      if (found.readonly) throw new WasiError('rofs');
      return found;
    },
    add(descriptor) {
      const free = open.indexOf(undefined);
      const number = free < 0 ? open.length : free;
      if (number >= 65536) throw new WasiError('mfile');
      open[number] = descriptor;
      return number;
    },
    close,
    renumber(from, to) {
      const moved = get(from);
      get(to); // preview 1: it must be open.
      if (from === to) return;
      close(to);
      open[to] = moved;
      open[from] = undefined;
    },
  };
}

/** Reads at its position, or at another one. */
export function readFile(file: OpenFile, buffers: Uint8Array[], at?: bigint): number {
  if ((file.rights & rights.read) === 0n) throw new WasiError('badf');
  let position = at ?? file.position;
  let total = 0;
  for (const buffer of buffers) {
    if (buffer.length === 0) continue;
    const count = readSync(file.fd, buffer, 0, buffer.length, position);
    total += count;
    position += BigInt(count);
    if (count < buffer.length) break;
  }
  if (at === undefined) file.position = position;
  return total;
}

export function writeFile(file: OpenFile, buffers: Uint8Array[], at?: bigint): number {
  if ((file.rights & rights.write) === 0n) throw new WasiError('badf');
  const end = (): bigint => fstatSync(file.fd, { bigint: true }).size;
  let position = at ?? (file.append ? end() : file.position);
  let total = 0;
  for (const buffer of buffers) {
    if (buffer.length === 0) continue;
    const count = writeSync(file.fd, buffer, 0, buffer.length, Number(position));
    total += count;
    position += BigInt(count);
    if (count < buffer.length) break;
  }
  if (at === undefined) file.position = position;
  return total;
}

export function seek(file: OpenFile, offset: bigint, whence: number): bigint {
  const from =
    whence === 0
      ? 0n
      : whence === 1
        ? file.position
        : whence === 2
          ? fstatSync(file.fd, { bigint: true }).size
          : undefined;
  if (from === undefined || from + offset < 0n) throw new WasiError('inval');
  file.position = from + offset;
  return file.position;
}

/** Room up to there: the file grows, and never shrinks. */
export function allocate(file: OpenFile, offset: bigint, length: bigint): void {
  if ((file.rights & rights.write) === 0n) throw new WasiError('badf');
  if (fstatSync(file.fd, { bigint: true }).size < offset + length) ftruncateSync(file.fd, Number(offset + length));
}

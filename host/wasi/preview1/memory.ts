// The program's memory: views that are made anew when it has grown, and the structures of preview 1 in it.
import type { BigIntStats } from 'node:fs';

export const filetype = { unknown: 0, block: 1, character: 2, directory: 3, regular: 4, socket: 6, link: 7 } as const;

export interface Memory {
  view(): DataView;
  bytes(pointer: number, length: number): Uint8Array;
  text(pointer: number, length: number): string;
  /** Buffers of an iovec array, views of the memory itself. */
  buffers(pointer: number, count: number): Uint8Array[];
  filestat(pointer: number, stat: BigIntStats): void;
}

export function typeOf(
  stat: Pick<
    BigIntStats,
    'isFile' | 'isDirectory' | 'isSymbolicLink' | 'isCharacterDevice' | 'isBlockDevice' | 'isSocket'
  >,
): number {
  if (stat.isFile()) return filetype.regular;
  if (stat.isDirectory()) return filetype.directory;
  if (stat.isSymbolicLink()) return filetype.link;
  if (stat.isCharacterDevice()) return filetype.character;
  if (stat.isBlockDevice()) return filetype.block;
  return stat.isSocket() ? filetype.socket : filetype.unknown;
}

/** @param memory asked at each use: it exists once the program does. */
export function createMemory(memory: () => { buffer: ArrayBuffer }): Memory {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let current: DataView | undefined;
  const view = (): DataView => {
    const { buffer } = memory();
    if (current?.buffer !== buffer) current = new DataView(buffer);
    return current;
  };
  const bytes = (pointer: number, length: number): Uint8Array =>
    new Uint8Array(view().buffer as ArrayBuffer, pointer >>> 0, length >>> 0);
  return {
    view,
    bytes,
    text(pointer, length) {
      try {
        return decoder.decode(bytes(pointer, length));
      } catch (error) {
        if (error instanceof RangeError) throw error;
        throw Object.assign(new Error('not UTF-8'), { code: 'ERR_INVALID_ARG_VALUE' });
      }
    },
    buffers(pointer, count) {
      const structures = view();
      return Array.from({ length: count }, (_, index) => {
        const at = (pointer >>> 0) + index * 8;
        return bytes(structures.getUint32(at, true), structures.getUint32(at + 4, true));
      });
    },
    filestat(pointer, stat) {
      const at = pointer >>> 0;
      const to = view();
      to.setBigUint64(at, BigInt.asUintN(64, stat.dev), true);
      to.setBigUint64(at + 8, BigInt.asUintN(64, stat.ino), true);
      to.setBigUint64(at + 16, BigInt(typeOf(stat)), true);
      to.setBigUint64(at + 24, stat.nlink, true);
      to.setBigUint64(at + 32, stat.size, true);
      to.setBigUint64(at + 40, BigInt.asUintN(64, stat.atimeNs), true);
      to.setBigUint64(at + 48, BigInt.asUintN(64, stat.mtimeNs), true);
      to.setBigUint64(at + 56, BigInt.asUintN(64, stat.ctimeNs), true);
    },
  };
}

// How much of the disk images may take: a reserve is left to containers that run and to the rest of the machine.
import { statfs } from 'node:fs/promises';
import { GantryError } from '../errors.ts';
import type { Leaving } from './leaving.ts';

export interface DiskRoom {
  /** @param bytes that are about to come. @throws {GantryError} DISK_FULL where they do not fit. */
  check(bytes: number): Promise<void>;
  /** The same bytes, as long as there is room. @throws {GantryError} DISK_FULL. */
  guard(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>;
}

/** The smaller of both stays free: a twentieth of the file system, 1 GiB. */
const RESERVE_SHARE = 20;
const RESERVE_BYTES = 1024 ** 3;
/** The disk is looked at after half of what is free has come, but not for less, nor more, than this. */
const [STEP_MIN, STEP_MAX] = [1024 ** 2, 64 * 1024 ** 2];

/**
 * @param directory on the file system that is meant.
 * @param leaving what is on its way out there is waited for before anything is refused.
 */
export function diskRoom(directory: string, leaving: Leaving): DiskRoom {
  /** Bytes that may still come; below 0 where the reserve is touched. */
  const look = async (): Promise<{ left: number; reserve: number }> => {
    const { bavail, blocks, bsize } = await statfs(directory);
    const reserve = Math.min(RESERVE_BYTES, Math.floor((blocks * bsize) / RESERVE_SHARE));
    return { left: bavail * bsize - reserve, reserve };
  };
  const roomFor = async (bytes: number): ReturnType<typeof look> => {
    const found = await look();
    if (found.left >= bytes) return found;
    await leaving.settled();
    return look();
  };
  const full = (what: string, { left, reserve }: { left: number; reserve: number }): GantryError =>
    new GantryError(
      'DISK_FULL',
      `Cannot store the image: ${what}, and ${megabytes(left + reserve)} are free, of which ${megabytes(reserve)} are kept in reserve`,
      { hint: `Free space on the file system that holds ${directory}: "gantry system df" tells what images hold` },
    );
  return {
    async check(bytes) {
      const found = await roomFor(bytes);
      if (bytes > found.left) throw full(`${megabytes(bytes)} are to come`, found);
    },
    async *guard(source) {
      let came = 0;
      let next = STEP_MIN;
      for await (const chunk of source) {
        came += chunk.length;
        if (came >= next) {
          const found = await roomFor(1);
          if (found.left <= 0) throw full(`${megabytes(came)} of a layer are unpacked and more comes`, found);
          next = came + Math.max(STEP_MIN, Math.min(STEP_MAX, found.left / 2));
        }
        yield chunk;
      }
    },
  };
}

function megabytes(bytes: number): string {
  return `${(Math.max(0, bytes) / 1e6).toFixed(1)} MB`;
}

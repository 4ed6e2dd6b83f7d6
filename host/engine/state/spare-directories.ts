// Directories of containers that are gone, made as new for those that come: making and removing them costs more on a disk.
import { renameSync } from 'node:fs';
import { createBatches } from './batches.ts';
import type { Trash } from './trash.ts';

export interface SpareDirectories {
  /** Moves one to where a container's directory shall be; false where there is none. */
  take(path: string): boolean;
  /** Gets the directory of a container that has ended, that no record names and no copy works in. An engine that finds one removes it. */
  give(path: string): void;
  /** Resolves when none is left but in the trash. */
  close(): Promise<void>;
}

const KEPT = 192;
/**
 * So many rest while others serve, the longest first: ext4 without a journal looks at each inode of a block group that was freed in
 * the last minutes before it takes one, and each of these directories has a group of its own.
 */
const RESTING = 96;

/** @param renew resolves to those of some directories that are as new. */
export function createSpareDirectories(trash: Trash, renew: (paths: string[]) => Promise<string[]>): SpareDirectories {
  const ready: string[] = [];
  const batches = createBatches(async (paths) => {
    const renewed = new Set(await renew(paths).catch(() => []));
    for (const path of paths) {
      if (renewed.has(path) && ready.length < KEPT) ready.push(path);
      else trash.remove(path);
    }
  });

  return {
    take(path) {
      const spare = ready.length > RESTING ? ready.shift() : undefined;
      if (spare === undefined) return false;
      try {
        renameSync(spare, path);
        return true;
      } catch {
        trash.remove(spare);
        return false;
      }
    },
    give(path) {
      if (ready.length < KEPT) batches.add(path);
      else trash.remove(path);
    },
    async close() {
      await batches.finish();
      for (const path of ready.splice(0)) trash.remove(path);
    },
  };
}

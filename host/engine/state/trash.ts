// What is to be removed: moved out of the way at once, removed later.
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { createBatches } from './batches.ts';
import { newId } from '../names.ts';

export interface Trash {
  /** Takes a tree away: from now on its path is free. */
  take(path: string): void;
  /** Removes a tree where it is, later; for what another file system holds. */
  remove(path: string): void;
  /** Resolves when everything is removed. */
  empty(): Promise<void>;
}

/** @param removeTrees removes what it can of some trees; what is left is tried again by the next engine. */
export function createTrash(directory: string, removeTrees: (paths: string[]) => Promise<void>): Trash {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const own = newId();
  let taken = 0;
  const batches = createBatches(removeTrees);
  // Of an engine that died.
  for (const name of readdirSync(directory)) batches.add(join(directory, name));

  return {
    take(path) {
      const target = join(directory, `${own}-${taken++}`);
      renameSync(path, target);
      batches.add(target);
    },
    remove: batches.add,
    empty: batches.finish,
  };
}

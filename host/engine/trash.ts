// What is to be removed: moved out of the way at once, removed in batches behind the backs of those who wait for something else.
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from './names.ts';

export interface Trash {
  /** Takes a tree away: from now on its path is free. */
  take(path: string): void;
  /** Removes a tree where it is, later; for what another file system holds. */
  remove(path: string): void;
  /** Resolves when everything is removed. */
  empty(): Promise<void>;
}

/** Removal waits so long for company: one program removes a batch, and whoever starts next is not disturbed by it. */
const DELAY_MS = 100;
/** Trees of one program. */
const BATCH = 256;

/** @param removeTrees removes what it can of some trees; what is left is tried again by the next engine. */
export function createTrash(directory: string, removeTrees: (paths: string[]) => Promise<void>): Trash {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const queue: string[] = [];
  const own = newId();
  let taken = 0;
  let working: Promise<void> | undefined;
  let hurry = (): void => {};

  const work = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      hurry = resolve;
      setTimeout(resolve, DELAY_MS);
    });
    while (queue.length > 0) await removeTrees(queue.splice(0, BATCH)).catch(() => {});
    working = undefined;
  };

  const remove = (path: string): void => {
    queue.push(path);
    working ??= work();
  };
  // Of an engine that died.
  for (const name of readdirSync(directory)) remove(join(directory, name));

  return {
    take(path) {
      const target = join(directory, `${own}-${taken++}`);
      renameSync(path, target);
      remove(target);
    },
    remove,
    async empty() {
      hurry();
      while (working !== undefined) await working;
    },
  };
}

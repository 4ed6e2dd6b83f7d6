// Where a build keeps what it needs for itself: a directory that goes with it, or that the next engine removes.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { EnginePaths } from '../paths.ts';

export interface ScratchSpace {
  /** A new name below the data root. */
  path(kind: string): string;
  /** The same where nothing reaches a disk: for secrets. */
  memoryPath(kind: string): string;
  /** Removes all of it. */
  close(): Promise<void>;
}

const roots = ({ dataRoot, memoryRoot }: EnginePaths): [string, string] => [
  join(dataRoot, 'build', 'work'),
  join(memoryRoot, 'build'),
];

/** Removes what builds of an engine left that died. @param removeTree of what may hold foreign files. */
export function clearScratchSpaces(paths: EnginePaths, removeTree: (path: string) => Promise<void>): void {
  const [disk, memory] = roots(paths);
  rmSync(memory, { recursive: true, force: true });
  if (!existsSync(disk)) return;
  for (const name of readdirSync(disk)) removeTree(join(disk, name)).catch(() => {});
}

export function openScratchSpace(paths: EnginePaths, removeTree: (path: string) => Promise<void>): ScratchSpace {
  const name = randomBytes(8).toString('hex');
  const [disk, memory] = roots(paths).map((root) => join(root, name)) as [string, string];
  mkdirSync(disk, { recursive: true, mode: 0o700 });
  let count = 0;
  let foreign = false;
  return {
    path(kind) {
      foreign ||= kind === 'mount';
      return join(disk, `${kind}-${count++}`);
    },
    memoryPath(kind) {
      mkdirSync(memory, { recursive: true, mode: 0o700 });
      return join(memory, `${kind}-${count++}`);
    },
    async close() {
      rmSync(memory, { recursive: true, force: true });
      try {
        rmdirSync(dirname(memory));
      } catch {
        // Others are in it, or nobody ever was.
      }
      // A process of its own only for trees that others have made.
      await (foreign ? removeTree(disk) : rm(disk, { recursive: true, force: true }));
    },
  };
}

// Blobs and layers that were found damaged: they count as missing, so that the next pull or load brings them again.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Damage {
  has(digest: string): boolean;
  mark(digest: string): void;
  /** It is there again. */
  clear(digest: string): void;
}

/** One empty file for each, so that what an engine has found the next one knows. */
export function openDamage(directory: string): Damage {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const found = new Set(readdirSync(directory));
  const nameOf = (digest: string): string => digest.replace(/^sha256:/, '');
  return {
    has: (digest) => found.has(nameOf(digest)),
    mark(digest) {
      writeFileSync(join(directory, nameOf(digest)), '', { mode: 0o600 });
      found.add(nameOf(digest));
    },
    clear(digest) {
      if (found.delete(nameOf(digest))) rmSync(join(directory, nameOf(digest)), { force: true });
    },
  };
}

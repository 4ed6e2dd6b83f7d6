// How much a tree takes on the disk, for what a prune tells: links are counted and not followed, hard links count once.
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes as du(1) counts them, of a tree that nobody writes to; what is not there or cannot be read takes none. */
export async function diskUsage(path: string, seen = new Set<string>()): Promise<number> {
  const stat = await lstat(path).catch(() => undefined);
  if (stat === undefined || seen.has(`${stat.dev}:${stat.ino}`)) return 0;
  if (stat.nlink > 1 && !stat.isDirectory()) seen.add(`${stat.dev}:${stat.ino}`);
  let bytes = stat.blocks * 512;
  if (stat.isDirectory())
    for (const name of await readdir(path).catch(() => [])) bytes += await diskUsage(join(path, name), seen);
  return bytes;
}

// How much a tree holds, as docker counts it: bytes of files and lengths of links, directories not, hard links once.
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes of what is below a directory; what goes meanwhile, or cannot be read, holds none. */
export async function diskUsage(path: string, seen = new Set<string>()): Promise<number> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  let bytes = 0;
  for (const entry of entries) {
    const below = join(path, entry.name);
    if (entry.isDirectory()) {
      bytes += await diskUsage(below, seen);
      continue;
    }
    const stat = await lstat(below).catch(() => undefined);
    if (stat === undefined || (stat.nlink > 1 && seen.has(`${stat.dev}:${stat.ino}`))) continue;
    if (stat.nlink > 1) seen.add(`${stat.dev}:${stat.ino}`);
    bytes += stat.size;
  }
  return bytes;
}

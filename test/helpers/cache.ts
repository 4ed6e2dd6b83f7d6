// Where tests keep what takes long to make: outside the repository, for `npm ci` empties node_modules.
import { homedir } from 'node:os';
import { join } from 'node:path';

/** $GANTRY_TEST_CACHE, else in the user's cache directory. */
export function cacheDirectory(...parts: string[]): string {
  const caches = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return join(process.env.GANTRY_TEST_CACHE ?? join(caches, 'gantry-tests'), ...parts);
}

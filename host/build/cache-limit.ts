// How much builds may keep: GANTRY_BUILD_CACHE. What is more goes after a build, as with docker's builder garbage collection.
import { statfs } from 'node:fs/promises';
import { readByteSize } from '../byte-size.ts';
import type { Engine } from '../engine/engine.ts';
import { GantryError } from '../errors.ts';
import { pruneCache } from './cache-usage.ts';

/** Of the file system that the state lies on, as docker has it. */
const SHARE = 0.1;

export interface CacheLimit {
  /** A build begins, once nothing is being removed; what is returned ends it. */
  enter(): Promise<() => void>;
}

/** Bytes; infinite: "off"; undefined: a part of the disk. @throws {GantryError} INVALID_ARGUMENT. */
export function cacheLimitSetting(setting = process.env.GANTRY_BUILD_CACHE ?? ''): number | undefined {
  if (setting === '') return undefined;
  if (setting === 'off') return Number.POSITIVE_INFINITY;
  const bytes = readByteSize(setting);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw new GantryError('INVALID_ARGUMENT', `Cannot read GANTRY_BUILD_CACHE "${setting}"`, {
    hint: 'A size such as 20g, or off',
  });
}

/** The last of the builds that run side by side tidies up: so nothing goes that one of them has found and not yet used. */
export function createCacheLimit(engine: Engine, setting = cacheLimitSetting()): CacheLimit {
  let building = 0;
  let tidying: Promise<void> | undefined;
  const tidy = async (): Promise<void> => {
    const { bsize, blocks } = await statfs(engine.paths.dataRoot);
    const keepBytes = setting ?? Math.floor(bsize * blocks * SHARE);
    await pruneCache(engine, { all: false, keepBytes, matches: () => true });
  };
  return {
    async enter() {
      while (tidying !== undefined) await tidying;
      building++;
      return () => {
        if (--building > 0 || setting === Number.POSITIVE_INFINITY) return;
        // The next build's end tries again.
        tidying = tidy()
          .catch(() => {})
          .finally(() => (tidying = undefined));
      };
    },
  };
}

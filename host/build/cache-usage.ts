// What builds have kept, and its removal: layers of steps, and the directories of RUN --mount=type=cache.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { diskUsage } from '../engine/disk-usage.ts';
import type { Engine } from '../engine/engine.ts';
import { cachesRoot, isCacheInUse } from './run-mounts.ts';

export interface CacheUsage {
  id: string;
  type: 'regular' | 'exec.cachemount';
  description: string;
  inUse: boolean;
  /** An image has it, too: nothing is won by its removal. */
  shared: boolean;
  /** Bytes. */
  size: number;
  /** ISO 8601. */
  createdAt: string;
  lastUsedAt?: string | undefined;
  usageCount: number;
}

export interface PruneFilter {
  /** What images have, too, goes as well. */
  all: boolean;
  /** Bytes that may stay: what was used least recently goes first, until no more is left. 0: all goes. */
  keepBytes: number;
  /** Milliseconds since the epoch: what was used later stays. */
  until?: number | undefined;
  matches(usage: CacheUsage): boolean;
}

export async function cacheUsage({ images, paths }: Engine): Promise<CacheUsage[]> {
  const { records } = images.builds.cache.file;
  const ofImages = new Set((await images.list()).flatMap(({ diffIds }) => diffIds));
  const steps = Object.entries(records).map(([id, record]): CacheUsage => {
    const { layer, description, size, createdAt, lastUsedAt, usageCount } = record;
    const shared = layer !== undefined && ofImages.has(layer.diffId);
    return { id, type: 'regular', description, inUse: false, shared, size, createdAt, lastUsedAt, usageCount };
  });
  const root = cachesRoot(paths.dataRoot);
  const names = existsSync(root) ? readdirSync(root) : [];
  const mounts = names.map(async (id): Promise<CacheUsage> => {
    const { birthtime, mtime } = statSync(join(root, id));
    return {
      ...{ id, type: 'exec.cachemount', description: 'RUN --mount=type=cache', shared: false, usageCount: 1 },
      inUse: isCacheInUse(join(root, id)),
      size: await diskUsage(join(root, id)),
      createdAt: birthtime.toISOString(),
      lastUsedAt: mtime.toISOString(),
    };
  });
  return [...steps, ...(await Promise.all(mounts))];
}

/** Removes what nobody uses; running builds keep what they hold. */
export async function pruneCache(
  engine: Engine,
  { all, keepBytes, until, matches }: PruneFilter,
): Promise<{ removed: string[]; bytes: number }> {
  const { images, paths } = engine;
  const { builds } = images;
  const usedAt = ({ lastUsedAt, createdAt }: CacheUsage): number => Date.parse(lastUsedAt ?? createdAt);
  // What images have, too, is counted there.
  const usages = (await cacheUsage(engine)).filter(({ shared }) => all || !shared);
  const candidates = usages
    .filter((usage) => !usage.inUse && matches(usage))
    .filter((usage) => until === undefined || usedAt(usage) <= until)
    .sort((one, other) => usedAt(one) - usedAt(other));
  let left = usages.reduce((sum, { size }) => sum + size, 0);
  const going = candidates.filter(({ size }) => {
    const goes = keepBytes === 0 || left > keepBytes;
    if (goes) left -= size;
    return goes;
  });
  const running = new Set(engine.list().map(({ record }) => record.config.imageId));
  builds.cache.change((file) => {
    for (const { id, type } of going) if (type === 'regular') delete file.records[id];
    for (const [alias, key] of Object.entries(file.aliases))
      if (file.records[key] === undefined) delete file.aliases[alias];
    if (keepBytes > 0 || until !== undefined) return;
    for (const id of Object.keys(file.images)) if (!running.has(id)) delete file.images[id];
    file.times = {};
  });
  builds.cache.save();
  for (const { id, type } of going)
    if (type === 'exec.cachemount') await builds.removeTree(join(cachesRoot(paths.dataRoot), id));
  await images.collect();
  return {
    removed: going.map(({ id }) => id),
    bytes: going.filter(({ shared }) => !shared).reduce((sum, { size }) => sum + size, 0),
  };
}

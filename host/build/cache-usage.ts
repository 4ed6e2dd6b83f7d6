// What builds have kept, and its removal: layers of steps, and the directories of RUN --mount=type=cache.
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { diskUsage } from '../engine/disk-usage.ts';
import type { Engine } from '../engine/engine.ts';
import { cacheSizeFile, cachesRoot, isCacheInUse, usesOfCache } from './run-mounts.ts';

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
    const place = join(root, id);
    const { birthtime, mtime } = statSync(place);
    return {
      ...{ id, type: 'exec.cachemount', description: 'RUN --mount=type=cache', shared: false, usageCount: 1 },
      inUse: isCacheInUse(place),
      size: await mountSize(place, mtime),
      createdAt: birthtime.toISOString(),
      lastUsedAt: mtime.toISOString(),
    };
  });
  return [...steps, ...(await Promise.all(mounts))];
}

/** Walked once after each use: builds alone write there. @param usedAt is kept. */
async function mountSize(place: string, usedAt: Date): Promise<number> {
  const remembered = cacheSizeFile(place);
  if (existsSync(remembered)) return Number(readFileSync(remembered, 'utf8'));
  const uses = usesOfCache(place);
  const size = await diskUsage(join(place, 'tree'));
  if (!isCacheInUse(place) && usesOfCache(place) === uses && existsSync(place)) {
    writeFileSync(remembered, String(size), { mode: 0o600 });
    utimesSync(place, usedAt, usedAt);
  }
  return size;
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
  if (going.length === 0 && keepBytes > 0) return { removed: [], bytes: 0 };
  const running = new Set(engine.list().map(({ record }) => record.config.imageId));
  const gone = new Set(going.map(({ id }) => builds.cache.file.records[id]?.layer?.diffId));
  builds.cache.change((file) => {
    for (const { id, type } of going) if (type === 'regular') delete file.records[id];
    for (const [alias, key] of Object.entries(file.aliases))
      if (file.records[key] === undefined) delete file.aliases[alias];
    const kept = new Set(Object.values(file.records).map(({ layer }) => layer?.diffId));
    const everything = keepBytes === 0 && until === undefined;
    // An image that a step ran in would hold the layers of it that have gone.
    for (const [id, { layers }] of Object.entries(file.images))
      if (!running.has(id) && (everything || layers.some(({ diffId }) => gone.has(diffId) && !kept.has(diffId))))
        delete file.images[id];
    if (!everything) return;
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

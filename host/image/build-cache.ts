// What builds remember: what a step depended on → the layer it made, in one file that is replaced whole. Blobs and layers of it
// stay because garbage collection asks who holds them.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LayerEntry } from './catalog.ts';

export interface CacheRecord {
  /** Absent: the step changed no file. */
  layer?: LayerEntry;
  /** As the history has it. */
  description: string;
  /** Bytes of the layer's files. */
  size: number;
  /** ISO 8601. */
  createdAt: string;
  lastUsedAt?: string;
  usageCount: number;
}

/** An image that a RUN ran in, for whoever wants to look into it: no image of the list. */
interface StepImage {
  layers: LayerEntry[];
  /** ISO 8601. */
  createdAt: string;
}

interface CacheFile {
  version: 1;
  /** Key: digest of all that the step depends on. */
  records: Record<string, CacheRecord>;
  /** Keys that are known sooner, before files were read. */
  aliases: Record<string, string>;
  /** By digest of the configuration. */
  images: Record<string, StepImage>;
  /** Digest of an image without its times → when it was first made: the same build makes the same image. */
  times: Record<string, string>;
}

export interface BuildCache {
  readonly file: Readonly<CacheFile>;
  /** By key, or by another key of the same step. */
  get(key: string): CacheRecord | undefined;
  change(edit: (file: CacheFile) => void): void;
  /** Writes what has changed. */
  save(): void;
}

/** A file that cannot be read is begun anew: what it held can be built again. */
export function openBuildCache(directory: string): BuildCache {
  const path = join(directory, 'build-cache.json');
  const file = readCache(path);
  let changed = false;
  return {
    file,
    get: (key) => file.records[file.aliases[key] ?? key],
    change(edit) {
      edit(file);
      changed = true;
    },
    save() {
      if (!changed) return;
      writeFileSync(`${path}.new`, JSON.stringify(file), { mode: 0o600 });
      renameSync(`${path}.new`, path);
      changed = false;
    },
  };
}

function readCache(path: string): CacheFile {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as CacheFile;
    if (file.version === 1 && file.records && file.aliases && file.images && file.times) return file;
  } catch {
    // There is none, or it is damaged.
  }
  return { version: 1, records: {}, aliases: {}, images: {}, times: {} };
}

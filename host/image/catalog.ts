// Which images there are: tags, digests and layers by image ID, in one file that is replaced whole.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GantryError } from '../errors.ts';

export interface LayerEntry {
  /** Digest of the blob as it came, compressed or not. */
  blob: string;
  diffId: string;
}

export interface CatalogEntry {
  /** Lowest first. */
  layers: LayerEntry[];
  /** Digest of the manifest that brought it, where there was one. */
  manifest?: string;
  /** ISO 8601: when it came here. */
  addedAt: string;
  /** ISO 8601: when it last got a tag. */
  taggedAt?: string;
}

/** What a plain layer was packed as for a registry. */
export interface Packed {
  digest: string;
  /** Bytes. */
  size: number;
}

interface CatalogFile {
  version: 1;
  /** Image ID (digest of its configuration) → entry. */
  images: Record<string, CatalogEntry>;
  /** "docker.io/library/busybox:latest" → image ID. */
  tags: Record<string, string>;
  /** "docker.io/library/busybox@sha256:…" → image ID. */
  digests: Record<string, string>;
  /** By diff ID. */
  packed?: Record<string, Packed>;
}

export interface Catalog {
  readonly images: Readonly<Record<string, CatalogEntry>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly digests: Readonly<Record<string, string>>;
  /** There was no file: nobody knows whether what lies there belongs to images. */
  readonly isNew: boolean;
  readonly packed: Readonly<Record<string, Packed>>;
  /** Changes the tables and writes them; where the writing fails nothing has changed. */
  change(edit: (file: CatalogFile) => void): void;
}

/** @throws {GantryError} STATE_DAMAGED where the file cannot be read as a catalog. */
export function openCatalog(directory: string): Catalog {
  const path = join(directory, 'images.json');
  const isNew = !existsSync(path);
  rmSync(`${path}.new`, { force: true }); // Of an engine that died as it wrote.
  let file = readCatalog(path);
  return {
    isNew,
    get images() {
      return file.images;
    },
    get tags() {
      return file.tags;
    },
    get digests() {
      return file.digests;
    },
    get packed() {
      return file.packed ?? {};
    },
    change(edit) {
      const next = structuredClone(file);
      edit(next);
      writeFileSync(`${path}.new`, JSON.stringify(next), { mode: 0o600, flush: true });
      renameSync(`${path}.new`, path);
      file = next;
    },
  };
}

function readCatalog(path: string): CatalogFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { version: 1, images: {}, tags: {}, digests: {} };
    throw new GantryError('STATE_DAMAGED', `Cannot read "${path}": ${(cause as Error).message}`, { cause });
  }
  try {
    const file = JSON.parse(text) as CatalogFile;
    if (file.version === 1 && file.images && file.tags && file.digests) return file;
  } catch {
    // Told below, as for a file of another version.
  }
  throw new GantryError('STATE_DAMAGED', `Cannot read "${path}": it is no list of images of this version`, {
    hint: 'Move the file away and load the images again; their layers are still there and are not fetched twice',
  });
}

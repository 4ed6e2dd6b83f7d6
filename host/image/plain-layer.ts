// A layer's blob as the plain tar that it holds, as long as the disk has room for it: a gzip of 2 MB may hold 2 GB.
import type { ContentStore } from './content-store.ts';
import { decompress } from './decompress.ts';

/** @throws {GantryError} INVALID_ARCHIVE where it is damaged; DISK_FULL. */
export function plainLayer(blob: AsyncIterable<Uint8Array>, { room }: ContentStore): AsyncGenerator<Uint8Array> {
  return room.guard(decompress(blob));
}

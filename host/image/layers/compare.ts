// Whether two files, or two trees, hold the same.
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Unpacker } from '../unpack.ts';

const CHUNK = 1 << 20;

export async function sameBytes(one: string, other: string): Promise<boolean> {
  const files = await Promise.all([open(one), open(other)]);
  const buffers = files.map(() => Buffer.alloc(CHUNK));
  try {
    for (;;) {
      const [a, b] = await Promise.all(files.map((file, index) => fill(file, buffers[index]!)));
      if (!buffers[0]!.subarray(0, a).equals(buffers[1]!.subarray(0, b))) return false;
      if (a === 0) return true;
    }
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

/** Reads at the file's own position until the buffer is full or the file ends. */
async function fill(file: FileHandle, buffer: Buffer): Promise<number> {
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(buffer, at, buffer.length - at);
    at += bytesRead;
    if (bytesRead === 0 || at === buffer.length) return at;
  }
}

/**
 * Names, owners, modes, links, extended attributes, times and content: all that a layer's tar tells. But for the times of
 * directories: those that an archive does not name were made when it was unpacked.
 */
export async function sameTree(one: string, other: string, unpacker: Unpacker): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map((tree) => treeDigest(unpacker.pack(tree))));
  return a === b;
}

async function treeDigest(tar: AsyncIterable<Uint8Array>): Promise<string> {
  const { extract } = await import('tar-stream');
  const hash = createHash('sha256');
  const entries = extract();
  const fed = pipeline(tar, entries);
  fed.catch(() => {}); // It is told to who reads the entries, too.
  for await (const entry of entries) {
    const { mtime, pax, ...rest } = entry.header;
    const { mtime: fraction, ...attributes } = (pax ?? {}) as Record<string, string>;
    const times = rest.type === 'directory' ? [] : [mtime, fraction];
    hash.update(JSON.stringify([rest, attributes, times]));
    for await (const chunk of entry) hash.update(chunk as Uint8Array);
  }
  await fed;
  return hash.digest('hex');
}

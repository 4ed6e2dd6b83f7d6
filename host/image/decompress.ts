// gzip, bzip2, xz, zstd or nothing, told by the first bytes and not by what a media type claims.
import * as zlib from 'node:zlib';
import { GantryError } from '../errors.ts';

const kinds: [Buffer, 'gzip' | 'zstd' | 'xz' | 'bzip2'][] = [
  [Buffer.from([0x1f, 0x8b]), 'gzip'],
  [Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), 'zstd'],
  [Buffer.from([0xfd, 0x37, 0x7a, 0x58]), 'xz'],
  [Buffer.from('BZh'), 'bzip2'],
];

/** Node's own, from 22.15 on. */
const { createZstdDecompress } = zlib as unknown as {
  createZstdDecompress?: (options: typeof AHEAD) => NodeJS.ReadWriteStream;
};

type Bytes = AsyncIterable<Uint8Array>;

/** Node decompresses in threads of its own: several chunks ahead, while those before them are hashed and written. */
const AHEAD = { chunkSize: 1 << 18, highWaterMark: 1 << 20 };

/** The plain bytes of a layer. @throws {GantryError} INVALID_ARCHIVE where the compressed data is damaged. */
export async function* decompress(source: Bytes): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < 4) {
    const next = await iterator.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  const whole = (async function* (): AsyncGenerator<Uint8Array> {
    try {
      if (head.length > 0) yield head;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.(); // Whoever reads no further ends what the source has open.
    }
  })();
  try {
    const kind = kinds.find(([magic]) => head.subarray(0, magic.length).equals(magic))?.[1];
    if (kind === undefined) yield* whole;
    else if (kind === 'gzip') yield* through(zlib.createGunzip(AHEAD), whole);
    else if (kind === 'zstd' && createZstdDecompress !== undefined) yield* through(createZstdDecompress(AHEAD), whole);
    else yield* (await import('./decompress-in-thread.ts')).decompressInThread(kind, whole);
  } catch (cause) {
    if (cause instanceof GantryError || !isDataError(cause)) throw cause;
    throw new GantryError('INVALID_ARCHIVE', `Cannot decompress the layer: ${(cause as Error).message}`, {
      hint: 'The archive is damaged or cut short',
      cause,
    });
  }
}

function isDataError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return /^(Z_|ZSTD_|DAMAGED_STREAM$|ERR_WORKER_OUT_OF_MEMORY$)/.test(code) || error instanceof RangeError;
}

async function* through(transform: zlib.Gunzip | NodeJS.ReadWriteStream, source: Bytes): AsyncGenerator<Uint8Array> {
  const { pipeline } = await import('node:stream');
  const { Readable } = await import('node:stream');
  // The pipeline's failure destroys the transform, so the loop below throws it.
  pipeline(Readable.from(source, { objectMode: false, highWaterMark: 1 << 20 }), transform, () => {});
  for await (const chunk of transform) yield chunk as Uint8Array;
}

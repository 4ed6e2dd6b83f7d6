// gzip, zstd or nothing, told by the first bytes and not by what a media type claims.
import * as zlib from 'node:zlib';
import { GantryError } from '../errors.ts';

const others: [Buffer, string][] = [
  [Buffer.from([0xfd, 0x37, 0x7a, 0x58]), 'xz'],
  [Buffer.from('BZh'), 'bzip2'],
];

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
    if (head.length >= 2 && head.readUInt16BE(0) === 0x1f8b) yield* through(zlib.createGunzip(AHEAD), whole);
    else if (head.length >= 4 && head.readUInt32LE(0) === 0xfd2fb528) yield* unzstd(whole);
    else {
      const other = others.find(([magic]) => head.subarray(0, magic.length).equals(magic))?.[1];
      if (other !== undefined)
        throw new GantryError('UNSUPPORTED', `Cannot read the archive: it is compressed with ${other}`, {
          hint: 'gzip, zstd and uncompressed archives are read',
        });
      yield* whole;
    }
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
  return (
    code.startsWith('Z_') ||
    code.startsWith('ZSTD_') ||
    error instanceof RangeError ||
    /invalid zstd/i.test(String(error))
  );
}

async function* through(transform: zlib.Gunzip | NodeJS.ReadWriteStream, source: Bytes): AsyncGenerator<Uint8Array> {
  const { pipeline } = await import('node:stream');
  const { Readable } = await import('node:stream');
  // The pipeline's failure destroys the transform, so the loop below throws it.
  pipeline(Readable.from(source, { objectMode: false, highWaterMark: 1 << 20 }), transform, () => {});
  for await (const chunk of transform) yield chunk as Uint8Array;
}

/** Node's own where it has one (22.15), else in a thread. */
async function* unzstd(source: Bytes): AsyncGenerator<Uint8Array> {
  const { createZstdDecompress } = zlib as unknown as {
    createZstdDecompress?: (options: typeof AHEAD) => NodeJS.ReadWriteStream;
  };
  if (createZstdDecompress !== undefined) {
    yield* through(createZstdDecompress(AHEAD), source);
    return;
  }
  const { unzstdInThread } = await import('./unzstd.ts');
  yield* unzstdInThread(source);
}

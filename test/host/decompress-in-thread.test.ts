// zstd, xz and bzip2 in a thread: frames and streams behind each other, damage, sources that fail, readers that leave early.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decompressInThread, type ThreadKind } from '../../host/image/decompress-in-thread.ts';

/** RFC 8878, 3.1.1: a frame of blocks that are stored or repeat one byte, without a checksum. */
function frame(blocks: (Buffer | [byte: number, count: number])[]): Buffer {
  const parts: Buffer[] = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58])];
  blocks.forEach((block, index) => {
    const isRepeated = Array.isArray(block);
    const size = isRepeated ? block[1] : block.length;
    const header = Buffer.alloc(3);
    header.writeUIntLE((size << 3) | (isRepeated ? 2 : 0) | (index + 1 === blocks.length ? 1 : 0), 0, 3);
    parts.push(header, isRepeated ? Buffer.from([block[0]]) : block);
  });
  return Buffer.concat(parts);
}

const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
const text = (length: number): Buffer => Buffer.alloc(length, 'some text that goes on, ');

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function plain(source: AsyncIterable<Uint8Array>, kind: ThreadKind = 'zstd'): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompressInThread(kind, source)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('zstd in a thread', () => {
  it.each([1, 7, 1000, 1 << 20])('reads frames behind each other from pieces of %i bytes', async (size) => {
    const bytes = Buffer.concat([frame([text(3000), [65, 100_000]]), skippable, frame([text(50)])]);
    const found = await plain(inPieces(bytes, size));
    expect(found.equals(Buffer.concat([text(3000), Buffer.alloc(100_000, 'A'), text(50)]))).toBe(true);
  });

  it('gives what a small stream becomes piece by piece', async () => {
    const blocks = Array.from({ length: 2000 }, (): [number, number] => [0, 131_072]);
    let total = 0;
    let largest = 0;
    for await (const chunk of decompressInThread('zstd', inPieces(frame(blocks), 1 << 20))) {
      total += chunk.length;
      largest = Math.max(largest, chunk.length);
    }
    expect(total).toBe(2000 * 131_072);
    expect(largest).toBeLessThanOrEqual(1 << 18);
  });

  it.each<[string, Buffer]>([
    ['cut short', frame([text(3000), text(3000)]).subarray(0, 4000)],
    ['of a block that there is not', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x07, 0, 0, 1, 2, 3])],
    ['followed by something else', Buffer.concat([frame([text(10)]), Buffer.from('something else')])],
  ])('tells that a stream is %s', async (_name, bytes) => {
    await expect(plain(inPieces(bytes, 100))).rejects.toThrow(/invalid zstd data/);
  });

  it('passes on what its source throws', async () => {
    const failing = (async function* () {
      yield frame([text(3000), text(3000)]).subarray(0, 2000);
      throw new Error('the line is cut');
    })();
    await expect(plain(failing)).rejects.toThrow('the line is cut');
  });

  it('lets a reader leave early, and its source go', async () => {
    let left = false;
    const endless = (async function* () {
      try {
        for (;;) yield frame([[0, 131_072]]);
      } finally {
        left = true;
      }
    })();
    for await (const chunk of decompressInThread('zstd', endless)) {
      expect(chunk[0]).toBe(0);
      break;
    }
    await expect.poll(() => left).toBe(true);
  });
});

/** By Python's own libraries, which are liblzma and libbz2. @param options of Python's compress. */
function packed(kind: 'xz' | 'bzip2', bytes: Buffer, options = ''): Buffer {
  const library = kind === 'xz' ? 'lzma' : 'bz2';
  const script = `import sys, ${library} as c; sys.stdout.buffer.write(c.compress(sys.stdin.buffer.read(), ${options}))`;
  return execFileSync('python3', ['-c', script], { input: bytes, maxBuffer: 1 << 26 });
}

describe.each(['xz', 'bzip2'] as const)('%s in a thread', (kind) => {
  const mixed = Buffer.concat([randomBytes(60_000), text(100_000), Buffer.alloc(400_000)]);
  const stream = packed(kind, mixed, kind === 'xz' ? 'preset=0' : '1');

  it.each([13, 1 << 16])('reads streams behind each other from pieces of %i bytes', async (size) => {
    const found = await plain(inPieces(Buffer.concat([stream, packed(kind, text(50))]), size), kind);
    expect(found.equals(Buffer.concat([mixed, text(50)]))).toBe(true);
  });

  it.each<[string, RegExp, (bytes: Buffer) => Buffer]>([
    ['cut short', /cut short/, (bytes) => bytes.subarray(0, 40_000)],
    ['cut in its first bytes', /cut short|format|damaged|bzip data/i, (bytes) => bytes.subarray(0, 5)],
    [
      'changed in one bit',
      /damaged|data error/i,
      (bytes) => Buffer.from(bytes).fill(bytes[30_000]! ^ 4, 30_000, 30_001),
    ],
    [
      'followed by something else',
      /format|bzip data/i,
      (bytes) => Buffer.concat([bytes, Buffer.from('something else')]),
    ],
  ])('tells that a stream is %s', async (_name, said, damage) => {
    const failure = plain(inPieces(damage(stream), 1 << 16), kind);
    await expect(failure).rejects.toThrow(said);
    await expect(failure).rejects.toThrow(`invalid ${kind} data`);
  });
});

it.each([
  [
    'a dictionary of 128 MiB',
    'filters=[{"id": c.FILTER_LZMA2, "dict_size": 1 << 27}]',
    /dictionary is larger than 64 MiB/,
  ],
  ['another filter', 'filters=[{"id": c.FILTER_X86}, {"id": c.FILTER_LZMA2}]', /uses a filter/],
])('refuses xz with %s', async (_name, options, said) => {
  await expect(plain(inPieces(packed('xz', text(500), options), 1000), 'xz')).rejects.toThrow(said);
});

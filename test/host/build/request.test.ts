// The line in front of a build's tar: whatever the pieces it arrives in, and nothing of a secret in an error.
import { describe, expect, it } from 'vitest';
import { readPreamble, writePreamble } from '../../../host/build/request.ts';

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const part of parts) found.push(part);
  return Buffer.concat(found);
}

describe('a preamble', () => {
  const preamble = {
    dockerfile: { name: '-', text: 'FROM scratch\n' },
    secrets: { token: Buffer.from('s3cr\0t\n').toString('base64') },
  };
  const tar = Buffer.from([1, 2, 10, 3, 10, 10, 0]);

  it.each([1, 2, 7, 64, 4096])('is read from pieces of %i bytes, and the tar after it is whole', async (size) => {
    const read = await readPreamble(pieces(Buffer.concat([writePreamble(preamble), tar]), size));
    expect(read.preamble).toEqual(preamble);
    expect(await collect(read.tar)).toEqual(tar);
  });

  it('may be followed by nothing', async () => {
    const read = await readPreamble(pieces(writePreamble({}), 4096));
    expect(read.preamble).toEqual({});
    expect(await collect(read.tar)).toEqual(Buffer.alloc(0));
  });

  it.each([
    ['{"secrets":{"a":"c2VjcmV0"', /ends before/],
    ['{"secrets":{"a":"c2VjcmV0"}\n', /not JSON/],
    ['["c2VjcmV0"]\n', /no object/],
    ['{"secret":{"a":"c2VjcmV0"}}\n', /"secret" is not known/],
    ['{"secrets":{"a":{"c2VjcmV0":1}}}\n', /"secrets" must be/],
    ['{"dockerfile":"c2VjcmV0"}\n', /"dockerfile" must/],
    [`{"secrets":{"a":"${'c2VjcmV0'.repeat(3 << 20)}"}}\n`, /longer than 16 MiB/],
  ])('is refused without its content: %.40s', async (text, reason) => {
    const error = await readPreamble(pieces(Buffer.from(text), 1 << 20)).catch((thrown: Error) => thrown);
    expect(String(error)).toMatch(reason);
    expect(String(error)).not.toContain('c2VjcmV0');
  });
});

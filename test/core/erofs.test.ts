// EROFS images of small layers, read back by a reader of our own: dialects of tar, hard links, whiteouts, refusals.
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeErofs } from '../../host/image/erofs/write-erofs.ts';
import { type ErofsImage, readErofs } from '../helpers/erofs-image.ts';
import { makeTar, type TarEntry } from '../helpers/tar.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-erofs-'));
let images = 0;

async function* inChunks(tar: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < tar.length; at += size) yield tar.subarray(at, at + size);
}

async function imageOf(tar: Buffer, chunk = 1 << 16): Promise<ErofsImage> {
  const path = join(directory, `${images++}.erofs`);
  const { size } = await writeErofs(path, inChunks(tar, chunk));
  const image = readFileSync(path);
  expect(image.length).toBe(size);
  return readErofs(image);
}

const layer = (...entries: TarEntry[]): Promise<ErofsImage> => imageOf(makeTar(entries));

describe('an EROFS image', () => {
  it('of an empty layer has a root', async () => {
    const { files } = await imageOf(Buffer.alloc(0));
    expect([...files.keys()]).toEqual(['']);
    expect(files.get('')).toMatchObject({ kind: 'directory', mode: 0o755, uid: 0, gid: 0, links: 2 });
  });

  it('has the same bytes whatever the chunks of the stream', async () => {
    const tar = makeTar(
      Array.from({ length: 40 }, (_none, index) => ({
        name: `d${index % 3}/f${index}`,
        content: 'x'.repeat(index * 997),
      })),
    );
    const made: Buffer[] = [];
    for (const chunk of [1, 511, 4096, 1 << 20]) {
      const path = join(directory, `chunk-${chunk}`);
      await writeErofs(path, inChunks(tar, chunk));
      made.push(readFileSync(path));
    }
    for (const bytes of made) expect(bytes.equals(made[0]!)).toBe(true);
  });

  it.each([0, 1, 4031, 4032, 4033, 4095, 4096, 4097, 8128, 8129, 300_000])('holds a file of %i bytes', async (size) => {
    const content = Buffer.alloc(size, 'content of a file, ');
    const { files } = await layer({ name: 'a/f', content, mode: 0o4755 });
    const file = files.get('a/f')!;
    expect(file).toMatchObject({ kind: 'file', mode: 0o4755, size, links: 1 });
    expect(file.content().equals(content)).toBe(true);
  });

  it('knows all kinds', async () => {
    const { files } = await layer(
      { name: 'd/', type: '5', mode: 0o1777 },
      { name: 'd/null', type: '3', device: [1, 3] },
      { name: 'd/disk', type: '4', device: [4095, 1_048_575] },
      { name: 'd/pipe', type: '6', mode: 0o600 },
      { name: 'd/link', type: '2', link: '../x'.repeat(20) },
      { name: 'd/file', content: 'x' },
      { name: 'hard', type: '1', link: 'd/file' },
    );
    expect(files.get('d')).toMatchObject({ kind: 'directory', mode: 0o1777 });
    expect(files.get('d/null')).toMatchObject({ kind: 'character', device: [1, 3] });
    expect(files.get('d/disk')).toMatchObject({ kind: 'block', device: [4095, 1_048_575] });
    expect(files.get('d/pipe')).toMatchObject({ kind: 'fifo', mode: 0o600 });
    expect(files.get('d/link')).toMatchObject({ kind: 'link', target: '../x'.repeat(20) });
    expect(files.get('hard')).toBe(files.get('d/file'));
  });

  it('has whiteouts and opaque directories as overlayfs wants them', async () => {
    const { files } = await layer(
      { name: 'd/.wh.gone' },
      { name: 'd/.wh..wh..opq' },
      { name: 'd/stays', content: 'x' },
      { name: '.wh.stays-too', content: 'whatever' },
      { name: 'new', content: 'y' },
      { name: '.wh.new' },
      { name: '.wh..wh.plnk', type: '5' },
    );
    expect([...files.keys()].sort()).toEqual(['', 'd', 'd/gone', 'd/stays', 'new', 'stays-too']);
    expect(files.get('d/gone')).toMatchObject({ kind: 'character', device: [0, 0] });
    expect(files.get('d')!.xattrs).toEqual({ 'trusted.overlay.opaque': Buffer.from('y') });
    expect(files.get('new')).toMatchObject({ kind: 'file' });
  });

  it('takes the last of equal names, and directories together', async () => {
    const { files } = await layer(
      { name: 'd', type: '5', mode: 0o700 },
      { name: 'd/a', content: 'first' },
      { name: 'd', type: '5', mode: 0o711 },
      { name: 'd/a', content: 'second' },
      { name: 'f', type: '5' },
      { name: 'f/below', content: 'x' },
      { name: 'kept', type: '1', link: 'f/below' },
      { name: 'f', content: 'a file now' },
    );
    expect([...files.keys()].sort()).toEqual(['', 'd', 'd/a', 'f', 'kept']);
    expect(files.get('d')!.mode).toBe(0o711);
    expect(files.get('d/a')!.content().toString()).toBe('second');
    expect(files.get('kept')!.links).toBe(1);
  });

  it.each<[string, TarEntry[], RegExp]>([
    [
      'a link as parent',
      [{ name: 'out', type: '2', link: '/nowhere' }, { name: 'out/x' }],
      /"out\/x": it is a link that leads nowhere/,
    ],
    ['a hard link to nothing', [{ name: 'h', type: '1', link: '../../etc/shadow' }], /not in the layer/],
    ['a whiteout of nothing', [{ name: '.wh.' }], /whiteout names nothing/],
    ['an unknown kind', [{ name: 'odd', type: 'Q' }], /type is unknown/],
    ['a root that is a file', [{ name: '/', type: '2', link: 'x' }], /only a directory can be the root/],
    ['a name that is too long', [{ name: `${'d'.repeat(250)}/`.repeat(30) }], /name is too long/],
    ['a part of a name that is too long', [{ name: 'd'.repeat(256) }], /name too long/],
    ['a file as parent', [{ name: 'f', content: 'x' }, { name: 'f/x' }], /Not a directory/],
    ['a loop of links', [{ name: 'l', type: '2', link: 'l' }, { name: 'l/x' }], /Too many levels/],
    ['a file that is not there', [{ name: 'big', size: 8 * 2 ** 30 - 1 }], /"big": the archive is cut short/],
  ])('is refused with its reason: %s', async (_name, entries, message) => {
    const path = join(directory, `refused-${images++}`);
    await expect(writeErofs(path, inChunks(makeTar(entries), 700))).rejects.toMatchObject({
      code: 'INVALID_ARCHIVE',
      message: expect.stringMatching(message),
    });
    expect(existsSync(path)).toBe(false);
  });
});

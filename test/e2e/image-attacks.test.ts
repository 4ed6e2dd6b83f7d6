// Hostile layers: whatever an image holds, the host's files stay as they are and the engine goes on.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, type Result } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { base, imageIds, loadArchive, up } from '../helpers/hostile-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { dockerArchive, makeTar, type TarEntry } from '../helpers/tar.ts';

describe.skipIf(whyNoContainers()).each(['auto', 'directories'])('a hostile image, GANTRY_LAYERS=%s', (kind) => {
  const here = createInstallation();
  here.env.GANTRY_LAYERS = kind;
  const { gantry, ok } = here;
  const canary = mkdtempSync(join(tmpdir(), 'gantry-canary-'));
  const work = mkdtempSync(join(tmpdir(), 'gantry-evil-'));

  const call = (method: string, path: string, body?: Buffer) => engineCall(here.dataRoot, method, path, body);
  const load = (archive: Buffer) => loadArchive(here.dataRoot, archive);
  const images = () => imageIds(here.dataRoot);
  const layer = (...entries: TarEntry[]): ReturnType<typeof load> =>
    load(dockerArchive([makeTar([...base, ...entries])]));
  const sh = (command: string): Promise<Result> =>
    gantry('run', '--rm', '--network', 'none', 'evil', 'sh', '-c', command);

  beforeAll(async () => {
    writeFileSync(join(canary, 'file'), 'of the host\n');
    await ok('info');
  });
  afterEach(async () => {
    // What must hold after each of them.
    expect(readdirSync(canary)).toEqual(['file']);
    expect(readFileSync(join(canary, 'file'), 'utf8')).toBe('of the host\n');
    expect(statSync(join(canary, 'file')).nlink).toBe(1);
    expect(readdirSync(join(here.dataRoot, 'ingest'))).toEqual([]);
    expect(readdirSync(join(here.dataRoot, 'layers')).filter((name) => name.startsWith('new-'))).toEqual([]);
    for (const id of await images()) await call('DELETE', `/images/${id}?force=1`);
  });
  afterAll(async () => {
    await here.close();
    for (const path of [canary, work]) rmSync(path, { recursive: true });
  });

  describe('in its layers (I1)', () => {
    it.each<[string, TarEntry[]]>([
      ['climbing out with ..', [{ name: `${up}${canary}/planted`, content: 'x' }]],
      ['an absolute name', [{ name: `${canary}/planted`, content: 'x' }]],
      ['.. behind a directory', [{ name: `etc/${up}${canary}/planted`, content: 'x' }]],
      ['a device in place of a directory', [{ name: 'etc', type: '4', device: [8, 0] }]],
      [
        'a device',
        [
          { name: 'disk', type: '4', device: [8, 0], mode: 0o666 },
          { name: 'mem', type: '3', device: [1, 1] },
        ],
      ],
      ['a whiteout with ..', [{ name: `${up}${canary}/.wh.file`, content: '' }]],
      ['a name of 4000 letters', [{ name: `${`${'d'.repeat(200)}/`.repeat(19)}f`, content: 'x' }]],
      [
        'the same name as five kinds',
        [
          { name: 'twice', content: 'first' },
          { name: 'twice', type: '2', link: canary },
          { name: 'twice', type: '5' },
          { name: 'twice', type: '6' },
          { name: 'twice', content: 'last' },
        ],
      ],
      [
        'a link to itself',
        [
          { name: 'self', content: 'x' },
          { name: 'self', type: '1', link: 'self' },
        ],
      ],
      ['a name with control characters', [{ name: 'bell\x07\x1b[31m', content: 'x' }]],
    ])('stays inside: %s', async (_name, entries) => {
      const { status, stderr } = await layer(...entries);
      expect([status, stderr]).toEqual([0, '']);
      if (entries.some(({ name }) => name === 'twice')) expect((await sh('cat twice')).stdout).toBe('last');
      if (entries.some(({ name }) => name === 'disk'))
        expect((await sh(': < /disk')).stderr).toMatch(/Operation not permitted/);
    });

    it.each<[string, TarEntry[], RegExp]>([
      [
        'a link as parent',
        [
          { name: 'out', type: '2', link: canary },
          { name: 'out/planted', content: 'x' },
        ],
        /leads nowhere/,
      ],
      [
        'a whiteout through a link',
        [
          { name: 'out', type: '2', link: canary },
          { name: 'out/.wh.file', content: '' },
        ],
        /leads nowhere/,
      ],
      [
        'a relative link as parent',
        [
          { name: 'etc/out', type: '2', link: `${up}${canary}` },
          { name: 'etc/out/planted', content: 'x' },
        ],
        /leads nowhere/,
      ],
      ['a hard link to the host', [{ name: 'hard', type: '1', link: `${canary}/file` }], /not in the layer/],
      ['a hard link with ..', [{ name: 'hard', type: '1', link: `${up}${canary}/file` }], /not in the layer/],
      [
        'two links and a hard link (GHSA-83g3-92jg-28cx)',
        [
          { name: 'a', type: '2', link: '.' },
          { name: 'a/b', type: '2', link: `${up}${canary}` },
          { name: 'hard', type: '1', link: 'a/b/file' },
        ],
        /not in the layer/,
      ],
      ['a whiteout of nothing', [{ name: '.wh.', content: '' }], /whiteout names nothing/],
      ['a whiteout of ..', [{ name: '.wh...', content: '' }], /whiteout names nothing/],
      ['a name that is too long', [{ name: `${`${'d'.repeat(250)}/`.repeat(30)}f`, content: 'x' }], /too long/],
      ['a part of a name that is too long', [{ name: 'd'.repeat(300), content: 'x' }], /name too long/i],
      ['a file of 8 GB that is not there', [{ name: 'big', size: 8 * 2 ** 30 - 1 }], /cut short/],
      ['a sparse file with a wrong map', [{ name: 'sparse', type: 'S', content: 'x' }], /map of holes is malformed/],
      ['an unknown kind', [{ name: 'odd', type: 'Q' }], /type is unknown/],
      ['a root that is a link', [{ name: './', type: '2', link: canary }], /only a directory can be the root/],
    ])('is refused: %s', async (_name, entries, message) => {
      const { status, stderr } = await layer(...entries);
      expect(stderr).toMatch(message);
      expect(status).toBe(1);
      expect(await images()).toEqual([]);
    });

    it('a link as a parent in the layer below leads to the same place as in the container', async () => {
      const lower = makeTar([...base, { name: 'out', type: '2', link: canary }]);
      const upper = makeTar([{ name: 'out/planted', content: 'x' }]);
      expect((await load(dockerArchive([lower, upper]))).status).toBe(0);
      expect((await sh('[ -f /out/planted ] && echo a directory of its own')).stdout).toBe('a directory of its own\n');
    });

    it('a bomb behind the end of the archive is not laid down', async () => {
      const plain = Buffer.concat([makeTar(base), Buffer.alloc(64 << 20)]);
      expect((await load(dockerArchive([plain], { stored: [gzipSync(plain)] }))).status).toBe(0);
      expect(
        Number(await ok('images', '--format', '{{.Size}}', 'evil').then((text) => text.replace(/[A-Za-z]+$/, ''))),
      ).toBeLessThan(10);
    });

    it.each([
      ['another digest', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(512)]), /has the digest/],
      ['cut in the middle', (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1), /cut short/],
      ['cut gzip', (bytes: Buffer) => gzipSync(bytes).subarray(0, 2000), /decompress|cut short|unexpected end/],
      ['cut xz', () => Buffer.from('fd377a585a000004', 'hex'), /invalid xz data: it is cut short/],
      ['damaged bzip2', () => Buffer.from('BZh9 and no more of it'), /invalid bzip2 data/],
    ])('a layer of %s is refused', async (_name, damage, message) => {
      const plain = makeTar(base);
      const { status, stderr } = await load(dockerArchive([plain], { stored: [damage(plain)] }));
      expect(stderr).toMatch(message);
      expect(status).toBe(1);
    });
  });

  describe('in /etc/passwd (I9)', () => {
    it.each<[string, TarEntry[]]>([
      ['a FIFO', [{ name: 'etc/passwd', type: '6' }]],
      ['a device', [{ name: 'etc/passwd', type: '3', device: [1, 5] }]],
      ['a link to the host', [{ name: 'etc/passwd', type: '2', link: `${up}etc/passwd` }]],
      ['an absolute link to the host', [{ name: 'etc/passwd', type: '2', link: '/proc/1/root/etc/passwd' }]],
      ['a link to itself', [{ name: 'etc/passwd', type: '2', link: 'passwd' }]],
      ['a directory', [{ name: 'etc/passwd', type: '5' }]],
      ['a file of 4 MB', [{ name: 'etc/passwd', content: 'daemon:x:1:1::/:/bin/sh\n'.padEnd(4 << 20, '#') }]],
    ])('%s neither hangs nor reads the host', async (_name, entries) => {
      expect((await layer(...entries)).status).toBe(0);
      const { status, stderr } = await gantry(
        'run',
        '--rm',
        '--network',
        'none',
        '-u',
        'daemon',
        'evil',
        'sh',
        '-c',
        'true',
      );
      expect(stderr).toContain('unable to find user daemon');
      expect(status).toBe(125);
      expect((await gantry('run', '--rm', '--network', 'none', '-u', '7', 'evil', 'sh', '-c', 'true')).status).toBe(0);
    });
  });

  it('leaves an engine that goes on working', async () => {
    expect((await layer()).status).toBe(0);
    expect((await sh('echo well')).stdout).toBe('well\n');
  });
});

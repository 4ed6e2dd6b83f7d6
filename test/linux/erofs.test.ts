// EROFS images under this kernel: every dialect of GNU tar, mounted, is the tree that GNU tar itself extracts.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  createReadStream,
  fstatSync,
  ftruncateSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeErofs } from '../../host/image/erofs/write-erofs.ts';
import { extractedTree, fsck, mountedTree, whileMounted, whyNoErofs } from '../helpers/mounted-image.ts';

describe.skipIf(whyNoErofs())('an EROFS image, mounted', () => {
  let work = '';
  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), 'gantry-erofs-linux-'));
  });
  afterAll(() => rmSync(work, { recursive: true }));

  async function check(tar: string): Promise<void> {
    const image = `${tar}.erofs`;
    await writeErofs(image, createReadStream(tar, { highWaterMark: 100_000 }));
    fsck(image);
    expect(mountedTree(image)).toEqual(extractedTree(tar));
    rmSync(image);
  }

  const sparse = (path: string, size: number, pieces: [number, string][]): void => {
    const fd = openSync(path, 'w');
    for (const [at, text] of pieces) writeSync(fd, text, at);
    ftruncateSync(fd, size);
    closeSync(fd);
  };

  /** What all dialects can say. */
  function makeTree(tree: string): void {
    mkdirSync(join(tree, 'many'), { recursive: true });
    for (let i = 0; i < 700; i++) writeFileSync(join(tree, 'many', `name-${i * 7919}`), 'x'.repeat(i * 13));
    writeFileSync(join(tree, 'large'), Buffer.alloc(3_000_001, 'large '));
    for (const size of [0, 4032, 4033, 4096, 8191]) writeFileSync(join(tree, `of-${size}`), Buffer.alloc(size, 'y'));
    mkdirSync(join(tree, 'sticky'));
    chmodSync(join(tree, 'sticky'), 0o1777);
    writeFileSync(join(tree, 'setuid'), '#!', { mode: 0o755 });
    chmodSync(join(tree, 'setuid'), 0o6755);
    chownSync(join(tree, 'setuid'), 65_533, 33);
    linkSync(join(tree, 'large'), join(tree, 'sticky', 'hard'));
    linkSync(join(tree, 'setuid'), join(tree, 'many', 'name-again'));
    symlinkSync('../large', join(tree, 'sticky', 'soft'));
    linkSync(join(tree, 'sticky', 'soft'), join(tree, 'soft-again'));
    symlinkSync('t'.repeat(99), join(tree, 'dangling'));
    for (const name of [
      '!before-dot',
      '-dash',
      '.hidden',
      '..',
      '...',
      'Ünïcödé',
      'with space',
      'new\nline',
      'back\\slash',
      'quo"te',
    ])
      if (name !== '..') writeFileSync(join(tree, name), name);
    execFileSync('mknod', [join(tree, 'null'), 'c', '1', '3']);
    execFileSync('mknod', [join(tree, 'block'), 'b', '259', '70000']);
    execFileSync('mkfifo', ['-m', '620', join(tree, 'pipe')]);
    utimesSync(join(tree, 'large'), 1, 1);
    lutimesSync(join(tree, 'dangling'), 1_000_000_000, 1_000_000_000);
  }

  /** What needs more than Unix V7's and ustar's header. */
  function makeLongNames(tree: string): void {
    const deep = Array.from({ length: 14 }, (_none, index) => `${index}`.repeat(255).slice(0, 255));
    execFileSync('sh', [
      '-euc',
      `cd "$0"; for part; do mkdir "$part"; cd "$part"; done; echo deep > ${'f'.repeat(255)}`,
      tree,
      ...deep,
    ]);
    writeFileSync(join(tree, 'n'.repeat(255)), 'long');
    symlinkSync('l/'.repeat(2047), join(tree, 'long-link'));
    symlinkSync('l'.repeat(4030), join(tree, 'link-that-fits'));
    symlinkSync('l'.repeat(4033), join(tree, 'link-that-does-not'));
    writeFileSync(join(tree, 'high-ids'), 'x');
    chownSync(join(tree, 'high-ids'), 4_000_000_000, 70_000);
  }

  it.each(['v7', 'ustar', 'oldgnu', 'gnu', 'posix'])(
    'of an archive in the format %s is what GNU tar extracts',
    async (format) => {
      const tree = join(work, format);
      makeTree(tree);
      if (['oldgnu', 'gnu', 'posix'].includes(format)) makeLongNames(tree);
      if (format === 'v7') rmSync(join(tree, 'null'));
      if (format === 'v7') for (const name of ['block', 'pipe']) rmSync(join(tree, name));
      const tar = `${tree}.tar`;
      execFileSync('tar', [`--format=${format}`, '-cf', tar, '-C', tree, '.']);
      await check(tar);
      rmSync(tree, { recursive: true });
    },
  );

  it.each([
    ['oldgnu', ''],
    ['gnu', ''],
    ['posix', '0.0'],
    ['posix', '0.1'],
    ['posix', '1.0'],
  ])('has the holes of sparse files in the format %s %s', async (format, version) => {
    const tree = join(work, `sparse-${format}-${version}`);
    mkdirSync(tree);
    sparse(join(tree, 'one-byte'), 10_000_000, [[5_000_000, 'x']]);
    sparse(join(tree, 'all-hole'), 1_000_000, []);
    sparse(join(tree, 'ends-with-data'), 300_004, [[300_000, 'data']]);
    sparse(join(tree, 'begins-with-data'), 70_000_003, [
      [0, 'x'.repeat(5000)],
      [69_999_999, 'y'],
    ]);
    sparse(
      join(tree, 'of-many-pieces'),
      30_000_000,
      Array.from({ length: 60 }, (_none, index) => [
        index * 450_000 + 4096 * (index % 3),
        `piece ${index}`.repeat(700),
      ]),
    );
    writeFileSync(join(tree, 'after'), 'whole');
    const tar = `${tree}.tar`;
    execFileSync('tar', [
      `--format=${format}`,
      '-S',
      '--hole-detection=raw',
      ...(version === '' ? [] : [`--sparse-version=${version}`]),
      '-cf',
      tar,
      '-C',
      tree,
      '.',
    ]);
    await check(tar);
    rmSync(tree, { recursive: true });
  });

  it('has extended attributes, file capabilities and access lists', async () => {
    const tree = join(work, 'attributes');
    mkdirSync(join(tree, 'd'), { recursive: true });
    for (const name of ['ping', 'd/file']) writeFileSync(join(tree, name), 'x'.repeat(2000));
    symlinkSync('ping', join(tree, 'link'));
    const set = (path: string, name: string, value: string): void => {
      execFileSync('setfattr', ['-h', '-n', name, '-v', value, join(tree, path)]);
    };
    set('ping', 'security.capability', '0x0100000200200000000000000000000000000000');
    set('d/file', 'user.small', 'value');
    set('d/file', 'user.empty', '');
    set('d/file', 'user.large', 'v'.repeat(3500));
    set('d', 'user.on-a-directory', 'x');
    set('d', 'user.on-a-directory.too', 'x'.repeat(1000));
    const tar = `${tree}.tar`;
    execFileSync('tar', ['--format=posix', '--xattrs', '--xattrs-include=*', '-cf', tar, '-C', tree, '.']);
    await check(tar);
    rmSync(tree, { recursive: true });
  });

  it('holds times before 1970, with nanoseconds, and far away', async () => {
    const tree = join(work, 'times');
    mkdirSync(tree);
    for (const time of [
      '1960-01-01 00:00:00.123456789',
      '1969-12-31 23:59:59.5',
      '2026-07-01 12:00:00.000000001',
      '2300-01-01',
    ])
      execFileSync('touch', ['-d', `${time} UTC`, join(tree, time.slice(0, 10))]);
    for (const format of ['posix', 'gnu']) {
      const tar = `${tree}-${format}.tar`;
      execFileSync('tar', [`--format=${format}`, '-cf', tar, '-C', tree, '.']);
      await check(tar);
    }
    rmSync(tree, { recursive: true });
  });

  it('has files of more than 4 GiB and one hole of a terabyte', async () => {
    const tree = join(work, 'large');
    mkdirSync(tree);
    sparse(join(tree, 'large'), 2 ** 32 + 5000, [[2 ** 32 - 3, 'across the border']]);
    sparse(join(tree, 'larger'), 2 ** 40, [[2 ** 39 + 12_345, 'in the middle']]);
    const tar = `${tree}.tar`;
    execFileSync('tar', ['--format=posix', '-S', '-cf', tar, '-C', tree, '.']);
    const image = `${tar}.erofs`;
    await writeErofs(image, createReadStream(tar));
    fsck(image);
    const read = await whileMounted(image, (place) =>
      (['large', 'larger'] as const).map((name) => {
        const fd = openSync(join(place, name), 'r');
        try {
          const at = name === 'large' ? 2 ** 32 - 5 : 2 ** 39 + 12_343;
          const bytes = Buffer.alloc(22);
          readSync(fd, bytes, 0, 22, at);
          return [fstatSync(fd).size, bytes.toString()];
        } finally {
          closeSync(fd);
        }
      }),
    );
    expect(read).toEqual([
      [2 ** 32 + 5000, '\0\0across the border\0\0\0'],
      [2 ** 40, '\0\0in the middle\0\0\0\0\0\0\0'],
    ]);
    rmSync(tree, { recursive: true });
  });
});

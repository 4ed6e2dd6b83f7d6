// The guest image: small, the same from the same inputs, and nothing in it that a guest does not need.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildImage, imageFiles } from '../../vm-images/image.ts';
import { kernelChoice, whyNoImage } from './guest-image.ts';

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const SIZE_MAX = 20 * 1024 ** 2;

describe.skipIf(whyNoImage(architecture))('the guest image', () => {
  let directory: string;
  const file = (build: string, name: string): Buffer => readFileSync(join(directory, build, name));

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-image-'));
    for (const build of ['one', 'two']) buildImage(architecture, join(directory, build), kernelChoice(architecture));
  });

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('has the same bytes when it is built again', () => {
    for (const name of [...imageFiles, 'manifest.json'])
      expect(file('one', name).equals(file('two', name)), name).toBe(true);
  });

  it('is small, and its manifest tells the truth', () => {
    const { files } = JSON.parse(file('one', 'manifest.json').toString());
    let bytes = 0;
    for (const name of imageFiles) {
      const content = file('one', name);
      const sha256 = createHash('sha256').update(content).digest('hex');
      expect(files[name]).toEqual({ sha256, bytes: content.length });
      bytes += content.length;
    }
    expect(bytes).toBeLessThan(SIZE_MAX);
  });

  it('holds two programs and modules', () => {
    const names = entries(gunzipSync(file('one', 'initramfs.gz')));
    expect(names.filter((name) => !name.startsWith('modules'))).toEqual(
      ['dev', 'proc', 'sys', 'tmp', 'init', 'bin', 'bin/gantry-executor', 'TRAILER!!!'], // Directories are entries, too.
    );
    expect(names).toEqual(expect.arrayContaining(['modules/first', 'modules/second', 'modules/virtio_console.ko']));
  });
});

/** Names in a cpio archive of the "newc" format. */
function entries(archive: Buffer): string[] {
  const names: string[] = [];
  const number = (at: number, field: number): number =>
    Number.parseInt(archive.toString('latin1', at + 6 + field * 8, at + 14 + field * 8), 16);
  for (let at = 0; at < archive.length; ) {
    const [size, length] = [number(at, 6), number(at, 11)];
    names.push(archive.toString('utf8', at + 110, at + 110 + length - 1));
    at = ((at + 110 + length + 3) & ~3) + ((size + 3) & ~3);
  }
  return names;
}

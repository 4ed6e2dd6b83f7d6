// How much memory the writer of EROFS images takes, by the kernel's count, for layers of very many names.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fsck, whyNoErofs } from '../helpers/mounted-image.ts';

const root = join(import.meta.dirname, '../..');
const loader = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href;
const fixture = join(root, 'test/fixtures/erofs-memory.ts');
const MOST = 64;

interface Outcome {
  entries?: number;
  code?: string;
  grown: number;
}

describe.skipIf(whyNoErofs())('the writer of EROFS images', () => {
  let work = '';
  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), 'gantry-erofs-memory-'));
  });
  afterAll(() => rmSync(work, { recursive: true }));

  /** One process makes the layer, another the image. */
  async function measure(kind: string, count: number, image: string): Promise<Outcome> {
    const node = ['--import', loader, fixture];
    const maker = spawn(process.execPath, [...node, 'make', kind, `${count}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const writer = spawn(process.execPath, [...node, 'write', image], { stdio: [maker.stdout, 'pipe', 'inherit'] });
    let said = '';
    writer.stdout.on('data', (chunk) => {
      said += chunk;
    });
    const made = once(maker, 'exit');
    await once(writer, 'close');
    maker.kill('SIGKILL');
    await made;
    return JSON.parse(said) as Outcome;
  }

  it.each([
    ['one-directory', 100_000],
    ['small-files', 100_000],
    ['directories', 100_000],
    ['links', 100_000],
    ['attributes', 100_000],
    ['targets', 100_000],
    ['one-directory', 400_000],
  ])('takes no more than 64 MB for a layer of %s, %i of them', async (kind, count) => {
    const image = join(work, 'image');
    const { entries, grown } = await measure(kind, count, image);
    expect(entries).toBe(count);
    expect(grown).toBeLessThan(MOST);
    fsck(image);
    rmSync(image);
  });

  it('refuses a layer whose names do not fit, with no more memory than that', async () => {
    const image = join(work, 'too-large');
    const { code, grown } = await measure('long-names', 300_000, image);
    expect(code).toBe('TOO_LARGE');
    expect(grown).toBeLessThan(MOST);
    expect(existsSync(image)).toBe(false);
  });
});

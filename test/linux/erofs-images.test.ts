// Layers of real images: Debian, nginx, redis, postgres, and a Node program with what npm installed. Mounted, each is the tree
// that GNU tar extracts; nginx' and its like have their whiteouts told apart first.
import { execFileSync } from 'node:child_process';
import { createReadStream, createWriteStream, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decompress } from '../../host/image/decompress.ts';
import { writeErofs } from '../../host/image/erofs/write-erofs.ts';
import { extractedTree, fsck, mountedTree, whyNoErofs } from '../helpers/mounted-image.ts';
import type { TestRegistry } from '../helpers/registry.ts';
import { startServerRegistry, whyNoServerImages } from '../helpers/server-images.ts';

const why = whyNoErofs() || whyNoServerImages();

describe.skipIf(why)('the layers of a real image', () => {
  let registry: TestRegistry;
  let work = '';
  beforeAll(async () => {
    work = mkdtempSync(join(tmpdir(), 'gantry-erofs-real-'));
    registry = await startServerRegistry();
  }, 600_000);
  afterAll(async () => {
    await registry?.close();
    rmSync(work, { recursive: true, force: true });
  });

  /** Layers of several images. */
  const known = new Set<string>();

  /** The image's layers as plain archives, but for those that an image before had. */
  async function layersOf(name: string): Promise<string[]> {
    const directory = join(work, name);
    execFileSync('skopeo', [
      'copy',
      '--quiet',
      '--insecure-policy',
      '--src-tls-verify=false',
      `docker://${registry.host}/${name}`,
      `dir:${directory}`,
    ]);
    const { layers } = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')) as {
      layers: { digest: string }[];
    };
    const tars: string[] = [];
    for (const { digest } of layers) {
      if (known.has(digest)) continue;
      known.add(digest);
      const tar = join(work, `${name}-${tars.length}.tar`);
      await pipeline(
        decompress(createReadStream(join(directory, digest.slice('sha256:'.length)))),
        createWriteStream(tar),
      );
      tars.push(tar);
    }
    rmSync(directory, { recursive: true });
    return tars;
  }

  /** Checks the image of a layer; the names that it has. */
  async function check(tar: string): Promise<number> {
    const image = `${tar}.erofs`;
    const { entries } = await writeErofs(image, createReadStream(tar, { highWaterMark: 1 << 18 }));
    fsck(image);
    // A directory that holds a whiteout gets another time where GNU tar makes a file of it: times of directories that the archive
    // names are compared in the layers that have none.
    const names = execFileSync('tar', ['-tf', tar], { encoding: 'utf8', maxBuffer: 1 << 28 }).split('\n');
    const marks = new Set(
      names
        .filter((name) => /(^|\/)\.wh\.[^/]+$/.test(name))
        .map((name) => name.replace(/^\.\//, '').replace(/\/?[^/]*$/, '') || '.'),
    );
    const timeless = (path: string): boolean => marks.has(path) || (path === '.' && !names.includes('./'));
    expect(layerTree(mountedTree(image, { timeless }))).toEqual(layerTree(extractedTree(tar, { timeless })));
    rmSync(image);
    return entries;
  }

  it.each(['debian', 'nginx', 'redis', 'postgres'])(
    'of %s are what GNU tar extracts',
    async (name) => {
      let entries = 0;
      for (const tar of await layersOf(name)) {
        entries += await check(tar);
        rmSync(tar);
      }
      expect(entries).toBeGreaterThan(0);
    },
    300_000,
  );

  it('of a Node program with its packages are what GNU tar extracts', async () => {
    // What npm has installed here, with its links to commands, and the node that runs it.
    const modules = join(import.meta.dirname, '../../node_modules');
    const packages = readdirSync(modules).filter((name) => !name.startsWith('.'));
    expect(packages.length).toBeGreaterThan(100);
    const tar = join(work, 'node.tar');
    execFileSync('tar', [
      '--format=posix',
      '-cf',
      tar,
      '-C',
      join(modules, '..'),
      'node_modules',
      '-C',
      join(process.execPath, '..'),
      'node',
    ]);
    expect(await check(tar)).toBeGreaterThan(5000);
    rmSync(tar);
  }, 300_000);
});

/** Whiteouts in both forms as the same lines: "hides NAME" and the mark of an opaque directory. */
function layerTree(lines: string[]): string[] {
  const hidden: string[] = [];
  const kept = lines.filter((line) => {
    const [, path = '', name = ''] = /^"((?:.*\/)?)(?:\.wh\.)?([^/]*)" (?:character|file) /.exec(line) ?? [];
    const isMark = /^"(?:.*\/)?\.wh\.[^/]*" file /.test(line);
    const isDevice = / character 0 0:0 0 device 0 /.test(line);
    if (!isMark && !isDevice) return true;
    hidden.push(name === '.wh..opq' ? `opaque ${path.replace(/\/$/, '')}` : `hides ${path}${name}`);
    return false;
  });
  const opaque = / trusted\.overlay\.opaque=0x79/;
  const plain = kept.map((line) => {
    if (!opaque.test(line)) return line;
    hidden.push(`opaque ${JSON.parse(line.slice(0, line.indexOf('" ') + 1))}`);
    return line.replace(opaque, ' ');
  });
  return [...plain, ...hidden.sort()];
}

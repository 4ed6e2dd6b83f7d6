// Images that want more than the disk has: bombs and large blobs are stopped before the reserve, with nothing left behind.
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, until } from '../helpers/cli.ts';
import { loadArchive } from '../helpers/hostile-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { temporaryDirectory } from '../helpers/server-images.ts';
import { dockerArchive, imageConfig, makeTar, sha256 } from '../helpers/tar.ts';

const DISK_MB = 200;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** 2 GB of zeros as one file of a tar, in 2 MB: members of gzip stand one behind the other. */
function bomb(): Buffer {
  const header = makeTar([{ name: 'zeros', size: 2 * 1024 ** 3 }]).subarray(0, 512);
  const member = gzipSync(Buffer.alloc(64 << 20), { level: 9 });
  return Buffer.concat([gzipSync(header), ...Array.from({ length: 32 }, () => member), gzipSync(Buffer.alloc(1024))]);
}

describe.skipIf(whyNoContainers())('a disk that is too small', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  const small = makeTar([{ name: 'etc/here', content: 'here' }]);
  const packed = bomb();
  const config = imageConfig([small]);
  const asked: string[] = [];
  let server: Server;
  let host = '';
  let layer: { digest: string; size: number };
  const free = (): number => {
    const { bavail, bsize } = statfsSync(here.dataRoot);
    return bavail * bsize;
  };
  const stopped =
    /Cannot store the image: [\d.]+ MB of a layer are unpacked and more comes, and [\d.]+ MB are free, of which 10\.5 MB are kept in reserve/;

  beforeAll(async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'gantry-test', here.dataRoot]);
    server = createServer((request, answer) => {
      const path = request.url ?? '';
      asked.push(path);
      const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: { digest: sha256(config), size: config.length },
        layers: [layer],
      });
      if (path.includes('/manifests/')) answer.setHeader('content-type', MANIFEST).end(manifest);
      else if (path.endsWith(sha256(config))) answer.end(config);
      else if (path.endsWith(sha256(packed))) answer.end(packed);
      else answer.end('{}');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await ok('info');
  });
  afterEach(async () => {
    // What must hold after each of them; small parts of a pull are kept for another, until something is removed.
    await loadArchive(here.dataRoot, dockerArchive([small], { tag: 'small:1' }));
    await ok('rmi', 'small:1');
    for (const part of ['ingest', 'layers', 'blobs/sha256'])
      await until(() => readdirSync(join(here.dataRoot, part)).length === 0, `${part} to be empty`);
    expect(await ok('images', '-q')).toBe('');
    expect(free()).toBeGreaterThan((DISK_MB - 5) * 1e6);
  });
  afterAll(async () => {
    process.kill(here.enginePid()!, 'SIGTERM');
    await until(() => here.enginePid() === undefined, 'the engine to end');
    execFileSync('umount', ['-l', here.dataRoot]);
    await here.close();
    server.closeAllConnections();
    server.close();
    rmSync(work, { recursive: true });
  });

  it('the bomb is one: 2 MB that would be 2 GB', () => {
    expect(packed.length).toBeLessThan(2.2e6);
  });

  it('stops a bomb in an archive', async () => {
    const { status, stderr } = await loadArchive(here.dataRoot, dockerArchive([small], { stored: [packed] }));
    expect(stderr).toMatch(stopped);
    expect(status).toBe(1);
  });

  it('stops a bomb from a registry', async () => {
    layer = { digest: sha256(packed), size: packed.length };
    const { status, stderr } = await gantry('pull', `${host}/bomb`);
    expect(stderr).toMatch(stopped);
    expect(stderr).toMatch(/Hint: Free space on the file system that holds .*"gantry system df"/);
    expect(status).toBe(1);
  });

  it('stops a bomb that is imported, and one that an archive claims to be', async () => {
    writeFileSync(join(work, 'bomb.tar.gz'), packed);
    expect((await gantry('import', join(work, 'bomb.tar.gz'), 'bomb:1')).stderr).toMatch(stopped);
    // All of it read as the archive of an image: its only file is too large to be kept.
    expect((await gantry('load', '-i', join(work, 'bomb.tar.gz'))).stderr).toMatch(/2147\.5 MB are to come, and \d+/);
  });

  it('does not begin with a layer that has no room', async () => {
    layer = { digest: sha256(packed), size: 500e6 };
    asked.length = 0;
    expect((await gantry('pull', `${host}/bomb`)).stderr).toMatch(/500\.0 MB are to come, and \d+\.\d MB are free/);
    expect(asked.filter((path) => path.endsWith(layer.digest))).toEqual([]);
  });

  it('takes what there is room for, afterwards', async () => {
    expect(await loadArchive(here.dataRoot, dockerArchive([small], { tag: 'small:1' }))).toEqual({
      status: 0,
      stderr: '',
    });
    await ok('rmi', 'small:1');
  });
});

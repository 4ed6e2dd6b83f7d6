// Archives as docker takes them: plain, gzip, bzip2, xz, zstd, in load, layers, import and ADD; and import from an address.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { build } from '../helpers/builds.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { dockerArchive } from '../helpers/tar.ts';

describe.skipIf(whyNoContainers())('packed archives', () => {
  const here = createInstallation();
  const { ok, gantry } = here;
  const work = mkdtempSync(join(tmpdir(), 'gantry-packed-'));
  let tree = '';
  let layer: Buffer;
  let archive: Buffer;
  let server: Server;
  let address = '';
  const packedBy = (program: string, bytes: Buffer): Buffer =>
    execFileSync(program, ['-c'], { input: bytes, maxBuffer: 1 << 26 });
  const stored = async (): Promise<string> =>
    // But for how long ago it was, and the width of that column.
    `${await ok('images', '-aq')} ${await ok('system', 'df', '-v')}`.replace(
      /(Less than a|About a|\d+) \w+ ago| {2,}/g,
      ' ',
    );

  beforeAll(async () => {
    tree = busyboxTree();
    const path = makeArchive(tree, 'box:latest');
    archive = readFileSync(path);
    rmSync(path);
    layer = execFileSync('tar', ['-c', '--owner=0', '--group=0', '-C', tree, '.'], { maxBuffer: 1 << 26 });
    writeFileSync(join(work, 'box.tar'), archive);
    await ok('load', '-qi', join(work, 'box.tar'));
    server = createServer(({ url = '', headers }, answer) => {
      if (url === '/layer.tar') answer.end(layer);
      else if (url === '/moved') answer.writeHead(302, { location: '/layer.tar' }).end();
      else if (url === '/circle') answer.writeHead(302, { location: '/circle' }).end();
      else if (url === '/private')
        answer.writeHead(headers.authorization === `Basic ${btoa('me:hidden')}` ? 200 : 401).end(layer);
      else if (url === '/cut') {
        answer.writeHead(200, { 'content-length': layer.length });
        answer.write(layer.subarray(0, 300_000), () => answer.destroy());
      } else answer.writeHead(404).end('nothing here');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    for (const path of [work, tree]) rmSync(path, { recursive: true, force: true });
    await here.close();
  });

  describe.each(['gzip', 'bzip2', 'xz', 'zstd'])('%s', (program) => {
    const run = (image: string): Promise<string> =>
      ok('run', '--rm', '--network', 'none', image, 'cat', '/var/www/index.html');

    it('load takes an archive', async () => {
      writeFileSync(join(work, 'packed'), packedBy(program, archive));
      expect(await ok('load', '-i', join(work, 'packed'))).toContain('Loaded image: box:latest');
    });

    it('load takes a layer, and a build adds an archive', async () => {
      writeFileSync(
        join(work, 'packed'),
        dockerArchive([layer], { tag: 'layer:1', stored: [packedBy(program, layer)] }),
      );
      await ok('load', '-qi', join(work, 'packed'));
      expect(await run('layer:1')).toBe('served');
      await ok('rmi', 'layer:1');
      const files = [{ name: 'packed', content: packedBy(program, layer) }];
      const { error } = await build(here.socket, 'FROM scratch\nADD packed /', { files, query: { t: 'added' } });
      expect(error).toBe('');
      expect(await run('added')).toBe('served');
      await ok('rmi', 'added');
    });

    it('import takes a tar', async () => {
      writeFileSync(join(work, 'packed'), packedBy(program, layer));
      await ok('import', join(work, 'packed'), 'imported');
      expect(await run('imported')).toBe('served');
      await ok('rmi', 'imported');
    });

    it('what is cut short is refused, and nothing of it stays', async () => {
      const before = await stored();
      writeFileSync(join(work, 'packed'), packedBy(program, layer).subarray(0, 200_000));
      const { status, stderr } = await gantry('import', join(work, 'packed'), 'cut');
      expect(stderr).toMatch(/Cannot decompress the layer: .*(cut short|unexpected end|incomplete|damaged)/i);
      expect(status).toBe(1);
      expect(await stored()).toBe(before);
    });
  });

  describe('import from an address', () => {
    it.each([
      ['with http://', () => `http://${address}/layer.tar`],
      ['that leads elsewhere', () => `http://${address}/moved`],
      ['with a login', () => `http://me:hidden@${address}/private`],
    ])('%s', async (_name, source) => {
      await ok('import', '-c', 'CMD ["cat", "/var/www/index.html"]', source(), 'imported');
      expect(await ok('run', '--rm', '--network', 'none', 'imported')).toBe('served');
      await ok('rmi', 'imported');
    });

    it.each<[string, () => string, RegExp]>([
      ['nothing is there', () => `http://${address}/absent`, /Cannot download ".*\/absent": the server answered 404/],
      ['the login is wrong', () => `http://me:wrong@${address}/private`, /http:\/\/me:…@.*: the server answered 401/],
      ['nobody listens', () => 'http://127.0.0.1:1/x.tar', /ECONNREFUSED/],
      ['it leads in a circle', () => `http://${address}/circle`, /more than 5 redirects/],
      ['the connection breaks', () => `http://${address}/cut`, /Cannot download ".*\/cut": the connection/],
    ])('fails where %s, with nothing left', async (_name, source, said) => {
      const before = await stored();
      const { status, stderr } = await gantry('import', source(), 'imported');
      expect(stderr).toMatch(said);
      expect(stderr).toMatch(/\nHint: /);
      expect(stderr).not.toMatch(/wrong@/);
      expect(status).toBe(1);
      expect(await stored()).toBe(before);
    });
  });
});

// Hostile images: whatever an archive or a registry sends, the host's files stay as they are and the engine goes on.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, type Result } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { dockerArchive, imageConfig, makeTar, ociLayout, sha256, type TarEntry } from '../helpers/tar.ts';

const busybox = existsSync('/bin/busybox') ? readFileSync('/bin/busybox') : Buffer.alloc(0);
const base: TarEntry[] = [
  { name: 'bin', type: '5', mode: 0o755 },
  { name: 'bin/sh', content: busybox, mode: 0o755 },
  { name: 'etc', type: '5', mode: 0o755 },
];
const up = '../'.repeat(24);

describe.skipIf(whyNoContainers())('a hostile image', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const canary = mkdtempSync(join(tmpdir(), 'gantry-canary-'));
  const work = mkdtempSync(join(tmpdir(), 'gantry-evil-'));

  const call = (method: string, path: string, body?: Buffer) => engineCall(here.dataRoot, method, path, body);
  /** Status as of the command line: 1 where the engine refuses it. */
  const load = async (archive: Buffer): Promise<{ status: number; stderr: string }> => {
    const { status, body } = await call('POST', '/images/load?quiet=1', archive);
    const lines = body
      .toString()
      .split('\n')
      .filter((line) => line.trim() !== '');
    const failed = lines.map((line) => JSON.parse(line) as { message?: string; error?: string });
    const stderr = failed.map(({ message, error }) => message ?? error ?? '').join('');
    return { status: status >= 400 || stderr !== '' ? 1 : 0, stderr };
  };
  const images = async (): Promise<string[]> =>
    (JSON.parse((await call('GET', '/images/json')).body.toString()) as { Id: string }[]).map(({ Id }) => Id);
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
      ['a sparse file', [{ name: 'sparse', type: 'S' }], /sparse files are not supported/],
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
      ['xz', () => Buffer.from('fd377a585a000004', 'hex'), /compressed with xz/],
    ])('a layer of %s is refused', async (_name, damage, message) => {
      const plain = makeTar(base);
      const { status, stderr } = await load(dockerArchive([plain], { stored: [damage(plain)] }));
      expect(stderr).toMatch(message);
      expect(status).toBe(1);
    });
  });

  describe('in its documents (I4)', () => {
    const plain = makeTar(base);
    const config = imageConfig([plain]);
    const described = (content: string | Buffer): object => ({
      digest: sha256(content),
      size: Buffer.byteLength(content),
    });
    const manifest = JSON.stringify({ schemaVersion: 2, config: described(config), layers: [described(plain)] });
    const both = JSON.stringify({ ...JSON.parse(manifest), manifests: [described(manifest)] });
    const blobs = {
      [sha256(config)]: config,
      [sha256(plain)]: plain,
      [sha256(manifest)]: manifest,
      [sha256(both)]: both,
    };
    const loop = sha256('loop');

    it.each<[string, object, Record<string, string | Buffer>, RegExp]>([
      ['an index and a manifest at once', { manifests: [described(both)] }, blobs, /an index and a manifest at once/],
      [
        'a blob that is not what it is called',
        { manifests: [described(manifest)] },
        { ...blobs, [sha256(manifest)]: both },
        /has the digest/,
      ],
      [
        'an index that holds itself',
        { manifests: [{ digest: loop, size: 9 }] },
        { [loop]: JSON.stringify({ manifests: [{ digest: loop, size: 9 }] }) },
        /has the digest/,
      ],
      [
        'a digest that is a path',
        { manifests: [{ digest: `sha256:${up}${canary}/file`, size: 1 }] },
        blobs,
        /only sha256 is supported/,
      ],
      ['a negative size', { manifests: [{ digest: sha256(manifest), size: -1 }] }, blobs, /has the size -1/],
      [
        'a manifest of 5 MB',
        { manifests: [described(`${manifest}${' '.repeat(5 << 20)}`)] },
        { ...blobs, [sha256(`${manifest}${' '.repeat(5 << 20)}`)]: `${manifest}${' '.repeat(5 << 20)}` },
        /larger than/,
      ],
      ['no list', { manifests: 'many' }, blobs, /is no list/],
    ])('a layout with %s is refused', async (_name, index, files, message) => {
      const { status, stderr } = await load(ociLayout(index, files));
      expect(stderr).toMatch(message);
      expect(status).toBe(1);
    });

    it.each<[string, object, RegExp]>([
      ['a user behind the largest', { User: '4294967296' }, /largest is|Cannot use the ID/],
      ['a user beyond the numbers', { User: '99999999999999999999' }, /Cannot use the ID/],
      ['a negative user', { User: '-1' }, /unable to find user -1/],
      ['a user in hex', { User: '0x0' }, /unable to find user 0x0/],
      ['environment of another type', { Env: 'PATH=/bin' }, /Env must be a list of texts/],
      ['a NUL in the environment', { Env: ['A=b\0LD_PRELOAD=x'] }, /Env must be a list of texts/],
      ['labels that are no texts', { Labels: { a: { b: 1 } } }, /Labels must be texts/],
      ['a command that is an object', { Cmd: { 0: 'sh' } }, /Cmd must be a list/],
    ])('%s never starts', async (_name, more, message) => {
      const loaded = await load(dockerArchive([plain], { config: more }));
      const { status, stderr } = loaded.status === 0 ? await sh('echo started') : loaded;
      expect(stderr).toMatch(message);
      expect(status).not.toBe(0);
      for (const { Id } of JSON.parse((await call('GET', '/containers/json?all=1')).body.toString()) as {
        Id: string;
      }[])
        await call('DELETE', `/containers/${Id}`);
    });

    it('labels, environment and annotations of docker or of the engine change nothing on the host', async () => {
      const config = {
        Labels: {
          'io.containerd.cdi.devices': 'host=all',
          'com.docker.compose.project': '../..',
          ['x'.repeat(5000)]: 'y',
        },
        Env: ['PATH=/bin', 'GANTRY_DATA_ROOT=/evil', 'LD_PRELOAD=/evil.so', '=empty', 'novalue'],
      };
      expect((await load(dockerArchive([plain], { config }))).status).toBe(0);
      const { stdout } = await sh('echo $LD_PRELOAD; [ -e /dev/sda ] || echo no device');
      expect(stdout).toBe('/evil.so\nno device\n');
    });

    describe('from a registry', () => {
      let server: Server;
      let host = '';
      const answers = new Map<string, { type: string; body: Buffer; digest?: string }>();
      beforeAll(async () => {
        server = createServer((call, answer) => {
          const found = answers.get(call.url ?? '');
          if (call.url === '/v2/') return answer.end('{}');
          if (found === undefined) return answer.writeHead(404).end();
          answer.setHeader('content-type', found.type);
          if (found.digest) answer.setHeader('docker-content-digest', found.digest);
          answer.end(found.body);
        }).listen(0, '127.0.0.1');
        await new Promise((resolve) => server.once('listening', resolve));
        host = `127.0.0.1:${(server.address() as { port: number }).port}`;
      });
      afterAll(() => {
        server.closeAllConnections();
        server.close();
      });
      const serve = (
        document: string,
        type: string,
        more: Record<string, Buffer | string> = {},
        digest?: string,
      ): void => {
        answers.clear();
        answers.set('/v2/evil/manifests/latest', { type, body: Buffer.from(document), ...(digest ? { digest } : {}) });
        for (const [path, body] of Object.entries(more))
          answers.set(`/v2/evil/${path}`, { type: 'application/octet-stream', body: Buffer.from(body) });
      };
      const OCI = 'application/vnd.oci.image.manifest.v1+json';
      const INDEX = 'application/vnd.oci.image.index.v1+json';
      const compressed = gzipSync(plain);
      const zipped = JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI,
        config: described(config),
        layers: [described(compressed)],
      });
      const parts = { [`blobs/${sha256(config)}`]: config, [`blobs/${sha256(compressed)}`]: compressed };
      const changed = (change: (json: { layers: { size: number; digest: string }[] }) => void): string => {
        const json = JSON.parse(zipped) as { layers: { size: number; digest: string }[] };
        change(json);
        return JSON.stringify(json);
      };

      it('a good one is pulled by the same server', async () => {
        serve(zipped, OCI, parts);
        await ok('pull', '-q', `${host}/evil`);
        await ok('rmi', `${host}/evil`);
      });

      it.each<[string, () => void, RegExp]>([
        ['both kinds at once', () => serve(both, OCI, parts), /an index and a manifest at once/],
        ['a manifest sent as an index', () => serve(zipped, INDEX, parts), /calls itself/],
        [
          'an index without a word, sent as a manifest',
          () => serve(JSON.stringify({ manifests: [] }), OCI, parts),
          /unknown kind/,
        ],
        ['a manifest of 5 MB', () => serve(`${zipped}${' '.repeat(5 << 20)}`, OCI, parts), /larger than/],
        ['another digest than announced', () => serve(zipped, OCI, parts, sha256('x')), /digest is sha256:/],
        [
          'a layer larger than said',
          () =>
            serve(
              changed((json) => (json.layers[0]!.size = 1000)),
              OCI,
              parts,
            ),
          /is larger than 1000 bytes/,
        ],
        [
          'a layer smaller than said',
          () =>
            serve(
              changed((json) => (json.layers[0]!.size += 9)),
              OCI,
              parts,
            ),
          /connection ended after|bytes/,
        ],
        [
          'a layer of another digest',
          () => serve(zipped, OCI, { ...parts, [`blobs/${sha256(compressed)}`]: Buffer.alloc(compressed.length) }),
          /digest|checksum|damaged/,
        ],
        [
          'a digest that is no sha256',
          () =>
            serve(
              changed((json) => (json.layers[0]!.digest = 'md5:00')),
              OCI,
              parts,
            ),
          /only sha256 is supported/,
        ],
        ['a manifest that is no object', () => serve('[]', OCI, parts), /no JSON object/],
      ])('%s is refused', async (_name, prepare, message) => {
        prepare();
        const { status, stderr } = await gantry('pull', '-q', `${host}/evil`);
        expect(stderr).toMatch(message);
        expect(status).toBe(1);
        expect(await images()).toEqual([]);
      });
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

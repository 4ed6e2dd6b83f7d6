// Hostile manifests, indexes and configurations, from an archive and from a registry: refused by name, nothing is left.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, type Result } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { base, imageIds, loadArchive, up } from '../helpers/hostile-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { dockerArchive, imageConfig, makeTar, ociLayout, sha256 } from '../helpers/tar.ts';

describe.skipIf(whyNoContainers())('hostile documents', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const canary = mkdtempSync(join(tmpdir(), 'gantry-canary-'));
  const work = mkdtempSync(join(tmpdir(), 'gantry-evil-'));

  const call = (method: string, path: string, body?: Buffer) => engineCall(here.dataRoot, method, path, body);
  const load = (archive: Buffer) => loadArchive(here.dataRoot, archive);
  const images = () => imageIds(here.dataRoot);
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
});

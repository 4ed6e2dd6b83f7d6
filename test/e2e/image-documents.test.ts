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
      ['no list', { manifests: 'many' }, blobs, /manifests must be a list of objects/],
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

    const whole = JSON.parse(config) as Record<string, unknown>;
    const deep = (text: string): string => `${'['.repeat(100_000)}${text}${']'.repeat(100_000)}`;
    const others = [7, -1, true, 'text', [], [7], {}, { a: 7 }, { a: {} }];
    /** Each field with every type that it must not have; null is Go's way to say nothing. */
    const fields: [path: string, fits: (value: unknown) => boolean][] = [
      ...['architecture', 'os', 'variant', 'author', 'config.User', 'config.WorkingDir', 'config.StopSignal'].map(
        (path): [string, (value: unknown) => boolean] => [path, (value) => typeof value === 'string'],
      ),
      ...['Env', 'Entrypoint', 'Cmd', 'Shell', 'OnBuild', 'Healthcheck.Test'].map(
        (name): [string, (value: unknown) => boolean] => [
          `config.${name}`,
          (value) => Array.isArray(value) && value.every((one) => typeof one === 'string'),
        ],
      ),
      ...['ExposedPorts', 'Volumes', 'Healthcheck'].map((name): [string, (value: unknown) => boolean] => [
        `config.${name}`,
        (value) => typeof value === 'object' && !Array.isArray(value),
      ]),
      ...['Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries'].map(
        (name): [string, (value: unknown) => boolean] => [`config.Healthcheck.${name}`, (value) => value === 7],
      ),
      ['created', () => false],
      ['config', (value) => typeof value === 'object' && !Array.isArray(value)],
      ['config.Labels', (value) => JSON.stringify(value) === '{}'],
      ['rootfs', () => false],
      ['rootfs.diff_ids', (value) => JSON.stringify(value) === '[]'],
      ['history', (value) => JSON.stringify(value) === '[]'],
      ...['created_by', 'comment', 'author'].map((name): [string, (value: unknown) => boolean] => [
        `history.0.${name}`,
        (value) => typeof value === 'string',
      ]),
      ['history.0.created', () => false],
      ['history.0.empty_layer', (value) => value === true],
    ];
    const withValue = (path: string, value: unknown): string => {
      const copy = JSON.parse(JSON.stringify({ ...whole, history: [{}] })) as Record<string, unknown>;
      const names = path.split('.');
      let at = copy;
      for (const name of names.slice(0, -1)) {
        at[name] ??= {};
        at = at[name] as Record<string, unknown>;
      }
      at[names.at(-1)!] = value;
      return JSON.stringify(copy);
    };
    const archiveOf = (document: string): Buffer =>
      makeTar([
        { name: 'config.json', content: document },
        { name: 'layer.tar', content: plain },
        {
          name: 'manifest.json',
          content: JSON.stringify([{ Config: 'config.json', RepoTags: ['evil:latest'], Layers: ['layer.tar'] }]),
        },
      ]);
    const refusal = async (archive: Buffer): Promise<string> => {
      const { body } = await call('POST', '/images/load?quiet=1', archive);
      return body.toString();
    };

    it('a configuration with a field of another type is refused by the name of the field', async () => {
      for (const [path, fits] of fields)
        for (const value of others.filter((one) => !fits(one))) {
          const said = await refusal(archiveOf(withValue(path, value)));
          const name = path.startsWith('rootfs') ? 'it names no layers' : `${path.split('.').at(-1)} must be `;
          expect(said, `${path} = ${JSON.stringify(value)}`).toContain(name);
        }
      expect(await images()).toEqual([]);
    });

    it.each<[string, string, RegExp]>([
      ['nested 100,000 deep', `{"x":${deep('')},"rootfs":{"diff_ids":${deep('')}}}`, /names no layers/],
      ['nested 100,000 deep where a text is wanted', config.replace('"linux"', deep('"x"')), /os must be a text/],
      ['of 5 MB of environment', withValue('config.Env', [`A=${'x'.repeat(5 << 20)}`]), /configuration is too large/],
      ['that is a list', '[]', /no JSON object/],
      ['that is nothing', 'null', /no JSON object/],
      ['that is no JSON', '{"rootfs":', /not JSON/],
      [
        'that names another layer the second time',
        config.replace(/}$/, ',"rootfs":{"diff_ids":[]}}'),
        /1 layers but 0/,
      ],
    ])('a configuration %s is refused', async (_name, document, message) => {
      expect(await refusal(archiveOf(document))).toMatch(message);
      expect(await images()).toEqual([]);
    });

    it('what a configuration says beside that, however deep, is kept and does no harm', async () => {
      const document = config.replace(/}$/, `,"x":${deep('')}}`);
      expect(await refusal(archiveOf(document))).toContain('Loaded image');
      expect((await call('GET', '/images/evil/json')).status).toBe(200);
      expect((await sh('echo runs')).stdout).toBe('runs\n');
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

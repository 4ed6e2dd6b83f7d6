// What registries hold beside images, in a real one: charts, modules, attestations, old manifests; and indexes that tell little.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '../../host/image/content-store.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { startFront } from '../helpers/registry-front.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { loadArchive } from '../helpers/hostile-image.ts';
import { ociLayout } from '../helpers/tar.ts';
import { smallProgram } from '../helpers/wasi-programs.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const own = process.arch === 'arm64' ? 'arm64' : 'amd64';

interface Described {
  mediaType: string;
  digest: string;
  size: number;
}

describe.skipIf(whyNoContainers() || whyNoRegistry())('what is beside images', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  let registry: TestRegistry;
  /** A good image, in the registry as "box:1". */
  let image: { descriptor: Described; bytes: Buffer };
  const name = (tag: string): string => `${registry.host}/box:${tag}`;

  const put = async (tag: string, document: object, mediaType = MANIFEST): Promise<Described> => {
    const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...document }));
    const url = `http://${registry.host}/v2/box/manifests/${tag}`;
    const answer = await fetch(url, { method: 'PUT', body, headers: { 'content-type': mediaType } });
    expect([answer.status, await answer.text()]).toEqual([201, '']);
    return { mediaType, digest: digestOf(body), size: body.length };
  };
  const blob = async (content: string | Buffer, mediaType: string): Promise<Described> => {
    const digest = digestOf(Buffer.from(content as Buffer));
    const begun = await fetch(`http://${registry.host}/v2/box/blobs/uploads/`, { method: 'POST' });
    const place = new URL(begun.headers.get('location')!, `http://${registry.host}`);
    place.searchParams.set('digest', digest);
    const done = await fetch(place, { method: 'PUT', body: new Uint8Array(Buffer.from(content as Buffer)) });
    expect(done.status).toBe(201);
    return { mediaType, digest, size: content.length };
  };
  const manifest = async (tag: string, configType: string, layerType: string, more: object = {}): Promise<Described> =>
    put(tag, { config: await blob('{}', configType), layers: [await blob('anything', layerType)], ...more });
  const refusal = async (...args: string[]): Promise<string> => {
    const { status, stderr } = await gantry(...args);
    expect(status).toBe(1);
    expect(await ok('images', '-q')).toBe('');
    return stderr;
  };

  beforeAll(async () => {
    registry = await startRegistry();
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:1');
    registry.push(archive, 'box:1', '--format', 'oci');
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    const answer = await fetch(`http://${registry.host}/v2/box/manifests/1`, { headers: { accept: MANIFEST } });
    const bytes = Buffer.from(await answer.arrayBuffer());
    image = { bytes, descriptor: { mediaType: MANIFEST, digest: digestOf(bytes), size: bytes.length } };
  });
  afterAll(async () => {
    await here.close();
    await registry.close();
  });

  it('a module of WebAssembly is pulled as an image that runs it', async () => {
    const bytes = Buffer.from(await smallProgram());
    const module = await blob(bytes, 'application/wasm');
    const config = await blob(
      '{"architecture":"wasm","os":"wasip1","layerDigests":[]}',
      'application/vnd.wasm.config.v0+json',
    );
    await put('module', { config, layers: [module] });
    for (const _time of ['first', 'again']) await ok('pull', name('module'));
    expect(await ok('image', 'inspect', '-f', '{{.Os}}/{{.Architecture}}', name('module'))).toBe('wasip1/wasm');
    expect(await ok('run', '--rm', name('module'))).toBe('hello');
    await ok('rmi', name('module'));
    expect(await ok('images', '-q')).toBe('');
  });

  it.each([
    [
      'a chart of Helm',
      'application/vnd.cncf.helm.config.v1+json',
      'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
      {},
      'vnd.cncf.helm.config.v1+json',
      'helm pull',
    ],
    [
      'a component of WebAssembly with a layer of its own type',
      'application/vnd.wasm.config.v0+json',
      'application/vnd.example.wasm',
      {},
      'vnd.wasm.config.v0+json',
      'WebAssembly',
    ],
    [
      'an SBOM with an empty configuration',
      'application/vnd.oci.empty.v1+json',
      'application/spdx+json',
      { artifactType: 'application/spdx' },
      '"application/spdx"',
      'oras pull',
    ],
    [
      'an attestation',
      'application/vnd.oci.image.config.v1+json',
      'application/vnd.in-toto+json',
      {},
      'vnd.in-toto+json',
      'cosign',
    ],
  ])('%s is refused by its type', async (tag, config, layer, more, type, hint) => {
    const safe = tag.replaceAll(' ', '-');
    await manifest(safe, config, layer, more);
    const said = await refusal('pull', name(safe));
    expect(said).toMatch(/Cannot pull ".*\/box": it is no image, but an artifact of the type "/);
    expect(said).toContain(type);
    expect(said).toMatch(new RegExp(`\nHint: .*${hint}`));
  });

  it('encrypted layers are said to be so', async () => {
    await manifest(
      'secret',
      'application/vnd.oci.image.config.v1+json',
      `${'application/vnd.oci.image.layer.v1.tar'}+gzip+encrypted`,
    );
    expect(await refusal('pull', name('secret'))).toContain('its layers are encrypted');
  });

  it('manifests of schema 1 are refused, by what they are called and by what they say', async () => {
    const front = await startFront(registry.host);
    const old = { schemaVersion: 1, name: 'box', tag: '1', fsLayers: [], history: [] };
    for (const type of ['application/vnd.docker.distribution.manifest.v1+prettyjws', 'application/json']) {
      front.behave((path) =>
        path.includes('/manifests/')
          ? { status: 200, headers: { 'content-type': type }, body: JSON.stringify(old) }
          : undefined,
      );
      expect(await refusal('pull', `${front.host}/box:1`)).toMatch(
        /it is of Docker's old schema 1\nHint: .*push the image anew/,
      );
    }
    await front.close();
  });

  it('names with control characters move no cursor', async () => {
    const front = await startFront(registry.host);
    const config = {
      mediaType: 'application/vnd.evil\x1b[2J\x9b1m\x07+json',
      digest: image.descriptor.digest,
      size: 2,
    };
    const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers: [] });
    front.behave((path) =>
      path.includes('/manifests/') ? { status: 200, headers: { 'content-type': MANIFEST }, body } : undefined,
    );
    expect(await refusal('pull', `${front.host}/box:1`)).toContain('application/vnd.evil^[[2J1m^G+json');
    await front.close();
  });

  it('attestations and signatures beside an image are passed over', async () => {
    const attested = await manifest('sha', 'application/vnd.oci.image.config.v1+json', 'application/vnd.in-toto+json');
    const annotations = {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': image.descriptor.digest,
    };
    const signature = await manifest('sig', 'application/vnd.oci.empty.v1+json', 'application/x', {
      artifactType: 'a/signature',
    });
    const others = [
      { ...attested, annotations, platform: { os: 'unknown', architecture: 'unknown' } },
      { ...signature, artifactType: 'a/signature' },
    ];
    const platform = { os: 'linux', architecture: own };
    // BuildKit's order, and the other.
    await put('attested', { manifests: [{ ...image.descriptor, platform }, ...others] }, INDEX);
    await put('first', { manifests: [...others, { ...image.descriptor, platform }] }, INDEX);
    for (const tag of ['attested', 'first']) {
      await ok('pull', '-q', name(tag));
      expect(await ok('run', '--rm', '--network', 'none', name(tag), 'echo', 'runs')).toBe('runs');
      await ok('rmi', name(tag));
    }
    await put('only', { manifests: others }, INDEX);
    expect(await refusal('pull', name('only'))).toMatch(
      /no matching manifest for linux\/\w+\nHint: It is there for no platform/,
    );
  });

  it('an entry without a platform is what its configuration says', async () => {
    const other = { os: 'linux', architecture: 's390x' };
    await put('silent', { manifests: [{ ...image.descriptor, platform: other }, image.descriptor] }, INDEX);
    expect(await ok('pull', '-q', name('silent'))).toBe(name('silent'));
    await ok('rmi', name('silent'));
    expect(await refusal('pull', '--platform', 'linux/riscv64', name('silent'))).toContain(
      'no matching manifest for linux/riscv64',
    );
  });

  it('of variants the own one is taken, then the one without', async () => {
    const config = (await (
      await fetch(`http://${registry.host}/v2/box/blobs/${JSON.parse(image.bytes.toString()).config.digest}`)
    ).json()) as { config: { Env: string[] } };
    const { layers } = JSON.parse(image.bytes.toString()) as { layers: Described[] };
    const made = async (variant?: string): Promise<object> => {
      const json = {
        ...config,
        architecture: 'arm',
        ...(variant ? { variant } : {}),
        config: { ...config.config, Labels: { variant: variant ?? 'none' } },
      };
      const described = await put(`arm-${variant}`, {
        config: await blob(JSON.stringify(json), 'application/vnd.oci.image.config.v1+json'),
        layers,
      });
      return { ...described, platform: { os: 'linux', architecture: 'arm', ...(variant ? { variant } : {}) } };
    };
    await put('arm', { manifests: [await made('v5'), await made('v7'), await made()] }, INDEX);
    const chosen = async (platform: string): Promise<string> => {
      await ok('pull', '-q', '--platform', platform, name('arm'));
      return ok('inspect', '-f', '{{.Config.Labels.variant}}', name('arm'));
    };
    expect(await chosen('linux/arm/v7')).toBe('v7');
    expect(await chosen('linux/arm/v6')).toBe('none');
    expect(await chosen('linux/arm')).toBe('none');
    await ok('rmi', '-f', ...new Set((await ok('images', '-q')).split('\n')));
  });

  it('an archive with an artifact gives its image, and one with nothing else is refused', async () => {
    await ok('info');
    const { config, layers } = JSON.parse(image.bytes.toString()) as { config: Described; layers: Described[] };
    const bytesOf = async ({ digest }: Described): Promise<[string, Buffer]> => [
      digest,
      Buffer.from(await (await fetch(`http://${registry.host}/v2/box/blobs/${digest}`)).arrayBuffer()),
    ];
    const signature = JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: 'application/vnd.cncf.helm.config.v1+json', digest: digestOf(Buffer.from('{}')), size: 2 },
      layers: [],
    });
    const entry = { mediaType: MANIFEST, digest: digestOf(Buffer.from(signature)), size: signature.length };
    const named = { ...image.descriptor, annotations: { 'io.containerd.image.name': 'docker.io/library/kept:1' } };
    const blobs = {
      [entry.digest]: signature,
      [image.descriptor.digest]: image.bytes,
      ...Object.fromEntries(await Promise.all([config, ...layers].map(bytesOf))),
    };
    expect(await loadArchive(here.dataRoot, ociLayout({ schemaVersion: 2, manifests: [entry, named] }, blobs))).toEqual(
      { status: 0, stderr: '' },
    );
    await ok('rmi', 'kept:1');
    expect(
      (await loadArchive(here.dataRoot, ociLayout({ schemaVersion: 2, manifests: [entry] }, blobs))).stderr,
    ).toContain('it is no image, but an artifact');
  });
});

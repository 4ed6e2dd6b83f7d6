// What refers to an image: by the tag that a real registry without the endpoint has, and by the endpoint of a server of the test's own.
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '../../host/image/content-store.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const EMPTY = 'application/vnd.oci.empty.v1+json';

interface Described {
  mediaType: string;
  artifactType?: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

describe.skipIf(whyNoContainers() || whyNoRegistry())('image referrers', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  let registry: TestRegistry;
  let subject: Described;
  let attached: Described[];
  const name = (tag: string): string => `${registry.host}/box:${tag}`;
  const rows = async (...args: string[]): Promise<Record<string, unknown>[]> =>
    (await ok('image', 'referrers', '--format', 'json', ...args))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  const put = async (tag: string, document: object, mediaType: string): Promise<Described> => {
    const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...document }));
    const digest = digestOf(body);
    const url = `http://${registry.host}/v2/box/manifests/${tag === '' ? digest : tag}`;
    const answer = await fetch(url, { method: 'PUT', body, headers: { 'content-type': mediaType } });
    expect(answer.status).toBe(201);
    return { mediaType, digest, size: body.length };
  };
  const blob = async (content: string, mediaType: string): Promise<Described> => {
    const digest = digestOf(Buffer.from(content));
    const begun = await fetch(`http://${registry.host}/v2/box/blobs/uploads/`, { method: 'POST' });
    const place = new URL(begun.headers.get('location')!, `http://${registry.host}`);
    place.searchParams.set('digest', digest);
    expect((await fetch(place, { method: 'PUT', body: content })).status).toBe(201);
    return { mediaType, digest, size: content.length };
  };
  /** As a client attaches it: a manifest with a subject. */
  const attach = async (artifactType: string, content: string, annotations = {}): Promise<Described> => {
    const parts = { config: await blob('{}', EMPTY), layers: [await blob(content, artifactType)] };
    return {
      ...(await put('', { artifactType, ...parts, subject, annotations }, MANIFEST)),
      artifactType,
      annotations,
    };
  };

  beforeAll(async () => {
    registry = await startRegistry();
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:1');
    registry.push(archive, 'box:1', '--format', 'oci');
    registry.push(archive, 'box:bare');
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    const answer = await fetch(`http://${registry.host}/v2/box/manifests/1`, { headers: { accept: MANIFEST } });
    const bytes = Buffer.from(await answer.arrayBuffer());
    subject = { mediaType: MANIFEST, digest: digestOf(bytes), size: bytes.length };
    attached = [
      await attach('application/spdx+json', '{"sbom":1}', {
        'org.opencontainers.image.created': '2026-01-02T03:04:05Z',
      }),
      await attach('application/vnd.dev.cosign.artifact.sig.v1+json', 'signature'),
    ];
    await put(subject.digest.replace(':', '-'), { manifests: attached }, INDEX);
  });
  afterAll(async () => {
    await here.close();
    await registry.close();
  });

  it('are found by the tag where a registry has no endpoint, by tag and by digest of the image', async () => {
    const wanted = attached.map(({ artifactType, digest, size, mediaType, annotations }) => ({
      Annotations: annotations,
      ArtifactType: artifactType,
      Digest: digest,
      MediaType: mediaType,
      Size: size,
      Subject: subject.digest,
    }));
    expect(await rows(name('1'))).toEqual(wanted);
    expect(await rows(`${registry.host}/box@${subject.digest}`)).toEqual(wanted);
    expect(await rows('--filter', 'artifact-type=application/spdx+json', name('1'))).toEqual(wanted.slice(0, 1));
    expect(await rows('-f', 'artifact-type=absent', name('1'))).toEqual([]);
    expect(await ok('image', 'referrers', name('1'))).toMatch(
      /^ARTIFACT TYPE +DIGEST +SIZE +ANNOTATIONS\napplication\/spdx\+json +sha256:\w{64} +\d+B +org\.opencontainers\.image\.created=2026/,
    );
    expect(await ok('image', 'referrers', '--format', '{{.ArtifactType}} {{.Size}}', name('1'))).toContain(
      `application/spdx+json ${attached[0]!.size}B`,
    );
    expect(await rows(name('bare'))).toEqual([]);
  });

  it('are refused by name where there is no image, or the filter is another', async () => {
    expect((await gantry('image', 'referrers', name('absent'))).stderr).toContain('has no manifest for "absent"');
    expect((await gantry('image', 'referrers', '-f', 'color=red', name('1'))).stderr).toContain(
      "Invalid filter 'color'",
    );
    const two = await gantry('image', 'referrers', '-f', 'artifact-type=a', '-f', 'artifact-type=b', name('1'));
    expect(two.stderr).toContain('one type at a time');
  });

  it('trip no pull: neither their tag beside the image nor one that names a referrer', async () => {
    await ok('pull', '-q', name('1'));
    expect(await ok('run', '--rm', '--network', 'none', name('1'), 'echo', 'runs')).toBe('runs');
    const tag = subject.digest.replace(':', '-');
    expect((await gantry('pull', name(tag))).stderr).toMatch(/no matching manifest|artifact/);
    // All tags: what is no image is passed over.
    const all = await gantry('pull', '-a', `${registry.host}/box`);
    expect(all.stdout).toContain('bare: Pulling from');
    expect((await ok('images', '--format', '{{.Tag}}')).split('\n').sort()).toEqual(['1', 'bare']);
  });

  describe('by the endpoint', () => {
    let server: Server;
    let host = '';
    const asked: string[] = [];
    let filters = true;
    let circle = false;
    const many = Array.from({ length: 5 }, (_, index) => ({
      mediaType: MANIFEST,
      digest: digestOf(Buffer.from(String(index))),
      size: 100 + index,
      artifactType: index % 2 === 0 ? 'a/even' : 'a/odd',
    }));
    beforeAll(async () => {
      const image = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: many[0], layers: [] });
      server = createServer(({ url = '' }, answer) => {
        const { pathname, searchParams } = new URL(url, 'http://here');
        if (pathname === '/v2/box/manifests/latest') return answer.setHeader('content-type', MANIFEST).end(image);
        if (pathname !== `/v2/box/referrers/${digestOf(Buffer.from(image))}`) return answer.writeHead(404).end();
        asked.push(url);
        const type = searchParams.get('artifactType');
        const found = many.filter((one) => !filters || type === null || one.artifactType === type);
        if (filters && type !== null) answer.setHeader('OCI-Filters-Applied', 'artifactType');
        const from = circle ? 0 : Number(searchParams.get('from') ?? 0);
        searchParams.set('from', circle ? 'x' : String(from + 2));
        if (from + 2 < found.length) answer.setHeader('link', `<${pathname}?${searchParams}>; rel="next"`);
        const manifests = found.slice(from, from + 2);
        answer.setHeader('content-type', INDEX).end(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
      }).listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    afterAll(() => {
      server.closeAllConnections();
      server.close();
    });
    const digests = async (...args: string[]): Promise<unknown[]> =>
      (await rows(...args, `${host}/box`)).map(({ Digest }) => Digest);

    it('come page by page, filtered there or here', async () => {
      expect(await digests()).toEqual(many.map(({ digest }) => digest));
      expect(asked).toHaveLength(3);
      const odd = [many[1]!.digest, many[3]!.digest];
      asked.length = 0;
      expect(await digests('-f', 'artifact-type=a/odd')).toEqual(odd);
      expect(asked).toEqual([expect.stringContaining('artifactType=a%2Fodd')]);
      filters = false;
      expect(await digests('-f', 'artifact-type=a/odd')).toEqual(odd);
    });

    it('pages that go round in a circle end', async () => {
      circle = true;
      expect((await gantry('image', 'referrers', `${host}/box`)).stderr).toContain('its pages do not end');
    });
  });
});

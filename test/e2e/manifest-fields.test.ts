// Manifests and indexes with fields of types that they must not have, from a registry: refused by the name of the field.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { base, imageIds } from '../helpers/hostile-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { imageConfig, makeTar, sha256 } from '../helpers/tar.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

type Field = [path: string, fits: (value: unknown) => boolean];

const isText = (value: unknown): boolean => typeof value === 'string';
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const isObject = (value: unknown): boolean => typeof value === 'object' && !Array.isArray(value);
const isEmpty = (value: unknown): boolean => JSON.stringify(value) === '{}';
const isNone = (value: unknown): boolean => JSON.stringify(value) === '[]';
const never = (): boolean => false;

const values = [7, -1, 1.5, true, 'text', [], [7], {}, { a: 7 }, { a: {} }];
/** Of a descriptor; a slash stands between names, for some have dots. */
const descriptor: Field[] = [
  ['mediaType', isText],
  ['artifactType', isText],
  ['data', isText],
  ['urls', isTexts],
  ['annotations', isEmpty],
  ['platform', isObject],
  ['platform/os', isText],
  ['platform/architecture', isText],
  ['platform/variant', isText],
  ['platform/os.version', isText],
  ['platform/os.features', isTexts],
];
const content: Field[] = [...descriptor, ['digest', never], ['size', (value) => value === 7]];
const top: Field[] = [
  ['schemaVersion', never],
  ['mediaType', isText],
  ['artifactType', isText],
  ['annotations', isEmpty],
  ['subject', isObject],
];
const below = (prefix: string, fields: Field[]): Field[] => fields.map(([path, fits]) => [`${prefix}/${path}`, fits]);

function withValue(document: object, path: string, value: unknown): string {
  const copy = JSON.parse(JSON.stringify(document)) as Record<string, unknown>;
  const names = path.split('/');
  let at = copy;
  for (const name of names.slice(0, -1)) {
    at[name] ??= {};
    at = at[name] as Record<string, unknown>;
  }
  at[names.at(-1)!] = value;
  return JSON.stringify(copy);
}

describe.skipIf(whyNoContainers())('fields of manifests', () => {
  const here = createInstallation();
  const plain = makeTar(base);
  const config = imageConfig([plain]);
  const layer = gzipSync(plain);
  const described = (bytes: string | Buffer): object => ({ digest: sha256(bytes), size: Buffer.byteLength(bytes) });
  const manifest = { schemaVersion: 2, mediaType: MANIFEST, config: described(config), layers: [described(layer)] };
  const index = { schemaVersion: 2, mediaType: INDEX, manifests: [described(JSON.stringify(manifest))] };
  let server: Server;
  let host = '';
  let served = { type: MANIFEST, body: '' };
  /** What a pull says. */
  const pull = async (type: string, body: string): Promise<string> => {
    served = { type, body };
    return (
      await engineCall(here.dataRoot, 'POST', `/images/create?fromImage=${host}/evil&tag=latest`)
    ).body.toString();
  };

  beforeAll(async () => {
    const blobs = new Map([config, layer].map((bytes) => [`/v2/evil/blobs/${sha256(bytes)}`, Buffer.from(bytes)]));
    server = createServer(({ url = '' }, answer) => {
      if (url === '/v2/evil/manifests/latest') return answer.setHeader('content-type', served.type).end(served.body);
      const blob = blobs.get(url);
      return blob === undefined ? answer.writeHead(404).end() : answer.end(blob);
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await here.ok('info');
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await here.close();
  });

  it.each<[string, object, string, Field[]]>([
    ['a manifest', manifest, MANIFEST, [...top, ['config', never], ['layers', isNone]]],
    ['its configuration', manifest, MANIFEST, below('config', content)],
    ['a layer', manifest, MANIFEST, below('layers/0', content)],
    ['the subject', manifest, MANIFEST, below('subject', descriptor)],
    ['an index', index, INDEX, [...top, ['manifests', isNone]]],
    ['an entry of an index', index, INDEX, below('manifests/0', content)],
  ])('of %s with another type are refused', async (_name, document, type, fields) => {
    for (const [path, fits] of fields)
      for (const value of values.filter((one) => !fits(one))) {
        const said = await pull(type, withValue(document, path, value));
        const name = path.split('/').at(-1)!;
        // A configuration that is an empty object has no digest.
        const reasons = [`${name} must be `, `has the ${name} `, ...(name === 'config' ? ['has the digest '] : [])];
        expect(
          reasons.some((reason) => said.includes(reason)),
          `${path} = ${JSON.stringify(value)}: ${said}`,
        ).toBe(true);
      }
    expect(await imageIds(here.dataRoot)).toEqual([]);
  });

  it('say nothing where they are null', async () => {
    const nulls = { mediaType: null, urls: null, annotations: null, platform: null };
    const document = {
      ...{ ...manifest, annotations: null, subject: null, manifests: null },
      config: { ...manifest.config, ...nulls },
      layers: [{ ...manifest.layers[0], ...nulls }],
    };
    expect(await pull(MANIFEST, JSON.stringify(document))).toContain('Downloaded newer image');
    expect(await pull(INDEX, JSON.stringify({ ...index, manifests: null }))).toContain('no matching manifest');
  });
});

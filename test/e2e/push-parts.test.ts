// Pushing to registries that are particular: sizes of parts, limits of requests, tokens with scopes, and what is not sent twice.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '../../host/image/content-store.ts';
import { parseReference } from '../../host/image/reference.ts';
import { createPush } from '../../host/image/registry/registry-push.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { type Front, startFront } from '../helpers/registry-front.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { temporaryDirectory } from '../helpers/server-images.ts';
import { startTokenServer } from '../helpers/token-server.ts';

describe.skipIf(whyNoContainers() || whyNoRegistry())('push', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  const home = join(work, 'home');
  let registry: TestRegistry;
  let front: Front;
  const login = (host: string, text: string): void =>
    writeFileSync(
      join(home, '.docker/config.json'),
      JSON.stringify({ auths: { [host]: { auth: Buffer.from(text).toString('base64') } } }),
    );
  /** Sizes of the requests that brought something, by method. */
  const sent = (method: string): number[] =>
    front.seen
      .filter((request) => request.method === method && request.path.includes('/uploads/'))
      .map(({ headers }) => Number(headers['content-length'] ?? 0))
      .filter((size) => size > 0);
  const blobs = (): string[] => readdirSync(join(here.dataRoot, 'blobs/sha256')).toSorted();

  beforeAll(async () => {
    registry = await startRegistry();
    front = await startFront(registry.host);
    mkdirSync(join(home, '.docker'), { recursive: true });
    here.env.HOME = home;
    delete here.env.DOCKER_CONFIG;
    const tree = busyboxTree();
    writeFileSync(join(tree, 'large'), randomBytes(3 << 20));
    // Plain layers, as `docker save` of the older stores writes them.
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterEach(() => front.behave(() => undefined));
  afterAll(async () => {
    await here.close();
    await front.close();
    await registry.close();
    rmSync(work, { recursive: true });
  });

  describe('one blob', () => {
    const bytes = randomBytes(1 << 20);
    const read = async function* (start: number, end: number): AsyncGenerator<Uint8Array> {
      for (let at = start; at < end; at += 65_536) yield bytes.subarray(at, Math.min(end, at + 65_536));
    };
    const blob = { digest: digestOf(bytes), size: bytes.length, read };
    /** Into a repository of its own each time. @returns what the registry then has. */
    const upload = async (repository: string, partBytes: number): Promise<Buffer> => {
      const push = createPush(parseReference(`${front.host}/${repository}`), {}, partBytes);
      await push.upload(blob, () => {});
      push.close();
      const answer = await fetch(`http://${registry.host}/v2/${repository}/blobs/${blob.digest}`);
      return Buffer.from(await answer.arrayBuffer());
    };

    it('goes in parts that are as large as the registry wants them (OCI-Chunk-Min-Length)', async () => {
      front.behave((path) =>
        path.endsWith('/blobs/uploads/') ? { also: { 'oci-chunk-min-length': '400000' } } : undefined,
      );
      expect(digestOf(await upload('least', 100_000))).toBe(blob.digest);
      expect(sent('PATCH')).toEqual([400_000, 400_000, (1 << 20) - 800_000]);
    });

    it('goes in smaller ones where requests are limited on the way (413)', async () => {
      front.behave((_path, _before, { headers }) =>
        Number(headers['content-length'] ?? 0) > 300_000 ? { status: 413 } : undefined,
      );
      expect(digestOf(await upload('limited', 64 << 20))).toBe(blob.digest);
      expect(Math.max(...sent('PATCH'))).toBeLessThanOrEqual(300_000);
    });

    it('asks how far it has come where the registry is of another opinion (416)', async () => {
      let patches = 0;
      front.behave((_path, _before, { method }) =>
        method === 'PATCH' && ++patches === 2 ? { status: 416, headers: { range: '0-299999' } } : undefined,
      );
      expect(digestOf(await upload('astray', 300_000))).toBe(blob.digest);
      expect(patches).toBe(5);
    });

    it('gives up where nothing helps, and says what the registry said', async () => {
      front.behave((_path, _before, { method }) =>
        method === 'PUT' ? { status: 413, body: '{"errors":[{"code":"X","message":"far too large"}]}' } : undefined,
      );
      const push = createPush(parseReference(`${front.host}/never`), {});
      await expect(push.upload({ ...blob, size: 200_000 }, () => {})).rejects.toThrow(
        'the registry answered 413: far too large',
      );
      push.close();
    });
  });

  describe('plain layers', () => {
    it('are packed and sent once, whatever the tag, and not kept packed', async () => {
      const before = blobs();
      await ok('tag', 'box', `${front.host}/plain:1`);
      await ok('tag', 'box', `${front.host}/plain:2`);
      expect(await ok('push', `${front.host}/plain:1`)).toContain(': Pushed');
      expect(sent('PUT').some((size) => size > 3 << 20)).toBe(true);
      expect(blobs()).toEqual(before);
      front.behave(() => undefined);
      const again = await ok('push', '-a', `${front.host}/plain`);
      expect(again.match(/Layer already exists/g)).toHaveLength(2);
      expect(sent('PUT')).toEqual([]);
      const digests = [...again.matchAll(/digest: (sha256:\w+)/g)].map(([, digest]) => digest);
      expect(digests[0]).toBe(digests[1]);
      // To a neighbour without being packed: only the configuration may move.
      await ok('tag', 'box', `${front.host}/neighbour:1`);
      front.behave(() => undefined);
      expect(await ok('push', `${front.host}/neighbour:1`)).toContain('Mounted from plain');
      expect(Math.max(0, ...sent('PUT'))).toBeLessThan(10_000);
    });

    it('are packed anew where the registry lost them', async () => {
      const empty = await startRegistry();
      try {
        await ok('tag', 'box', `${empty.host}/plain:1`);
        expect(await ok('push', `${empty.host}/plain:1`)).toContain(': Pushed');
        await ok('rmi', 'box', `${front.host}/plain:1`, `${front.host}/plain:2`, `${front.host}/neighbour:1`);
        await ok('rmi', `${empty.host}/plain:1`);
        // Nothing is remembered of what is gone.
        const { packed } = JSON.parse(readFileSync(join(here.dataRoot, 'images.json'), 'utf8')) as { packed: object };
        expect(packed).toEqual({});
        await ok('pull', '-q', `${empty.host}/plain:1`);
        expect(await ok('run', '--rm', '--network', 'none', `${empty.host}/plain:1`, 'echo', 'whole')).toBe('whole');
        await ok('tag', `${empty.host}/plain:1`, 'box');
      } finally {
        await empty.close();
      }
    });
  });

  it('asks for no more than it needs, is refused what is not granted, and logs in again when a token has run out', async () => {
    const tokens = await startTokenServer(work);
    const guarded = await startRegistry({ auth: tokens.auth });
    const before = await startFront(guarded.host);
    const { host } = before;
    try {
      const [first, second] = [`${host}/team/box:1`, `${host}/other/box:1`];
      await ok('tag', 'box', first);
      login(host, 'reader:low');
      const refused = await gantry('push', first);
      expect(refused.stderr).toMatch(/Cannot push ".*": denied: .*it refuses the login of "reader"/);
      expect(refused.status).toBe(1);
      login(host, 'crane:high');
      tokens.asked.length = 0;
      await ok('push', first);
      expect(new Set(tokens.asked)).toEqual(new Set(['GET the crane yard repository:team/box:pull,push crane:high']));
      tokens.asked.length = 0;
      await ok('tag', 'box', second);
      expect(await ok('push', second)).toContain('Mounted from team/box');
      const [scopes = ''] = tokens.asked;
      expect(scopes).toBe('GET the crane yard repository:other/box:pull,push repository:team/box:pull crane:high');
      // A registry that has forgotten its tokens while an upload goes on.
      await ok('tag', 'box', `${host}/late/box:1`);
      const challenge = (await fetch(`http://${guarded.host}/v2/`)).headers.get('www-authenticate')!;
      before.behave((path, _before, { method }) =>
        method === 'PUT' && path.includes('/uploads/') && tokens.asked.length < 2
          ? { status: 401, headers: { 'www-authenticate': challenge } }
          : method === 'POST' && path.includes('mount=')
            ? { status: 403 }
            : undefined,
      );
      tokens.asked.length = 0;
      expect(await ok('push', `${host}/late/box:1`)).toContain(': Pushed');
      expect(tokens.asked.length).toBeGreaterThan(1);
    } finally {
      await before.close();
      await guarded.close();
      await tokens.close();
    }
  });
});

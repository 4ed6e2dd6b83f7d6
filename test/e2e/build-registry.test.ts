// Builds from private images and for other platforms, what they keep, and how much of it a prune leaves.
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { type BuildAnswer, type BuildOptions, build, cachedSteps } from '../helpers/builds.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { temporaryDirectory } from '../helpers/server-images.ts';

const other = process.arch === 'arm64' ? 'amd64' : 'arm64';

interface Usage {
  ID: string;
  Size: number;
  Shared: boolean;
  InUse: boolean;
  Description: string;
}

describe.skipIf(whyNoContainers() || whyNoRegistry())('builds and what is around them', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  let registry: TestRegistry;
  const made = (dockerfile: string, options: BuildOptions = {}): Promise<BuildAnswer> =>
    build(here.socket, dockerfile, { ...options, query: { t: 'made', ...options.query } });
  const login = (password: string): Record<string, string> => ({
    'x-registry-config': Buffer.from(JSON.stringify({ [registry.host]: { username: 'crane', password } })).toString(
      'base64url',
    ),
  });

  beforeAll(async () => {
    const hashed = execFileSync('perl', ['-e', 'print crypt("high", q($2y$05$abcdefghijklmnopqrstuu))'], {
      encoding: 'utf8',
    });
    writeFileSync(join(work, 'htpasswd'), `crane:${hashed}\n`);
    registry = await startRegistry({ auth: `{htpasswd: {realm: yard, path: ${join(work, 'htpasswd')}}}` });
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    registry.push(archive, 'private/box:1', '--dest-creds', 'crane:high');
    await ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(async () => {
    await here.close();
    await registry.close();
    rmSync(work, { recursive: true, force: true });
  });

  it('take logins for FROM and COPY --from out of X-Registry-Config', async () => {
    const name = `${registry.host}/private/box:1`;
    const without = await made(`FROM ${name}\n`);
    expect(without).toMatchObject({ code: 'AUTH_FAILED', error: expect.stringContaining('it wants a login') });
    const wrong = await made(`FROM ${name}\n`, { headers: login('low') });
    expect(wrong.error).toContain('refuses the login of "crane"');
    expect(JSON.stringify([wrong, without])).not.toMatch(/low"|high/);
    expect((await made(`FROM ${name}\nRUN echo in > /x\n`, { headers: login('high') })).error).toBe('');
    expect(await ok('run', '--rm', 'made', 'cat', '/x')).toBe('in');
    await ok('rmi', '-f', name);
    expect((await made(`FROM box\nCOPY --from=${name} /etc/passwd /y\n`, { headers: login('high') })).error).toBe('');
    expect((await made('FROM box\n', { headers: { 'x-registry-config': '!' } })).status).toBe(400);
  });

  it('for another platform copy files, say so in the image, and refuse to run its programs', async () => {
    const query = { platform: `linux/${other}` };
    const copied = await made('FROM scratch\nARG TARGETARCH\nCOPY a /a\nLABEL for=$TARGETARCH\n', {
      query,
      files: { a: 'a\n' },
    });
    expect(copied.error).toBe('');
    expect(await ok('image', 'inspect', '-f', '{{.Architecture}} {{.Config.Labels.for}}', 'made')).toBe(
      `${other} ${other}`,
    );
    const run = await made('FROM scratch\nCOPY a /a\nRUN ["/a"]\n', { query, files: { a: 'a\n' } });
    expect(run.error).toMatch(new RegExp(`linux/${other}|${other}`));
    expect(run.id).toBe('');
    // What is here for this platform does not do for another.
    expect((await made(`FROM box\nRUN true\n`, { query })).error).not.toBe('');
  });

  describe('keep', () => {
    const usage = async (): Promise<Usage[]> =>
      (
        JSON.parse((await engineCall(here.dataRoot, 'GET', '/system/df?type=build-cache')).body.toString()) as {
          BuildCache: Usage[] | null;
        }
      ).BuildCache ?? [];
    const step = (name: string): string => `FROM box\nRUN head -c 1000 /dev/zero > /${name}\n`;
    const names = async (): Promise<string[]> =>
      (await usage()).flatMap(({ Description }) => /\/dev\/zero > \/(\w)/.exec(Description)?.[1] ?? []).sort();
    const prune = async (
      query: string,
    ): Promise<{ status: number; json: { SpaceReclaimed?: number; message?: string } }> => {
      const { status, body } = await engineCall(here.dataRoot, 'POST', `/build/prune?${query}`);
      return { status, json: JSON.parse(body.toString()) };
    };
    const builds = async (): Promise<void> => {
      for (const name of ['a', 'b', 'c']) expect((await made(step(name), { query: { t: 'kept' } })).error).toBe('');
      // Used again: now "b" is the one that was used longest ago.
      expect(cachedSteps(await made(step('a'), { query: { t: 'kept' } }))).toBe(1);
      // No image has them any more.
      await ok('rmi', '-f', 'kept');
      await ok('image', 'prune', '-f');
    };
    beforeAll(async () => {
      await ok('builder', 'prune', '-af');
    });

    it('what was used last, as much as a prune says', async () => {
      await builds();
      expect(await names()).toEqual(['a', 'b', 'c']);
      expect((await prune('max-used-space=2500')).json.SpaceReclaimed).toBe(1000);
      expect(await names()).toEqual(['a', 'c']);
      expect((await prune('keep-storage=2000')).json.SpaceReclaimed).toBe(0);
      await ok('builder', 'prune', '-f', '--keep-storage', '1500');
      expect(await names()).toEqual(['a']);
      // What is reserved stays; the largest that was used last goes where even that alone is too much.
      expect((await prune('max-used-space=10&reserved-space=1000')).json.SpaceReclaimed).toBe(0);
      await ok('builder', 'prune', '-f', '--max-used-space', '999b');
      expect(await names()).toEqual([]);
    });

    it('what is newer than "until", and what an image has unless all is meant', async () => {
      await builds();
      expect((await prune(`filters=${encodeURIComponent('{"until":["1h"]}')}`)).json.SpaceReclaimed).toBe(0);
      expect(await names()).toEqual(['a', 'b', 'c']);
      await made(step('b'), { query: { t: 'used' } });
      await ok('builder', 'prune', '-f');
      expect(await names()).toEqual(['b']);
      expect(await ok('run', '--rm', 'used', 'wc', '-c', '/b')).toBe('1000 /b');
      await ok('builder', 'prune', '-af', '--filter', 'until=2030-01-01T00:00:00Z');
      expect(await names()).toEqual([]);
      expect(await ok('run', '--rm', 'used', 'wc', '-c', '/b')).toBe('1000 /b');
    });

    it('but not what nobody can read as a size', async () => {
      for (const query of ['keep-storage=much', 'max-used-space=-1', 'reserved-space=1e9'])
        expect(await prune(query)).toMatchObject({
          status: 400,
          json: { message: expect.stringContaining('no number of bytes') },
        });
      expect(await prune('min-free-space=1')).toMatchObject({ status: 501 });
      expect((await gantry('builder', 'prune', '-f', '--max-used-space', 'much')).status).toBe(125);
    });
  });
});

// What registries are asked without a pull: descriptors and platforms, and searches; by the API, gantry and docker's client.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '../../host/image/content-store.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { type IndexServer, startIndex } from '../helpers/index-server.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { temporaryDirectory } from '../helpers/server-images.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
const own = process.arch === 'arm64' ? 'arm64' : 'amd64';

describe.skipIf(whyNoContainers() || whyNoRegistry())('questions to registries', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  let registry: TestRegistry;
  let index: IndexServer;
  const get = async (path: string) => {
    const { status, body } = await engineCall(here.dataRoot, 'GET', path);
    return { status, json: JSON.parse(body.toString()) };
  };

  beforeAll(async () => {
    delete here.env.DOCKER_CONFIG;
    here.env.HOME = work;
    registry = await startRegistry();
    index = await startIndex(
      [
        {
          name: 'far/box',
          description: `made\nof ${'wood '.repeat(20)}`,
          star_count: 7,
          is_official: false,
        },
        {
          name: 'box',
          description: 'official',
          star_count: 3,
          is_official: true,
          is_automated: true,
        },
      ],
      'crane:high',
    );
    mkdirSync(join(work, '.docker'), { recursive: true });
    const auth = Buffer.from('crane:high').toString('base64');
    writeFileSync(join(work, '.docker/config.json'), JSON.stringify({ auths: { [index.host]: { auth } } }));
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:1');
    registry.push(archive, 'team/box:1');
    registry.push(archive, 'team/box:oci', '--format', 'oci');
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    await ok('info');
  });
  afterAll(async () => {
    index.close();
    await here.close();
    await registry.close();
    rmSync(work, { recursive: true });
  });

  it('tell descriptor and platforms of a manifest and of an index, by tag and by digest', async () => {
    const raw = (tag: string): Buffer =>
      execFileSync('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${registry.host}/team/box:${tag}`]);
    const single = raw('1');
    const { status, json } = await get(`/distribution/${registry.host}/team/box:1/json`);
    expect(status).toBe(200);
    expect(json).toEqual({
      Descriptor: {
        mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
        digest: digestOf(single),
        size: single.length,
      },
      Platforms: [{ architecture: own, os: 'linux' }],
    });
    expect(await get(`/distribution/${registry.host}/team/box@${digestOf(single)}/json`)).toEqual({ status, json });
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    const inner = raw('oci');
    const platforms = [
      { os: 'linux', architecture: own },
      {
        os: 'windows',
        architecture: own,
        'os.version': '10.0.1',
        'os.features': ['win32k'],
      },
      { os: 'linux', architecture: 'arm', variant: 'v7' },
    ];
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const entry = {
      mediaType: type,
      digest: digestOf(inner),
      size: inner.length,
    };
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType,
      manifests: platforms.map((platform) => ({ ...entry, platform })),
    });
    const url = `http://${registry.host}/v2/team/box/manifests/many`;
    await fetch(url, {
      method: 'PUT',
      body,
      headers: { 'content-type': mediaType },
    });
    expect((await get(`/distribution/${registry.host}/team/box:many/json`)).json).toEqual({
      Descriptor: {
        mediaType,
        digest: digestOf(Buffer.from(body)),
        size: body.length,
      },
      Platforms: platforms,
    });
    expect(await get(`/distribution/${registry.host}/team/box:absent/json`)).toMatchObject({
      status: 404,
      json: {
        message: `Cannot inspect "${registry.host}/team/box": the registry has no manifest for "absent"`,
      },
    });
    expect(await ok('images', '-q')).toBe('');
  });

  it('search where a registry has that', async () => {
    const term = `${index.host}/box`;
    expect((await gantry('search', term)).stdout).toMatch(
      /^NAME +DESCRIPTION +STARS +OFFICIAL\nfar\/box +made of (wood )+w?o?o?d?… +7\nbox +official +3 +\[OK\]\n$/,
    );
    expect(index.asked).toEqual(['?q=box&n=25']);
    expect(await ok('search', '--limit', '1', '--format', '{{.Name}} {{.StarCount}}', term)).toBe('far/box 7');
    expect(await ok('search', '-f', 'stars=5', '--format', '{{.Name}}', term)).toBe('far/box');
    expect(await ok('search', '-f', 'is-official=true', '--format', '{{.Name}}', term)).toBe('box');
    expect(await ok('search', '-f', 'is-automated=true', '--format', '{{.Name}}', term)).toBe('');
    expect((await gantry('search', '-f', 'color=red', term)).stderr).toContain("Invalid filter 'color'");
    expect((await gantry('search', '--limit', '101', term)).stderr).toContain('outside the range of [1, 100]');
    expect((await gantry('search', 'https://x/box')).stderr).toContain('should not have a scheme');
    const none = await gantry('search', `${registry.host}/box`);
    expect(none.stderr).toMatch(/Cannot search "127.*": the registry cannot be searched \(\/v1\/search answered 404\)/);
    expect(none.status).toBe(1);
    if (client === undefined) return console.log('The docker client is not tested: it is not installed');
    const env = { ...here.env, DOCKER_HOST: `unix://${here.socket}` };
    // Not synchronous: the index is served by this process.
    const { stdout } = await promisify(execFile)(client, ['search', '--format', '{{.Name}}{{.IsOfficial}}', term], {
      env,
    });
    expect(stdout).toBe('far/box\nbox[OK]\n');
  });

  it('a prune of builds finds nothing where nothing is built', async () => {
    const { status, body } = await engineCall(here.dataRoot, 'POST', '/build/prune?all=1');
    expect([status, JSON.parse(body.toString())]).toEqual([200, { CachesDeleted: null, SpaceReclaimed: 0 }]);
  });
});

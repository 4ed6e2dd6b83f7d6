// Names of images: who may take them away, what goes with them, what is kept; by docker's rules and in its words.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '../../host/image/content-store.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers() || whyNoRegistry())('names of images', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  let registry: TestRegistry;
  let archive = '';
  let far = '';
  const call = async (method: string, path: string) => {
    const { status, body } = await engineCall(here.dataRoot, method, path);
    return { status, json: JSON.parse(body.toString()) };
  };
  const refusal = async (...args: string[]): Promise<string> => {
    const { status, stderr } = await gantry('rmi', ...args);
    expect(status).toBe(1);
    return stderr;
  };
  const idOf = (name: string): Promise<string> => ok('inspect', '-f', '{{.Id}}', name);

  beforeAll(async () => {
    registry = await startRegistry();
    const tree = busyboxTree();
    archive = makeArchive(tree, 'box:1');
    far = registry.push(archive, 'team/box:1');
    registry.push(archive, 'team/box:2');
    rmSync(tree, { recursive: true });
    await ok('load', '-i', archive);
  });
  afterAll(async () => {
    await here.close();
    await registry.close();
    rmSync(archive, { force: true });
  });

  it('several keep an image from being removed by its ID', async () => {
    const id = await idOf('box:1');
    await ok('tag', 'box:1', 'crate:1');
    expect(await refusal(id)).toContain(
      `conflict: unable to delete ${id.slice(7, 19)} (must be forced) - image is referenced in multiple repositories`,
    );
    expect(await call('DELETE', '/images/crate:1?noprune=1')).toEqual({ status: 200, json: [{ Untagged: 'crate:1' }] });
    await ok('tag', 'box:1', 'crate:1');
    const { json } = await call('DELETE', `/images/${id}?force=1`);
    expect(json.slice(0, 3)).toEqual([{ Untagged: 'box:1' }, { Untagged: 'crate:1' }, { Deleted: id }]);
    expect(await ok('images', '-q')).toBe('');
  });

  it('digests go with the last tag of their repository, and not before', async () => {
    await ok('pull', '-q', far);
    await ok('pull', '-q', `${registry.host}/team/box:2`);
    const [digest = ''] = (await call('GET', `/images/${far}/json`)).json.RepoDigests;
    await ok('tag', far, 'crate:1');
    expect(await ok('rmi', far)).toBe(`Untagged: ${far}`);
    expect(await ok('rmi', `${registry.host}/team/box:2`)).toBe(
      `Untagged: ${registry.host}/team/box:2\nUntagged: ${digest}`,
    );
    expect(await ok('rmi', 'crate:1')).toMatch(/^Untagged: crate:1\nDeleted: sha256:/);
    // By digest alone it has no tag; its digest is the last name.
    await ok('pull', '-q', digest);
    expect(await ok('images', '--format', '{{.Repository}}:{{.Tag}}')).toBe(`${registry.host}/team/box:<none>`);
    expect(await ok('rmi', digest)).toMatch(new RegExp(`^Untagged: ${digest}\nDeleted: sha256:`));
  });

  it('manifest, platform and time of the last tag are told', async () => {
    await ok('pull', '-q', far);
    const before = new Date().toISOString();
    await ok('tag', far, 'crate:1');
    const { json } = await call('GET', `/images/${far}/json?manifests=1`);
    const [digest = ''] = json.RepoDigests.map((name: string) => name.split('@')[1]);
    expect(json.Metadata.LastTagTime >= before).toBe(true);
    expect(json.Descriptor).toMatchObject({ digest, mediaType: expect.stringContaining('manifest.v2+json') });
    const [manifest] = json.Manifests;
    expect(manifest).toMatchObject({ ID: digest, Kind: 'image', Descriptor: json.Descriptor });
    expect(manifest.Size.Total - manifest.Size.Content).toBe(json.Size);
    expect(manifest.Size.Content).toBeGreaterThan(json.Descriptor.size);
    expect((await call('GET', '/images/json?manifests=1')).json[0].Manifests).toEqual(json.Manifests);
    expect((await call('GET', '/v1.46/images/json?manifests=1')).json[0]).not.toHaveProperty('Manifests');
    const platform = (architecture: string): string =>
      encodeURIComponent(JSON.stringify({ os: 'linux', architecture }));
    expect((await call('GET', `/images/${far}/json?platform=${platform(json.Architecture)}`)).status).toBe(200);
    expect((await call('GET', `/images/${far}/json?platform=${platform('s390x')}`)).status).toBe(404);
    expect((await call('GET', `/images/${far}/json?platform=x&manifests=1`)).status).toBe(400);
    await ok('rmi', '-f', json.Id);
    // What came without a manifest, or was made here, has one as well.
    await ok('load', '-q', '-i', archive);
    await ok('run', '--name', 'made', '--network', 'none', 'box:1', 'touch', '/made');
    await ok('commit', 'made', 'made:1');
    await ok('rm', 'made');
    for (const name of ['box:1', 'made:1']) {
      const { Descriptor } = (await call('GET', `/images/${name}/json`)).json;
      const bytes = readFileSync(join(here.dataRoot, 'blobs/sha256', Descriptor.digest.slice('sha256:'.length)));
      const written = JSON.parse(bytes.toString());
      expect(Descriptor).toEqual({ mediaType: written.mediaType, digest: digestOf(bytes), size: bytes.length });
      expect(written.config.digest).toBe(await idOf(name));
    }
    await ok('rmi', 'made:1', 'box:1');
    expect(readdirSync(join(here.dataRoot, 'blobs/sha256'))).toEqual([]);
  });

  it('containers keep an image: running ones against force, stopped ones without a name', async () => {
    await ok('load', '-i', archive);
    const id = await idOf('box:1');
    const short = id.slice(7, 19);
    const container = (await ok('run', '-d', 'box:1', 'sleep', '1000')).slice(0, 12);
    const runs = `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container ${container}`;
    expect(await refusal(id)).toContain(runs);
    expect(await refusal('-f', id)).toContain(runs);
    expect(await refusal('box:1')).toContain(
      `conflict: unable to remove repository reference "box:1" (must force) - container ${container} is using its referenced image ${short}`,
    );
    await ok('tag', 'box:1', 'crate:1');
    expect(await ok('rmi', 'crate:1')).toBe('Untagged: crate:1');
    await ok('kill', container);
    await ok('wait', container);
    expect(await refusal(short)).toContain(
      `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container ${container}`,
    );
    expect(await ok('rmi', '-f', id)).toBe('Untagged: box:1');
    expect(await refusal('-f', id)).toContain('(cannot be forced) - image is being used by stopped container');
    await ok('start', container);
    await ok('rm', '-f', container);
    expect(await ok('rmi', short)).toMatch(new RegExp(`^Deleted: ${id}`));
  });
});

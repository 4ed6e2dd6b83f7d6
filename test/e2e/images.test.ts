// Images from a registry, from archives and back, and every way in which they can be bad.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { freePort, startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers() || whyNoRegistry())('images', () => {
  const here = createInstallation();
  const { gantry, ok, pipe } = here;
  const tree = busyboxTree();
  const work = mkdtempSync(join(tmpdir(), 'gantry-images-'));
  const archive = makeArchive(tree, 'box:latest', {
    config: { Env: ['PATH=/bin', 'FROM=image'], User: 'user', WorkingDir: '/var/www', Labels: { made: 'here' } },
  });
  let registry: TestRegistry;
  /** A tree whose layer the store does not have yet. */
  const trees: string[] = [];
  const fresh = (): string => {
    const made = busyboxTree();
    writeFileSync(join(made, 'unique'), String(trees.push(made)));
    return made;
  };
  const names = (): Promise<string> => ok('images', '--format', '{{.Repository}}:{{.Tag}}');

  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(async () => {
    await registry.close();
    await here.close();
    for (const path of [tree, work, ...trees]) rmSync(path, { recursive: true, force: true });
  });

  it.each([
    ['gzip', []],
    ['zstd', ['--dest-compress-format', 'zstd']],
  ] as [string, string[]][])('are pulled with %s layers, and run by the way', async (kind, options) => {
    const reference = registry.push(archive, `team/${kind}:1`, ...options);
    const { status, stdout, stderr } = await gantry(
      'run',
      '--rm',
      '--network',
      'none',
      reference,
      'sh',
      '-c',
      'echo $FROM; id -un; pwd',
    );
    expect(stderr).toContain(`Unable to find image '${reference}' locally`);
    expect([status, stdout]).toEqual([0, 'image\nuser\n/var/www\n']);
    expect(await ok('pull', reference)).toContain('Image is up to date');
    const digest = await ok('inspect', '-f', '{{index .RepoDigests 0}}', reference);
    expect(digest).toMatch(new RegExp(`^${registry.host}/team/${kind}@sha256:[0-9a-f]{64}$`));
    expect(await ok('run', '--rm', '--network', 'none', digest, 'echo', 'by digest')).toBe('by digest');
    await ok('rmi', '-f', reference);
  });

  it('are chosen from an index by platform', async () => {
    const reference = registry.push(archive, 'team/single:1', '--format', 'oci');
    const name = reference.split(':').slice(0, 2).join(':');
    const answer = await fetch(`http://${registry.host}/v2/team/single/manifests/1`, {
      headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    });
    const body = Buffer.from(await answer.arrayBuffer());
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    const entry = (architecture: string) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest,
      size: body.length,
      platform: { os: 'linux', architecture },
    });
    const put = async (tag: string, architectures: string[]) => {
      const index = JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: architectures.map(entry),
      });
      const done = await fetch(`http://${registry.host}/v2/team/single/manifests/${tag}`, {
        method: 'PUT',
        body: index,
        headers: { 'content-type': 'application/vnd.oci.image.index.v1+json' },
      });
      expect(done.status).toBe(201);
    };
    const own = process.arch === 'arm64' ? 'arm64' : 'amd64';
    await put('many', ['riscv64', own]);
    await put('other', ['riscv64']);
    expect(await ok('pull', '-q', `${name}/single:many`.replace('/single/single', '/single'))).toContain('single:many');
    const { status, stderr } = await gantry('pull', `${name}:other`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/no matching manifest for linux\/\w+\nHint: It is there for linux\/riscv64/);
  });

  it('go out with save and come back with load, as docker-archive and as OCI layout', async () => {
    await ok('load', '-i', archive);
    const saved = join(work, 'saved.tar');
    await ok('save', '-o', saved, 'box');
    const id = await ok('images', '-q', '--no-trunc', 'box');
    await ok('rmi', 'box');
    expect(await ok('load', '-i', saved)).toBe('Loaded image: box:latest');
    expect(await ok('images', '-q', '--no-trunc', 'box')).toBe(id);
    execFileSync('skopeo', [
      'copy',
      '--insecure-policy',
      '--quiet',
      `docker-archive:${saved}`,
      `oci-archive:${join(work, 'layout.tar')}:box`,
    ]);
    expect(await ok('load', '-i', join(work, 'layout.tar'))).toMatch(/^Loaded image/);
    expect(await ok('run', '--rm', '--network', 'none', 'box', 'echo', 'back')).toBe('back');
  });

  it('keep their layers until no name needs them', async () => {
    await ok('load', '-i', archive);
    await ok('tag', 'box', 'crate:v1');
    expect(await ok('rmi', 'box')).toBe('Untagged: box:latest');
    expect(await ok('run', '--rm', '--network', 'none', 'crate:v1', 'echo', 'still')).toBe('still');
    await ok('create', '--name', 'holder', 'crate:v1');
    expect((await gantry('rmi', 'crate:v1')).stderr).toContain('is using its referenced image');
    await ok('rm', 'holder');
    expect(await ok('rmi', 'crate:v1')).toMatch(/^Untagged: crate:v1\nDeleted: sha256:/);
    await load();
  });
  const load = () => ok('load', '-i', archive);

  describe('that are bad are refused whole', () => {
    const unchanged = async (args: string[], expected: RegExp, input = '') => {
      const [before, blobs] = [await names(), readdirSync(join(here.dataRoot, 'blobs/sha256')).length];
      const { status, stderr } = await pipe(input, ...args);
      expect(stderr).toMatch(expected);
      expect(status).toBe(args[0] === 'run' ? 125 : 1);
      expect(await names()).toBe(before);
      expect(readdirSync(join(here.dataRoot, 'ingest'))).toEqual([]);
      expect(readdirSync(join(here.dataRoot, 'layers')).filter((name) => name.startsWith('new-'))).toEqual([]);
      expect(blobs).toBeGreaterThan(0);
    };

    it('a reference that is none', () => unchanged(['pull', 'team/UPPER'], /invalid reference format/));
    it('a repository that is not there', () =>
      unchanged(
        ['pull', `${registry.host}/no/such:1`],
        /Cannot pull ".*": the registry has no manifest for "1"\nHint:/,
      ));
    it('a registry that is not there', async () =>
      unchanged(
        ['pull', `127.0.0.1:${await freePort()}/x`],
        /Cannot reach the registry of .*connection refused \(ECONNREFUSED\)\nHint:/,
      ));
    it('an image that is not there, with --pull never', () =>
      unchanged(['run', '--pull', 'never', 'absent'], /No such image: absent:latest\nHint:/));
    it('text in place of an archive', () =>
      unchanged(['load'], /Cannot load the archive: .*\nHint:/, 'not a tar'.repeat(100)));
    it('an archive that is cut short', () => {
      const cut = join(work, 'cut.tar');
      writeFileSync(cut, readFileSync(archive));
      truncateSync(cut, 300_000);
      return unchanged(['load', '-i', cut], /Cannot load the archive|cut short/);
    });
    it('a layer of another digest', () => {
      const other = makeArchive(fresh(), 'bad:1', { damage: (layer) => Buffer.concat([layer, Buffer.alloc(512)]) });
      return unchanged(['load', '-i', other], /Cannot use the layer "sha256:\w+": its content has the digest/);
    });
    it('a layer that is no tar', () => {
      const other = makeArchive(fresh(), 'bad:2', { damage: (layer) => Buffer.from(layer).fill(65, 1000, 9000) });
      return unchanged(['load', '-i', other], /Cannot unpack the layer: .*checksum/);
    });
    it('a blob that the registry damaged', async () => {
      const reference = registry.push(makeArchive(fresh(), 'x:1', { config: { Cmd: ['other'] } }), 'team/damaged:1');
      const manifest = (await (
        await fetch(`http://${registry.host}/v2/team/damaged/manifests/1`, {
          headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
        })
      ).json()) as { layers: { digest: string }[] };
      const [, hex = ''] = manifest.layers[0]!.digest.split(':');
      const path = join(registry.directory, 'data/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
      const bytes = readFileSync(path);
      bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 0xff;
      writeFileSync(path, bytes);
      await unchanged(['pull', reference], /Cannot (use|decompress|unpack)/);
    });
  });
});

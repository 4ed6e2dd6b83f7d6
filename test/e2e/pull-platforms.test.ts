// Pulling all tags, and images of other platforms: what is chosen, warned of and refused, by gantry and docker's client.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { treeTar } from '../helpers/debian-layers.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { createLayout, otherArchitecture, ownArchitecture } from '../helpers/oci-layout.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { type Front, startFront } from '../helpers/registry-front.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
if (client === undefined) console.log('The docker client is not tested: it is not installed');

describe.skipIf(whyNoContainers() || whyNoRegistry())('pull', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = mkdtempSync(join(tmpdir(), 'gantry-platforms-'));
  let registry: TestRegistry;
  let front: Front;
  const name = (tag: string): string => `${front.host}/team/box:${tag}`;
  const tags = async (): Promise<string[]> =>
    (await ok('images', '--format', '{{.Tag}}')).split('\n').filter(Boolean).toSorted();

  beforeAll(async () => {
    registry = await startRegistry();
    front = await startFront(registry.host);
    const tree = busyboxTree();
    const layout = createLayout(join(work, 'layout'));
    const layer = await layout.addLayer(await treeTar(tree, join(work, 'box.tar')), 'gzip');
    const config = (tag: string) => ({ Cmd: ['sh'], Env: ['PATH=/bin'], Labels: { tag } });
    const own = { config: config('own'), layers: [layer] };
    const other = { architecture: otherArchitecture, config: config('other'), layers: [layer] };
    layout.addImage('own', own);
    layout.addImage('other', other);
    layout.addImage('both', own, other);
    for (const tag of ['own', 'other', 'both'])
      execFileSync('skopeo', [
        ...['copy', '--insecure-policy', '--quiet', '--all', '--dest-tls-verify=false'],
        `oci:${layout.directory}:${tag}`,
        `docker://${registry.host}/team/box:${tag}`,
      ]);
    rmSync(tree, { recursive: true });
    await ok('info');
  });
  afterEach(async () => {
    front.behave(() => undefined);
    const ids = (await ok('images', '-q')).split('\n').filter(Boolean);
    if (ids.length > 0) await ok('rmi', '-f', ...new Set(ids));
  });
  afterAll(async () => {
    await here.close();
    await front.close();
    await registry.close();
    rmSync(work, { recursive: true });
  });

  describe('-a', () => {
    it('brings every tag, page by page, and passes over what is no image', async () => {
      const list = '/v2/team/box/tags/list?n=1000';
      const chart = {
        schemaVersion: 2,
        config: { mediaType: 'application/vnd.cncf.helm.config.v1+json', digest: `sha256:${'0'.repeat(64)}`, size: 2 },
        layers: [],
      };
      const type = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
      front.behave((path) =>
        path === list
          ? {
              status: 200,
              headers: { link: `</v2/team/box/tags/list?n=1000&last=x>; rel="next"` },
              body: '{"name":"team/box","tags":["chart","own"]}',
            }
          : path.endsWith('/manifests/chart')
            ? { status: 200, headers: type, body: JSON.stringify(chart) }
            : path.includes('&last=x')
              ? { status: 200, body: '{"name":"team/box","tags":["both","other"]}' }
              : undefined,
      );
      const said = await ok('pull', '-a', `${front.host}/team/box`);
      expect(said).toMatch(/^own: Pulling from team\/box$/m);
      expect(said).toMatch(/^chart: Skipped: .*it is no image, but an artifact/m);
      expect(said.match(/^Digest: /gm)).toHaveLength(3);
      expect(said).toMatch(new RegExp(`^Status: Downloaded newer image for ${front.host}/team/box$`, 'm'));
      expect(said.split('\n').at(-1)).toBe(`${front.host}/team/box`);
      expect(await tags()).toEqual(['both', 'other', 'own']);
      expect(front.blobs().length).toBe(3); // One layer for all of them.
    });

    it('is what an API request without a tag means, and a list that is none is refused', async () => {
      const path = `/images/create?fromImage=${encodeURIComponent(`${front.host}/team/box`)}`;
      const { status, body } = await engineCall(here.dataRoot, 'POST', path);
      expect([status, body.toString()]).toEqual([200, expect.stringContaining('Downloaded newer image for')]);
      expect(await tags()).toEqual(['both', 'other', 'own']);
      front.behave((asked) =>
        asked.includes('/tags/list') ? { status: 200, body: '{"tags":["../../x"]}' } : undefined,
      );
      expect((await gantry('pull', '-a', `${front.host}/team/box`)).stderr).toContain('the answer is no list of tags');
      front.behave(() => undefined);
      expect((await gantry('pull', '-a', name('own'))).stderr).toContain("Tag can't be used with --all-tags/-a");
      expect((await gantry('pull', '-a', `${front.host}/absent/box`)).stderr).toMatch(
        /Cannot pull ".*absent\/box": the registry has no such repository/,
      );
    });
  });

  describe('of another platform', () => {
    const mismatch = new RegExp(
      `The requested image's platform \\(linux/${otherArchitecture}\\) does not match the detected host platform \\(linux/${ownArchitecture}[^)]*\\) and no specific platform was requested`,
    );

    it('is warned of where nobody asked for it', async () => {
      await ok('pull', '-q', name('other'));
      const created = await gantry('create', name('other'));
      expect([created.status, created.stderr]).toEqual([0, expect.stringMatching(mismatch)]);
      const asked = await gantry('create', '--platform', `linux/${otherArchitecture}`, name('other'));
      expect([asked.status, asked.stderr]).toEqual([0, '']);
      await ok('pull', '-q', name('own'));
      expect((await gantry('create', name('own'))).stderr).toBe('');
      await ok('rm', ...(await ok('ps', '-aq')).split('\n'));
    });

    it('is brought where a container wants it and another is here', async () => {
      await ok('pull', '-q', name('both'));
      const label = (): Promise<string> => ok('inspect', '-f', '{{.Config.Labels.tag}}', name('both'));
      expect(await label()).toBe('own');
      const { stderr, status } = await gantry('create', '--platform', `linux/${otherArchitecture}`, name('both'));
      expect([status, stderr]).toEqual([0, expect.stringContaining(`Unable to find image '${name('both')}' locally`)]);
      expect(await label()).toBe('other');
      const never = await gantry('run', '--pull', 'never', '--platform', 'linux/s390x', name('both'));
      expect(never.stderr).toContain(
        `its platform (linux/${otherArchitecture}) does not match the specified platform (linux/s390x)`,
      );
      expect((await gantry('create', '--platform', 'nonsense', name('both'))).stderr).toContain(
        'Cannot read the platform "nonsense"',
      );
      await ok('rm', ...(await ok('ps', '-aq')).split('\n'));
    });

    it.skipIf(client === undefined)("is the same to docker's client", async () => {
      const env = { ...here.env, DOCKER_HOST: `unix://${here.socket}` };
      // Not the synchronous kind: the registry's front lives in this process.
      const docker = async (...args: string[]): Promise<string> => {
        const { stdout, stderr } = await promisify(execFile)(client!, args, { encoding: 'utf8', env, timeout: 60_000 });
        return stdout + stderr;
      };
      await docker('pull', '-q', name('both'));
      expect(await docker('create', '--platform', `linux/${otherArchitecture}`, name('both'))).toContain(
        'Unable to find image',
      );
      expect(await docker('create', name('both'))).toMatch(mismatch);
      expect(await docker('pull', '-a', `${front.host}/team/box`)).toContain('own: Pulling from team/box');
      expect(await tags()).toEqual(['both', 'other', 'own']);
      await ok('rm', ...(await ok('ps', '-aq')).split('\n'));
    });
  });
});

// Pulling on bad days: cut connections, refusals, limits, a killed engine; and what is shown, named and shared.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { otherArchitecture, ownArchitecture } from '../helpers/oci-layout.ts';
import { startRegistry, type TestRegistry } from '../helpers/registry.ts';
import { type Front, startFront } from '../helpers/registry-front.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { startServerRegistry, temporaryDirectory, whyNoServerImages } from '../helpers/server-images.ts';

const program = join(import.meta.dirname, '../../dist/cli/main.js');

describe.skipIf(whyNoContainers() || whyNoServerImages())('pull', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  let registry: TestRegistry;
  let front: Front;
  const image = (name: string): string => `${front.host}/${name}`;
  const listed = (part: string): string[] => readdirSync(join(here.dataRoot, part));
  /** Nothing half is there. */
  const expectTidy = (): void => {
    expect(listed('ingest')).toEqual([]);
    expect(listed('layers').filter((name) => !/^[0-9a-f]{64}$/.test(name))).toEqual([]);
  };
  const isBlob = (path: string): boolean => path.includes('/blobs/');

  /** Digests of the layers' blobs, asked of the registry itself. */
  const layersOf = async (name: string, reference = 'latest'): Promise<string[]> => {
    const accept = ['index', 'manifest'].map((kind) => `application/vnd.oci.image.${kind}.v1+json`).join(', ');
    const answer = await fetch(`http://${registry.host}/v2/${name}/manifests/${reference}`, { headers: { accept } });
    const json = (await answer.json()) as { manifests?: { digest: string }[]; layers?: { digest: string }[] };
    return json.manifests ? layersOf(name, json.manifests.at(-1)!.digest) : json.layers!.map(({ digest }) => digest);
  };

  beforeAll(async () => {
    registry = await startServerRegistry();
    front = await startFront(registry.host);
  }, 300_000);
  beforeEach(async () => {
    front.behave(() => undefined);
    const names = (await ok('images', '-q')).split('\n').filter(Boolean);
    if (names.length > 0) await ok('rmi', '-f', ...new Set(names));
  });
  afterAll(async () => {
    await here.close();
    await front.close();
    await registry.close();
    rmSync(work, { recursive: true });
  });

  describe('over a bad connection', () => {
    it('goes on where it was cut, however often that is', async () => {
      front.behave((path) => (isBlob(path) ? { cutAfter: 150_000 } : undefined));
      await ok('pull', image('busybox'));
      const ranges = front.seen.flatMap(({ headers: { range } }) => (range === undefined ? [] : [range]));
      expect(ranges.length).toBeGreaterThan(4);
      expect(new Set(ranges).size).toBe(ranges.length);
      expect(ranges.every((range) => /^bytes=[1-9]\d*-$/.test(range))).toBe(true);
      expect(await ok('run', '--rm', '--network', 'none', image('busybox'), 'echo', 'whole')).toBe('whole');
      expectTidy();
    });

    it('goes on with registries that know no ranges', async () => {
      front.behave((path, before) =>
        isBlob(path) ? { ignoreRange: true, ...(before < 2 ? { cutAfter: 300_000 } : {}) } : undefined,
      );
      await ok('pull', image('busybox'));
      expectTidy();
    });

    it('gives up where nothing comes any more, leaves nothing, and comes later', async () => {
      front.behave((path, before) =>
        isBlob(path) && before > 0 ? { cutAfter: 0 } : isBlob(path) ? { cutAfter: 200_000 } : undefined,
      );
      const { status, stderr } = await gantry('pull', image('busybox'));
      expect([status, stderr]).toEqual([
        1,
        expect.stringMatching(/Cannot reach the registry of ".*busybox": .+\nHint:/),
      ]);
      expectTidy();
      expect(await ok('images', '-q')).toBe('');
      front.behave(() => undefined);
      await ok('pull', image('busybox'));
    });

    it('does not fetch again what came before the failure', async () => {
      const [base, own] = await layersOf('nginx');
      front.behave((path) => (path.includes(own!) ? { status: 404 } : undefined));
      const { status, stderr } = await gantry('pull', image('nginx'));
      expect([status, stderr]).toEqual([1, expect.stringContaining(`the registry has no blob ${own}`)]);
      expectTidy();
      front.behave(() => undefined);
      expect(await ok('pull', image('nginx'))).toMatch(/: Already exists\n/);
      expect(front.blobs().some((path) => path.includes(base!))).toBe(false);
      expect(await ok('run', '--rm', '--network', 'none', image('nginx'), 'nginx', '-v')).toBe('');
    });

    it.each([
      [429, 'toomanyrequests: slow down', '"{name}": toomanyrequests: slow down (100 in 6 hours)', 'wait, or log in'],
      [503, 'come back', 'the registry answered 503: come back', 'Try again later'],
    ])('waits for a registry that answers %i, but not for ever', async (status, message, said, hint) => {
      const headers = { 'retry-after': '0', 'ratelimit-limit': '100;w=21600' };
      const answer = { status, headers, body: JSON.stringify({ errors: [{ code: 'X', message }] }) };
      front.behave((path, before) => (path.includes('/manifests/') && before < 2 ? answer : undefined));
      await ok('pull', image('busybox'));
      front.behave(() => answer);
      const refused = await gantry('pull', image('busybox'));
      expect(refused.stderr).toContain(said.replace('{name}', image('busybox')));
      expect(refused.stderr).toContain(hint);
      expect(refused.status).toBe(1);
      expect(front.seen.length).toBeGreaterThan(2);
    });

    it.each([['5000'], [new Date(Date.now() + 5_000_000).toUTCString()]])(
      'does not wait for hours: Retry-After %s',
      async (after) => {
        front.behave(() => ({ status: 429, headers: { 'retry-after': after } }));
        const { stderr } = await gantry('pull', image('busybox'));
        expect(stderr).toMatch(/toomanyrequests: [^\n]+\nHint: .*wait 8[34] minutes, or log in/);
        expect(front.seen).toHaveLength(1);
      },
    );

    it('follows redirects, and tells the login to nobody else', async () => {
      const elsewhere = await startFront(registry.host);
      front.behave((path) => {
        if (isBlob(path)) return { status: 307, headers: { location: `http://${elsewhere.host}${path}` } };
        return undefined;
      });
      await ok('pull', image('busybox'));
      expect(elsewhere.blobs().length).toBe(2);
      front.behave((path) => ({ status: 302, headers: { location: `http://${front.host}${path}` } }));
      expect((await gantry('pull', image('busybox'))).stderr).toContain('more than 5 redirects');
      await elsewhere.close();
    });
  });

  describe('shows', () => {
    it('a line for each change where nobody watches', async () => {
      const lines = (await ok('pull', image('busybox'))).split('\n');
      const id = lines[1]!.slice(0, 12);
      expect(lines).toEqual([
        'latest: Pulling from busybox',
        `${id}: Pulling fs layer`,
        `${id}: Download complete`,
        `${id}: Pull complete`,
        expect.stringMatching(/^Digest: sha256:[0-9a-f]{64}$/),
        `Status: Downloaded newer image for ${image('busybox')}:latest`,
        `${image('busybox')}:latest`,
      ]);
    });

    it.each([
      [100, /\w{12}: Downloading {2}\[=* *\] [\d.]+[kM]?B\/[\d.]+MB/],
      [80, /\w{12}: Downloading {2}\[=* *\] [\d.]+[kM]?B\/[\d.]+MB/],
      [40, /\w{12}: Downloading {2}\[[= ]{8}\]/],
    ])('bars at a terminal of %i columns, each in its row', async (columns, bar) => {
      const command = `stty cols ${columns}; exec ${process.execPath} ${program} pull ${image('nginx')}`;
      const child = spawn('script', ['-qec', command, '/dev/null'], {
        env: here.env,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      let output = '';
      for await (const chunk of child.stdout) output += chunk;
      expect(output).toMatch(/\x1b\[2A\r\x1b\[2K\w{12}: [^\x1b]*\x1b\[2B\r/);
      expect(output).toMatch(bar);
      expect(output).toContain('Pull complete');
      // Nothing is wider than the terminal: a row that wraps would be two.
      const rows = output.replace(/Digest: .*|Status: .*|127\.0\.0\.1.*/g, '').split(/\x1b\[\d*[A-Z]|\r|\n/);
      expect(Math.max(...rows.map((row) => row.length))).toBeLessThan(columns);
      // And nothing else is written there.
      expect(output.replace(/\x1b\[(\d+[AB]|2K)|[\r\n]/g, '')).not.toMatch(/\p{Cc}/u);
    });

    it('the name alone with --quiet', async () => {
      expect((await gantry('pull', '--quiet', image('busybox'))).stdout).toBe(`${image('busybox')}:latest\n`);
    });
  });

  describe('chooses', () => {
    it('the platform of this machine, or the one that is named', async () => {
      await ok('pull', '-q', image('busybox'));
      const where = (): Promise<string> =>
        ok('inspect', '-f', '{{.Architecture}} {{json .Config.Env}}', image('busybox'));
      expect(await where()).toBe(`${ownArchitecture} ["PATH=/bin","WHERE=here"]`);
      await ok('pull', '-q', '--platform', `linux/${otherArchitecture}`, image('busybox'));
      expect(await where()).toBe(`${otherArchitecture} ["PATH=/bin","WHERE=elsewhere"]`);
      const { status, stderr } = await gantry('pull', '--platform', 'linux/s390x', image('busybox'));
      expect([status, stderr]).toEqual([
        1,
        expect.stringMatching(/no matching manifest for linux\/s390x\nHint: It is there for linux\/\w+, linux\/\w+/),
      ]);
      // An image of one platform only says so in its configuration.
      expect((await gantry('pull', '--platform', `linux/${otherArchitecture}`, image('debian'))).stderr).toContain(
        `no matching manifest for linux/${otherArchitecture}\nHint: It is there for linux/${ownArchitecture}`,
      );
      expect((await gantry('pull', '--platform', 'linux', image('busybox'))).stderr).toContain(
        'Cannot read the platform "linux"',
      );
    });

    it('by digest, which gives no tag', async () => {
      const digest = /Digest: (sha256:\w+)/.exec(await ok('pull', image('busybox')))![1]!;
      await ok('rmi', image('busybox'));
      const name = `${image('busybox')}@${digest}`;
      await ok('pull', name);
      expect(await ok('images', '--digests', '--format', '{{.Repository}} {{.Tag}} {{.Digest}}')).toBe(
        `${image('busybox')} <none> ${digest}`,
      );
      expect(await ok('run', '--rm', '--network', 'none', '--pull', 'never', name, 'echo', 'there')).toBe('there');
      const wrong = digest.replace(/.{4}$/, (end) => (end === '0000' ? '1111' : '0000'));
      expect((await gantry('pull', `${image('busybox')}@${wrong}`)).stderr).toContain(
        `the registry has no manifest for "${wrong}"`,
      );
      await ok('rmi', name);
      expect(await ok('images', '-q')).toBe('');
    });
  });

  describe('ends with the client that asked for it', () => {
    /** Asks and waits until a layer is half there; @returns what goes away. */
    const begin = async (name: string): Promise<() => void> => {
      const client = request({
        ...{ socketPath: here.socket, method: 'POST' },
        path: `/v1.41/images/create?fromImage=${encodeURIComponent(image(name))}&tag=latest`,
      });
      client.on('error', () => {}).end();
      await until(() => listed('layers').some((layer) => layer.startsWith('new-')), 'a layer under way');
      await until(() => listed('ingest').length > 0, 'a blob under way');
      return () => client.destroy();
    };

    it('and leaves nothing, here or at the registry', async () => {
      front.behave((path) => (isBlob(path) ? { holdAfter: 100_000, until: new Promise(() => {}) } : undefined));
      const leave = await begin('nginx');
      expect(await front.connections()).toBeGreaterThan(0);
      leave();
      await until(async () => (await front.connections()) === 0, 'the connections to end');
      await until(() => listed('ingest').length === 0, 'the blobs to go');
      await until(() => listed('layers').every((name) => !name.startsWith('new-')), 'the layers to go');
      expect(await ok('images', '-q')).toBe('');
      expectTidy();
    });

    it('but not for another that waits for the same', async () => {
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      front.behave((path) => (isBlob(path) ? { holdAfter: 100_000, until: held } : undefined));
      const [layer] = await layersOf('busybox');
      const asked = (): number => front.blobs().filter((path) => path.includes(layer!)).length;
      const leave = await begin('busybox');
      const other = gantry('pull', image('busybox'));
      await until(() => front.seen.filter(({ path }) => path.includes('/manifests/')).length >= 4, 'the other to ask');
      leave();
      await until(() => asked() === 2, 'the other to fetch it');
      release();
      expect(await other).toMatchObject({ status: 0, stderr: '' });
      expectTidy();
    });
  });

  describe('shares', () => {
    it('the work of those who pull the same at the same time', async () => {
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      front.behave((path) => (isBlob(path) ? { holdAfter: 100_000, until: held } : undefined));
      const pulls = ['busybox', 'busybox', 'busybox:latest'].map((name) => gantry('pull', image(name)));
      await until(
        () => front.seen.filter(({ path }) => path.includes('/manifests/')).length >= 6,
        'all of them to ask',
      );
      release();
      expect((await Promise.all(pulls)).map(({ status, stderr }) => [status, stderr])).toEqual([
        [0, ''],
        [0, ''],
        [0, ''],
      ]);
      const [layer] = await layersOf('busybox');
      expect(front.blobs().filter((path) => path.includes(layer!))).toHaveLength(1);
      expectTidy();
    });

    it('layers with an image that is removed meanwhile, and is whole nevertheless', async () => {
      await ok('pull', image('debian'));
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      front.behave((path) => (isBlob(path) ? { holdAfter: 100_000, until: held } : undefined));
      const pull = gantry('pull', image('nginx'));
      await until(() => front.blobs().length >= 2, 'the second layer');
      await ok('rmi', image('debian'));
      release();
      expect((await pull).status).toBe(0);
      expect(await ok('run', '--rm', '--network', 'none', image('nginx'), 'cat', '/etc/debian_version')).toMatch(
        /^12\./,
      );
      expectTidy();
    });

    it('a layer that lies there packed otherwise, and saves it', async () => {
      const [own, tree] = [await startRegistry(), busyboxTree()];
      try {
        await ok('load', '-i', makeArchive(tree, 'plain:1'));
        const reference = own.push(makeArchive(tree, 'packed:1', { config: { Labels: { other: 'one' } } }), 'packed:1');
        expect(await ok('pull', reference)).toContain('Already exists');
        const archive = join(work, 'packed.tar');
        await ok('save', '-o', archive, reference);
        expect(execFileSync('skopeo', ['inspect', `docker-archive:${archive}`], { encoding: 'utf8' })).toContain(
          '"other": "one"',
        );
      } finally {
        await own.close();
        rmSync(tree, { recursive: true });
      }
    });
  });

  it('survives that its engine is killed: nothing half is left, and the next one finishes', async () => {
    front.behave((path) => (isBlob(path) ? { holdAfter: 20_000_000, until: new Promise(() => {}) } : undefined));
    const interrupted = gantry('pull', image('debian'));
    await until(
      () =>
        listed('layers').some((name) => {
          const file = join(here.dataRoot, 'layers', name, 'layer.erofs');
          return name.startsWith('new-') && (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 1_000_000;
        }),
      'a part of the layer',
    );
    expect(listed('ingest')).toHaveLength(1);
    const pid = here.enginePid()!;
    process.kill(pid, 'SIGKILL');
    const { status, stderr } = await interrupted;
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^gantry: Cannot .+\nHint: /m)]);
    await until(() => !existsSync(`/proc/${pid}`));
    front.behave(() => undefined);
    expect(await ok('images', '-q')).toBe('');
    await until(() => listed('layers').every((name) => !name.startsWith('new-')), 'the half layer to go');
    await ok('pull', image('debian'));
    expectTidy();
    expect(await ok('run', '--rm', '--network', 'none', image('debian'), 'dpkg', '--audit')).toBe('');
  });
});

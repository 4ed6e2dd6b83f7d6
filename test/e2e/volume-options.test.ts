// Volumes that are file systems or other directories, parts of volumes, images as mounts; what stays when the engine dies.
import { mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, hasEnded, until } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

/** Whatever of these an answer has. */
interface Answer {
  message: string;
  CreatedAt: string;
  Volumes: { Name: string }[];
  VolumesDeleted: string[];
  Warnings: string[];
  Mounts: object[];
}

interface VolumeEvent {
  Action: string;
  Actor: object;
}

describe.skipIf(whyNoContainers())('a volume', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const sh = (mount: string[], script: string): Promise<string> =>
    ok('run', '--rm', '--network', 'none', ...mount, 'box', 'sh', '-c', script);
  const isMounted = (name: string): boolean =>
    readFileSync('/proc/self/mountinfo', 'utf8').includes(`${here.dataRoot}/volumes/${name}/_data `);
  const call = async (method: string, path: string, body?: object): Promise<{ status: number; json: Answer }> => {
    const { status, body: answer } = await engineCall(
      here.dataRoot,
      method,
      path,
      body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
    );
    return { status, json: JSON.parse(answer.toString() || '{}') };
  };
  const filters = (value: object): string => encodeURIComponent(JSON.stringify(value));
  /** As after a crash. */
  const killEngine = async (): Promise<void> => {
    const pid = here.enginePid()!;
    process.kill(pid, 'SIGKILL');
    await until(() => hasEnded(pid));
  };
  const source = join(here.dataRoot, 'outside');

  beforeAll(async () => {
    const tree = busyboxTree();
    mkdirSync(join(tree, 'seed'));
    writeFileSync(join(tree, 'seed/one'), 'from the image\n');
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    mkdirSync(join(source, 'sub/empty'), { recursive: true });
    writeFileSync(join(source, 'sub/file'), 'inside\n');
    symlinkSync('sub', join(source, 'good'));
    symlinkSync('/etc', join(source, 'away'));
    symlinkSync('../../../../etc/passwd', join(source, 'sub/up'));
    await ok('volume', 'create', '-o', 'type=none', '-o', `device=${source}`, '-o', 'o=bind', 'bound');
    await ok('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=1m,mode=1770,uid=5', 'memory');
  });
  afterAll(() => here.close());

  it('of type tmpfs is one file system for all who have it at a time, and gone with the last', async () => {
    await ok('run', '-d', '--name', 'holder', '--network', 'none', '-v', 'memory:/m', 'box', 'sleep', '1000');
    expect(
      await sh(['-v', 'memory:/n:ro'], 'stat -c "%a %u" /n; df -k /n | tail -n 1 | tr -s " " | cut -d " " -f 2'),
    ).toBe('1770 5\n1024');
    await ok('exec', 'holder', 'touch', '/m/kept');
    expect(await sh(['-v', 'memory:/n'], 'ls /n')).toBe('kept');
    // The next engine finds it in use, and lets go of it in the end.
    await killEngine();
    expect(await sh(['-v', 'memory:/n'], 'ls /n')).toBe('kept');
    await ok('cp', 'holder:/m/kept', join(here.dataRoot, 'copied'));
    await ok('rm', '-f', 'holder');
    await until(() => !isMounted('memory'));
    expect(await sh(['-v', 'memory:/n'], 'ls /n')).toBe('');
    await until(() => !isMounted('memory'));
  });

  it('of another directory shows that one, also to cp, and its removal leaves it', async () => {
    expect(await sh(['-v', 'bound:/b'], 'cat /b/sub/file; touch /b/written')).toBe('inside');
    expect(readdirSync(source)).toContain('written');
    await ok('create', '--name', 'still', '-v', 'bound:/b', 'box');
    const target = join(here.dataRoot, 'taken');
    await ok('cp', 'still:/b/sub/file', target);
    expect(readFileSync(target, 'utf8')).toBe('inside\n');
    await ok('rm', 'still');
    await until(() => !isMounted('bound'));
    await ok('volume', 'create', '-o', 'type=none', '-o', `device=${source}`, '-o', 'o=bind,ro', 'sealed');
    expect(await sh(['-v', 'sealed:/b'], 'touch /b/x 2>&1; true')).toContain('Read-only');
    await until(() => !isMounted('sealed'));
    await ok('volume', 'rm', 'sealed');
    expect(readdirSync(source)).toContain('written');
  });

  it('whose file system cannot be mounted says so at the start, and holds nothing', async () => {
    await ok('volume', 'create', '-o', 'type=nfs', '-o', 'device=:/x', '-o', 'o=addr=192.0.2.1,password=s3', 'far');
    const { status, stderr } = await gantry('run', '--rm', '-v', 'memory:/m', '-v', 'far:/x', 'box', 'true');
    expect([status, stderr]).toEqual([
      125,
      expect.stringMatching(/failed to mount local volume: mount :\/x:.*no such device/),
    ]);
    expect(stderr).not.toContain('s3');
    expect([isMounted('memory'), isMounted('far')]).toEqual([false, false]);
    await ok('volume', 'rm', 'far');
  });

  const part = (path: string, target = '/p'): string[] => [
    '--mount',
    `type=volume,source=bound,target=${target},volume-subpath=${path}`,
  ];

  it('can be mounted in part: a directory, a file, through a link that stays inside', async () => {
    expect(await sh(part('sub'), 'cat /p/file')).toBe('inside');
    expect(await sh(part('sub/file'), 'cat /p')).toBe('inside');
    expect(await sh(part('good/file'), 'cat /p')).toBe('inside');
    expect(await sh([...part('sub'), '--userns', 'auto'], 'stat -c %u /p/file')).toBe('0');
    expect(await sh(part('sub/empty', '/seed'), 'cat /seed/one')).toBe('from the image');
    expect(readFileSync(join(source, 'sub/empty/one'), 'utf8')).toBe('from the image\n');
    expect(await sh(['--mount', `${part('sub')[1]},readonly`], 'touch /p/x 2>&1; true')).toContain('Read-only');
  });

  it.each([
    ['away', /escapes the base directory/],
    ['sub/up', /escapes the base directory/],
    ['nothing', /cannot access path .*no such file/i],
  ])('is not mounted at %s of it', async (path, message) => {
    const { status, stderr } = await gantry('run', '--rm', '--network', 'none', ...part(path), 'box', 'true');
    expect([status, stderr]).toEqual([125, expect.stringMatching(message)]);
  });

  it('can be an image, which nobody can write to, and which is not removed meanwhile', async () => {
    await ok('tag', 'box', 'tools:1');
    await ok(
      'run',
      '-d',
      '--name',
      'user',
      '--network',
      'none',
      '--mount',
      'type=image,src=tools:1,dst=/t',
      'box',
      'sleep',
      '1000',
    );
    expect(await ok('exec', 'user', 'sh', '-c', 'cat /t/seed/one; touch /t/x 2>&1; rm /t/bin/sh 2>&1; true')).toMatch(
      /^from the image\n.*Read-only.*\n.*Read-only/,
    );
    const { json } = await call('GET', '/containers/user/json');
    expect(json.Mounts).toMatchObject([{ Type: 'image', Name: 'tools:1', Destination: '/t', RW: false }]);
    await ok('rm', '-f', 'user');
    await ok('rmi', 'tools:1');
  });

  it("is told with all that it was made of, and by docker's filters", async () => {
    const made = await call('POST', '/volumes/create', { Name: 'told', Labels: { a: 'b' } });
    expect(made).toMatchObject({ status: 201, json: { Name: 'told', Driver: 'local', Scope: 'local', Options: null } });
    expect(made.json.CreatedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    // A second creation changes nothing.
    const again = await call('POST', '/volumes/create', { Name: 'told', Labels: { c: 'd' } });
    expect(again).toEqual(made);
    await ok('create', '--name', 'has', '-v', 'told:/x', '-v', '/anonymous', 'box');
    const names = async (value: object): Promise<string[]> =>
      (await call('GET', `/volumes?filters=${filters(value)}`)).json.Volumes.map(
        ({ Name }: { Name: string }) => Name,
      ).toSorted();
    const [anonymous = ''] = await names({ label: ['com.docker.volume.anonymous'] });
    expect(anonymous).toMatch(/^[0-9a-f]{64}$/);
    expect(await names({ dangling: ['false'] })).toEqual([anonymous, 'told'].toSorted());
    expect(await names({ name: ['^t.ld$'] })).toEqual(['told']);
    expect(await names({ label: ['a=b'], driver: ['local'] })).toEqual(['told']);
    expect(await names({ driver: ['other'] })).toEqual([]);
    expect((await call('GET', `/volumes?filters=${filters({ dangling: ['maybe'] })}`)).status).toBe(400);
    const refused = await call('DELETE', '/volumes/told?force=1');
    expect([refused.status, refused.json.message]).toEqual([
      409,
      expect.stringMatching(/^remove told: volume is in use - \[[0-9a-f]{64}\]$/i),
    ]);
    const id = await ok('inspect', '-f', '{{.Id}}', 'has');
    expect(refused.json.message).toContain(id);
    await ok('rm', '-v', 'has');
    expect(await names({ name: [anonymous] })).toEqual([]);
    expect((await call('DELETE', '/volumes/told')).status).toBe(204);
    expect((await call('DELETE', '/volumes/told')).status).toBe(404);
    expect((await call('DELETE', '/volumes/told?force=true')).status).toBe(204);
  });

  it('is pruned without a name, before API 1.42 any other, and never one with options', async () => {
    await ok('volume', 'create', 'named');
    await call('POST', '/volumes/create', { Labels: { keep: 'yes' } });
    const kept = (await call('POST', `/volumes/prune?filters=${filters({ 'label!': ['keep=yes'] })}`)).json;
    expect(kept).toEqual({ VolumesDeleted: [], SpaceReclaimed: 0 });
    expect((await call('POST', '/v1.42/volumes/prune')).json.VolumesDeleted).toHaveLength(1);
    expect((await call('POST', '/v1.41/volumes/prune')).json.VolumesDeleted).toEqual(['named']);
    expect((await ok('volume', 'ls', '-q')).split('\n').toSorted()).toEqual(['bound', 'memory']);
  });

  it('tells what happens to it', async () => {
    const since = Date.now() / 1000;
    await ok('volume', 'create', 'noted');
    await ok('volume', 'create', 'noted');
    await sh(['-v', 'noted:/n:ro'], 'true');
    const events = async (): Promise<VolumeEvent[]> => {
      const path = `/events?since=${since}&until=${Date.now() / 1000}&filters=${filters({ type: ['volume'] })}`;
      const { body } = await engineCall(here.dataRoot, 'GET', path);
      return body
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    };
    await until(async () => (await events()).length >= 3);
    await ok('volume', 'rm', 'noted');
    await ok('volume', 'prune', '-f');
    const found = await events();
    expect(found.map(({ Action }) => Action)).toEqual(['create', 'mount', 'unmount', 'destroy', 'prune']);
    expect(found[1]?.Actor).toMatchObject({ ID: 'noted', Attributes: { destination: '/n', 'read/write': 'false' } });
  });

  it('that was half made or half removed when the engine died is not there for the next', async () => {
    await ok('volume', 'create', 'whole');
    await killEngine();
    mkdirSync(join(here.dataRoot, 'volumes/half/_data'), { recursive: true });
    mkdirSync(join(here.dataRoot, 'volumes/torn'));
    writeFileSync(join(here.dataRoot, 'volumes/torn/volume.json'), '{"name":');
    expect((await ok('volume', 'ls', '-q')).split('\n').toSorted()).toEqual(['bound', 'memory', 'whole']);
    // What nobody can read is named and left alone.
    expect((await call('GET', '/info')).json.Warnings).toEqual([expect.stringContaining('torn/volume.json')]);
    expect(readdirSync(join(here.dataRoot, 'volumes')).toSorted()).toEqual(['bound', 'memory', 'torn', 'whole']);
    rmSync(join(here.dataRoot, 'volumes/torn'), { recursive: true });
  });
});

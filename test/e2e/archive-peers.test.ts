// save, load and commit between engines: what gantry writes docker and podman load and run, and the other way round.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Docker, startDocker } from '../bench/docker.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { cacheDirectory } from '../helpers/cache.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { temporaryDirectory } from '../helpers/server-images.ts';

const noPodman = !existsSync('/usr/bin/podman');
const noDocker = !existsSync('/usr/sbin/dockerd');
if (noPodman) console.log('Archives between engines are not tested: podman is not installed');
if (noDocker) console.log('Archives for docker are not tested: dockerd is not installed');

const execute = promisify(execFile);

/** What every engine lays into a container, and podman alone. */
const ENGINE_OWN = /^(\.\/)?(dev|proc|sys|run|\.dockerenv|etc\/(hosts|hostname|resolv\.conf|mtab)|etc\/?$|root\/?$|$)/;

describe.skipIf(whyNoContainers() || noPodman)('archives between engines', () => {
  const here = createInstallation();
  const { ok } = here;
  const work = temporaryDirectory();
  // Not in /tmp, which may be memory that overlayfs takes no upper directory from.
  let storage = '';
  const at = (name: string): string => join(work, name);
  let peer: Docker | undefined;
  const podman = async (...args: string[]): Promise<string> =>
    (await execute('podman', ['--root', storage, '--runroot', join(storage, 'run'), ...args])).stdout.trim();
  const docker = async (...args: string[]): Promise<string> =>
    (await execute('docker', args, { env: { ...process.env, DOCKER_HOST: peer!.host } })).stdout.trim();
  /** Entries of a tar but for what the engines themselves lay into it: kind, mode, owner, size, name, link. */
  const entries = async (tar: string): Promise<string[]> => {
    const { stdout } = await execute('tar', ['--numeric-owner', '-tvf', tar], { maxBuffer: 1 << 26 });
    return stdout
      .split('\n')
      .map((line) => /^(\S+ \S+) +(\d+) \S+ \S+ (.*)$/.exec(line))
      .flatMap((match) => (match ? [[match[1], match[2], match[3]!.replace(/^\.\//, '').replace(/\/$/, '')]] : []))
      .filter(([, , name = '']) => !ENGINE_OWN.test(name))
      .map((parts) => parts.join(' '))
      .toSorted();
  };

  beforeAll(async () => {
    mkdirSync(cacheDirectory(), { recursive: true });
    storage = mkdtempSync(cacheDirectory('podman-'));
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:1', {
      config: { Env: ['PATH=/bin', 'FROM=gantry'], Labels: { of: 'gantry' } },
    });
    await ok('load', '-i', archive);
    const change = [
      'rm /etc/group && rm -r /var/www && mkdir /var/www && echo anew > /var/www/new',
      'chmod 4750 /bin/busybox && chown 7:8 /home/user && ln -s ../new /var/link && ln /var/www/new /var/twin',
      'mkfifo /var/pipe && rm /bin/wc && mkdir /bin/wc && touch "/var/a name"',
    ].join(' && ');
    await ok('run', '--network', 'none', '--name', 'source', 'box:1', 'sh', '-c', change);
    await ok('commit', '-m', 'changed', 'source', 'made:1');
    await ok('rm', 'source');
    await ok('save', '-o', at('made.tar'), 'made:1');
    if (!noDocker) peer = await startDocker(archive, console.log);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(async () => {
    await peer?.close();
    await execute('podman', ['--root', storage, '--runroot', join(storage, 'run'), 'system', 'reset', '-f']).catch(
      () => {},
    );
    await here.close();
    for (const path of [work, storage]) rmSync(path, { recursive: true, force: true });
  });

  it('podman has what gantry committed, file by file', async () => {
    expect(await podman('load', '-q', '-i', at('made.tar'))).toContain('made:1');
    const id = await ok('inspect', '-f', '{{.Id}}', 'made:1');
    expect(`sha256:${await podman('image', 'inspect', '-f', '{{.Id}}', 'made:1')}`).toBe(id);
    const container = await podman('create', '--network', 'none', '--ulimit', 'host', 'made:1', 'true');
    await podman('export', '-o', at('podman.tar'), container);
    await podman('rm', container);
    await ok('create', '--network', 'none', '--name', 'exported', 'made:1', 'true');
    await ok('export', '-o', at('gantry.tar'), 'exported');
    await ok('rm', 'exported');
    const [theirs, own] = [await entries(at('podman.tar')), await entries(at('gantry.tar'))];
    expect(own.length).toBeGreaterThan(40);
    expect(own.join('\n')).toContain('var/www/new');
    expect(own.join('\n')).not.toContain('index.html');
    expect(theirs).toEqual(own);
  });

  it.each(['docker-archive', 'oci-archive'])('gantry has what podman saves as %s', async (format) => {
    await podman('load', '-q', '-i', at('made.tar'));
    await podman('tag', 'made:1', `localhost/${format}:2`);
    await podman('save', '-q', '--format', format, '-o', at(format), `localhost/${format}:2`);
    const id = await ok('inspect', '-f', '{{.Id}}', 'made:1');
    expect(await ok('load', '-i', at(format))).toContain(`Loaded image: localhost/${format}:2`);
    const known = await ok('inspect', '-f', '{{.Id}}', `localhost/${format}:2`);
    if (format === 'docker-archive') expect(known).toBe(id);
    const name = `localhost/${format}:2`;
    expect(await ok('run', '--rm', '--network', 'none', name, 'sh', '-c', 'cat /var/www/new; echo $FROM')).toBe(
      'anew\ngantry',
    );
  });

  it.skipIf(noDocker)('docker loads and runs what gantry saves, and gantry what docker saves', async () => {
    if (peer === undefined) throw new Error('dockerd does not start');
    expect(await docker('load', '-q', '-i', at('made.tar'))).toContain('made:1');
    const id = await ok('inspect', '-f', '{{.Id}}', 'made:1');
    expect(await docker('inspect', '-f', '{{.Id}}', 'made:1')).toBe(id);
    expect(await docker('run', '--rm', '--network', 'none', 'made:1', 'cat', '/var/www/new', '/var/twin')).toBe(
      'anew\nanew',
    );
    await docker('tag', 'made:1', 'again:3');
    await docker('save', '-o', at('docker.tar'), 'again:3');
    expect(await ok('load', '-i', at('docker.tar'))).toContain('Loaded image: again:3');
    expect(await ok('inspect', '-f', '{{.Id}}', 'again:3')).toBe(id);
    expect(await ok('run', '--rm', '--network', 'none', 'again:3', 'sh', '-c', 'ls -d /var/www/*')).toBe(
      '/var/www/new',
    );
  });
});

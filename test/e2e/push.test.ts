// Push, login and proxies, against a real registry; what was pushed is pulled back by skopeo and by another engine.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '../../host/image/content-store.ts';
import { createPush } from '../../host/image/registry/registry-push.ts';
import { parseReference } from '../../host/image/reference.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { startFront } from '../helpers/registry-front.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { temporaryDirectory } from '../helpers/server-images.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
if (client === undefined) console.log('The docker client is not tested: it is not installed');

/** A proxy that takes every name for one address, and remembers what it was asked. */
async function startProxy(target: string): Promise<{ url: string; asked: string[]; close(): void }> {
  const asked: string[] = [];
  const [host = '', port = ''] = target.split(':');
  const server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '');
    asked.push(`${incoming.method} ${url.host} ${incoming.headers['proxy-authorization'] ?? ''}`);
    const { method, headers } = incoming;
    const passed = httpRequest({ host, port, path: url.pathname + url.search, method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(passed);
  });
  server.on('connect', (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    const other = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connected\r\n\r\n');
      socket.pipe(other).pipe(socket);
    });
    for (const end of [socket, other]) end.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as AddressInfo;
  return {
    url: `http://me:secret@127.0.0.1:${address.port}`,
    asked,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

describe.skipIf(whyNoContainers() || whyNoRegistry())('push', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  const home = join(work, 'home');
  let registry: TestRegistry;
  let proxy: Awaited<ReturnType<typeof startProxy>>;
  let engine: ReturnType<typeof here.start>;
  const skopeo = (...args: string[]): string => execFileSync('skopeo', args, { encoding: 'utf8' });
  const inspect = (name: string): { Digest: string; Layers: string[] } =>
    JSON.parse(skopeo('inspect', '--tls-verify=false', `docker://${name}`));

  beforeAll(async () => {
    mkdirSync(join(home, '.docker'), { recursive: true });
    registry = await startRegistry();
    proxy = await startProxy(registry.host);
    Object.assign(here.env, { HOME: home, HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: '.direct.test' });
    delete here.env.DOCKER_CONFIG;
    engine = here.start(
      'serve',
      '--insecure-registry',
      'yard.test:5000',
      '--registry-mirror',
      `http://${registry.host}`,
    );
    await until(() => existsSync(here.socket), 'the engine');
    const tree = busyboxTree();
    writeFileSync(join(tree, 'large'), randomBytes(3 << 20));
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(async () => {
    await here.close();
    await until(() => engine.exitCode !== null, 'the engine to end');
    proxy.close();
    await registry.close();
  });

  it('sends what is missing, says so, and keeps digests', async () => {
    const name = `${registry.host}/team/box`;
    await ok('tag', 'box', `${name}:1`);
    const said = await ok('push', `${name}:1`);
    expect(said).toMatch(
      new RegExp(`^The push refers to repository \\[${name}\\]\n\\w{12}: Preparing\n\\w{12}: Pushed\n`),
    );
    const [, digest, size] = /1: digest: (sha256:\w{64}) size: (\d+)$/.exec(said) ?? [];
    expect(inspect(`${name}:1`).Digest).toBe(digest);
    expect(Number(size)).toBeGreaterThan(300);
    expect(await ok('push', `${name}:1`)).toContain('Layer already exists');
    // What was pulled goes on with the same bytes, to a neighbour without being sent.
    await ok('rmi', '-f', 'box', `${name}:1`);
    await ok('pull', `${name}:1`);
    await ok('tag', `${name}:1`, `${registry.host}/other:2`);
    await ok('tag', `${name}:1`, `${registry.host}/other:3`);
    const all = await ok('push', '-a', `${registry.host}/other`);
    expect(all).toContain('Mounted from team/box');
    for (const tag of ['2', '3']) expect(inspect(`${registry.host}/other:${tag}`).Digest).toBe(digest);
    skopeo('copy', '--insecure-policy', '--src-tls-verify=false', `docker://${name}:1`, `oci:${join(work, 'copy')}`);
    expect((await gantry('push', `${registry.host}/absent`)).stderr).toContain(
      'An image does not exist locally with the tag',
    );
    expect((await gantry('push', 'box:nothing')).stderr).toContain('An image does not exist locally with the tag: box');
  });

  it('goes on in parts where a connection broke', async () => {
    const front = await startFront(registry.host);
    const bytes = randomBytes(1 << 20);
    let patches = 0;
    front.behave((path) => (path.includes('/uploads/') && ++patches === 4 ? { status: 503 } : undefined));
    const push = createPush(parseReference(`${front.host}/parts`), {}, 300_000);
    const read = async function* (start: number, end: number): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(start, end);
    };
    const blob = { digest: digestOf(bytes), size: bytes.length, read };
    await push.upload(blob, () => {});
    expect(await push.has(blob.digest)).toBe(true);
    expect(patches).toBeGreaterThan(6);
    push.close();
    await front.close();
  });

  it('speaks through the proxy, with http only where that is allowed', async () => {
    await ok('tag', `${registry.host}/team/box:1`, 'yard.test:5000/far/box:1');
    await ok('push', 'yard.test:5000/far/box:1');
    expect(proxy.asked).toContain('CONNECT yard.test:5000');
    const login = Buffer.from('me:secret').toString('base64');
    expect(proxy.asked.some((line) => line === `PUT yard.test:5000 Basic ${login}`)).toBe(true);
    await ok('pull', 'yard.test:5000/far/box:1');
    const strict = await gantry('pull', 'strict.test:5000/far/box:1');
    expect(strict.stderr).toMatch(/does not speak TLS[\s\S]*--insecure-registry strict\.test:5000/);
    expect((await gantry('pull', 'x.direct.test/box')).stderr).toContain('ENOTFOUND');
    // docker.io is not there: its mirror is.
    execFileSync('skopeo', [
      'copy',
      '--insecure-policy',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      `docker://${registry.host}/team/box:1`,
      `docker://${registry.host}/library/mirrored:1`,
    ]);
    expect(await ok('pull', '-q', 'mirrored:1')).toBe('mirrored:1');
    expect(await ok('run', '--rm', 'mirrored:1', 'echo', 'from the mirror')).toBe('from the mirror');
  });

  it('logs in through a helper, or into the file', async () => {
    const hashed = execFileSync('perl', ['-e', 'print crypt("high", q($2y$05$abcdefghijklmnopqrstuu))'], {
      encoding: 'utf8',
    });
    writeFileSync(join(work, 'htpasswd'), `crane:${hashed}\n`);
    const guarded = await startRegistry({ auth: `{htpasswd: {realm: yard, path: ${join(work, 'htpasswd')}}}` });
    try {
      const name = `${guarded.host}/box:1`;
      await ok('tag', `${registry.host}/team/box:1`, name);
      expect((await gantry('push', name)).stderr).toMatch(/denied.*it wants a login/);
      expect((await gantry('login', '-u', 'crane', '-p', 'wrong', guarded.host)).stderr).toMatch(
        /Cannot log in .*unauthorized/,
      );
      const config = join(home, '.docker/config.json');
      expect(existsSync(config)).toBe(false);
      const given = await here.pipe('high\n', 'login', '-u', 'crane', '--password-stdin', guarded.host);
      expect(given).toMatchObject({ status: 0, stdout: 'Login Succeeded\n' });
      expect(given.stderr).toContain('unencrypted');
      await ok('push', name);
      expect(await ok('logout', guarded.host)).toContain('Removing login credentials');
      // A helper that keeps what it is given in a file.
      mkdirSync(join(work, 'bin'));
      const helper = join(work, 'bin/docker-credential-yard');
      writeFileSync(
        helper,
        `#!/bin/sh\nkept=${work}/kept\ncase $1 in store) cat >$kept;; erase) rm -f $kept;; get) cat >/dev/null; if [ -f $kept ]; then cat $kept; else echo "credentials not found in native keychain"; exit 1; fi;; esac\n`,
      );
      chmodSync(helper, 0o755);
      writeFileSync(config, JSON.stringify({ credsStore: 'yard', other: 1 }));
      Object.assign(here.env, { PATH: `${join(work, 'bin')}:${process.env.PATH}` });
      expect((await here.pipe('high', 'login', '-u', 'crane', '--password-stdin', guarded.host)).stderr).toBe('');
      expect(readFileSync(config, 'utf8')).not.toContain('auth"');
      expect(JSON.parse(readFileSync(config, 'utf8')).other).toBe(1);
      expect(JSON.parse(readFileSync(join(work, 'kept'), 'utf8'))).toEqual({
        ServerURL: guarded.host,
        Username: 'crane',
        Secret: 'high',
      });
      await ok('push', name);
      await ok('logout', guarded.host);
      expect(existsSync(join(work, 'kept'))).toBe(false);
      writeFileSync(config, JSON.stringify({ credHelpers: { [guarded.host]: 'absent' } }));
      expect((await gantry('push', name)).stderr).toMatch(
        /docker-credential-absent cannot be run[\s\S]*Install docker-credential-absent/,
      );
    } finally {
      await guarded.close();
      rmSync(join(home, '.docker/config.json'), { force: true });
    }
  });

  it.skipIf(client === undefined)("is what docker's client expects", () => {
    const env = { ...here.env, DOCKER_HOST: `unix://${here.socket}` };
    const docker = (...args: string[]): string =>
      execFileSync(client!, args, { encoding: 'utf8', env, timeout: 60_000 });
    docker('tag', `${registry.host}/team/box:1`, `${registry.host}/by/docker:1`);
    expect(docker('push', `${registry.host}/by/docker:1`)).toMatch(/1: digest: sha256:\w{64} size: \d+/);
    expect(inspect(`${registry.host}/by/docker:1`).Digest).toBe(inspect(`${registry.host}/team/box:1`).Digest);
  });
});

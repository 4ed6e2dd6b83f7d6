// A registry that speaks TLS behind a proxy (CONNECT) that wants a login: what the proxy sees, and what nobody is told.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { makeAuthority, makeCertificate } from '../helpers/certificates.ts';
import { createInstallation, type Result, until } from '../helpers/cli.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { temporaryDirectory } from '../helpers/server-images.ts';

const NAME = 'yard.test:5443';
const PASSWORD = 'hush-4711';

describe.skipIf(whyNoContainers() || whyNoRegistry())('a proxy in front of TLS', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  let registry: TestRegistry;
  let proxy: Server;
  let port = 0;
  const asked: string[] = [];
  const seen: Buffer[] = [];
  let engine: ReturnType<typeof here.start> | undefined;

  /** An engine anew, with other variables. */
  const serve = async (env: Record<string, string>): Promise<void> => {
    const before = engine;
    if (before !== undefined) {
      before.kill();
      await until(() => before.exitCode !== null || before.signalCode !== null, 'the engine to end');
    }
    Object.assign(here.env, { NO_PROXY: '', ...env });
    engine = here.start('serve');
    await until(async () => existsSync(here.socket) && (await gantry('version')).status === 0, 'the engine');
  };
  const good = (): string => Buffer.from(`me:${PASSWORD}`).toString('base64');
  const quiet = ({ stdout, stderr }: Result): string => {
    expect(stdout + stderr).not.toContain(PASSWORD);
    expect(stdout + stderr).not.toContain(encodeURIComponent(PASSWORD));
    return stderr;
  };

  beforeAll(async () => {
    const authority = makeAuthority(work, 'authority');
    const { certificate, key } = makeCertificate(work, 'yard', authority, 'yard.test');
    registry = await startRegistry({ tls: `{certificate: ${certificate}, key: ${key}}` });
    const home = join(work, 'home');
    const directory = join(home, '.config/containers/certs.d', NAME);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'ca.crt'), readFileSync(authority.certificate));
    proxy = createServer((_incoming, answer) => answer.writeHead(400).end());
    proxy.on('connect', (incoming, socket) => {
      const login = incoming.headers['proxy-authorization'] ?? '';
      asked.push(`${incoming.url} ${login}`);
      socket.on('error', () => {});
      if (login !== `Basic ${good()}`) return socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      const other = connect(Number(registry.host.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connected\r\n\r\n');
        socket.on('data', (chunk: Buffer) => seen.push(chunk));
        socket.pipe(other).pipe(socket);
      });
      other.on('error', () => socket.destroy());
      socket.once('close', () => other.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    ({ port } = proxy.address() as AddressInfo);
    Object.assign(here.env, { HOME: home });
    delete here.env.XDG_CONFIG_HOME;
    delete here.env.DOCKER_CONFIG;
    await serve({ HTTPS_PROXY: `http://me:${PASSWORD}@127.0.0.1:${port}` });
    const tree = busyboxTree();
    const archive = makeArchive(tree, `${NAME}/far/box:1`);
    await ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(async () => {
    await here.close();
    await until(() => engine?.exitCode !== null || engine.signalCode !== null, 'the engine to end');
    proxy.closeAllConnections();
    proxy.close();
    await registry.close();
    rmSync(work, { recursive: true, force: true });
  });

  it('passes pushes and pulls on, and sees nothing of them', async () => {
    const name = `${NAME}/far/box:1`;
    await ok('push', '-q', name);
    await ok('rmi', name);
    await ok('pull', '-q', name);
    expect(await ok('run', '--rm', '--network', 'none', name, 'echo', 'came')).toBe('came');
    expect(new Set(asked)).toEqual(new Set([`${NAME} Basic ${good()}`]));
    // TLS from the first byte, to the registry itself.
    expect(seen[0]?.[0]).toBe(0x16);
    expect(Buffer.concat(seen).includes('far/box')).toBe(false);
  });

  it('vouches for nobody: a name that the certificate has not is refused', async () => {
    expect(quiet(await gantry('pull', 'other.test:5443/far/box:1'))).toMatch(/Cannot trust the registry/);
  });

  it('is told of as what failed, without its password', async () => {
    await serve({ HTTPS_PROXY: `http://me:not-${PASSWORD}@127.0.0.1:${port}` });
    expect(quiet(await gantry('pull', `${NAME}/far/box:2`))).toMatch(
      new RegExp(
        `Cannot reach the registry of "${NAME}/far/box": the proxy 127.0.0.1:${port} answered 407\nHint: .*HTTPS_PROXY`,
      ),
    );
    // Asked once: another try would end the same.
    expect(asked.filter((line) => line.startsWith(NAME) && !line.endsWith(good()))).toHaveLength(1);
    await serve({ HTTPS_PROXY: `ftp://me:${PASSWORD}@127.0.0.1:${port}` });
    expect(quiet(await gantry('pull', `${NAME}/far/box:2`))).toContain('Cannot use the proxy of HTTPS_PROXY');
  });

  it('is not asked for what NO_PROXY names', async () => {
    await serve({ HTTPS_PROXY: `http://me:${PASSWORD}@127.0.0.1:${port}`, NO_PROXY: 'yard.test' });
    asked.length = 0;
    expect(quiet(await gantry('pull', `${NAME}/far/box:2`))).toContain('ENOTFOUND');
    expect(asked).toEqual([]);
  });
});

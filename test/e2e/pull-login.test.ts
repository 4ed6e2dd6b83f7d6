// Logging in and trusting: token servers, passwords, identity tokens, certificates; against a registry that checks them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { makeAuthority, makeCertificate } from '../helpers/certificates.ts';
import { createInstallation } from '../helpers/cli.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { temporaryDirectory } from '../helpers/server-images.ts';
import { REFRESH, startTokenServer } from '../helpers/token-server.ts';

const SERVICE = 'the crane yard';

describe.skipIf(whyNoContainers() || whyNoRegistry())('pull', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  const storage = join(work, 'storage');
  const home = join(work, 'home');
  const closing: (() => Promise<unknown>)[] = [];
  const login = (host: string, entry: object): void => {
    mkdirSync(join(home, '.docker'), { recursive: true });
    writeFileSync(join(home, '.docker/config.json'), JSON.stringify({ auths: { [host]: entry } }));
  };
  const password = (text: string): object => ({ auth: Buffer.from(text).toString('base64') });
  const forget = (): void => rmSync(join(home, '.docker'), { recursive: true, force: true });
  const start = async (options: Parameters<typeof startRegistry>[0]): Promise<TestRegistry> => {
    const registry = await startRegistry({ storage, readonly: true, ...options });
    closing.push(() => registry.close());
    return registry;
  };

  beforeAll(async () => {
    // Where the engine looks for logins and certificates.
    const { DOCKER_CONFIG: _config, XDG_CONFIG_HOME: _xdg, NODE_EXTRA_CA_CERTS: _ca, ...others } = here.env;
    for (const name of Object.keys(here.env)) if (!(name in others)) delete here.env[name];
    here.env.HOME = home;
    mkdirSync(home, { recursive: true });
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:1');
    const filled = await startRegistry({ storage });
    for (const name of ['public/box:1', 'private/box:1']) filled.push(archive, name);
    await filled.close();
    rmSync(tree, { recursive: true });
    await ok('images');
  });

  afterAll(async () => {
    for (const close of closing) await close();
    await here.close();
    rmSync(work, { recursive: true });
  });

  it('gets tokens, for itself or for who logged in', async () => {
    const { asked, auth, fail, close } = await startTokenServer(work);
    closing.push(close);
    const { host } = await start({ auth });
    forget();
    await ok('pull', `${host}/public/box:1`);
    expect(asked).toEqual([`GET ${SERVICE} repository:public/box:pull `]);
    // A token server that is busy is asked again, but not for ever.
    await ok('rmi', `${host}/public/box:1`);
    fail(503, 2);
    await ok('pull', `${host}/public/box:1`);
    fail(429, 9);
    expect((await gantry('pull', `${host}/private/box:1`)).stderr).toMatch(/toomanyrequests: .* answered 429\nHint:/);
    fail(0, 0);
    const anonymous = await gantry('pull', `${host}/private/box:1`);
    expect(anonymous.stderr).toContain(
      `Cannot pull "${host}/private/box": pull access denied, it wants a login\nHint:`,
    );
    login(host, password('crane:low'));
    const wrong = await gantry('pull', `${host}/private/box:1`);
    expect(wrong.stderr).toContain('pull access denied, it refuses the login of "crane"');
    expect(wrong.stderr).not.toContain('low');
    login(host, password('crane:high'));
    await ok('pull', `${host}/private/box:1`);
    expect(asked.at(-1)).toBe(`GET ${SERVICE} repository:private/box:pull crane:high`);
    await ok('rmi', '-f', `${host}/private/box:1`);
    // What "docker login" stores of registries that hand out identity tokens.
    login(host, { ...password('<token>:'), identitytoken: REFRESH });
    await ok('pull', `${host}/private/box:1`);
    expect(asked.at(-1)).toMatch(/^POST .* repository:private\/box:pull $/);
    expect([anonymous.status, wrong.status]).toEqual([1, 1]);
  });

  it('says where the token server fails, and not that the login is wrong', async () => {
    const server = createServer((_request, response) => response.writeHead(500).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { certificate } = makeCertificate(work, 'unused', makeAuthority(work, 'unused-ca'));
    const auth = `{token: {realm: "http://${address}/", service: s, issuer: test, rootcertbundle: ${certificate}}}`;
    const { host } = await start({ auth });
    expect((await gantry('pull', `${host}/public/box:1`)).stderr).toContain(
      `Cannot log in to "${host}": ${address} answered 500`,
    );
    await new Promise<void>((resolve) => server.close(() => resolve()));
    expect((await gantry('pull', `${host}/public/box:1`)).stderr).toMatch(
      new RegExp(`Cannot log in to "${host}": ${address}: .*ECONNREFUSED`),
    );
  });

  it('gives the password of ~/.docker/config.json, or that of the request', async () => {
    const hashed = execFileSync('perl', ['-e', 'print crypt("hi:gh", q($2y$05$abcdefghijklmnopqrstuu))'], {
      encoding: 'utf8',
    });
    const file = join(work, 'htpasswd');
    writeFileSync(file, `crane:${hashed}\n`);
    const { host } = await start({ auth: `{htpasswd: {realm: yard, path: ${file}}}` });
    forget();
    expect((await gantry('pull', `${host}/public/box:1`)).stderr).toContain('it wants a login');
    login(host, password('crane:wrong'));
    expect((await gantry('pull', `${host}/public/box:1`)).stderr).toContain('it refuses the login of "crane"');
    login(`https://${host}`, password('crane:hi:gh'));
    await ok('pull', `${host}/public/box:1`);
    forget();
    const header = Buffer.from(JSON.stringify({ username: 'crane', password: 'hi:gh' })).toString('base64url');
    const socket = join(here.dataRoot, 'run/gantry.sock');
    const said = execFileSync(
      'curl',
      [
        '-s',
        '--unix-socket',
        socket,
        '-X',
        'POST',
        '-H',
        `X-Registry-Auth: ${header}`,
        `http://x/images/create?fromImage=${host}/private/box&tag=1`,
      ],
      { encoding: 'utf8' },
    );
    expect(said).toContain(`Status: `);
    expect(said).not.toContain('error');
  });

  it('refuses certificates that nobody vouches for, and takes those of certs.d', async () => {
    const authority = makeAuthority(work, 'yard');
    const { certificate, key } = makeCertificate(work, 'registry', authority);
    const { host } = await start({
      tls: `{certificate: ${certificate}, key: ${key}, clientcas: [${authority.certificate}]}`,
    });
    const reference = `${host}/public/box:1`;
    const refused = await gantry('pull', reference);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(
      /Cannot trust the registry of "[^"]+": .*certificate.*\nHint: .*\/etc\/docker\/certs\.d\/127\.0\.0\.1:\d+\/ca\.crt/,
    );
    const directory = join(home, '.config/containers/certs.d', host);
    mkdirSync(directory, { recursive: true });
    execFileSync('cp', [authority.certificate, join(directory, 'ca.crt')]);
    // It is trusted now, and wants to know who asks.
    expect((await gantry('pull', reference)).stderr).toContain(
      'it wants a certificate of its client\nHint: Put client.cert',
    );
    const client = makeCertificate(work, 'client', authority);
    execFileSync('cp', [client.certificate, join(directory, 'client.cert')]);
    execFileSync('cp', [client.key, join(directory, 'client.key')]);
    await ok('pull', reference);
    expect(await ok('run', '--rm', '--network', 'none', reference, 'echo', 'trusted')).toBe('trusted');
  });
});

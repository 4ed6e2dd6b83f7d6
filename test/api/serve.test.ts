// The life of an engine that is served: sockets, TLS, systemd, logs, signals; docker's client over ssh and contexts.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeAuthority, makeCertificate } from '../helpers/certificates.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { rawCall } from '../helpers/raw-http.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const program = join(import.meta.dirname, '../../dist/cli/main.js');
const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
const activator = '/usr/bin/systemd-socket-activate';
if (!existsSync(activator)) console.log('Socket activation is not tested: systemd is not installed');

describe.skipIf(whyNoContainers())('serve', () => {
  const here = createInstallation();
  const work = mkdtempSync(join(tmpdir(), 'gantry-serve-'));
  const file = (name: string): string => join(work, name);
  let engine: ChildProcess | undefined;
  let [out, log] = ['', ''];

  const watch = (child: ChildProcess): void => {
    engine = child;
    [out, log] = ['', ''];
    child.stdout!.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr!.on('data', (chunk) => {
      log += chunk;
    });
  };
  const serve = async (...flags: string[]): Promise<string[]> => {
    watch(here.start('serve', ...flags));
    await until(() => out.endsWith('\n') || engine!.exitCode !== null, 'the engine');
    return [...out.matchAll(/^Serving on (.+)$/gm)].map((match) => match[1]!);
  };
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    const ended = new Promise<number | null>((resolve) => engine!.once('close', resolve));
    engine!.kill(signal);
    return ended;
  };

  let tls: string[];
  let [ours, others] = [
    { certificate: '', key: '' },
    { certificate: '', key: '' },
  ];
  const authority = () => readFileSync(file('ca.crt'));
  beforeAll(() => {
    const [ca, stranger] = [makeAuthority(work, 'ca'), makeAuthority(work, 'stranger')];
    const server = makeCertificate(work, 'server', ca);
    ours = makeCertificate(work, 'client', ca);
    others = makeCertificate(work, 'other', stranger);
    tls = ['--tlsverify', '--tlscacert', ca.certificate, '--tlscert', server.certificate, '--tlskey', server.key];
  });
  let listener: ChildProcess | undefined;
  afterEach(async () => {
    listener?.kill();
    if (engine?.exitCode === null && engine.signalCode === null) await stop();
  });
  afterAll(async () => {
    await here.close();
    rmSync(work, { recursive: true });
  });

  /** Status and body over TLS; the error's code where there is no answer. */
  const ask = (
    address: string,
    path: string,
    { headers = {}, ...certificate }: { headers?: Record<string, string>; cert?: Buffer; key?: Buffer } = {},
  ): Promise<string> =>
    new Promise((resolve) => {
      const url = `${address.replace('tcp:', 'https:')}${path}`;
      const sent = request(
        url,
        { ca: authority(), headers, agent: false, checkServerIdentity: () => undefined, ...certificate },
        (answer) => {
          let body = '';
          answer.on('data', (chunk) => {
            body += chunk;
          });
          answer.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
          answer.on('end', () => resolve(`${answer.statusCode} ${body}`));
        },
      );
      sent.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      sent.end();
    });
  const mine = () => ({ cert: readFileSync(ours.certificate), key: readFileSync(ours.key) });

  it('listens on several sockets, private ones and TLS, and ends with SIGTERM', async () => {
    const path = file('deep/api.sock');
    const [unix, tcp] = await serve('-H', `unix://${path}`, '-H', 'tcp://127.0.0.1:0', ...tls);
    expect(unix).toBe(`unix://${path}`);
    expect([statSync(path).mode & 0o777, statSync(file('deep')).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(await rawCall(path, 'GET /_ping HTTP/1.1\nHost: x\nConnection: close')).toContain('OK');
    expect(await ask(tcp!, '/_ping', mine())).toBe('200 OK');
    expect(await ask(tcp!, '/_ping')).toMatch(/^(ERR_SSL|ECONNRESET|EPIPE)/);
    const stranger = { cert: readFileSync(others.certificate), key: readFileSync(others.key) };
    expect(await ask(tcp!, '/_ping', stranger)).toMatch(/^(ERR_SSL|ECONNRESET|EPIPE)/);
    expect(await ask(tcp!, '/info', { ...mine(), headers: { host: 'evil.example' } })).toMatch(/^403 .*evil\.example/);
    expect(await ask(tcp!, '/_ping', { ...mine(), headers: { host: 'localhost:1' } })).toBe('200 OK');
    expect(await ask(tcp!, '/info', { ...mine(), headers: { origin: 'https://127.0.0.1' } })).toMatch(
      /^403 .*web page/,
    );
    if (client !== undefined) {
      const flags = ['--tlsverify', '--tlscacert', file('ca.crt'), '--tlscert', ours.certificate, '--tlskey', ours.key];
      const said = spawnSync(client, ['-H', tcp!, ...flags, 'version', '-f', '{{.Server.APIVersion}}'], {
        encoding: 'utf8',
      });
      expect(said.stdout, said.stderr).toBe('1.51\n');
    }
    expect(await stop()).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  it('reads certificates again with SIGHUP', async () => {
    const [tcp] = await serve('-H', 'tcp://127.0.0.1:0', ...tls);
    expect(await ask(tcp!, '/_ping', mine())).toBe('200 OK');
    const before = authority();
    writeFileSync(file('ca.crt'), readFileSync(file('stranger.crt')));
    engine!.kill('SIGHUP');
    await until(() => log.includes('Certificates were read again'), 'the log line');
    writeFileSync(file('ca.crt'), before);
    expect(await ask(tcp!, '/_ping', mine())).toMatch(/^(ERR_SSL|ECONNRESET|EPIPE)/);
  });

  it.each([
    [['-H', 'tcp://127.0.0.1:0'], 'without TLS'],
    [['-H', 'tcp://0.0.0.0:2375'], 'without TLS'],
    [['-H', 'tcp://127.0.0.1:0', '--tls'], 'Cannot use --tls'],
    [['-H', 'tcp://127.0.0.1:0', '--tlsverify'], 'Cannot use TLS without --tlscacert'],
    [['-H', 'tcp://127.0.0.1:0', '--tlscert', 'x'], 'Cannot use TLS without'],
    [['-H', 'tcp://127.0.0.1:99999'], 'not an address and a port'],
    [['-H', 'fd://'], 'no such socket was passed on'],
    [['-H', 'npipe:////./pipe/x'], 'no such kind of address'],
    [['-H', 'unix://relative'], 'no such kind of address'],
    [['--log-level', 'loud'], 'debug, info, warn or error'],
    [['--client-timeout', '0'], 'a second or more'],
  ])('refuses %j', async (flags, words) => {
    const { status, stderr } = await here.gantry('serve', ...flags);
    expect(stderr).toContain(words);
    expect(status).not.toBe(0);
  });

  it('logs one line an event, as text or JSON, and requests with -D', async () => {
    await serve('--log-format', 'json', '-D');
    await rawCall(here.socket, 'GET /nothing HTTP/1.1\nHost: x\nConnection: close');
    await until(() => log.includes('GET /nothing'), 'the log line');
    await stop();
    const lines = log
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: string; msg: string; status?: number });
    expect(lines.find(({ msg }) => msg === 'GET /nothing')).toMatchObject({ level: 'debug', status: 404 });
    expect(lines.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['API listens', 'Got a signal']));
    await serve('--log-level', 'warn');
    await stop();
    expect(log).toBe('');
    await serve();
    await stop();
    expect(log).toMatch(/^time=\S+ level=info msg="API listens" address=unix:\/\/\S+\n/);
  });

  it.skipIf(!existsSync(activator))('serves what systemd has opened, and tells it how it is', async () => {
    const [path, notify] = [file('activated.sock'), file('notify.sock')];
    const script = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
print('bound', flush=True)
while True:
    data, ancillary, _, _ = s.recvmsg(4096, 256)
    print(data.decode(), int.from_bytes(ancillary[0][2][:4], 'little'), flush=True)
`;
    listener = spawn('python3', ['-c', script, notify], { stdio: ['ignore', 'pipe', 'inherit'] });
    let heard = '';
    listener.stdout!.on('data', (chunk) => {
      heard += chunk;
    });
    await until(() => heard.includes('bound'), 'the listener');
    const environment = { ...here.env, WATCHDOG_USEC: '200000', NOTIFY_SOCKET: notify };
    const passed = Object.entries(environment).flatMap(([name, value]) =>
      /^(GANTRY_|NO_COLOR|PATH|WATCHDOG_|NOTIFY_)/.test(name) ? ['-E', `${name}=${value}`] : [],
    );
    const command = [process.execPath, '--', program, 'serve', '-H', 'fd://'];
    watch(spawn(activator, ['-l', path, ...passed, ...command], { stdio: 'pipe' }));
    await until(() => log.includes('Listening on'), 'the socket');
    expect(heard).not.toContain('READY');
    expect(await rawCall(path, 'GET /_ping HTTP/1.1\nHost: x\nConnection: close')).toContain('OK');
    await until(() => (heard.match(/WATCHDOG=1/g) ?? []).length > 1, 'the watchdog');
    expect(await stop()).toBe(0);
    await until(() => heard.includes('STOPPING'), 'the notice');
    const closed = new Promise((resolve) => listener!.once('close', resolve));
    listener.kill();
    await closed;
    const messages = heard.trimEnd().split('\n').slice(1);
    expect(messages[0]).toBe(`READY=1 ${engine!.pid}`);
    expect(messages.at(-1)).toBe(`STOPPING=1 ${engine!.pid}`);
    expect(existsSync(path)).toBe(true);
  });

  it('units of systemd are shipped, and systemd finds nothing wrong in them', () => {
    const units = ['gantry.service', 'gantry.socket'].map((name) =>
      join(import.meta.dirname, '../../dist/systemd', name),
    );
    for (const unit of units) expect(existsSync(unit)).toBe(true);
    if (!existsSync('/usr/bin/systemd-analyze')) return;
    mkdirSync(file('units'));
    for (const unit of units)
      writeFileSync(
        join(work, 'units', unit.split('/').at(-1)!),
        readFileSync(unit, 'utf8').replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`),
      );
    const { stdout, stderr } = spawnSync(
      'systemd-analyze',
      ['verify', file('units/gantry.service'), file('units/gantry.socket')],
      {
        encoding: 'utf8',
      },
    );
    expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('gantry'))).toEqual([]);
  });

  describe.skipIf(client === undefined)("docker's client", () => {
    const docker = (env: NodeJS.ProcessEnv, ...args: string[]): ReturnType<typeof spawnSync> & { stdout: string } =>
      spawnSync(client!, args, {
        encoding: 'utf8',
        input: 'typed\n',
        env: { ...here.env, HOME: work, ...env },
        timeout: 60_000,
      }) as ReturnType<typeof spawnSync> & { stdout: string };

    it('reaches an engine over ssh, which runs "system dial-stdio", and starts it', async () => {
      mkdirSync(file('bin'));
      // As sshd would: the last argument is the command, and docker is gantry there.
      const ssh = `#!/bin/sh\nprintf '%s\\n' "$*" >>${file('ssh.log')}\nwhile [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done\nshift 2\nunset DOCKER_HOST\n[ "$1" = docker ] && shift\nexec ${process.execPath} -- ${program} "$@"\n`;
      writeFileSync(file('bin/ssh'), ssh);
      chmodSync(file('bin/ssh'), 0o755);
      const env = { DOCKER_HOST: 'ssh://somebody@far', PATH: `${file('bin')}:${process.env.PATH}` };
      const run = docker(env, 'run', '--rm', 'gantry/hello');
      expect(readFileSync(file('ssh.log'), 'utf8')).toMatch(/somebody .*far.* system dial-stdio/);
      expect(run.stdout, String(run.stderr)).toContain('Hello');
      expect(run.status).toBe(0);
      process.kill(here.enginePid()!, 'SIGTERM');
      await until(() => here.enginePid() === undefined);
    });

    it('dial-stdio passes on both ends: what comes after stdin has ended, still comes', async () => {
      const request = 'GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
      const { status, stdout } = await here.pipe(request, 'system', 'dial-stdio');
      expect(stdout).toMatch(/^HTTP\/1.1 200 .*OK$/s);
      expect(status).toBe(0);
      process.kill(here.enginePid()!, 'SIGTERM');
      await until(() => here.enginePid() === undefined);
    });

    it('uses a context', async () => {
      await serve();
      const host = `host=unix://${here.socket}`;
      expect(docker({}, 'context', 'create', 'gantry', '--docker', host).status).toBe(0);
      expect(docker({}, '--context', 'gantry', 'version', '-f', '{{.Server.Platform.Name}}').stdout).toBe('gantry\n');
      expect(docker({}, 'context', 'use', 'gantry').status).toBe(0);
      expect(docker({}, 'info', '-f', '{{.ServerVersion}}').stdout).toBe('0.1.0\n');
    });
  });
});

// The command line and an engine elsewhere: over TLS, through ssh, by docker's contexts.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { makeAuthority, makeCertificate } from '../helpers/certificates.ts';
import { createInstallation, processesOf, type Result, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { openTerminal, whyNoTerminal } from '../helpers/terminal.ts';

const program = join(import.meta.dirname, '../../dist/cli/main.js');
const docker = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);

describe.skipIf(whyNoContainers())('an engine elsewhere', () => {
  const there = createInstallation();
  const work = mkdtempSync(join(tmpdir(), 'gantry-remote-'));
  const file = (name: string): string => join(work, name);
  let address = '';
  let env: NodeJS.ProcessEnv = {};
  const certificates: Record<string, NodeJS.ProcessEnv> = {};

  const script = (path: string, ...lines: string[]): void => {
    writeFileSync(path, `#!/bin/sh\n${lines.join('\n')}\n`);
    chmodSync(path, 0o755);
  };

  beforeAll(async () => {
    const [ca, stranger] = [makeAuthority(work, 'ca'), makeAuthority(work, 'stranger')];
    const server = makeCertificate(work, 'server', ca);
    const ours = makeCertificate(work, 'client', ca);
    const others = makeCertificate(work, 'other', stranger);
    for (const [name, authority, { certificate, key }] of [
      ['good', ca, ours],
      ['unknown', ca, others],
      ['distrust', stranger, ours],
    ] as const) {
      mkdirSync(file(name));
      for (const [from, to] of [
        [authority.certificate, 'ca.pem'],
        [certificate, 'cert.pem'],
        [key, 'key.pem'],
      ] as const)
        writeFileSync(join(file(name), to), readFileSync(from));
      certificates[name] = {
        DOCKER_TLS_VERIFY: '1',
        DOCKER_CERT_PATH: file(name),
      };
    }
    const tls = ['--tlsverify', '--tlscacert', ca.certificate, '--tlscert', server.certificate, '--tlskey', server.key];
    const engine = there.start('serve', '-H', `unix://${there.socket}`, '-H', 'tcp://127.0.0.1:0', ...tls);
    let out = '';
    engine.stderr!.resume();
    engine.stdout!.on('data', (chunk) => {
      out += chunk;
    });
    await until(() => /tcp:.+\n/.test(out) || engine.exitCode !== null, 'the engine');
    address = /tcp:\S+/.exec(out)![0];
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await there.ok('load', '-i', archive);
    writeFileSync(file('box.tar'), readFileSync(archive));
    for (const path of [tree, archive]) rmSync(path, { recursive: true });

    // As sshd: the words behind the host go to the login shell there, which has its own environment.
    for (const [directory, names] of [
      ['far', ['gantry', 'docker']],
      ['far-docker', ['docker']],
      ['far-empty', []],
    ] as const) {
      mkdirSync(file(directory));
      for (const name of names) {
        const line = `exec ${process.execPath} -- ${program} "$@"`;
        script(
          join(file(directory), name),
          `echo ${name} >>${file('ran.log')}`,
          `export GANTRY_DATA_ROOT=${there.dataRoot}`,
          line,
        );
      }
    }
    mkdirSync(file('bin'));
    script(
      file('bin/ssh'),
      `printf '%s\\n' "$*" >>${file('ssh.log')}`,
      'while [ "$1" != -- ]; do shift; done',
      'host=$2; shift 2',
      '[ "$host" = nowhere ] && { echo "ssh: Could not resolve hostname nowhere" >&2; exit 255; }',
      'unset DOCKER_HOST DOCKER_CONTEXT GANTRY_HOST GANTRY_DATA_ROOT',
      `[ "$host" = far-empty ] && PATH=${work}/far-empty || PATH=${work}/$host:/usr/bin:/bin; export PATH`,
      'exec /bin/sh -c "$*"',
    );
    const { GANTRY_DATA_ROOT: _root, ...plain } = there.env;
    // With a data root of its own nobody would notice that the local engine was asked.
    env = {
      ...plain,
      GANTRY_DATA_ROOT: file('local'),
      PATH: `${file('bin')}:${process.env.PATH}`,
      DOCKER_CONFIG: file('docker'),
    };
  });
  afterAll(async () => {
    await there.close();
    await until(() => processesOf(work).length === 0, 'the end of all connections');
    expect(existsSync(file('local'))).toBe(false);
    rmSync(work, { recursive: true });
  });

  const run = (more: NodeJS.ProcessEnv, input: string, ...args: string[]): Promise<Result> =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, ['--', program, ...args], {
        env: { ...env, ...more },
        stdio: 'pipe',
      });
      const result: Result = { status: -1, stdout: '', stderr: '' };
      child.stdout.on('data', (chunk) => {
        result.stdout += chunk;
      });
      child.stderr.on('data', (chunk) => {
        result.stderr += chunk;
      });
      child.stdin.on('error', () => {});
      child.stdin.end(input);
      child.once('error', reject);
      child.once('close', (code) => resolve({ ...result, status: code ?? -1 }));
    });
  const ways: [string, () => [NodeJS.ProcessEnv, string[]]][] = [
    ['TLS', () => [certificates.good!, ['-H', address]]],
    ['ssh', () => [{ DOCKER_HOST: 'ssh://somebody@far:2222' }, []]],
  ];

  it.each(ways)('over %s: load, run, attach, exec, logs -f, statuses', async (_name, way) => {
    const [more, flags] = way();
    const gantry = (...args: string[]): Promise<Result> => run(more, '', ...flags, ...args);
    expect(await gantry('load', '-qi', file('box.tar'))).toMatchObject({
      stderr: '',
      status: 0,
    });
    const far = await run(
      more,
      'in\n',
      ...flags,
      'run',
      '-i',
      '--rm',
      'box',
      'sh',
      '-c',
      'cat; echo after; echo err >&2; exit 3',
    );
    expect(far).toEqual({
      status: 3,
      stdout: 'in\nafter\n',
      stderr: 'err\n',
    });
    await gantry('run', '-di', '--name', 'far', 'box', 'sh', '-c', 'while read line; do echo "got $line"; done');
    const logs = run(more, '', ...flags, 'logs', '-f', 'far');
    expect(await run(more, 'one\ntwo\n', ...flags, 'attach', 'far')).toMatchObject({ stdout: 'got one\ngot two\n' });
    expect(await logs).toMatchObject({
      status: 0,
      stdout: 'got one\ngot two\n',
    });
    expect((await gantry('start', 'far')).status).toBe(0);
    expect(await run(more, 'x', ...flags, 'exec', '-i', 'far', 'sh', '-c', 'cat; exit 4')).toMatchObject({
      status: 4,
      stdout: 'x',
    });
    const large = 'y'.repeat(3_000_000);
    expect((await run(more, large, ...flags, 'exec', '-i', 'far', 'cat')).stdout.length).toBe(large.length);
    expect((await gantry('cp', 'far:/etc/passwd', file('passwd'))).status).toBe(0);
    expect(readFileSync(file('passwd'), 'utf8')).toContain('root');
    expect((await gantry('version')).stdout).toContain(flags[1] ?? 'ssh://somebody@far:2222');
    expect((await gantry('rm', '-f', 'far')).status).toBe(0);
  });

  it.skipIf(whyNoTerminal()).each(ways)(
    'over %s: a terminal, in which Ctrl-C is for the container',
    async (_name, way) => {
      const [more, flags] = way();
      const shell = openTerminal({ ...env, ...more }, [
        process.execPath,
        program,
        ...flags,
        'run',
        '-it',
        '--rm',
        'box',
      ]);
      await shell.see('# ');
      shell.type('trap "echo caught" INT; stty size\r');
      await shell.see('24 80');
      shell.type('\x03');
      await shell.see('caught');
      shell.type('exit 7\r');
      expect(await shell.exit).toBe(7);
      const plain = openTerminal({ ...env, ...more }, [
        ...[process.execPath, program, ...flags, 'run', '--rm', 'box'],
        ...['sh', '-c', 'trap "echo interrupted; exit 9" INT; echo ready; while true; do sleep 0.1; done'],
      ]);
      await plain.see('ready');
      plain.type('\x03');
      await plain.see('interrupted');
      expect(await plain.exit).toBe(9);
    },
  );

  it('ssh: gantry there, else docker; another socket; what fails is told', async () => {
    const ping = ['version', '-f', '{{.Server.APIVersion}}'];
    rmSync(file('ran.log'), { force: true });
    for (const host of ['far', 'far-docker', `far${there.socket}`])
      expect(await run({}, '', '-H', `ssh://${host}`, ...ping)).toMatchObject({
        stderr: '',
        stdout: '1.51\n',
      });
    expect(readFileSync(file('ran.log'), 'utf8')).toBe('gantry\ndocker\ngantry\n');
    expect(readFileSync(file('ssh.log'), 'utf8')).toMatch(/^-o ConnectTimeout=30 -T -- far sh -c/m);
    const lost = await run({}, '', '-H', 'ssh://somebody@nowhere:2222', 'ps');
    expect(readFileSync(file('ssh.log'), 'utf8')).toMatch(/^-l somebody -p 2222 .* -- nowhere sh/m);
    expect(lost.stderr).toMatch(/"ssh:\/\/nowhere": ssh: Could not resolve hostname nowhere\nHint: Log in by hand/);
    const empty = await run({}, '', '-H', 'ssh://far-empty', 'ps');
    expect(empty.stderr).toMatch(/not found\nHint: Neither gantry nor docker/);
    expect((await run({ PATH: file('nothing') }, '', '-H', 'ssh://far', 'ps')).stderr).toContain(
      'ssh is not installed',
    );
    expect([lost.status, empty.status]).toEqual([1, 1]);
  });

  it.each<[string, () => NodeJS.ProcessEnv, () => string[], RegExp]>([
    [
      'an engine that another authority signed',
      () => certificates.distrust!,
      () => ['-H', address],
      /self-signed|unable to|certificate[\s\S]*Hint: .*--tlscacert/,
    ],
    [
      'a certificate that the engine does not know',
      () => certificates.unknown!,
      () => ['-H', address],
      /Hint: The engine may refuse this client/,
    ],
    ['no certificate', () => ({}), () => ['--tls', '-H', address], /Hint: The engine may refuse this client/],
    [
      'no TLS where the engine wants it',
      () => ({}),
      () => ['-H', address],
      /Cannot connect to the engine at "tcp:.*\nHint: /,
    ],
    ['tcp without TLS', () => ({}), () => ['-H', 'tcp://192.0.2.1:2375'], /without TLS[\s\S]*Hint: Give --tlsverify/],
    [
      'a missing file',
      () => ({}),
      () => ['--tlsverify', '-H', address],
      /Cannot read the TLS authority.*ca\.pem.*ENOENT/,
    ],
    ['half an identity', () => ({}), () => ['--tls', '--tlscert', 'x', '-H', address], /--tlscert without --tlskey/],
    ['a certificate without TLS', () => ({}), () => ['--tlscert', 'x', '-H', address], /--tlscert without --tlsverify/],
    ['a password', () => ({}), () => ['-H', 'ssh://a:secret@far'], /no password can stand in an address/],
    ['an option as a host', () => ({}), () => ['-H', 'ssh://-oProxyCommand=x'], /Cannot read the address/],
    ['an option as a user', () => ({}), () => ['-H', 'ssh://-l@far'], /Cannot read the address/],
    ['fd://', () => ({}), () => ['-H', 'fd://3'], /only "gantry serve"/],
    ['npipe://', () => ({}), () => ['-H', 'npipe:////./pipe/x'], /only on Windows/],
    ['a host and a context', () => ({}), () => ['-H', 'ssh://far', '-c', 'x'], /both --host and --context/],
    ['an absent context', () => ({}), () => ['-c', 'absent'], /Context "absent" not found/],
  ])('refuses %s', async (_name, more, flags, words) => {
    const { status, stderr, stdout } = await run(more(), '', ...flags(), 'ps');
    expect(stderr).toMatch(words);
    expect(stderr).not.toContain('secret');
    expect([status, stdout]).toEqual([expect.any(Number), '']);
    expect(status).toBeGreaterThan(0);
  });

  it('speaks an older version to an older engine, and TLS is not needed on loopback', async () => {
    const asked: string[] = [];
    const old = createServer((request, response) => {
      asked.push(request.url!);
      response.setHeader('api-version', '1.41').setHeader('content-type', 'application/json').end('[]');
    });
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve));
    const { port } = old.address() as AddressInfo;
    expect((await run({}, '', '-H', `tcp://127.0.0.1:${port}`, 'ps', '-q')).status).toBe(0);
    expect(asked).toEqual(['/_ping', '/v1.41/containers/json']);
    await new Promise((resolve) => old.close(resolve));
  });

  it("contexts: docker's are ours, and ours docker's", async () => {
    const gantry = (...args: string[]): Promise<Result> => run({}, '', ...args);
    const pem = (name: string): string => `${name}=${join(file('good'), name === 'ca' ? 'ca.pem' : `${name}.pem`)}`;
    const endpoint = `host=${address},${['ca', 'cert', 'key'].map(pem).join()}`;
    expect(await gantry('context', 'create', 'tls', '--docker', endpoint, '--description', 'far away')).toEqual({
      status: 0,
      stdout: 'tls\n',
      stderr: 'Successfully created context "tls"\n',
    });
    expect((await gantry('context', 'create', 'tls', '--docker', endpoint)).stderr).toContain('already exists');
    expect((await gantry('context', 'create', 'open', '--docker', 'host=tcp://192.0.2.1')).stderr).toContain(
      'without TLS',
    );
    const asDocker = (...args: string[]) => spawnSync(docker!, args, { env, encoding: 'utf8' });
    const make = ['context', 'create', 'through', '--docker', 'host=ssh://far'];
    if (docker === undefined) await gantry(...make);
    else expect(asDocker(...make).status).toBe(0);
    expect((await gantry('-c', 'tls', 'version', '-f', '{{.Server.APIVersion}}')).stdout).toBe('1.51\n');
    expect((await run({ DOCKER_CONTEXT: 'through' }, '', 'version')).stdout).toContain('at ssh://far');
    expect((await gantry('context', 'use', 'tls')).stdout).toBe('tls\n');
    expect((await gantry('context', 'show')).stdout).toBe('tls\n');
    expect((await gantry('images', '-q')).stdout).not.toBe('');
    expect((await gantry('context', 'ls')).stdout).toMatch(
      /^default +.*\nthrough .*ssh:\/\/far.*\ntls \* +far away +tcp:/m,
    );
    const [found] = JSON.parse((await gantry('context', 'inspect')).stdout) as [{ Name: string; Storage: object }];
    expect(found).toMatchObject({
      Name: 'tls',
      TLSMaterial: { docker: ['ca.pem', 'cert.pem', 'key.pem'] },
    });
    if (docker !== undefined) {
      expect(JSON.parse(asDocker('context', 'inspect', 'tls').stdout)).toEqual([found]);
      expect(asDocker('-c', 'tls', 'version', '-f', '{{.Server.Platform.Name}}').stdout).toBe('gantry\n');
      // Each has a current one of its own, and docker keeps gantry's.
      expect(asDocker('context', 'show').stdout).toBe('default\n');
      expect(asDocker('context', 'use', 'through').status).toBe(0);
      expect((await gantry('context', 'show')).stdout).toBe('tls\n');
      expect(asDocker('context', 'use', 'default').status).toBe(0);
    }
    expect((await gantry('context', 'rm', 'tls')).stderr).toContain('is in use, set -f flag to force remove');
    expect((await gantry('context', 'rm', '-f', 'tls', 'through')).stdout).toBe('tls\nthrough\n');
    expect((await gantry('context', 'ls', '-q')).stdout).toBe('default\n');
    expect((await gantry('context', 'rm', 'default')).status).toBe(1);
  });
});

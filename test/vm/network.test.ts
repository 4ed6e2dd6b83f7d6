// What containers in a virtual machine reach, and who reaches them: the engine and its QEMU in one network namespace, "the
// internet" in another one, with a cable between them.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, hasEnded, until } from '../helpers/cli.ts';
import { createLab, HOST_4, HOST_6, NEIGHBOUR_4, NEIGHBOUR_6 } from '../helpers/network-lab.ts';
import { guestImage } from './guest-image.ts';
import { whyNoGuest } from './guest.ts';

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const TRANSFER = 8 * 1024 * 1024 + 12345;
const GATEWAY = '169.254.77.1';

describe.skipIf(whyNoGuest(architecture))('the network of containers in a virtual machine', () => {
  const lab = createLab();
  const directory = mkdtempSync(join(tmpdir(), 'gantry-vm-network-'));
  const resolvConf = join(directory, 'resolv.conf');
  writeFileSync(resolvConf, `nameserver ${NEIGHBOUR_4}\nsearch example\n`);
  const variables = ['GANTRY_BACKEND=vm', 'GANTRY_VM_ACCELERATOR=tcg', 'GANTRY_VM_MEMORY=768m'];
  const image = `GANTRY_VM_IMAGE=${guestImage(architecture)}`;
  // Of its own: the name server that this host asks is in the lab.
  const script = `mount --bind ${resolvConf} /etc/resolv.conf && exec "$@"`;
  const asking = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'];
  const here = createInstallation([...lab.enter('host'), ...asking, 'env', ...variables, image]);
  const { gantry, ok } = here;
  const servers: ChildProcess[] = [];
  const inside = (...command: string[]) => gantry('exec', 'client', ...command);
  const shell = (script: string) => inside('sh', '-c', script);

  const outside = async (where: 'host' | 'neighbour', helper: string, ...args: string[]): Promise<void> => {
    const [first = '', ...rest] = lab.enter(where);
    const program = join(import.meta.dirname, '../helpers', helper);
    const server = spawn(first, [...rest, process.execPath, '--import', 'tsx', program, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    servers.push(server);
    await once(server.stdout!, 'data');
  };

  beforeAll(async () => {
    servers.push(lab.start('neighbour', 'serve', '80'), lab.start('host', 'serve', '8099'));
    await Promise.all([
      ok('load', '-i', lab.archive),
      outside('neighbour', 'name-server.ts', NEIGHBOUR_4),
      outside('neighbour', 'outside-server.ts', NEIGHBOUR_4, String(TRANSFER)),
    ]);
    const listens = (where: 'host' | 'neighbour', address: string, port: string) =>
      until(() => lab.probe(where, 'tcp', address, port) !== undefined, `the server at ${address}`);
    await Promise.all([listens('neighbour', NEIGHBOUR_4, '80'), listens('host', HOST_4, '8099')]);
    await ok('run', '-d', '--name', 'client', 'box', 'sleep', '1000');
  });
  afterAll(async () => {
    try {
      await here.close();
    } finally {
      for (const server of servers) {
        server.kill();
        if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
      }
      lab.close();
      rmSync(directory, { recursive: true });
    }
  });

  describe('leads out', () => {
    it.each([
      ['IPv4', NEIGHBOUR_4, HOST_4],
      ['IPv6', NEIGHBOUR_6, HOST_6],
    ])('by TCP and UDP over %s, from this host’s address', async (_family, address, from) => {
      expect((await inside('probe', 'tcp', address, '80')).stdout).toBe(`peer ${from}\nhello\n`);
      expect((await inside('probe', 'udp', address, '80', '1000', '20')).stdout).toBe('20\n');
    });

    it('for datagrams that are larger than a packet', async () => {
      expect((await inside('probe', 'udp', NEIGHBOUR_4, '80', '20000', '3')).stdout).toBe('3\n');
    });

    it('by names that this host’s own name server knows, over UDP and TCP', async () => {
      expect(await ok('exec', 'client', 'cat', '/etc/resolv.conf')).toBe(`nameserver ${GATEWAY}\nsearch example`);
      expect((await inside('nslookup', '-type=a', 'outside.example')).stdout).toContain('Address: 192.0.2.99');
      expect((await inside('nslookup', '-type=a', 'absent.example')).stdout).toContain('NXDOMAIN');
      // The same question by TCP, its length in front; the answer has the address at its end.
      const question = '\\0\\041\\022\\064\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7outside\\7example\\0\\0\\1\\0\\1';
      const asked = await shell(`printf '${question}' | nc ${GATEWAY} 53 | busybox od -An -tu1`);
      expect(asked.stdout.trim()).toMatch(/ 192\s+0\s+2\s+99$/);
      await ok('network', 'create', 'own');
      const own = await gantry('run', '--rm', '--network', 'own', 'box', 'nslookup', '-type=a', 'outside.example');
      expect(own.stdout).toContain('Address: 192.0.2.99');
      await ok('network', 'rm', 'own');
    });

    it('for transfers both ways, each half of which ends by itself', async () => {
      const sent = await shell(`
        busybox head -c ${TRANSFER} /dev/urandom > /data; busybox sha256sum < /data; nc ${NEIGHBOUR_4} 7000 < /data`);
      const [here = '', there = ''] = sent.stdout.split('\n');
      expect(here.replace(/ .*/, '')).toBe(there);
      const got = await shell(`nc ${NEIGHBOUR_4} 7001 < /dev/null | busybox sha256sum`);
      const piece = Buffer.alloc(65536, 'transferred ');
      const hash = createHash('sha256');
      for (let left = TRANSFER; left > 0; left -= piece.length) hash.update(piece.subarray(0, left));
      expect(got.stdout).toBe(`${hash.digest('hex')}  -\n`);
    });

    it('for 200 connections at the same time', async () => {
      const script = `
        for i in $(seq 200); do probe tcp ${NEIGHBOUR_4} 80 > /tmp/$i & done; wait; cat /tmp/* | grep -c hello`;
      expect((await shell(script)).stdout).toBe('200\n');
    });

    it('and tells at once where nobody listens, no way leads, or what was cut off', async () => {
      const said = async (...args: string[]) => (await inside(...args)).stderr;
      expect(await said('nc', NEIGHBOUR_4, '81')).toContain('Connection refused');
      expect(await said('nc', '192.0.2.1', '80')).toContain('Network is unreachable');
      expect(await said('nslookup', 'outside.example', NEIGHBOUR_6)).toContain('Connection refused');
      expect(await said('wget', '-O-', `http://${NEIGHBOUR_4}:7002/`)).toContain('Connection reset');
    });

    it('but not for internal networks', async () => {
      await ok('network', 'create', '--internal', 'closed');
      const run = (...command: string[]) => gantry('run', '--rm', '--network', 'closed', 'box', ...command);
      expect((await run('nc', NEIGHBOUR_4, '80')).stderr).toContain('Network is unreachable');
      expect((await run('nslookup', 'outside.example')).stdout).toContain('SERVFAIL');
      // Neither by the bridge's own address as a gateway.
      const forced = await gantry(
        'run',
        '--rm',
        '--cap-add',
        'NET_ADMIN',
        '--network',
        'closed',
        'box',
        'sh',
        '-c',
        `set -- $(ip -4 -o addr show dev eth0); gateway=\${4%.*}.1; ip route add default via $gateway; probe tcp ${NEIGHBOUR_4} 80`,
      );
      expect(forced).toMatchObject({ status: 1, stdout: '' });
      await ok('network', 'rm', 'closed');
    });
  });

  describe('does not lead to this host', () => {
    const places = [
      ['its loopback address', '127.0.0.1'],
      ['its own address', HOST_4],
      ['its own IPv6 address', HOST_6],
      ['the address that stands for it', GATEWAY],
      ['an address of its links', '169.254.169.254'],
      ['any address', '0.0.0.0'],
      ['a mapped one', '::ffff:127.0.0.1'],
    ] as const;

    it.each([
      ['a container', ['exec', 'client']],
      ['one of the guest’s network', ['run', '--rm', '--network', 'host', '--privileged', '--pid', 'host', 'box']],
    ])('from %s', async (_name, words) => {
      const script = places.map(
        ([, address]) => `probe tcp ${address} 8099 2>&1; probe udp ${address} 8099 5 1 2>&1 &`,
      );
      const { stdout } = await gantry(...words, 'sh', '-c', [...script, 'wait'].join('\n'));
      expect(stdout).not.toContain('hello');
      expect(stdout).not.toMatch(/^1$/m);
    });

    it('even where no interface that is up has the address', async () => {
      lab.run('host', 'ip', 'link', 'add', 'still0', 'type', 'dummy');
      lab.run('host', 'ip', 'addr', 'add', '203.0.113.7/32', 'dev', 'still0');
      lab.run('host', 'ip', 'route', 'add', 'local', '203.0.113.64/26', 'dev', 'lo');
      for (const address of ['203.0.113.7', '203.0.113.70'])
        expect(await inside('probe', 'tcp', address, '8099')).toMatchObject({ status: 1, stdout: '' });
      lab.run('host', 'ip', 'link', 'del', 'still0');
    });

    it('and says how it could, where a name for it is asked for', async () => {
      const words = ['--add-host', 'host.docker.internal:host-gateway'];
      expect(await gantry('run', '--rm', ...words, 'box', 'true')).toMatchObject({
        status: 125,
        stderr: expect.stringMatching(
          /Cannot add the host "host\.docker\.internal.*\nHint: .*GANTRY_VM_HOST_GATEWAY=on/s,
        ),
      });
    });
  });

  it('goes on with the next engine, where one was killed', async () => {
    const pid = here.enginePid()!;
    process.kill(pid, 'SIGKILL');
    await until(() => hasEnded(pid), 'the end of the engine');
    expect((await inside('probe', 'tcp', NEIGHBOUR_4, '80')).stdout).toBe(`peer ${HOST_4}\nhello\n`);
    expect((await inside('nslookup', '-type=a', 'outside.example')).stdout).toContain('Address: 192.0.2.99');
  });

  it('leads to this host where its user has said so, by the address that stands for it alone', async () => {
    const open = createInstallation([...lab.enter('host'), 'env', ...variables, image, 'GANTRY_VM_HOST_GATEWAY=on']);
    try {
      await open.ok('load', '-i', lab.archive);
      const script = `
        echo hello | nc host.docker.internal 8099; probe udp ${GATEWAY} 8099 100 2; probe tcp ${HOST_4} 8099`;
      const words = ['--add-host', 'host.docker.internal:host-gateway', 'box', 'sh', '-c', script];
      expect((await open.gantry('run', '--rm', ...words)).stdout).toBe('peer 127.0.0.1\nhello\n2\n');
    } finally {
      await open.close();
    }
  });

  describe('shared with the guest', () => {
    it('leads out and has a localhost of its own', async () => {
      const run = (...command: string[]) => gantry('run', '--rm', '--network', 'host', 'box', ...command);
      expect((await run('probe', 'tcp', NEIGHBOUR_4, '80')).stdout).toBe(`peer ${HOST_4}\nhello\n`);
      expect((await run('nslookup', '-type=a', 'outside.example')).stdout).toContain('Address: 192.0.2.99');
      const script = 'probe serve 8123 & probe tcp 127.0.0.1 8123; kill $!';
      expect((await run('sh', '-c', script)).stdout).toContain('hello');
    });
  });

  describe('publishes ports', () => {
    const serve = ['box', 'probe', 'serve', '80'];

    it('by TCP and UDP, on one address or all, as long as the container runs', async () => {
      const ports = ['-p', '8080:80', '-p', '8080:80/udp', '-p', '127.0.0.1:8081:80', '-p', '127.0.0.1:8081:80/udp'];
      await ok('run', '-d', '--name', 'web', ...ports, ...serve);
      const tcp = (where: 'host' | 'neighbour', address: string, port: string) =>
        lab.probe(where, 'tcp', address, port);
      const udp = (where: 'host' | 'neighbour', address: string, port: string) =>
        lab.probe(where, 'udp', address, port, '1400', '5');
      await until(() => tcp('host', '127.0.0.1', '8080') !== undefined, 'the server');
      // Never as from the container's own loopback: a server that trusts it would be deceived.
      for (const [where, address] of [
        ['host', '127.0.0.1'],
        ['host', '::1'],
        ['neighbour', HOST_4],
        ['neighbour', HOST_6],
      ] as const) {
        expect([address, tcp(where, address, '8080')]).toEqual([address, 'peer 172.17.0.1\nhello']);
        expect([address, udp(where, address, '8080')]).toEqual([address, '5']);
      }
      expect(lab.probe('host', 'udp', '127.0.0.1', '8080', '60000', '2')).toBe('2');
      expect([tcp('host', '127.0.0.1', '8081'), udp('host', '127.0.0.1', '8081')]).toEqual([
        'peer 172.17.0.1\nhello',
        '5',
      ]);
      expect([tcp('neighbour', HOST_4, '8081'), udp('neighbour', HOST_4, '8081')]).toEqual([undefined, undefined]);
      await ok('rm', '-f', 'web');
      expect([tcp('host', '127.0.0.1', '8080'), udp('host', '127.0.0.1', '8080')]).toEqual([undefined, undefined]);
    });

    it('of a range, and says which one is taken before anything runs', async () => {
      await ok('run', '-d', '--name', 'range', '-p', '8090-8092:80/udp', ...serve);
      const [, port = ''] = /:(\d+)$/.exec(await ok('port', 'range', '80/udp')) ?? [];
      expect(Number(port)).toBeGreaterThanOrEqual(8090);
      await until(() => lab.probe('host', 'udp', '127.0.0.1', port, '10', '1') === '1', 'the server');
      for (const wanted of [`${port}:80/udp`, '8099:80'])
        expect(await gantry('run', '--rm', '-p', wanted, 'box', 'echo', 'ran')).toMatchObject({
          status: 125,
          stdout: '',
          stderr: expect.stringContaining('port is already allocated'),
        });
      await ok('rm', '-f', 'range');
    });
  });
});

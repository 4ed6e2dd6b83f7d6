// User-defined networks: who finds and reaches whom, what changes while containers run, what survives an engine.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, hasEnded, until } from '../helpers/cli.ts';
import { createLab, HOST_4, NEIGHBOUR_4 } from '../helpers/network-lab.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('networks of a user', () => {
  const lab = createLab();
  const here = createInstallation(lab.enter('host'));
  const { gantry, ok } = here;
  const idle = ['box', 'sleep', '1000'];
  const serve = ['box', 'probe', 'serve', '80'];
  const start = (name: string, ...args: string[]): Promise<string> => ok('run', '-d', '--name', name, ...args);
  const inside = (name: string, ...command: string[]): Promise<string> => ok('exec', name, ...command);
  const status = async (...args: string[]): Promise<number> => (await gantry(...args)).status;
  const addressIn = (network: string, name: string): Promise<string> =>
    ok('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);
  /** Addresses that a name has for a container, in the order of the answer; undefined: none. */
  const resolve = async (who: string, name: string): Promise<string[] | undefined> => {
    const { status: code, stdout } = await gantry('exec', who, 'nslookup', '-type=a', name, '127.0.0.11');
    if (code !== 0) return undefined;
    return [...stdout.matchAll(/^Address: (\S+)$/gm)].map(([, address]) => address!);
  };
  const pings = async (who: string, whom: string): Promise<boolean> =>
    (await status('exec', who, 'ping', '-c', '1', '-W', '1', whom)) === 0;
  const reaches = async (who: string, address: string, port = '80'): Promise<boolean> =>
    (await status('exec', who, 'probe', 'tcp', address, port)) === 0;

  beforeAll(async () => {
    await ok('load', '-i', lab.archive);
    await ok('network', 'create', '--subnet', '10.77.0.0/24', 'front');
    await ok('network', 'create', 'back');
    await start('web', '--network', 'name=front,alias=www', '--hostname', 'crane', '-p', '8080:80', ...serve);
    await start('db', '--network', 'back', ...serve);
    await start('both', '--network', 'front', '--network', 'name=back,alias=middle', ...idle);
  });
  afterAll(async () => {
    try {
      await here.close();
      expect(lab.run('host', 'nft', 'list', 'ruleset')).toBe('');
      expect(lab.run('host', 'ip', '-o', 'link')).not.toMatch(/^\d+: (gantry|gv|br-)/m);
    } finally {
      lab.close();
    }
  });

  describe('names', () => {
    it('are the container’s own, its aliases, its ID and its host name, each with that of the network', async () => {
      const address = await addressIn('front', 'web');
      const id = (await ok('inspect', '-f', '{{.Id}}', 'web')).slice(0, 12);
      for (const name of ['web', 'WWW', id, 'crane', 'web.front'])
        expect([name, await resolve('both', name)]).toEqual([name, [address]]);
      expect(await resolve('web', 'both')).toEqual([await addressIn('front', 'both')]);
      expect(await ok('inspect', '-f', '{{json .NetworkSettings.Networks.front.DNSNames}}', 'web')).toBe(
        JSON.stringify(['web', 'www', id, 'crane']),
      );
    });

    it('of other networks are not known, nor are they to the default bridge', async () => {
      expect(await resolve('web', 'db')).toBeUndefined();
      expect(await resolve('web', 'middle')).toBeUndefined();
      expect(await resolve('db', 'middle')).toEqual([await addressIn('back', 'both')]);
      expect(await status('run', '--rm', 'box', 'nslookup', 'web', '127.0.0.11')).toBe(1);
    });

    it('of an address are told back; an address of nobody has none', async () => {
      const address = await addressIn('back', 'db');
      expect(await inside('both', 'nslookup', address)).toContain('name = db.back');
      const nobody = await gantry('exec', 'both', 'nslookup', '10.77.0.200');
      expect([nobody.status, nobody.stdout]).toEqual([1, expect.stringContaining('NXDOMAIN')]);
    });

    it('that several have are answered with all, each the first in its turn', async () => {
      for (const name of ['one', 'two', 'three']) await start(name, '--network', 'name=back,alias=pool', ...idle);
      const answers = await Promise.all([1, 2, 3].map(() => resolve('db', 'pool')));
      const all = await Promise.all(['one', 'two', 'three'].map((name) => addressIn('back', name)));
      for (const answer of answers) expect(answer?.toSorted()).toEqual(all.toSorted());
      const firsts = new Set([...answers, await resolve('db', 'pool')].map((answer) => answer?.[0]));
      expect(firsts.size).toBeGreaterThan(1);
      await ok('rm', '-f', 'one', 'two', 'three');
      expect(await resolve('db', 'pool')).toBeUndefined();
    });

    it('are asked for by TCP, too, and rubbish hurts nobody', async () => {
      // ID 7, recursion desired, one question: db, A, IN.
      const question = '\\0\\24\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\2db\\0\\0\\1\\0\\1';
      const ask = (bytes: string): string[] => ['sh', '-c', `printf '${bytes}' | nc -w 2 127.0.0.11 53 | hexdump -C`];
      const [, last] = /(\d+)$/.exec(await addressIn('back', 'db')) ?? [];
      const hex = Number(last).toString(16).padStart(2, '0');
      expect(await inside('both', ...ask(question))).toMatch(new RegExp(`00 07 81 80[^]* ${hex} `));
      expect(await inside('both', ...ask('\\0\\14\\0\\7\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0'))).toContain('00 07 80 81');
      for (const bytes of ['x', '\\0\\5hello', '\\377\\377'])
        await gantry('exec', 'both', 'sh', '-c', `printf '${bytes}' | nc -u -w 1 127.0.0.11 53`);
      expect(await resolve('both', 'db')).toEqual([await addressIn('back', 'db')]);
    });

    it('leave port 53 of every address to a name server in the container', async () => {
      await start('named', '--network', 'front', 'box', 'probe', 'serve', '53');
      expect(await reaches('both', await addressIn('front', 'named'), '53')).toBe(true);
      expect(await resolve('named', 'web')).toEqual([await addressIn('front', 'web')]);
      await ok('rm', '-f', 'named');
    });

    it('that no container has go to the name servers outside, but not from an internal network', async () => {
      const program = join(import.meta.dirname, '../helpers/name-server.ts');
      const [nsenter = '', ...where] = lab.enter('neighbour');
      const node = [process.execPath, '--import', 'tsx', program, NEIGHBOUR_4];
      const server = spawn(nsenter, [...where, ...node], { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(server.stdout, 'data');
      await ok('network', 'create', '--internal', 'closed');
      await start('asks', '--network', 'front', '--dns', NEIGHBOUR_4, ...idle);
      await start('locked', '--network', 'closed', '--dns', NEIGHBOUR_4, ...serve);
      expect(await inside('asks', 'cat', '/etc/resolv.conf')).toContain('nameserver 127.0.0.11\n');
      expect(await resolve('asks', 'outside.example')).toEqual(['192.0.2.99']);
      expect((await gantry('exec', 'asks', 'nslookup', 'absent.example', '127.0.0.11')).stdout).toContain('NXDOMAIN');
      expect((await gantry('exec', 'locked', 'nslookup', 'outside.example', '127.0.0.11')).stdout).toContain(
        'SERVFAIL',
      );
      expect(await inside('locked', 'ip', 'route')).not.toContain('default');
      const published = await gantry('run', '--rm', '--network', 'closed', '-p', '8084:80', 'box', 'true');
      expect(published.stderr).toContain('Published ports are discarded');
      await inside('locked', 'nslookup', 'locked');
      server.kill();
      await once(server, 'exit');
      await ok('rm', '-f', 'asks', 'locked');
      await ok('network', 'rm', 'closed');
    });
  });

  describe('apart', () => {
    it('containers of different networks do not reach each other, not even where ports are published', async () => {
      const [web, db] = [await addressIn('front', 'web'), await addressIn('back', 'db')];
      const attempts = [reaches('both', web), reaches('both', db), reaches('db', HOST_4, '8080')];
      expect(await Promise.all(attempts)).toEqual([true, true, true]);
      expect(await Promise.all([reaches('db', web), reaches('web', db)])).toEqual([false, false]);
      expect(lab.probe('neighbour', 'tcp', HOST_4, '8080')).toContain('hello');
      expect(lab.run('neighbour', 'ip', 'route', 'add', '10.77.0.0/24', 'via', HOST_4)).toBeDefined();
      expect(lab.probe('neighbour', 'tcp', web, '80')).toBeUndefined();
      lab.run('neighbour', 'ip', 'route', 'del', '10.77.0.0/24');
    });

    it('docker’s options do what they say', async () => {
      const option = 'com.docker.network.bridge';
      const flags = { enable_icc: 'false', host_binding_ipv4: '127.0.0.1', name: 'lab-alone' };
      const options = Object.entries(flags).flatMap(([key, value]) => ['-o', `${option}.${key}=${value}`]);
      await ok('network', 'create', ...options, '-o', 'com.docker.network.driver.mtu=1400', 'alone');
      await start('first', '--network', 'alone', '-p', '8081:80', ...serve);
      await start('second', '--network', 'alone', ...idle);
      expect(await pings('second', await addressIn('alone', 'first'))).toBe(false);
      expect(await inside('second', 'ip', 'link', 'show', 'eth0')).toContain('mtu 1400');
      expect(lab.run('host', 'ip', 'link', 'show', 'lab-alone')).toContain('mtu 1400');
      expect(lab.probe('host', 'tcp', '127.0.0.1', '8081')).toContain('hello');
      expect(lab.probe('neighbour', 'tcp', HOST_4, '8081')).toBeUndefined();
      expect(await inside('second', 'probe', 'tcp', HOST_4, '8080')).toContain('hello');
      await ok('rm', '-f', 'first', 'second');
      await ok('network', 'rm', 'alone');
      expect(lab.run('host', 'ip', 'link', 'show', 'lab-alone')).toBeUndefined();
    });

    it('addresses are as asked for, with IPv6, once', async () => {
      const pools = ['--subnet', '10.78.0.0/24', '--ip-range', '10.78.0.128/25', '--gateway', '10.78.0.254'];
      await ok(
        'network',
        'create',
        ...pools,
        '--ipv6',
        '--subnet',
        'fd00:78::/64',
        '--aux-address',
        'r=10.78.0.128',
        'six',
      );
      await start('fixed', '--network', 'six', '--ip', '10.78.0.9', '--ip6', 'fd00:78::99', ...idle);
      await start('next', '--network', 'six', ...idle);
      expect(await addressIn('six', 'next')).toBe('10.78.0.129');
      expect(await inside('fixed', 'ip', 'route')).toContain('default via 10.78.0.254');
      expect(await inside('next', 'nslookup', '-type=aaaa', 'fixed', '127.0.0.11')).toContain('fd00:78::99');
      expect(await pings('next', 'fd00:78::99')).toBe(true);
      const refused = async (...flags: string[]): Promise<string> =>
        (await gantry('run', '--rm', '--network', 'six', ...flags, 'box', 'true')).stderr;
      expect(await refused('--ip', '10.78.0.9')).toContain('Address already in use');
      expect(await refused('--ip', '10.78.0.128')).toContain('Address already in use');
      expect(await refused('--ip', '10.79.0.9')).toContain("does not belong to any of this network's subnets");
      await ok('rm', '-f', 'fixed', 'next');
      await ok('network', 'rm', 'six');
    });
  });

  describe('while it runs', () => {
    it('a container comes into a network and leaves it', async () => {
      await start('guest', '-p', '8082:80', ...serve);
      expect(await inside('guest', 'cat', '/etc/resolv.conf')).not.toContain('127.0.0.11');
      await ok('network', 'connect', '--alias', 'late', '--ip', '10.77.0.50', 'front', 'guest');
      expect(await resolve('web', 'late')).toEqual(['10.77.0.50']);
      expect(await pings('guest', 'web')).toBe(true);
      expect(await inside('guest', 'cat', '/etc/hosts')).toContain('10.77.0.50\t');
      expect(await inside('guest', 'ip', 'route')).toContain('default via 172.17.0.1 dev eth0');
      expect(await gantry('network', 'connect', 'front', 'guest')).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('Endpoint with name guest already exists in network front'),
      });
      await ok('network', 'connect', '--gw-priority', '5', 'back', 'guest');
      expect(await inside('guest', 'ip', 'route')).toMatch(/default via \S+ dev eth2/);
      expect(lab.probe('neighbour', 'tcp', HOST_4, '8082')).toContain('hello');
      await ok('network', 'disconnect', 'back', 'guest');
      expect(await inside('guest', 'ip', 'route')).toMatch(/default via \S+ dev eth[01]/);
      expect(lab.probe('neighbour', 'tcp', HOST_4, '8082')).toContain('hello');
      await ok('network', 'disconnect', 'front', 'guest');
      expect(await resolve('web', 'late')).toBeUndefined();
      expect(await inside('guest', 'cat', '/etc/resolv.conf', '/etc/hosts')).not.toMatch(/127\.0\.0\.11|10\.77\.0\.50/);
      expect(lab.probe('neighbour', 'tcp', HOST_4, '8082')).toContain('hello');
      await ok('network', 'connect', 'front', 'guest');
      expect(await pings('guest', 'web')).toBe(true);
      await ok('rm', '-f', 'guest');
    });

    it('what rests is in its networks from the next start on, and a renamed one has its new name at once', async () => {
      await ok('create', '--name', 'later', ...idle);
      await ok('network', 'connect', 'back', 'later');
      await ok('start', 'later');
      expect(await resolve('db', 'later')).toEqual([await addressIn('back', 'later')]);
      await ok('rename', 'later', 'renamed');
      expect(await resolve('db', 'later')).toBeUndefined();
      expect(await resolve('db', 'renamed')).toEqual([await addressIn('back', 'renamed')]);
      await ok('rm', '-f', 'renamed');
    });

    it('an engine that is killed leaves names to the next one; addresses, ports and rules stay', async () => {
      const before = await addressIn('front', 'web');
      const pid = here.enginePid()!;
      process.kill(pid, 'SIGKILL');
      await until(() => hasEnded(pid), 'the end of the engine');
      expect(lab.probe('neighbour', 'tcp', HOST_4, '8080')).toContain('hello');
      // The question waits until somebody can answer it.
      expect(await resolve('both', 'www')).toEqual([before]);
      expect((await ok('network', 'ls', '--format', '{{.Name}}')).split('\n')).toEqual(
        expect.arrayContaining(['front', 'back', 'bridge']),
      );
      await ok('restart', '-t', '0', 'web');
      expect(await addressIn('front', 'web')).toBe(before);
      expect(await resolve('both', 'web')).toEqual([before]);
      lab.run('host', 'nft', 'flush', 'ruleset');
      await start('repairs', '--network', 'front', '-p', '8083:80', ...serve);
      for (const port of ['8080', '8083'])
        await until(() => lab.probe('neighbour', 'tcp', HOST_4, port)?.includes('hello') === true, `port ${port}`);
      expect(await reaches('db', before)).toBe(false);
      await ok('rm', '-f', 'repairs');
    });

    it('a network that is used is not removed; prune takes the others', async () => {
      const { status: code, stderr } = await gantry('network', 'rm', 'front');
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/network front has active endpoints \(.*name:"web" id:/),
      ]);
      await ok('network', 'create', '--label', 'keep', 'kept');
      await ok('network', 'create', 'unused');
      expect(await ok('network', 'prune', '-f', '--filter', 'label!=keep')).toBe('Deleted Networks:\nunused\n');
      await ok('network', 'rm', 'kept');
      await ok('rm', '-f', 'web', 'db', 'both');
      await ok('network', 'rm', 'front', 'back');
      expect(lab.run('host', 'ip', '-o', 'link')).not.toContain('br-');
    });
  });
});

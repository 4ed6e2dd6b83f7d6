// Published ports by the kernel, from every side, with and without an engine: in network namespaces of the test's own.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bridgeName } from '../../host/engine/network/bridge.ts';
import { createInstallation, hasEnded, until } from '../helpers/cli.ts';
import { createLab, HOST_4, HOST_6, NEIGHBOUR_4, NEIGHBOUR_6 } from '../helpers/network-lab.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('published ports', () => {
  const lab = createLab();
  const here = createInstallation(lab.enter('host'));
  const { gantry, ok } = here;
  const table = bridgeName(here.dataRoot);
  const serve = (name: string, ...flags: string[]): Promise<string> =>
    ok('run', '-d', '--name', name, ...flags, 'box', 'probe', 'serve', '80');
  const peer = (address: string): string => `peer ${address}\nhello`;
  const nft = (...args: string[]): string => lab.run('host', 'nft', ...args) ?? '';
  const parentOf = (pid: string): number =>
    Number(/^\d+ \(.*\) . (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]);
  const killEngine = async (): Promise<void> => {
    const pid = here.enginePid()!;
    process.kill(pid, 'SIGKILL');
    await until(() => hasEnded(pid), 'the end of the engine');
  };

  beforeAll(() => ok('load', '-i', lab.archive));
  afterAll(async () => {
    try {
      await here.close();
      expect(nft('list', 'ruleset')).toBe('');
      expect(lab.run('host', 'ip', '-o', 'link')).not.toMatch(/^\d+: (gantry|gv)/m);
    } finally {
      lab.close();
    }
  });

  describe('of every address', () => {
    beforeAll(() => serve('open', '-p', '8080:80', '-p', '8080:80/udp'));
    afterAll(() => ok('rm', '-f', 'open'));

    const everywhere = [
      ['host', '127.0.0.1'],
      ['host', '127.0.0.9'],
      ['host', HOST_4],
      ['host', HOST_6],
      ['host', '172.17.0.1'],
      ['neighbour', HOST_4],
      ['neighbour', HOST_6],
    ] as const;
    it.each(everywhere)('are reached from the %s at %s, by TCP and UDP', (where, address) => {
      expect(lab.probe(where, 'tcp', address, '8080')).toMatch(/^peer [^\n]+\nhello$/);
      expect(lab.probe(where, 'udp', address, '8080', '100', '50')).toBe('50');
    });

    it('tell the container who is there', () => {
      expect(lab.probe('neighbour', 'tcp', HOST_4, '8080')).toBe(peer(NEIGHBOUR_4));
      expect(lab.probe('neighbour', 'tcp', HOST_6, '8080')).toBe(peer(NEIGHBOUR_6));
      // Not 127.0.0.1: nothing in a container may take a stranger for itself.
      expect(lab.probe('host', 'tcp', '127.0.0.1', '8080')).toBe(peer('172.17.0.1'));
    });

    it('carry large datagrams and many', () => {
      for (const where of ['host', 'neighbour'] as const) {
        expect(lab.probe(where, 'udp', HOST_4, '8080', '60000', '20')).toBe('20');
        expect(lab.probe(where, 'udp', HOST_4, '8080', '1200', '2000')).toBe('2000');
      }
      expect(lab.probe('host', 'udp', '127.0.0.1', '8080', '60000', '20')).toBe('20');
      expect(lab.probe('neighbour', 'udp', HOST_6, '8080', '30000', '20')).toBe('20');
    });

    it('are reached at [::1], which the engine carries', () => {
      expect(lab.probe('host', 'tcp', '::1', '8080')).toMatch(/^peer 172\.17\.0\.1\nhello$/);
      expect(lab.probe('host', 'udp', '::1', '8080', '1000', '10')).toBe('10');
    });

    it('are reached from containers, their own too', async () => {
      for (const address of [HOST_4, HOST_6, '172.17.0.1']) {
        expect(await ok('exec', 'open', 'probe', 'tcp', address, '8080')).toContain('hello');
        expect(await ok('run', '--rm', 'box', 'probe', 'tcp', address, '8080')).toContain('hello');
      }
      expect(await ok('exec', 'open', 'probe', 'udp', HOST_4, '8080', '3000', '5')).toBe('5');
    });

    it('go on while no engine runs, and a connection outlives the engine and its successor', async () => {
      const talk = lab.start('neighbour', 'talk', HOST_4, '8080');
      const said = async (line: string): Promise<void> => {
        const heard = once(talk.stdout!, 'data');
        if (line !== '') talk.stdin!.write(`${line}\n`);
        expect(String((await heard)[0]).trim()).toBe(line === '' ? `peer ${NEIGHBOUR_4}` : line);
      };
      await said('');
      await killEngine();
      await said('without an engine');
      for (const [where, address] of everywhere) {
        expect(lab.probe(where, 'tcp', address, '8080'), `${where} ${address}`).toContain('hello');
        expect(lab.probe(where, 'udp', address, '8080', '100', '5'), `${where} ${address}`).toBe('5');
      }
      expect(await ok('ps', '--format', '{{.Names}}')).toBe('open');
      await said('with the next');
      talk.stdin!.end();
      await once(talk, 'close');
      expect((await gantry('run', '--rm', '-p', '8080:80', 'box', 'true')).stderr).toContain(
        'port is already allocated',
      );
    });

    it('come back after nft flush ruleset: at the next connection, start or engine', async () => {
      const rules = nft('-s', 'list', 'ruleset');
      expect(rules).toContain('tcp . 8080');
      nft('flush', 'ruleset');
      expect(lab.probe('neighbour', 'tcp', HOST_4, '8080')).toContain('hello');
      await until(() => nft('-s', 'list', 'ruleset') === rules, 'the rules');
      nft('flush', 'ruleset');
      expect(await ok('run', '--rm', '-p', '8081:80', 'box', 'true')).toBe('');
      await until(() => nft('-s', 'list', 'ruleset') === rules, 'the rules');
      nft('flush', 'ruleset');
      await killEngine();
      await ok('ps');
      expect(nft('-s', 'list', 'ruleset')).toBe(rules);
    });
  });

  it('of one address are that only, whoever asks', async () => {
    await serve('inner', '-p', '127.0.0.1:8082:80', '-p', `${HOST_4}:8083:80`, '-p', `[${HOST_6}]:8084:80`);
    expect(lab.probe('host', 'tcp', '127.0.0.1', '8082')).toContain('hello');
    expect(lab.probe('host', 'tcp', HOST_4, '8082')).toBeUndefined();
    expect(lab.probe('neighbour', 'tcp', HOST_4, '8082')).toBeUndefined();
    expect(lab.probe('neighbour', 'tcp', HOST_4, '8083')).toBe(peer(NEIGHBOUR_4));
    expect(lab.probe('host', 'tcp', '127.0.0.1', '8083')).toBeUndefined();
    expect(lab.probe('neighbour', 'tcp', HOST_6, '8084')).toBe(peer(NEIGHBOUR_6));
    expect(lab.probe('neighbour', 'tcp', HOST_4, '8084')).toBeUndefined();
    expect((await ok('port', 'inner')).split('\n')).toEqual([
      '80/tcp -> 127.0.0.1:8082',
      `80/tcp -> ${HOST_4}:8083`,
      `80/tcp -> [${HOST_6}]:8084`,
    ]);
    await ok('rm', '-f', 'inner');
  });

  it('of [::1] are carried by the engine', async () => {
    await serve('six', '-p', '[::1]:8085:80');
    expect(lab.probe('host', 'tcp', '::1', '8085')).toContain('hello');
    expect(lab.probe('neighbour', 'tcp', HOST_6, '8085')).toBeUndefined();
    await ok('rm', '-f', 'six');
  });

  describe('and a neighbour who forges', () => {
    const loopbackIsElsewhere = (where: 'host' | 'neighbour', gateway: string): void => {
      lab.run(where, 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet');
      lab.run(where, 'ip', 'addr', 'del', '127.0.0.1/8', 'dev', 'lo');
      lab.run(where, 'ip', 'route', 'replace', '127.0.0.0/8', 'via', gateway);
    };

    beforeAll(async () => {
      await serve('inner', '-p', '127.0.0.1:8086:80');
      loopbackIsElsewhere('neighbour', HOST_4);
    });
    afterAll(async () => {
      lab.run('neighbour', 'ip', 'route', 'del', '127.0.0.0/8', 'via', HOST_4);
      lab.run('neighbour', 'ip', 'addr', 'add', '127.0.0.1/8', 'dev', 'lo');
      await ok('rm', '-f', 'inner');
    });

    it('does not get to a port of 127.0.0.1; without our rule it would', async () => {
      expect(lab.probe('neighbour', 'tcp', '127.0.0.1', '8086')).toBeUndefined();
      nft('flush', 'chain', 'ip', table, 'loopback');
      expect(lab.probe('neighbour', 'tcp', '127.0.0.1', '8086')).toContain('hello');
      await killEngine();
      await ok('ps');
      expect(lab.probe('neighbour', 'tcp', '127.0.0.1', '8086')).toBeUndefined();
    });

    it('does not address a container itself, published or not; without our rule it would', async () => {
      const [four, six] = (
        await ok(
          'inspect',
          '-f',
          '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Networks.bridge.GlobalIPv6Address}}',
          'inner',
        )
      ).split(' ');
      expect(lab.probe('host', 'tcp', four!, '80')).toContain('hello');
      expect(lab.probe('host', 'tcp', six!, '80')).toContain('hello');
      expect(lab.probe('neighbour', 'tcp', four!, '80')).toBeUndefined();
      expect(lab.probe('neighbour', 'tcp', six!, '80')).toBeUndefined();
      nft('flush', 'chain', 'ip', table, 'forward');
      nft('flush', 'chain', 'ip6', table, 'forward');
      expect(lab.probe('neighbour', 'tcp', four!, '80')).toContain('hello');
      expect(lab.probe('neighbour', 'tcp', six!, '80')).toContain('hello');
      await killEngine();
      await ok('ps');
      expect(lab.probe('neighbour', 'tcp', four!, '80')).toBeUndefined();
    });
  });

  it('are taken in ranges, at random, and first free of many', async () => {
    await serve('many', '-p', '9000-9002:80-82', '-p', '0:80', '-p', '80/udp', '-p', '9000-9005:80');
    const ports = (await ok('port', 'many', '80/tcp')).split('\n').map((line) => Number(line.split(':').at(-1)));
    expect(ports.filter((_port, index) => index % 2 === 0)).toEqual([9000, expect.any(Number), 9003]);
    for (const port of ports) expect(lab.probe('neighbour', 'tcp', HOST_4, String(port))).toContain('hello');
    const udp = (await ok('port', 'many', '80/udp')).split('\n')[0]!.split(':').at(-1)!;
    expect(lab.probe('neighbour', 'udp', HOST_4, udp, '10', '3')).toBe('3');
    await serve('wide', '-p', '20000-20299:20000-20299');
    expect(nft('list', 'map', 'ip', table, 'ports').match(/tcp \. 20\d\d\d/g)).toHaveLength(300);
    await ok('rm', '-f', 'many', 'wide');
    expect(nft('list', 'ruleset')).not.toContain('elements');
  });

  it('of two containers are not the same, and a restarted one has its own again', async () => {
    await serve('first', '-p', '8087:80', '-p', '8087:80/udp');
    const { status, stderr } = await gantry('run', '--name', 'second', '-p', '8087:80', 'box', 'true');
    expect([status, stderr]).toEqual([
      125,
      expect.stringContaining('Bind for 0.0.0.0:8087 failed: port is already allocated'),
    ]);
    await ok('rm', 'second');
    const address = await ok('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'first');
    await ok('restart', '-t', '0', 'first');
    expect(await ok('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'first')).toBe(address);
    expect(lab.probe('neighbour', 'tcp', HOST_4, '8087')).toContain('hello');
    await ok('rm', '-f', 'first');
  });

  it('lead a client that goes on sending datagrams to whom they are published next', async () => {
    const datagrams = (): string | undefined => lab.probe('neighbour', 'udp', HOST_4, '8088', '10', '3', '40000');
    await serve('before', '-p', '8088:80/udp');
    expect(datagrams()).toBe('3');
    await ok('rm', '-f', 'before');
    await serve('after', '-p', '8088:80/udp', '--ip', '172.17.7.7');
    expect(datagrams()).toBe('3');
    await ok('rm', '-f', 'after');
  });

  it('of containers that ended without an engine and a supervisor are removed by the next engine', async () => {
    await serve('lost', '-p', '8089:80');
    const supervisor = parentOf(await ok('inspect', '-f', '{{.State.Pid}}', 'lost'));
    await killEngine();
    process.kill(supervisor, 'SIGKILL');
    expect(nft('list', 'ruleset')).toContain('tcp . 8089');
    expect(await ok('ps', '-q')).toBe('');
    expect(nft('list', 'ruleset')).not.toContain('8089');
    await ok('rm', 'lost');
    await serve('ended', '-p', '8089:80');
    const end = await ok('inspect', '-f', '{{.State.Pid}}', 'ended');
    await killEngine();
    process.kill(Number(end), 'SIGKILL');
    await until(() => !nft('list', 'ruleset').includes('8089'), "the supervisor's tear-down");
    await ok('rm', 'ended');
  });

  it('are shown before anything runs, and made by nothing but the start', async () => {
    await until(async () => (await ok('ps', '-q')) === '', 'the end of all');
    const before = nft('list', 'ruleset');
    const plan = await ok('plan', '-p', '127.0.0.1:8080:80', '-p', '53:53/udp', 'box', 'true');
    expect(plan).toMatch(
      /netlink\(NETLINK_NETFILTER, <\d+ bytes [0-9a-f]+>\) {2}# publish tcp 127\.0\.0\.1:8080 to 172\.17\.0\.\d+:80, udp 53 to 172/,
    );
    expect(nft('list', 'ruleset')).toBe(before);
  });
});

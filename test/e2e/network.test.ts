// A container's network: addresses, names, modes, what it cannot reach, two engines side by side, nothing left behind.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bridgeName } from '../../host/engine/network/bridge.ts';
import { createInstallation, type Installation, until } from '../helpers/cli.ts';
import { createLab, HOST_4, HOST_6, NEIGHBOUR_4, NEIGHBOUR_6 } from '../helpers/network-lab.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('the network of a container', () => {
  const lab = createLab();
  const here = createInstallation(lab.enter('host'));
  const { gantry, ok } = here;
  const box = (...args: string[]): Promise<string> => ok('run', '--rm', ...args);
  const links = (): string => lab.run('host', 'ip', '-o', 'link') ?? '';
  const nothingLeft = (): void => {
    expect(lab.run('host', 'nft', 'list', 'ruleset')).toBe('');
    expect(links()).not.toMatch(/^\d+: (gantry|gv)/m);
  };

  beforeAll(() => ok('load', '-i', lab.archive));
  afterAll(async () => {
    try {
      await here.close();
      nothingLeft();
    } finally {
      lab.close();
    }
  });

  describe('bridge', () => {
    it('leads out by IPv4 and IPv6, masqueraded', async () => {
      const server = lab.start('neighbour', 'serve', '7000');
      await until(() => lab.probe('host', 'tcp', NEIGHBOUR_6, '7000') !== undefined, 'the neighbour');
      const heard = async (address: string): Promise<string> => box('box', 'probe', 'tcp', address, '7000');
      expect(await heard(NEIGHBOUR_4)).toBe(`peer ${HOST_4}\nhello`);
      expect(await heard(NEIGHBOUR_6)).toBe(`peer ${HOST_6}\nhello`);
      server.kill();
      await once(server, 'exit');
    });

    it('gives addresses of both families, told by inspect and /etc/hosts', async () => {
      await ok('run', '-d', '--name', 'placed', '--hostname', 'crane', 'box', 'sleep', '1000');
      const format = '{{json .NetworkSettings.Networks.bridge}}';
      const place = JSON.parse(await ok('inspect', '-f', format, 'placed')) as Record<string, string | number>;
      expect(place).toMatchObject({ Gateway: '172.17.0.1', IPPrefixLen: 16, GlobalIPv6PrefixLen: 64 });
      expect(place.IPv6Gateway).toMatch(/^fd[0-9a-f]{2}:[0-9a-f:]+::1$/);
      const hosts = await ok('exec', 'placed', 'cat', '/etc/hosts');
      expect(hosts).toContain(`${place.IPAddress}\tcrane\n${place.GlobalIPv6Address}\tcrane`);
      const inside = await ok('exec', 'placed', 'ip', 'address', 'show', 'eth0');
      for (const text of [place.IPAddress, place.GlobalIPv6Address, place.MacAddress]) expect(inside).toContain(text);
      expect(await ok('exec', 'placed', 'ip', '-6', 'route')).toContain(`default via ${place.IPv6Gateway}`);
      expect(await box('box', 'ping', '-c', '1', '-w', '2', String(place.IPAddress))).toContain('1 packets received');
      expect(await box('box', 'ping', '-c', '1', '-w', '2', String(place.GlobalIPv6Address))).toContain(
        '1 packets received',
      );
      await ok('rm', '-f', 'placed');
    });

    it('gives the addresses that are asked for', async () => {
      const prefix = (await box('box', 'ip', '-6', 'route'))
        .split('\n')
        .find((line) => line.startsWith('fd'))!
        .split('/')[0]!;
      const flags = ['--ip', '172.17.9.9', '--ip6', `${prefix}99:1`, '--mac-address', '02:00:00:00:00:99'];
      await ok('run', '-d', '--name', 'chosen', ...flags, 'box', 'sleep', '1000');
      const inside = await ok('exec', 'chosen', 'ip', 'address', 'show', 'eth0');
      expect(inside).toContain('172.17.9.9/16');
      expect(inside).toContain(`${prefix}99:1/64`);
      expect(inside).toContain('02:00:00:00:00:99');
      const refused = async (...given: string[]): Promise<string> => {
        const { status, stderr } = await gantry('run', '--rm', ...given, 'box', 'true');
        expect(status).toBe(125);
        return stderr;
      };
      expect(await refused('--ip', '172.17.9.9')).toContain('Address already in use');
      expect(await refused('--ip', '172.17.0.1')).toContain('Address already in use');
      expect(await refused('--ip', '10.1.2.3')).toContain("does not belong to any of this network's subnets");
      expect(await refused('--ip', '172.17.255.255')).toContain('the address of the network or of all in it');
      expect(await refused('--ip', '172.17.9')).toContain('Invalid IP address: 172.17.9');
      expect(await refused('--ip6', `${prefix}99:1`)).toContain('Address already in use');
      expect(await refused('--ip6', '2001:db8:9::1')).toContain("does not belong to any of this network's subnets");
      expect(await refused('--mac-address', '01:00:00:00:00:01')).toContain('Invalid MAC address');
      expect(await refused('--network', 'none', '--ip', '172.17.9.8')).toContain('ip and the network mode');
      await ok('rm', '-f', 'chosen');
      expect(await ok('ps', '-aq')).toBe('');
    });

    it('does not lead to what listens on the loopback of the host; without our rule it would', async () => {
      const server = lab.start('host', 'serve', '7001');
      const guard = bridgeName(here.dataRoot);
      const elsewhere =
        'ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via 172.17.0.1; probe tcp 127.0.0.1 7001';
      const flags = ['--cap-add', 'NET_ADMIN', '--sysctl', 'net.ipv4.conf.all.route_localnet=1'];
      const attempt = (): ReturnType<typeof gantry> =>
        gantry('run', '--rm', ...flags, 'box', 'sh', '-c', `ip link set lo up; ${elsewhere}`);
      expect((await attempt()).status).toBe(1);
      lab.run('host', 'nft', 'flush', 'chain', 'ip', guard, 'loopback');
      expect(await attempt()).toMatchObject({ status: 0, stdout: expect.stringContaining('hello') });
      server.kill();
      await once(server, 'exit');
    });

    it('does not lead to the engine: no process of it listens on an address', async () => {
      await ok('run', '-d', '--name', 'idle', 'box', 'sleep', '1000');
      expect(lab.run('host', 'ss', '-Hltun')).toBe('');
      await ok('rm', '-f', 'idle');
    });
  });

  describe('of names', () => {
    it('takes name servers, search domains and options', async () => {
      const flags = ['--dns', '192.0.2.53', '--dns', '2001:db8::53', '--dns-search', 'lan', '--dns-option', 'ndots:2'];
      expect(await box(...flags, 'box', 'cat', '/etc/resolv.conf')).toBe(
        'nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch lan\noptions ndots:2',
      );
      expect((await gantry('run', '--rm', '--dns', 'server', 'box', 'true')).stderr).toContain(
        'Invalid IP address: server',
      );
    });

    it('takes more hosts, the gateway among them', async () => {
      const flags = ['--add-host', 'db:192.0.2.7', '--add-host', 'six=[2001:db8::7]', '--add-host', 'me:host-gateway'];
      const hosts = (await box(...flags, 'box', 'cat', '/etc/hosts')).split('\n');
      for (const line of ['192.0.2.7\tdb', '2001:db8::7\tsix', '172.17.0.1\tme']) expect(hosts).toContain(line);
      expect((await gantry('run', '--rm', '--add-host', 'db:here', 'box', 'true')).stderr).toContain(
        'Invalid IP address in add-host: "here"',
      );
    });
  });

  describe('of another kind', () => {
    it('none has a loopback and no more', async () => {
      const interfaces = await box('--network', 'none', 'box', 'ip', '-o', 'address');
      expect(interfaces.split('\n').map((line) => line.split(/\s+/)[1])).toEqual(['lo', 'lo']);
    });

    it('host has all that the host has, and its files', async () => {
      expect(await box('--network', 'host', 'box', 'ip', 'address')).toContain(HOST_4);
      expect(`${await box('--network', 'host', 'box', 'cat', '/etc/resolv.conf')}\n`).toBe(
        readFileSync('/etc/resolv.conf', 'utf8'),
      );
      expect(lab.run('host', 'ss', '-Hltun')).toBe('');
      const { status } = await gantry('run', '--rm', '--network', 'host', '-p', '7002:80', 'box', 'true');
      expect(status).toBe(0);
    });

    it('container shares interfaces and files, and refuses what would be both', async () => {
      await ok('run', '-d', '--name', 'owner', '--add-host', 'db:192.0.2.7', 'box', 'probe', 'serve', '80');
      const joined = ['--network', 'container:owner'];
      expect(await box(...joined, 'box', 'probe', 'tcp', '127.0.0.1', '80')).toContain('hello');
      expect(await box(...joined, 'box', 'cat', '/etc/hosts')).toBe(await ok('exec', 'owner', 'cat', '/etc/hosts'));
      expect(await box(...joined, 'box', 'hostname')).toBe(await ok('exec', 'owner', 'hostname'));
      for (const [flags, conflict] of [
        [['-p', '80:80'], 'port publishing and the container type network mode'],
        [['--dns', '192.0.2.1'], 'dns and the network mode'],
        [['--add-host', 'a:192.0.2.1'], 'custom host-to-IP mapping and the network mode'],
        [['--hostname', 'a'], 'hostname and the network mode'],
        [['--mac-address', '02:00:00:00:00:01'], 'mac-address and the network mode'],
      ] as const)
        expect((await gantry('run', '--rm', ...joined, ...flags, 'box', 'true')).stderr).toContain(conflict);
      await ok('rm', '-f', 'owner');
    });
  });

  describe('with two engines', () => {
    it('has a subnet and rules of its own, though both begin at once, and survives the end of the other', async () => {
      const others = [createInstallation(lab.enter('host')), createInstallation(lab.enter('host'))];
      await Promise.all(others.map((each) => each.ok('load', '-i', lab.archive)));
      const serve = async (each: Installation, port: string): Promise<string> => {
        await each.ok('run', '-d', '--name', 'server', '-p', `${port}:80`, 'box', 'probe', 'serve', '80');
        return each.ok('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'server');
      };
      const addresses = await Promise.all(others.map((each, index) => serve(each, String(7010 + index))));
      expect(new Set(addresses.map((address) => address.split('.').slice(0, 2).join('.'))).size).toBe(2);
      for (const port of ['7010', '7011']) expect(lab.probe('neighbour', 'tcp', HOST_4, port)).toContain('hello');
      expect(await others[0]!.gantry('run', '--rm', 'box', 'probe', 'tcp', addresses[1]!, '80')).toMatchObject({
        status: 1,
      });
      expect(await others[0]!.ok('run', '--rm', 'box', 'probe', 'tcp', HOST_4, '7011')).toContain('hello');
      await others[0]!.close();
      expect(links()).not.toContain(bridgeName(others[0]!.dataRoot));
      expect(lab.probe('neighbour', 'tcp', HOST_4, '7011')).toContain('hello');
      await others[1]!.close();
      expect(links()).not.toContain(bridgeName(others[1]!.dataRoot));
    });

    it('avoids networks that the host has a route to', async () => {
      for (const network of ['172.16.0.0/12', '192.168.0.0/20'])
        lab.run('host', 'ip', 'route', 'add', network, 'via', NEIGHBOUR_4);
      const other = createInstallation(lab.enter('host'));
      await other.ok('load', '-i', lab.archive);
      expect(await other.ok('run', '--rm', 'box', 'ip', 'address', 'show', 'eth0')).toContain('192.168.16.2/20');
      await other.close();
      for (const network of ['172.16.0.0/12', '192.168.0.0/20']) lab.run('host', 'ip', 'route', 'del', network);
    });

    it('has no IPv6 where that is switched off', async () => {
      const other = createInstallation(['env', 'GANTRY_IPV6=off', ...lab.enter('host')]);
      await other.ok('load', '-i', lab.archive);
      expect(await other.ok('run', '--rm', 'box', 'ip', '-6', 'address', 'show', 'eth0')).not.toMatch(/inet6 fd/);
      await other.ok('run', '-d', '--name', 'server', '-p', '7012:80', 'box', 'probe', 'serve', '80');
      // The engine carries what the kernel cannot: IPv6 to a container that has none.
      expect(lab.probe('neighbour', 'tcp', HOST_6, '7012')).toContain('hello');
      expect((await other.gantry('run', '--rm', '--ip6', 'fd00::5', 'box', 'true')).stderr).toContain('has no IPv6');
      await other.close();
    });
  });

  it('does without nf_tables, and says what is missing: the engine carries published ports', async () => {
    const other = createInstallation([...lab.enter('host'), lab.withoutNetfilter()]);
    await other.ok('load', '-i', lab.archive);
    const { status, stderr } = await other.gantry(
      ...['run', '-d', '--name', 'server', '-p', '7014:80', '-p', '7014:80/udp', 'box', 'probe', 'serve', '80'],
    );
    expect([status, stderr]).toEqual([0, expect.stringContaining('WARNING: Nothing leaves the bridge')]);
    for (const [where, address] of [
      ['host', '127.0.0.1'],
      ['neighbour', HOST_4],
      ['neighbour', HOST_6],
    ] as const) {
      expect(lab.probe(where, 'tcp', address, '7014')).toContain('hello');
      expect(lab.probe(where, 'udp', address, '7014', '20000', '50')).toBe('50');
    }
    await other.close();
  });

  it('is none of the business of who asks for nothing: an engine that ends idle leaves nothing', async () => {
    const other = createInstallation(lab.enter('host'));
    await other.ok('load', '-i', lab.archive);
    await other.ok('run', '--rm', '--network', 'none', 'box', 'true');
    expect(links()).not.toContain(bridgeName(other.dataRoot));
    await other.ok('run', '--rm', '-p', '7013:80', 'box', 'true');
    expect(links()).toContain(bridgeName(other.dataRoot));
    await other.close();
    expect(links()).not.toContain(bridgeName(other.dataRoot));
  });
});

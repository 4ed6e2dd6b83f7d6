// Networks as docker's clients make them: its command line, containers in two networks at once, and what is refused how.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { createLab } from '../helpers/network-lab.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);

interface Inspected {
  NetworkSettings: { Networks: Record<string, Record<string, unknown>> };
}

describe.skipIf(whyNoContainers())('networks of the API', () => {
  const lab = createLab();
  const here = createInstallation(lab.enter('host'));
  const { ok } = here;
  const call = async (method: string, path: string, body?: unknown): Promise<{ status: number; json: unknown }> => {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const answer = await engineCall(here.dataRoot, method, path, bytes);
    return { status: answer.status, json: answer.body.length === 0 ? undefined : JSON.parse(answer.body.toString()) };
  };
  const post = (path: string, body: unknown) => call('POST', path, body);

  beforeAll(async () => {
    await ok('load', '-i', lab.archive);
    await ok('network', 'create', '--subnet', '10.80.0.0/24', 'taken');
    await ok('run', '-d', '--name', 'user', '--network', 'taken', 'box', 'sleep', '1000');
    await ok('run', '-d', '--name', 'shares', '--network', 'host', 'box', 'sleep', '1000');
    await ok('create', '--name', 'lonely', '--network', 'none', 'box', 'true');
  });
  afterAll(async () => {
    await here.close();
    lab.close();
  });

  it('containers are made in two networks at once, as compose does, and shown in docker’s shape', async () => {
    const since = String(Date.now() / 1000);
    await post('/networks/create', {
      Name: 'app_default',
      CheckDuplicate: true,
      Labels: { 'com.docker.compose.network': 'default' },
    });
    await post('/networks/create', {
      Name: 'app_data',
      Internal: true,
      IPAM: { Config: [{ Subnet: '10.81.0.0/16' }] },
    });
    const made = (await post('/v1.47/containers/create?name=app-1', {
      Image: 'box',
      Cmd: ['sleep', '1000'],
      HostConfig: { NetworkMode: 'app_default' },
      NetworkingConfig: {
        EndpointsConfig: {
          app_default: { Aliases: ['app', 'app-1'] },
          app_data: { Aliases: ['app'], IPAMConfig: { IPv4Address: '10.81.3.3' }, GwPriority: 0 },
        },
      },
    })) as { status: number; json: { Id: string } };
    expect(made.status).toBe(201);
    expect((await post('/containers/app-1/start', undefined)).status).toBe(204);
    const id = made.json.Id.slice(0, 12);
    const { NetworkSettings } = (await call('GET', '/containers/app-1/json')).json as Inspected;
    expect(NetworkSettings.Networks.app_default).toMatchObject({
      Aliases: ['app', 'app-1'],
      DNSNames: ['app-1', 'app', id],
      GlobalIPv6Address: '',
      IPAMConfig: null,
      GwPriority: 0,
      IPPrefixLen: 16,
    });
    expect(NetworkSettings.Networks.app_data).toMatchObject({
      DNSNames: ['app-1', 'app', id],
      Gateway: '',
      IPAddress: '10.81.3.3',
      IPAMConfig: { IPv4Address: '10.81.3.3' },
    });
    const old = (await call('GET', '/v1.44/containers/app-1/json')).json as Inspected;
    expect(old.NetworkSettings.Networks.app_data?.Aliases).toEqual(['app', id]);
    expect((await call('GET', '/networks/app_data')).json).toMatchObject({
      Driver: 'bridge',
      Scope: 'local',
      Internal: true,
      EnableIPv6: false,
      IPAM: { Driver: 'default', Options: null, Config: [{ Subnet: '10.81.0.0/16', Gateway: '10.81.0.1' }] },
      Containers: { [made.json.Id]: { Name: 'app-1', IPv4Address: '10.81.3.3/16', IPv6Address: '' } },
    });
    await ok('rm', '-f', 'app-1');
    expect((await call('DELETE', '/networks/app_data')).status).toBe(204);
    expect((await post('/networks/prune', undefined)).json).toEqual({ NetworksDeleted: ['app_default'] });
    const told = await ok(
      ...['events', '--since', since, '--until', String(Date.now() / 1000 + 0.001)],
      ...['--filter', 'type=network', '--format', '{{.Action}}'],
    );
    expect(told.split('\n')).toEqual(
      'create create connect connect disconnect disconnect destroy destroy prune'.split(' '),
    );
  });

  const create = '/networks/create';
  const subnet = (Subnet: string, more = {}) => ({ Name: 'x', IPAM: { Config: [{ Subnet, ...more }] } });
  it.each([
    ['POST', create, {}, 400, 'no name is given'],
    ['POST', create, { Name: 'a b' }, 400, 'Invalid network name (a b)'],
    ['POST', create, { Name: 'host' }, 403, 'Operation is not permitted on predefined host network'],
    ['POST', create, { Name: 'taken' }, 409, 'Network with name taken already exists'],
    ['POST', create, { Name: 'x', Driver: 'macvlan' }, 501, 'driver "macvlan": containers with addresses'],
    ['POST', create, { Name: 'x', Driver: 'ipvlan' }, 501, 'driver "ipvlan": containers with addresses'],
    ['POST', create, { Name: 'x', Driver: 'overlay' }, 501, 'need a swarm'],
    ['POST', create, { Name: 'x', Driver: 'weave' }, 404, 'plugin "weave" not found'],
    ['POST', create, { Name: 'x', Driver: 'host' }, 403, 'Only one instance of "host" network is allowed'],
    ['POST', create, { Name: 'x', Ingress: true }, 501, 'ingress'],
    ['POST', create, { Name: 'x', ConfigOnly: true }, 501, 'configuration-only'],
    ['POST', create, { Name: 'x', EnableIPv4: false }, 501, 'without IPv4'],
    ['POST', create, { Name: 'x', Options: { speed: 'high' } }, 501, 'network option "speed"'],
    ['POST', create, { Name: 'x', Options: { 'com.docker.network.driver.mtu': 'big' } }, 400, 'driver.mtu'],
    [
      'POST',
      create,
      { Name: 'x', Options: { 'com.docker.network.bridge.name': 'lan0' } },
      403,
      'an interface of that name',
    ],
    ['POST', create, subnet('10.80.0.0/25'), 403, 'Pool overlaps with other one on this address space'],
    ['POST', create, subnet('198.51.100.0/24'), 403, 'Pool overlaps with other one on this address space'],
    ['POST', create, subnet('10.82.0.1/24'), 400, 'invalid subnet 10.82.0.1/24: it should be 10.82.0.0/24'],
    ['POST', create, subnet('10.82.0.0'), 400, 'invalid CIDR block notation'],
    ['POST', create, subnet('10.82.0.0/24', { Gateway: '10.83.0.1' }), 400, 'invalid gateway 10.83.0.1'],
    ['POST', create, subnet('10.82.0.0/24', { IPRange: '10.82.0.0/16' }), 400, 'invalid ip-range 10.82.0.0/16'],
    ['POST', create, subnet('fd00:82::/64'), 400, 'IPv6 is not enabled'],
    ['GET', '/networks/absent', undefined, 404, 'Network absent not found'],
    ['GET', '/networks?filters={"colour":["red"]}', undefined, 400, "Invalid filter 'colour'"],
    ['DELETE', '/networks/bridge', undefined, 403, 'bridge is a pre-defined network and cannot be removed'],
    ['DELETE', '/networks/taken', undefined, 403, 'network taken has active endpoints'],
    ['DELETE', '/networks/absent', undefined, 404, 'Network absent not found'],
    ['POST', '/networks/absent/connect', { Container: 'user' }, 404, 'Network absent not found'],
    ['POST', '/networks/taken/connect', { Container: 'nobody' }, 404, 'No such container: nobody'],
    ['POST', '/networks/taken/connect', { Container: 'user' }, 403, 'already exists in network taken'],
    ['POST', '/networks/host/connect', { Container: 'user' }, 400, 'Cannot connect container to host network'],
    ['POST', '/networks/taken/connect', { Container: 'lonely' }, 400, 'in private (none) mode'],
    ['POST', '/networks/taken/connect', { Container: 'shares' }, 400, 'cannot be connected to any other network'],
    [
      'POST',
      '/networks/bridge/connect',
      { Container: 'user', EndpointConfig: { Aliases: ['a'] } },
      400,
      'Network-scoped aliases',
    ],
    ['POST', '/networks/bridge/disconnect', { Container: 'user' }, 403, 'is not connected to the network bridge'],
    [
      'POST',
      '/v1.43/containers/create',
      { Image: 'box', Cmd: ['true'], NetworkingConfig: { EndpointsConfig: { taken: {}, bridge: {} } } },
      400,
      'multiple network endpoints: taken, bridge',
    ],
  ])('%s %s %j: %i', async (method, path, body, status, message) => {
    const answer = await call(method, path.replace(/[{}"]/g, encodeURIComponent), body);
    expect(answer).toMatchObject({ status, json: { message: expect.stringContaining(message) } });
  });

  it('what was refused has left nothing', async () => {
    const names = ((await call('GET', '/networks')).json as { Name: string }[]).map(({ Name }) => Name);
    expect(names.toSorted()).toEqual(['bridge', 'host', 'none', 'taken']);
    expect(lab.run('host', 'ip', '-o', 'link')?.match(/^\d+: br-/gm)).toHaveLength(1);
  });

  it.skipIf(client === undefined)('docker’s command line works with networks', async () => {
    const docker = (...args: string[]): string => {
      const env = { ...here.env, DOCKER_HOST: `unix://${here.socket}` };
      const { status, stdout, stderr } = spawnSync(client!, args, { encoding: 'utf8', env, timeout: 60_000 });
      return status === 0 ? stdout.trimEnd() : stderr;
    };
    expect(docker('network', 'create', '--subnet', '10.84.0.0/24', '--label', 'a=b', 'cli')).toMatch(/^[0-9a-f]{64}$/);
    expect(docker('network', 'ls', '--filter', 'label=a', '--format', '{{.Name}} {{.Driver}} {{.Scope}}')).toBe(
      'cli bridge local',
    );
    expect(docker('network', 'ls')).toBe(await ok('network', 'ls'));
    expect(docker('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Gateway}}', 'cli')).toBe('10.84.0.1');
    expect(
      docker('run', '--rm', '--network', 'cli', '--network', 'name=taken,alias=z', 'box', 'ping', '-c', '1', 'user'),
    ).toContain('1 packets received');
    docker('network', 'connect', '--alias', 'here', 'cli', 'user');
    expect(docker('run', '--rm', '--network', 'cli', '--ip', '10.84.0.77', 'box', 'ping', '-c', '1', 'here')).toContain(
      '1 packets received',
    );
    expect(docker('network', 'rm', 'cli')).toContain('has active endpoints');
    expect(docker('network', 'disconnect', '-f', 'cli', 'user')).toBe('');
    expect(docker('network', 'prune', '-f')).toBe('Deleted Networks:\ncli');
    expect(docker('run', '--rm', '--network', 'cli', 'box', 'true')).toMatch(/network cli not found/i);
  });
});

// The requests of Compose v2 for up, ps, logs, a changed service and down, as it sends them: every field of Go's structs is there.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const PROJECT = 'com.docker.compose.project=shop';

/** Go writes what is not set, too. */
const endpoint = (Aliases: string[]): object => ({
  ...{ IPAMConfig: null, Links: null, Aliases, MacAddress: '', DriverOpts: null, GwPriority: 0, NetworkID: '' },
  ...{ EndpointID: '', Gateway: '', IPAddress: '', IPPrefixLen: 0, IPv6Gateway: '', GlobalIPv6Address: '' },
  ...{ GlobalIPv6PrefixLen: 0, DNSNames: null },
});

const resources = {
  ...{ CpuShares: 0, Memory: 0, NanoCpus: 0, CgroupParent: '', BlkioWeight: 0, BlkioWeightDevice: null },
  ...{ BlkioDeviceReadBps: null, BlkioDeviceWriteBps: null, BlkioDeviceReadIOps: null, BlkioDeviceWriteIOps: null },
  ...{ CpuPeriod: 0, CpuQuota: 0, CpuRealtimePeriod: 0, CpuRealtimeRuntime: 0, CpusetCpus: '', CpusetMems: '' },
  ...{ Devices: null, DeviceCgroupRules: null, DeviceRequests: null, MemoryReservation: 0, MemorySwap: 0 },
  ...{ MemorySwappiness: null, OomKillDisable: false, PidsLimit: null, Ulimits: null, CpuCount: 0, CpuPercent: 0 },
  ...{ IOMaximumIOps: 0, IOMaximumBandwidth: 0 },
};

interface Service {
  name: string;
  command: string[];
  hash: string;
  config?: object;
  host?: object;
  networks: string[];
}

function createBody({ name, command, hash, config = {}, host = {}, networks }: Service): object {
  const aliases = [`shop-${name}-1`, name];
  return {
    ...{ Hostname: '', Domainname: '', User: '', AttachStdin: false, AttachStdout: true, AttachStderr: true },
    ...{ ExposedPorts: null, Tty: false, OpenStdin: false, StdinOnce: false, Env: null, Cmd: command, Image: 'box' },
    ...{ Volumes: null, WorkingDir: '', Entrypoint: null, OnBuild: null },
    ...config,
    Labels: {
      'com.docker.compose.config-hash': hash,
      'com.docker.compose.container-number': '1',
      'com.docker.compose.depends_on': '',
      'com.docker.compose.image': 'sha256:0',
      'com.docker.compose.oneoff': 'False',
      'com.docker.compose.project': 'shop',
      'com.docker.compose.project.config_files': '/shop/compose.yaml',
      'com.docker.compose.project.working_dir': '/shop',
      'com.docker.compose.service': name,
      'com.docker.compose.version': '2.40.0',
    },
    HostConfig: {
      ...{ Binds: null, ContainerIDFile: '', LogConfig: { Type: '', Config: null }, NetworkMode: networks[0] },
      ...{ PortBindings: {}, RestartPolicy: { Name: '', MaximumRetryCount: 0 }, AutoRemove: false, VolumeDriver: '' },
      ...{ VolumesFrom: null, ConsoleSize: [0, 0], CapAdd: null, CapDrop: null, CgroupnsMode: '', Dns: null },
      ...{ DnsOptions: null, DnsSearch: null, ExtraHosts: [], GroupAdd: null, IpcMode: '', Cgroup: '', Links: null },
      ...{ OomScoreAdj: 0, PidMode: '', Privileged: false, PublishAllPorts: false, ReadonlyRootfs: false },
      ...{ SecurityOpt: null, UTSMode: '', UsernsMode: '', ShmSize: 0, Isolation: '', MaskedPaths: null },
      ...{ ReadonlyPaths: null, ...resources },
      ...host,
    },
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(networks.map((network) => [network, endpoint(aliases)])) },
  };
}

const db: Service = {
  name: 'db',
  command: ['sh', '-c', 'echo begins; sleep 0.3; touch /ready; exec sleep 60'],
  hash: 'a1',
  config: {
    Healthcheck: { Test: ['CMD', 'test', '-e', '/ready'], Interval: 2e8, Timeout: 0, StartPeriod: 0, Retries: 30 },
  },
  host: { Mounts: [{ Type: 'volume', Source: 'shop_data', Target: '/data', VolumeOptions: {} }], Init: true },
  networks: ['shop_back'],
};
const web = (hash: string, Env: string[]): Service => ({
  name: 'web',
  command: ['httpd', '-f', '-h', '/var/www'],
  hash,
  config: { Env, ExposedPorts: { '80/tcp': {} } },
  host: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] }, Init: true },
  networks: ['shop_back', 'shop_front'],
});

describe.skipIf(whyNoContainers())('Compose v2', () => {
  const here = createInstallation();

  /** The answer, which must have the status. */
  const call = async (method: string, path: string, status: number, body?: object): Promise<unknown> => {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const answer = await engineCall(here.dataRoot, method, `/v1.51${path}`, bytes);
    expect(answer.status, `${method} ${path}: ${answer.body}`).toBe(status);
    const text = answer.body.toString();
    return text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text;
  };
  const filters = (wanted: object): string => `filters=${encodeURIComponent(JSON.stringify(wanted))}`;
  const labelled = (...labels: string[]): string =>
    filters({ label: Object.fromEntries([PROJECT, ...labels].map((label) => [label, true])) });
  interface Listed {
    Id: string;
    Names: string[];
    State: string;
    Labels: Record<string, string>;
    Ports: { PublicPort?: number }[];
  }
  const list = async (...labels: string[]): Promise<Listed[]> =>
    (await call('GET', `/containers/json?all=1&${labelled(...labels)}`, 200)) as Listed[];
  const create = async (service: Service, name = `shop-${service.name}-1`): Promise<string> =>
    ((await call('POST', `/containers/create?name=${name}`, 201, createBody(service))) as { Id: string }).Id;
  const inspect = (id: string): Promise<unknown> => call('GET', `/containers/${id}/json`, 200);

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await here.ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it('goes up', async () => {
    await call('HEAD', '/_ping', 200);
    await call('GET', '/info', 200);
    await call('GET', '/images/box/json', 200);
    expect(await list('com.docker.compose.oneoff=False')).toEqual([]);
    for (const network of ['back', 'front']) {
      const Name = `shop_${network}`;
      expect(await call('GET', `/networks?${filters({ name: { [Name]: true } })}`, 200)).toEqual([]);
      await call('GET', `/networks/${Name}`, 404);
      const Labels = { 'com.docker.compose.network': network, 'com.docker.compose.project': 'shop' };
      await call('POST', '/networks/create', 201, {
        ...{ Name, Driver: '', Scope: '', IPAM: {}, Internal: false, Attachable: false, Ingress: false },
        ...{ ConfigOnly: false, ConfigFrom: null, Options: null, EnableIPv6: null, Labels },
      });
    }
    await call('GET', '/volumes/shop_data', 404);
    const Labels = { 'com.docker.compose.volume': 'data', 'com.docker.compose.project': 'shop' };
    await call('POST', '/volumes/create', 201, { Name: 'shop_data', Driver: '', DriverOpts: null, Labels });

    const store = await create(db);
    await call('POST', `/containers/${store}/start`, 204);
    await until(async () => {
      const { State } = (await inspect(store)) as { State: { Health: { Status: string } } };
      return State.Health.Status === 'healthy';
    });
    const front = await create(web('b1', ['A=1']));
    await call('POST', `/containers/${front}/start`, 204);
    expect(await inspect(front)).toMatchObject({
      State: { Running: true },
      NetworkSettings: {
        Networks: { shop_back: { Aliases: ['shop-web-1', 'web'] }, shop_front: { Aliases: ['shop-web-1', 'web'] } },
        Ports: { '80/tcp': [{ HostIp: '127.0.0.1' }] },
      },
    });
    expect(await here.ok('exec', 'shop-web-1', 'ping', '-c1', 'db')).toContain('1 packets received');
  });

  it('lists its services', async () => {
    const found = await list('com.docker.compose.service=web', 'com.docker.compose.container-number=1');
    expect(found).toMatchObject([
      { Names: ['/shop-web-1'], State: 'running', Ports: [{ PublicPort: expect.any(Number) }] },
    ]);
    expect(await list()).toHaveLength(2);
    expect(await list('com.docker.compose.config-hash=b1')).toHaveLength(1);
  });

  it('reads logs and hears events', async () => {
    const [store] = await list('com.docker.compose.service=db');
    const logs = await call(
      'GET',
      `/containers/${store!.Id}/logs?stdout=1&stderr=1&since=&until=&timestamps=0&tail=all`,
      200,
    );
    expect(logs).toContain('begins');
    const events = `/events?since=1&until=${Math.ceil(Date.now() / 1000)}&${filters({ type: { container: true }, label: { [PROJECT]: true } })}`;
    const answer = await engineCall(here.dataRoot, 'GET', `/v1.51${events}`);
    const told = answer.body
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { Action: string; Actor: { Attributes: Record<string, string> } });
    expect(told.map(({ Action, Actor }) => `${Action} ${Actor.Attributes['com.docker.compose.service']}`)).toEqual(
      expect.arrayContaining(['create db', 'start db', 'health_status: healthy db', 'create web', 'start web']),
    );
  });

  it('makes a changed service anew under its name', async () => {
    const [old] = await list('com.docker.compose.service=web');
    const service = web('b2', ['A=2']);
    const made = await create(service, `${old!.Id.slice(0, 12)}_shop-web-1`);
    await call('POST', `/containers/${old!.Id}/stop?t=0`, 204);
    await call('DELETE', `/containers/${old!.Id}`, 204);
    await call('POST', `/containers/${made}/rename?name=shop-web-1`, 204);
    await call('POST', `/containers/${made}/start`, 204);
    expect(await list('com.docker.compose.service=web')).toMatchObject([
      { Id: made, Names: ['/shop-web-1'], State: 'running' },
    ]);
    expect(await here.ok('exec', 'shop-web-1', 'sh', '-c', 'echo $A')).toBe('2');
    // Its name is known to the others again.
    expect(await here.ok('exec', 'shop-db-1', 'ping', '-c1', 'web')).toContain('1 packets received');
  });

  it('goes down', async () => {
    for (const { Id } of await list()) {
      await call('POST', `/containers/${Id}/stop?t=0`, 204);
      await call('DELETE', `/containers/${Id}?force=1&v=1`, 204);
    }
    const networks = (await call('GET', `/networks?${labelled()}`, 200)) as { Id: string; Name: string }[];
    expect(networks.map(({ Name }) => Name).toSorted()).toEqual(['shop_back', 'shop_front']);
    for (const { Id } of networks) await call('DELETE', `/networks/${Id}`, 204);
    expect(await call('GET', `/volumes?${labelled()}`, 200)).toMatchObject({ Volumes: [{ Name: 'shop_data' }] });
    await call('DELETE', '/volumes/shop_data?force=1', 204);
    expect(await list()).toEqual([]);
  });
});

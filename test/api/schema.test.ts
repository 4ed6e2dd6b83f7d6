// Every JSON answer of the API keeps to Docker's own description of it, at the oldest, the described and the newest version.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Route } from '../../host/api/http.ts';
import { allRoutes } from '../../host/api/routes.ts';
import { API_VERSION } from '../../host/api/versions.ts';
import type { Engine } from '../../host/engine/engine.ts';
import { findDescription, readDescription } from '../helpers/api-description.ts';
import { type Answer, typeProblems } from '../helpers/api-types.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { rawConnection } from '../helpers/raw-http.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { makeTar } from '../helpers/tar.ts';

const found = findDescription();
if ('missing' in found) console.log(`Answers are not compared with Docker's description: ${found.missing}`);

/** Described since 1.41, or by podman, or ours: properties that the file of 1.41 does not know. */
const newer = [
  ...[
    'code',
    'hint',
    'Annotations',
    'DNSNames',
    'GwPriority',
    'IDMappings',
    'StartInterval',
    'ImageManifestDescriptor',
  ],
  ...['Health', 'EnableIPv4', 'BuildCacheDiskUsage', 'CgroupnsMode', 'ReadOnlyForceRecursive', 'CreateMountpoint'],
  ...['VolumeOptions', 'ImageOptions', 'Features', 'FirewallBackend', 'Subpath', 'Status', 'scope'],
  ...['ConfigFrom', 'ConfigOnly', 'Peers'],
  // Of events, for clients before docker 25.
  ...['status', 'id', 'from'],
];

/** Where docker itself does not keep to the description of 1.41; later ones have it right. */
const quirks = [
  /GET .exec.{id}.json 200: .ExitCode must be integer/, // null as long as it runs
  /HostConfig.RestartPolicy.Name must be equal to one of the allowed values/, // "no" is missing
  /HostConfig.MemorySwappiness must be integer/, // a pointer, null where it is not set
  /GET .containers.json 200: .\d+.Mounts/, // described as what is asked for, and are what is there
];

/** What the routes are is known without an engine: only their handlers use one. */
const routes = allRoutes({} as Engine);
const pattern = ({ path }: Route): string => path.replace(/:(\w+)\*?/g, '{$1}');

describe.skipIf(whyNoContainers() || 'missing' in found)("docker's description", () => {
  const here = createInstallation();
  const { operations, problems } = readDescription('file' in found ? found.file : '', newer);
  const carriedOut = routes.filter(
    (route, index) =>
      route.refused === undefined &&
      operations.includes(`${route.method} ${pattern(route)}`) &&
      routes.findIndex(({ method, path }) => method === route.method && path === route.path) === index,
  );
  const called = new Set<string>();
  let wrong: string[] = [];
  let version = '';
  /** Of the version that is asked for last. */
  let answers: Answer[] = [];

  const described = (method: string, route: Route): boolean =>
    route.method === method && operations.includes(`${method} ${pattern(route)}`);
  const serves = (operation: string): boolean =>
    carriedOut.some((route) => `${route.method} ${pattern(route)}` === operation);

  /** Calls and checks; @returns what was answered. */
  const call = async <T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    expected?: number,
  ): Promise<T> => {
    const bytes = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    const answer = await engineCall(here.dataRoot, method, `/v${version}${path}`, bytes);
    const [plain = ''] = path.split('?');
    const known = carriedOut.find(
      (route) => route.method === method && new RegExp(`^${pattern(route).replace(/\{\w+\}/g, '.+')}$`).test(plain),
    );
    if (known !== undefined) called.add(`${method} ${pattern(known)}`);
    const text = answer.body.toString();
    const isJson = answer.header('content-type').startsWith('application/json');
    if (expected !== undefined && answer.status !== expected)
      wrong.push(`${method} ${path}: ${answer.status} instead of ${expected}: ${text}`);
    if (!isJson) {
      if (answer.status >= 400) wrong.push(`${method} ${path}: a failure that is no JSON`);
      return text as T;
    }
    const values =
      method === 'HEAD'
        ? []
        : /^(\/events|\/build\?|\/images\/(create|load|[^?]+\/push))/.test(path)
          ? lines(text)
          : [JSON.parse(text)];
    for (const value of values) wrong.push(...problems(method, plain, answer.status, value));
    const operation = known === undefined ? `${method} ${plain}` : `${method} ${pattern(known)}`;
    answers.push(...values.map((value) => ({ operation, status: answer.status, value })));
    return values[0] as T;
  };
  const lines = (text: string): unknown[] =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  /** Over a connection that is upgraded: the operation counts as called where it says 101. */
  const hijack = async (operation: string, path: string, body: object): Promise<string> => {
    const json = JSON.stringify(body);
    const head = `POST /v${version}${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n`;
    const { closed, socket } = await rawConnection(
      here.socket,
      `${head}Content-Type: application/json\r\nContent-Length: ${json.length}\r\n\r\n${json}`,
    );
    const text = await closed;
    socket.destroy();
    if (/^HTTP\/1.1 101/.test(text)) called.add(operation);
    else wrong.push(`${operation}: ${text}`);
    return text;
  };

  let archive = Buffer.alloc(0);
  beforeAll(async () => {
    const tree = busyboxTree();
    const path = makeArchive(tree, 'box:latest', {
      config: { ExposedPorts: { '80/tcp': {} }, Volumes: { '/kept': {} } },
    });
    await here.ok('load', '-i', path);
    const saved = await engineCall(here.dataRoot, 'GET', '/images/box/get');
    archive = saved.body as Buffer<ArrayBuffer>;
    for (const left of [tree, path]) rmSync(left, { recursive: true });
  });
  afterAll(() => here.close());

  const everything = {
    Image: 'box',
    Cmd: ['sh', '-c', 'echo out; sleep 60'],
    Env: ['A=b'],
    Labels: { l: 'v' },
    Tty: false,
    OpenStdin: true,
    StopTimeout: 1,
    Healthcheck: { Test: ['NONE'] },
    ExposedPorts: { '81/udp': {} },
    HostConfig: {
      Binds: ['/tmp:/host:ro'],
      Mounts: [
        { Type: 'volume', Source: 'described', Target: '/v' },
        { Type: 'tmpfs', Target: '/t' },
      ],
      PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] },
      Memory: 64 << 20,
      NanoCpus: 500_000_000,
      Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }],
      CapAdd: ['NET_ADMIN'],
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 },
      Sysctls: { 'net.ipv4.ip_forward': '1' },
      Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/zap', CgroupPermissions: 'rwm' }],
      ExtraHosts: ['far:192.0.2.1'],
      Dns: ['192.0.2.53'],
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
      ReadonlyRootfs: true,
    },
  };

  const containers = async (): Promise<void> => {
    await call('POST', '/containers/create?name=full', everything, 201);
    await call('POST', '/containers/create?name=plain', { Image: 'box', Cmd: ['true'] }, 201);
    await call('POST', '/containers/create?name=bad', { Image: 'absent' }, 404);
    await call('GET', '/containers/full/json', undefined, 200);
    await call('POST', '/containers/full/start', undefined, 204);
    await call('POST', '/containers/full/start', undefined, 304);
    await call('GET', '/containers/full/json?size=1', undefined, 200);
    await call('GET', '/containers/json?all=1', undefined, 200);
    await call('GET', '/containers/json?all=1&size=1', undefined, 200);
    await call('GET', '/containers/full/top', undefined, 200);
    await call('GET', '/containers/full/stats?stream=0&one-shot=1', undefined, 200);
    await call('GET', '/containers/plain/stats?stream=0', undefined, 200);
    await call('GET', '/containers/full/logs?stdout=1', undefined, 200);
    if (serves('GET /containers/{id}/changes')) await call('GET', '/containers/full/changes', undefined, 200);
    if (serves('GET /containers/{id}/export')) await call('GET', '/containers/plain/export', undefined, 200);
    if (serves('POST /containers/{id}/update'))
      await call('POST', '/containers/full/update', { Memory: 128 << 20 }, 200);
    await call('HEAD', '/containers/full/archive?path=/etc', undefined, 200);
    const tar = await engineCall(here.dataRoot, 'GET', '/containers/full/archive?path=/etc/passwd');
    await call('GET', '/containers/full/archive?path=/etc/passwd', undefined, 200);
    await call('PUT', '/containers/full/archive?path=/v', tar.body, 200);
    await call('PUT', '/containers/full/archive?path=/absent', tar.body, 404);
    const exec = await call<{ Id: string }>(
      'POST',
      '/containers/full/exec',
      { Cmd: ['true'], AttachStdout: true },
      201,
    );
    await call('GET', `/exec/${exec.Id}/json`, undefined, 200);
    await hijack('POST /exec/{id}/start', `/exec/${exec.Id}/start`, { Detach: false, Tty: false });
    await call('GET', `/exec/${exec.Id}/json`, undefined, 200);
    const tty = await call<{ Id: string }>('POST', '/containers/full/exec', { Cmd: ['sleep', '60'], Tty: true }, 201);
    await call('POST', `/exec/${tty.Id}/start`, { Detach: true }, 200);
    await call('POST', `/exec/${tty.Id}/resize?h=10&w=20`, undefined, 200);
    await call('POST', '/containers/full/resize?h=10&w=20', undefined, 200);
    await call('POST', '/containers/full/pause', undefined, 204);
    await call('GET', '/containers/full/json', undefined, 200);
    await call('POST', '/containers/full/unpause', undefined, 204);
    await call('POST', '/containers/full/rename?name=renamed', undefined, 204);
    await call('POST', '/containers/renamed/restart?t=0', undefined, 204);
    await call('POST', '/containers/renamed/kill?signal=KILL', undefined, 204);
    await call('POST', '/containers/renamed/stop?t=0');
    await call('POST', '/containers/renamed/wait', undefined, 200);
    await call('POST', '/containers/renamed/kill', undefined, 409);
    const attached = hijack('POST /containers/{id}/attach', '/containers/plain/attach?stream=1&stdout=1', {});
    await until(async () => (await call('POST', '/containers/plain/start')) !== undefined);
    await attached;
    await call('GET', '/containers/plain/json', undefined, 200);
    if (serves('POST /commit')) await call('POST', '/commit?container=plain&repo=committed', {}, 201);
    await call('DELETE', '/containers/renamed?force=1&v=1', undefined, 204);
    await call('DELETE', '/containers/renamed', undefined, 404);
    await call('POST', '/containers/prune', undefined, 200);
  };

  const images = async (): Promise<void> => {
    await call('POST', '/images/load', archive, 200);
    await call('POST', '/images/box/tag?repo=crate&tag=v1', undefined, 201);
    await call('GET', '/images/json', undefined, 200);
    await call('GET', '/images/json?all=1&digests=1', undefined, 200);
    await call('GET', '/images/box/json', undefined, 200);
    await call('GET', '/images/absent/json', undefined, 404);
    await call('GET', '/images/box/history', undefined, 200);
    await call('GET', '/images/box/get', undefined, 200);
    await call('GET', '/images/get?names=box', undefined, 200);
    await call('POST', '/images/create?fromImage=127.0.0.1:1/absent&tag=x');
    await call('DELETE', '/images/crate:v1', undefined, 200);
    if (serves('POST /images/{name}/push')) await call('POST', '/images/box/push');
    if (serves('GET /images/search')) await call('GET', '/images/search?term=127.0.0.1:1/x');
    if (serves('GET /distribution/{name}/json')) await call('GET', '/distribution/127.0.0.1:1/absent/json');
    await call(
      'POST',
      '/build?t=built',
      makeTar([{ name: 'Dockerfile', content: 'FROM box\nRUN true > /made\n' }]),
      200,
    );
    await call('GET', '/images/built/json', undefined, 200);
    await call('GET', '/system/df', undefined, 200);
    await call('POST', '/images/prune', undefined, 200);
    await call('POST', '/build/prune', undefined, 200);
  };

  const networks = async (): Promise<void> => {
    if (serves('GET /networks')) await call('GET', '/networks', undefined, 200);
    if (serves('GET /networks/{id}')) {
      await call('GET', '/networks/bridge', undefined, 200);
      await call('GET', '/networks/absent', undefined, 404);
    }
    if (!serves('POST /networks/create')) return;
    await call('POST', '/networks/create', { Name: 'described', Labels: { a: 'b' } }, 201);
    await call('GET', '/networks/described', undefined, 200);
    await call('POST', '/containers/create?name=joining', { Image: 'box', Cmd: ['sleep', '60'] }, 201);
    await call('POST', '/containers/joining/start', undefined, 204);
    await call('POST', '/networks/described/connect', { Container: 'joining' }, 200);
    await call('GET', '/networks/described', undefined, 200);
    await call('GET', '/containers/joining/json', undefined, 200);
    await call('POST', '/networks/described/disconnect', { Container: 'joining' }, 200);
    await call('DELETE', '/containers/joining?force=1', undefined, 204);
    await call('DELETE', '/networks/described', undefined, 204);
    await call('POST', '/networks/prune', undefined, 200);
  };

  const others = async (): Promise<void> => {
    await call('POST', '/volumes/create', { Name: 'made', Labels: { a: 'b' } }, 201);
    await call('GET', '/volumes', undefined, 200);
    await call('GET', '/volumes/made', undefined, 200);
    await call('GET', '/volumes/absent', undefined, 404);
    await call('DELETE', '/volumes/made', undefined, 204);
    await call('POST', '/volumes/prune', undefined, 200);
    await call('GET', '/_ping', undefined, 200);
    await call('HEAD', '/_ping', undefined, 200);
    await call('GET', '/version', undefined, 200);
    await call('GET', '/info', undefined, 200);
    await call('GET', '/plugins', undefined, 200);
    await call('GET', `/events?since=1&until=${Math.ceil(Date.now() / 1000)}`, undefined, 200);
    if (serves('GET /system/df')) await call('GET', '/system/df', undefined, 200);
    await call('POST', '/build/prune', undefined, 200);
    if (serves('POST /auth'))
      await call('POST', '/auth', { username: 'a', password: 'b', serveraddress: '127.0.0.1:1' });
    for (const refused of routes.filter((route) => route.refused !== undefined && described('GET', route)))
      await call('GET', refused.path.replace(/:\w+\*?/g, 'x'));
  };

  it.each(['1.24', '1.41', '1.51'])('is kept to at version %s', async (wanted) => {
    [version, wrong, answers] = [wanted, [], []];
    for (const part of [containers, images, networks, others]) await part();
    /** What versions after the description's took away, and what they added. */
    const gone = (line: string): boolean =>
      version === '1.51' &&
      /must have required property '(VirtualSize|DockerVersion|Container)'|additional properties Descriptor/.test(line);
    expect(
      [...new Set(wrong)].filter((line) => !gone(line)).filter((line) => !quirks.some((quirk) => quirk.test(line))),
    ).toEqual([]);
  });

  it("is kept to in docker's own models of the newest version", () => {
    expect(version).toBe(API_VERSION);
    expect(typeProblems(answers)).toEqual([]);
    const wrongly = (value: unknown): string =>
      typeProblems([{ operation: 'GET /version', status: 200, value }]).join();
    expect(wrongly({ Components: [{ Name: 'x', Version: 1 }] })).toMatch(
      /200: .Components.Version: Type 'number' is not/,
    );
    expect(wrongly({ Components: null, Own: 1 })).toMatch(/^GET .version 200: .Own: [^,]*known properties, [^,]*$/);
  });

  it('finds what is not described', () => {
    const found = problems('GET', '/containers/x/top', 200, { Titles: 'UID', Rows: [] });
    expect(found.join()).toMatch(/must NOT have additional properties Rows.*Titles must be array,null/);
    expect(problems('GET', '/containers/json', 200, [{ Id: 1 }])[0]).toContain('/0/Id must be string');
    expect(problems('GET', '/info', 418, {})[0]).toContain("must have required property 'message'");
  });

  it('is compared with at every operation that is carried out', () => {
    const wanted = carriedOut
      .map((route) => `${route.method} ${pattern(route)}`)
      .filter((name) => !name.includes('/attach/ws'));
    expect(wanted.filter((name) => !called.has(name))).toEqual([]);
  });
});

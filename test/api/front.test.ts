// The front of the API over a running socket: versions, paths, bad input, slow clients, upgrades.
import { rmSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { type Answer, engineCall } from '../helpers/engine-call.ts';
import { rawCall, rawConnection } from '../helpers/raw-http.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('the API', () => {
  const here = createInstallation();
  let engine: ChildProcess;
  const call = (method: string, path: string, body?: unknown): Promise<Answer> =>
    engineCall(here.dataRoot, method, path, body === undefined ? undefined : Buffer.from(JSON.stringify(body)));
  const message = ({ body }: Answer): string => (JSON.parse(body.toString()) as { message: string }).message;
  const raw = (head: string, body = ''): Promise<string> =>
    rawCall(here.socket, `${head}\nHost: docker\nConnection: close`, body);

  beforeAll(async () => {
    engine = here.start('serve', '--client-timeout', '1', '-D');
    engine.stderr!.resume();
    await new Promise((resolve) => engine.stdout!.once('data', resolve));
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await here.ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  describe('versions', () => {
    it.each(['', '/v1.24', '/v1.41', '/v1.51'])('serves "%s"', async (prefix) => {
      expect((await call('GET', `${prefix}/version`)).status).toBe(200);
      expect((await call('HEAD', `${prefix}/_ping`)).status).toBe(200);
    });

    it.each([
      ['1.23', 'too old. Minimum supported API version is 1.24'],
      ['1.9', 'too old'],
      ['0.99', 'too old'],
      ['1.52', 'too new. Maximum supported API version is 1.51'],
      ['1.100', 'too new'],
      ['2.0', 'too new'],
      ['99', 'too new'],
      ['1.51.1', 'too new'],
    ])('refuses %s', async (version, words) => {
      const answer = await call('GET', `/v${version}/info`);
      expect(message(answer)).toContain(`client version ${version} is ${words}`);
      expect(answer.status).toBe(400);
      expect(answer.header('api-version')).toBe('1.51');
    });

    it('says in headers what it is', async () => {
      const ping = await call('GET', '/_ping');
      expect(ping.body.toString()).toBe('OK');
      const names = ['api-version', 'ostype', 'docker-experimental', 'builder-version', 'swarm', 'server', 'pragma'];
      expect(names.map((name) => ping.header(name))).toEqual([
        ...['1.51', 'linux', 'false', '1', 'inactive', 'gantry/0.1.0 (linux)', 'no-cache'],
      ]);
    });
  });

  describe('paths', () => {
    it.each([
      ['GET', '/nothing', 404],
      ['GET', '/v1.41/nothing', 404],
      ['GET', '/', 404],
      ['GET', '/v1.41', 404],
      ['PATCH', '/info', 405],
      ['DELETE', '/version', 405],
      ['OPTIONS', '/info', 200],
      ['GET', '/containers/%2e%2e/json', 404],
      ['GET', '/containers/%2e%2e%2f%2e%2e%2fetc/json', 404],
      ['GET', '/containers/../json', 404],
      ['GET', '/containers/a%00b/json', 400],
      ['GET', '/containers/%0d%0ax/json', 400],
      ['GET', '/containers/%zz/json', 400],
      ['GET', '/containers/%/json', 400],
      ['GET', '/containers/%ff/json', 400],
      ['GET', `/containers/${'a'.repeat(2000)}/json`, 400],
      ['GET', '/containers/json?all=%zz', 400],
      ['GET', '/containers/json?filters=%', 400],
      ['GET', '/images/%00/json', 400],
      ['GET', '/images/..%2f..%2fx/json', 400],
      ['DELETE', '/volumes/%2e%2e', 404],
      ['GET', '/volumes/%2e%2e%2f%2e%2e', 404],
      ['POST', '/containers/create?name=../x', 400],
      ['POST', '/containers/create?name=a%00b', 400],
    ])('%s %s: %i', async (method, path, status) => {
      const answer = await call(method, path, method === 'POST' ? { Image: 'box' } : undefined);
      expect(answer.status, answer.body.toString()).toBe(status);
      if (status >= 400) expect(message(answer)).not.toBe('');
      if (status === 405) expect(answer.header('allow')).toContain('GET');
    });

    it('takes absolute URLs, and refuses heads that are too large or no HTTP', async () => {
      expect(await raw('GET http://docker/v1.41/_ping HTTP/1.1')).toMatch(/^HTTP\/1.1 200/);
      expect(await raw(`GET /info HTTP/1.1\nX: ${'x'.repeat(70_000)}`)).toMatch(/^HTTP\/1.1 431 .*"message"/s);
      expect(await rawCall(here.socket, 'hello engine')).toMatch(/^HTTP\/1.1 400 .*"message":"Malformed request/s);
    });

    it('answers pipelined requests in their order', async () => {
      const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
      const many = Array.from({ length: 20 }, () => get('/info') + get('/_ping')).join('');
      const { closed, socket } = await rawConnection(here.socket, many + get('/nothing', 'Connection: close\r\n'));
      const answers = (await closed).split('HTTP/1.1 ').slice(1);
      socket.destroy();
      expect(answers.length).toBe(41);
      answers.slice(0, 40).forEach((answer, index) => {
        expect(answer).toContain(index % 2 === 0 ? '"ServerVersion"' : '\r\n\r\nOK');
      });
      expect(answers[40]).toContain('page not found');
    });
  });

  describe('an engine in no swarm, without plugins', () => {
    it.each([
      ['GET', '/swarm', 503, 'This node is not a swarm manager. Use "docker swarm init"'],
      ['GET', '/services', 503, 'not a swarm manager'],
      ['POST', '/secrets/create', 503, 'not a swarm manager'],
      ['GET', '/nodes/x', 503, 'not a swarm manager'],
      ['GET', '/tasks', 503, 'not a swarm manager'],
      ['GET', '/configs', 503, 'not a swarm manager'],
      ['POST', '/swarm/leave', 503, 'This node is not part of a swarm'],
      ['POST', '/swarm/init', 501, 'Cannot form a swarm'],
      ['GET', '/plugins/a/b/json', 404, 'plugin "a/b" not found'],
    ])('%s %s: %i', async (method, path, status, words) => {
      const answer = await call(method, path, method === 'POST' ? {} : undefined);
      expect(message(answer)).toContain(words);
      expect(answer.status).toBe(status);
    });

    it('lists no plugins', async () => {
      expect(JSON.parse((await call('GET', '/plugins')).body.toString())).toEqual([]);
    });
  });

  describe('bodies', () => {
    const post = (path: string, type: string, body: string): Promise<string> =>
      raw(`POST ${path} HTTP/1.1\n${type}Content-Length: ${Buffer.byteLength(body)}`, body);
    const json = 'Content-Type: application/json\n';

    it.each([
      ['{"Image": "box"', json, /400 .*Invalid JSON/s],
      ['{"Image": "box"} {}', json, /400 .*Invalid JSON/s],
      ['null', json, /400 .*no image specified/s],
      ['[]', json, /400 .*must be an object/s],
      ['"box"', json, /400 .*must be an object/s],
      ['', json, /400 .*no image specified/s],
      ['{"Image": "box"}', '', /400 .*Content-Type/s],
      ['{"Image": "box"}', 'Content-Type: text/plain\n', /400 .*must be 'application.json'/s],
      ['{"Image": "absent"}', 'Content-Type: application/json; charset=utf-8\n', /404 .*No such image/s],
      ['{"image": "absent"}', json, /404 .*No such image/s],
      [`{"Image": "box", "Unknown": ${'['.repeat(100_000)}1${']'.repeat(100_000)}}`, json, /501 .*"Unknown/s],
      [`{"Image": "box", "Env": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`, json, /400 .*Env/s],
      [`{"Image": "box", "Unknown": ${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`, json, /501 .*"Unknown/s],
      ['{"Image": "box", "__proto__": {"Tty": 1}}', json, /501 .*__proto__/s],
    ])('%.60s with %j', async (body, type, wanted) => {
      expect(await post('/containers/create', type, body)).toMatch(wanted);
    });

    it('of 10 MB are refused, told or not; endless ones, too, and the engine goes on', async () => {
      const head = `POST /containers/create HTTP/1.1\n${json}`;
      expect(await raw(`${head}Content-Length: 10000000`, 'x')).toMatch(/^HTTP\/1.1 413 .*"TOO_LARGE"/s);
      const { socket, until, closed } = await rawConnection(
        here.socket,
        `${head}Host: x\nTransfer-Encoding: chunked\n\n`.replaceAll('\n', '\r\n'),
      );
      let stop = false;
      const chunk = `10000\r\n${'x'.repeat(65536)}\r\n`;
      const pour = (): void => {
        while (!stop && socket.writable && socket.write(chunk));
      };
      socket.on('drain', pour);
      pour();
      expect(await until(/"TOO_LARGE"/)).toMatch(/^HTTP\/1.1 413 /);
      await closed;
      stop = true;
      socket.destroy();
      expect((await call('GET', '/_ping')).status).toBe(200);
    });

    it('and heads that do not come in time are refused with 408', async () => {
      const lines = [`POST /containers/create HTTP/1.1\n${json}Content-Length: 10`, 'GET /info HTTP/1.1'];
      const [body, head] = await Promise.all([
        rawCall(here.socket, `${lines[0]}\nHost: x`, '{"Im'),
        rawConnection(here.socket, `${lines[1]}\r\nHost: x\r\nX-Slow: `).then(({ closed }) => closed),
      ]);
      expect(body).toMatch(/^HTTP\/1.1 408 .*did not come within/s);
      expect(head).toMatch(/^HTTP\/1.1 408 /);
    });

    it('that break off leave nothing', async () => {
      const { socket } = await rawConnection(
        here.socket,
        `POST /containers/create?name=half HTTP/1.1\r\nHost: x\r\n${json.trim()}\r\nContent-Length: 99\r\n\r\n{"Image": "box"}`,
      );
      socket.destroy();
      expect((await call('GET', '/containers/half/json')).status).toBe(404);
    });

    const fields: [string, unknown, ...unknown[]][] = [
      ['Image', 1, [], {}, true],
      ['Cmd', 1, {}, [1], true],
      ['Entrypoint', 1, {}, [null]],
      ['Env', {}, 1, [['A=b']]],
      ['Tty', 'yes', 1, []],
      ['Labels', [], 'a=b', { a: 1 }],
      ['Hostname', 1, []],
      ['StopTimeout', 'soon', 1.5],
      ['ExposedPorts', [], '80'],
      ['Volumes', ['/x'], '/x'],
      ['Healthcheck', 'CMD true', ['CMD'], { Test: 1 }, { Test: 'NONE' }],
      ['HostConfig', [], 'x', 1],
      ['HostConfig.Binds', {}, 1, [1], '/a:/b'],
      ['HostConfig.Memory', '1g', 1.5, []],
      ['HostConfig.NanoCpus', '1', {}],
      ['HostConfig.PidsLimit', 'many'],
      ['HostConfig.PortBindings', [], { '80/tcp': [{ HostPort: 80 }] }, { x: [] }],
      ['HostConfig.RestartPolicy', 'always', { Name: 1 }, { Name: 'on-failure', MaximumRetryCount: '3' }],
      ['HostConfig.CapAdd', {}, 1, [1]],
      ['HostConfig.Privileged', 'true', 1],
      ['HostConfig.Mounts', {}, [1], [{ Type: 1 }]],
      ['HostConfig.Tmpfs', [], { '/x': 1 }],
      ['HostConfig.Ulimits', {}, [{ Name: 'nofile', Soft: 'x' }]],
      ['HostConfig.Devices', {}, [{ PathOnHost: 1 }]],
      ['HostConfig.Sysctls', [], { a: 1 }],
      ['HostConfig.LogConfig', 'none', { Type: 1 }, { Config: [] }],
      ['HostConfig.ShmSize', '64m', []],
      ['HostConfig.SecurityOpt', {}, [1], 'no-new-privileges'],
      ['HostConfig.Dns', '192.0.2.1'],
      ['HostConfig.Init', 'yes'],
      ['HostConfig.NetworkMode', 1, []],
      ['NetworkingConfig', [], 1],
      ['NetworkingConfig.EndpointsConfig', [], { bridge: 1 }, { bridge: { Aliases: 1 } }, { bridge: { Aliases: 'x' } }],
    ];
    it.each(fields)('%s of a wrong type is refused by name, with 400', async (path, ...values) => {
      for (const value of values) {
        const body = path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object;
        const answer = await call('POST', '/containers/create?name=wrong', { Image: 'box', ...body });
        expect([answer.status, JSON.stringify(value)], answer.body.toString()).toEqual([400, JSON.stringify(value)]);
        if (path !== 'HostConfig.PortBindings') expect(message(answer)).toContain(path.split('.').at(-1));
      }
      expect((await call('GET', '/containers/wrong/json')).status).toBe(404);
    });
  });

  it('takes the first of two parameters, and reads truth as docker does', async () => {
    const { Id } = JSON.parse(
      (await call('POST', '/containers/create?name=one&name=two', { Image: 'box', Cmd: ['true'] })).body.toString(),
    ) as { Id: string };
    expect((await call('GET', '/containers/one/json')).status).toBe(200);
    const count = async (query: string): Promise<number> =>
      (JSON.parse((await call('GET', `/containers/json?${query}`)).body.toString()) as unknown[]).length;
    expect(await Promise.all(['all=0&all=1', 'all=1&all=0', 'all=TRUE', 'all=none', 'all=No'].map(count))).toEqual([
      0, 1, 1, 0, 0,
    ]);
    for (const bad of ['[]', '1', '"x"', '{"label":1}', '{"label":[1]}', '{', '{"nope":["x"]}'])
      expect((await call('GET', `/containers/json?filters=${encodeURIComponent(bad)}`)).status, bad).toBe(400);
    expect((await call('DELETE', `/containers/${Id}`)).status).toBe(204);
  });

  describe('callers', () => {
    it('that are web pages are refused', async () => {
      for (const header of ['Origin: http://evil.example', 'Origin: null', 'Sec-Fetch-Site: cross-site'])
        expect(await raw(`POST /containers/prune HTTP/1.1\n${header}`)).toMatch(/^HTTP\/1.1 403 .*web page/s);
    });

    it('that offer HTTP/2 are answered as if they had not', async () => {
      const offer =
        'Host: x\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA';
      const ping = await rawConnection(here.socket, `GET /_ping HTTP/1.1\n${offer}\n\n`.replaceAll('\n', '\r\n'));
      expect(await ping.until(/OK$/)).toMatch(/^HTTP\/1.1 200 /);
      ping.socket.write('GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      expect(await ping.closed).toContain('page not found');
      const body = '{"Image": "absent"}';
      const type = `Content-Type: application/json\nContent-Length: ${body.length}`;
      const create = await rawConnection(
        here.socket,
        `POST /containers/create HTTP/1.1\n${offer}\n${type}\n\n`.replaceAll('\n', '\r\n') + body,
      );
      expect(await create.until(/"IMAGE_NOT_FOUND"/)).toMatch(/^HTTP\/1.1 404 /);
      create.socket.destroy();
    });

    it('that upgrade what is not there get an ordinary answer', async () => {
      const tcp = 'Host: x\nConnection: Upgrade\nUpgrade: tcp';
      const text = await rawCall(here.socket, `POST /containers/absent/attach?stream=1 HTTP/1.1\n${tcp}`);
      expect(text).toMatch(/^HTTP\/1.1 404 .*Api-Version: 1.51.*No such container: absent/s);
    });

    it('that upgrade before the answer in front has gone out get theirs behind it', async () => {
      const upgrade = (path: string): string =>
        `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`;
      for (const path of ['/containers/absent/attach?stream=1', '/absent']) {
        const { closed, socket } = await rawConnection(
          here.socket,
          `GET /info HTTP/1.1\r\nHost: x\r\n\r\n${upgrade(path)}`,
        );
        socket.end();
        expect(await closed).toMatch(
          /^HTTP\/1.1 200 .*"ServerVersion".*HTTP\/1.1 404 .*(No such container|page not found)/s,
        );
      }
    });
  });
});

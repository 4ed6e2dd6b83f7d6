// How builds end: cut off by their client, by a failure, by the death of the engine; several at a time; and what is left then.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { build, cachedSteps, contextOf } from '../helpers/builds.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('builds', () => {
  const here = createInstallation();
  const scratch = (): string[] => {
    const path = join(here.dataRoot, 'build/work');
    return existsSync(path) ? readdirSync(path) : [];
  };
  const containers = (): Promise<string> => here.ok('ps', '-aq');

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await here.ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterEach(async () => {
    await until(() => scratch().length === 0, 'the working directories of builds to go');
    expect(await containers()).toBe('');
    expect(await here.ok('images', '-qf', 'dangling=true')).toBe('');
  });
  afterAll(() => here.close());

  it('end with their client, in the middle of a command', async () => {
    const gone = new AbortController();
    let heard = '';
    const answer = build(here.socket, 'FROM box\nRUN echo begun; sleep 1000\n', {
      query: { t: 'never' },
      signal: gone.signal,
      heard: (text) => {
        heard += text;
        if (heard.includes('begun')) gone.abort();
      },
    }).catch((error: Error) => error);
    await answer;
    await until(async () => (await containers()) === '', 'the container to go');
    expect(await here.ok('images', '-q', 'never')).toBe('');
  });

  it('end with their client, while it still sends', async () => {
    const gone = new AbortController();
    const body = contextOf('FROM box\nCOPY big /\n', [{ name: 'big', content: Buffer.alloc(1 << 20) }]).subarray(
      0,
      1 << 19,
    );
    const headers = { 'content-length': String(1 << 21) };
    const answer = build(here.socket, '', { body, headers, signal: gone.signal }).catch((error: Error) => error);
    await until(() => scratch().length === 1);
    gone.abort();
    await answer;
  });

  it('of a context that is cut short, damaged, or none are refused', async () => {
    const whole = contextOf('FROM box\n', { a: 'x'.repeat(5000) });
    const packed = gzipSync(whole);
    const cases: [Buffer, RegExp][] = [
      [whole.subarray(0, 2000), /cut short|no whole tar/],
      [packed.subarray(0, packed.length - 20), /Cannot decompress|cut short/],
      [Buffer.from('no archive at all, however long it is. '.repeat(30)), /no tar archive/],
      [Buffer.alloc(0), /Cannot locate specified Dockerfile: Dockerfile/],
    ];
    for (const [body, message] of cases) {
      const answer = await build(here.socket, '', { body });
      expect([answer.status, answer.error]).toEqual([400, expect.stringMatching(message)]);
    }
  });

  it('of stages that need each other as little as can be go side by side, and fail together', async () => {
    // Each of both waits for the other, by a cache that they share.
    const meet = (own: string, other: string): string =>
      `RUN --mount=type=cache,id=meet,target=/m touch /m/${own}; for i in $(seq 200); do [ -e /m/${other} ] && break; sleep 0.05; done; [ -e /m/${other} ]`;
    const dockerfile = `FROM box AS one\n${meet('a', 'b')} && touch /one\nFROM box AS two\n${meet('b', 'a')} && touch /two\nFROM box\nCOPY --from=one /one /\nCOPY --from=two /two /\n`;
    const answer = await build(here.socket, dockerfile, { query: { t: 'both' } });
    expect(answer.error).toBe('');
    expect(answer.text).toMatch(/Step 1\/7 [\s\S]*Step 2\/7 [\s\S]*Step 3\/7 [\s\S]*Step 4\/7 [\s\S]*Step 7\/7 /);
    expect(await here.ok('run', '--rm', 'both', 'ls', '/one', '/two')).toBe('/one\n/two');

    const failing =
      'FROM box AS slow\nRUN sleep 1000\nFROM box AS bad\nRUN echo so; exit 4\nFROM box\nCOPY --from=slow / /x\nCOPY --from=bad / /y\n';
    expect((await build(here.socket, failing)).error).toMatch(/exit 4' returned a non-zero code: 4/);
  });

  it('that need the same step at the same time do it once, and both hear it', async () => {
    const dockerfile =
      'FROM box\nRUN --mount=type=cache,id=count,target=/c echo x >> /c/log; sleep 1; echo done at $(wc -l < /c/log) | tee /made\n';
    const answers = await Promise.all(
      [1, 2, 3].map((n) => build(here.socket, dockerfile, { query: { t: `same:${n}` } })),
    );
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    for (const { text } of answers) expect(text).toContain('done at 1\n');
  });

  it('go on where the one that did the work for both is cut off', async () => {
    const dockerfile = 'FROM box\nRUN echo begun; sleep 1; echo over > /made\n';
    const gone = new AbortController();
    let begun = false;
    const first = build(here.socket, dockerfile, {
      signal: gone.signal,
      heard: (text) => (begun ||= text.includes('begun')),
    }).catch(() => {});
    await until(() => begun);
    const second = build(here.socket, dockerfile, { query: { t: 'second' } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    gone.abort();
    await first;
    expect((await second).error).toBe('');
    expect(await here.ok('run', '--rm', 'second', 'cat', '/made')).toBe('over');
  });

  it('leave nothing where the engine is killed, and go on from the cache', async () => {
    const dockerfile = 'FROM box\nRUN echo first > /1\nRUN echo begun; sleep 1000\n';
    let heard = '';
    const answer = build(here.socket, dockerfile, { heard: (text) => (heard += text) }).catch((error: Error) => error);
    await until(() => heard.includes('begun'));
    process.kill(here.enginePid()!, 'SIGKILL');
    await answer;
    await until(async () => (await containers()) === '', 'the next engine to remove the container');
    const again = await build(here.socket, dockerfile.replace('sleep 1000', 'true'), { query: { t: 'after' } });
    expect([cachedSteps(again), again.error]).toEqual([1, '']);
  });

  it('keep what they have made until it is pruned, and no longer', async () => {
    const { id } = await build(here.socket, 'FROM box\nRUN echo kept > /kept\n', { query: { t: 'kept' } });
    await here.ok('rmi', 'kept');
    expect(cachedSteps(await build(here.socket, 'FROM box\nRUN echo kept > /kept\n', { query: { t: 'kept' } }))).toBe(
      1,
    );
    expect(await here.ok('inspect', '-f', '{{.Id}}', 'kept')).toBe(id);
    const { body } = await engineCall(here.dataRoot, 'POST', '/build/prune?all=1');
    expect(JSON.parse(body.toString())).toMatchObject({ CachesDeleted: expect.arrayContaining([expect.any(String)]) });
    expect(await here.ok('run', '--rm', 'kept', 'cat', '/kept')).toBe('kept');
    expect(cachedSteps(await build(here.socket, 'FROM box\nRUN echo kept > /kept\n', { query: { t: 'kept' } }))).toBe(
      0,
    );
    await here.ok('image', 'prune', '-f');
    await here.ok('rmi', 'kept', 'both', 'same:1', 'same:2', 'same:3', 'second', 'after');
    await engineCall(here.dataRoot, 'POST', '/build/prune?all=1');
    const layers = readdirSync(join(here.dataRoot, 'layers')).filter((name) => /^[0-9a-f]{64}$/.test(name));
    expect(layers).toHaveLength(1);
  });

  describe('from an address', () => {
    let server: Server;
    const served = new Map<string, Buffer>();
    const address = (path: string): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}`;
    beforeAll(async () => {
      served.set('/context.tar.gz', gzipSync(contextOf('FROM box\nCOPY a /a\n', { a: 'remote\n' })));
      served.set('/Dockerfile', Buffer.from('FROM box\nRUN echo text > /a\n'));
      served.set('/dir/file.bin', Buffer.from('downloaded\n'));
      server = createServer(({ url = '' }, answer) => {
        const body = served.get(url);
        answer
          .writeHead(body === undefined ? 404 : 200, { 'last-modified': 'Sat, 03 Feb 2001 04:05:06 GMT' })
          .end(body);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    });
    afterAll(() => void server.close());

    it.each([
      ['a tar', 'context.tar.gz', 'remote'],
      ['a Dockerfile', 'Dockerfile', 'text'],
    ])('%s', async (_what, path, expected) => {
      const { error } = await build(here.socket, '', {
        body: Buffer.alloc(0),
        query: { remote: address(path), t: 'remote' },
      });
      expect(error).toBe('');
      expect(await here.ok('run', '--rm', 'remote', 'cat', '/a')).toBe(expected);
      await here.ok('rmi', 'remote');
    });

    it('what ADD downloads, with its time, and refused where its digest is another', async () => {
      const add = (flags: string, to: string): Promise<{ error: string; code: string }> =>
        build(here.socket, `FROM box\nADD ${flags} ${address('dir/file.bin')} ${to}\n`, { query: { t: 'added' } });
      expect((await add('', '/x/')).error).toBe('');
      expect(await here.ok('run', '--rm', 'added', 'sh', '-c', 'cat /x/file.bin; stat -c "%a %Y" /x/file.bin')).toBe(
        'downloaded\n600 981173106',
      );
      await here.ok('rmi', 'added');
      expect((await add(`--checksum=sha256:${'0'.repeat(64)}`, '/x')).code).toBe('DIGEST_MISMATCH');
      const missing = await build(here.socket, `FROM box\nADD ${address('nothing')} /x\n`);
      expect(missing.error).toMatch(/the server answered 404/);
      for (const remote of [address('nothing'), 'https://example.invalid/x.git', 'git@example.invalid:x'])
        expect(
          (await build(here.socket, '', { body: Buffer.alloc(0), query: { remote } })).status,
        ).toBeGreaterThanOrEqual(400);
    });
  });

  it.each([
    ['version=2', { version: '2' }, /DOCKER_BUILDKIT=0/],
    ['squash', { squash: '1' }, /Cannot squash/],
    ['outputs', { outputs: '[{"Type":"local"}]' }, /Cannot export/],
    ['security options', { securityopt: '["seccomp=unconfined"]' }, /security options/],
    ['a bad tag', { t: 'Upper/Case' }, /invalid reference format/],
    ['a bad target', { target: 'nosuch' }, /Failed to reach build target nosuch/],
    ['bad arguments', { buildargs: '[1]' }, /"buildargs": it must be an object/],
  ])('are refused with %s', async (_what, query, message) => {
    const answer = await build(here.socket, 'FROM box\n', { query });
    expect(answer.status, answer.error).toBeGreaterThanOrEqual(400);
    expect(answer.error).toMatch(message);
  });
});

// What programs do with `import { Engine } from 'gantry'`, against an engine of its own process and one in this process.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine, type EngineEvent, GantryError } from '../../host/library.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, type Installation, processesOf } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

interface Place {
  open(): Promise<Engine>;
  close(): Promise<void>;
  dataRoot: string;
}

function apart(): Place {
  const here: Installation = createInstallation();
  return { dataRoot: here.dataRoot, open: () => Engine.connect({ dataRoot: here.dataRoot }), close: here.close };
}

function within(): Place {
  const dataRoot = mkdtempSync(join(tmpdir(), 'gantry-'));
  return {
    dataRoot,
    open: () => Engine.open({ dataRoot }),
    close: async () => rmSync(dataRoot, { recursive: true, force: true }),
  };
}

const forever = ['sh', '-c', 'trap "exit 0" TERM; echo ready; while :; do sleep 0.1; done'];

describe.skipIf(whyNoContainers()).each([
  ['an engine of its own process', apart],
  ['an engine in this process', within],
] as const)('%s', (_kind, make) => {
  let place: Place;
  let engine: Engine;
  const refused: unknown[] = [];
  const noteRefusal = (reason: unknown): void => void refused.push(reason);

  beforeAll(async () => {
    process.on('unhandledRejection', noteRefusal);
    place = make();
    engine = await place.open();
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    expect(await engine.images.load(archive)).toEqual(['box:latest']);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(async () => {
    expect(await engine.containers({ all: true })).toEqual([]);
    await engine.close();
    await place.close();
    process.off('unhandledRejection', noteRefusal);
    expect(processesOf(place.dataRoot)).toEqual([]);
    expect(refused).toEqual([]);
  });

  it('runs to the end, with input, both streams and the exit status', async () => {
    const cmd = ['sh', '-c', 'cat; echo "$WORD" >&2; exit 7'];
    const { exitCode, stdout, stderr } = await engine.run({
      image: 'box',
      cmd,
      stdin: 'typed',
      env: { WORD: 'told' },
      network: 'none',
    });
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 7, stdout: 'typed', stderr: 'told\n' });
  });

  it('takes input piece by piece, and does not wait for what nobody reads', async () => {
    async function* endless(): AsyncGenerator<string> {
      for (let line = 0; ; line++) yield `${line}\n`;
    }
    const { stdout } = await engine.run({ image: 'box', cmd: ['head', '-n', '3'], stdin: endless(), network: 'none' });
    expect(stdout).toBe('0\n1\n2\n');
    const bytes = new Uint8Array(3 << 20).fill(120);
    const big = await engine.run({ image: 'box', cmd: ['cat'], stdin: [bytes, 'end'], network: 'none' });
    expect(big.bytes.stdout.length).toBe(bytes.length + 3);
  });

  it('tells what is wrong with a code and a hint', async () => {
    await expect(engine.run({ image: 'box', cmd: ['absent'], network: 'none' })).rejects.toMatchObject({
      code: 'COMMAND_NOT_FOUND',
    });
    await expect(engine.run({ image: 'absent', pull: 'never' })).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
    await expect(engine.container('absent')).rejects.toBeInstanceOf(GantryError);
    await expect(engine.run({ image: 'box', memory: '12 apples' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      hint: expect.stringContaining('512m'),
    });
    await expect(engine.run({ image: 'box', memroy: '1g' } as never)).rejects.toThrow(/no option "memroy"/);
  });

  it('carries options out in the kernel', async () => {
    const { stdout } = await engine.run({
      image: 'box',
      cmd: [
        'sh',
        '-c',
        'hostname; pwd; id -u; grep CapEff /proc/self/status; grep " /data " /proc/mounts; df -k /dev/shm',
      ],
      hostname: 'named',
      workdir: '/var',
      user: '1000',
      capDrop: ['ALL'],
      mounts: [{ type: 'tmpfs', target: '/data', readOnly: true }],
      shmSize: '8m',
      network: 'none',
    });
    expect(stdout).toMatch(/^named\n\/var\n1000\nCapEff:\s+0{16}\ntmpfs \/data tmpfs ro,.*\n.*\n.* 8192 /);
  });

  it('starts a container that is disposed of with its scope', async () => {
    let id: string;
    {
      await using container = await engine.start({ image: 'box', cmd: forever, name: 'scoped', labels: { a: 'b' } });
      id = container.id;
      const details = await container.inspect();
      expect(details).toMatchObject({ name: 'scoped', running: true, status: 'running', labels: { a: 'b' } });
      expect(details.networks.bridge?.ipAddress).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
      expect((await engine.containers({ filters: { label: 'a=b' } })).map((found) => found.id)).toEqual([id]);
      expect((await engine.container('scoped')).id).toBe(id);
      const ran = await container.exec(['sh', '-c', 'cat; pwd; echo $X; exit 3'], {
        stdin: 'in ',
        workdir: '/tmp',
        env: { X: 'y' },
      });
      expect(ran).toMatchObject({ exitCode: 3, stdout: 'in /tmp\ny\n', stderr: '' });
      await container.pause();
      expect((await container.inspect()).status).toBe('paused');
      await container.unpause();
      const exit = container.wait({ condition: 'next-exit' });
      await container.stop();
      expect(await exit).toBe(0);
      expect((await container.inspect()).exitCode).toBe(0);
    }
    await expect(engine.container(id)).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' });
  });

  it('reads logs as lines, as bytes, as they come', async () => {
    const cmd = ['sh', '-c', 'for n in 1 2 3; do echo $n; done; echo oops >&2; read line; echo got $line'];
    await using container = await engine.start({ image: 'box', cmd, openStdin: true, network: 'none' });
    await using session = await container.attach();
    const seen: string[] = [];
    for await (const { stream, text } of container.logs({ follow: true }).lines()) {
      seen.push(`${stream} ${text}`);
      if (seen.length === 4) {
        await session.write('this\n');
        session.end();
      }
    }
    expect(seen.filter((line) => line.startsWith('stdout'))).toEqual([
      'stdout 1',
      'stdout 2',
      'stdout 3',
      'stdout got this',
    ]);
    expect(seen).toContain('stderr oops');
    expect(await container.wait()).toBe(0);
    expect(await container.logs({ tail: 1, streams: ['stdout'] }).text()).toBe('got this\n');
    expect((await container.logs().collect()).stderr.toString()).toBe('oops\n');
  });

  it('speaks with a command', async () => {
    await using container = await engine.start({ image: 'box', cmd: forever, network: 'none' });
    await using session = await container.spawn(['cat']);
    const lines = session.lines();
    await session.write('one\n');
    expect((await lines.next()).value).toEqual({ stream: 'stdout', text: 'one' });
    await session.write('two\n');
    expect((await lines.next()).value).toEqual({ stream: 'stdout', text: 'two' });
    session.end();
    expect((await lines.next()).done).toBe(true);
    expect(await session.wait()).toBe(0);
  });

  it('publishes ports', async () => {
    const cmd = ['httpd', '-f', '-p', '8080', '-h', '/var/www'];
    await using container = await engine.start({ image: 'box', cmd, ports: ['127.0.0.1::8080'], init: true });
    const port = await container.port(8080);
    const page = () => fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.text());
    await expect.poll(() => page().catch(() => ''), { timeout: 10_000 }).toBe('served\n');
    await expect(container.port(9)).rejects.toMatchObject({ code: 'INVALID_STATE' });
  });

  it('makes networks and volumes, and removes them with their scope', async () => {
    {
      await using network = await engine.networks.create({ name: 'inner', internal: true });
      await using volume = await engine.volumes.create({ labels: { of: 'test' } });
      expect((await engine.networks.inspect('inner')).internal).toBe(true);
      const shared = { image: 'box', network: network.name, volumes: [`${volume.name}:/data`] };
      await using server = await engine.start({
        ...shared,
        cmd: ['sh', '-c', 'echo kept > /data/file; httpd -f -p 80 -h /var/www'],
        networkAliases: ['server'],
        init: true,
      });
      const cmd = ['sh', '-c', 'until wget -q -O - http://server/; do sleep 0.05; done; cat /data/file'];
      expect((await engine.run({ ...shared, cmd })).stdout).toBe('served\nkept\n');
      expect((await server.inspect()).mounts).toMatchObject([{ type: 'volume', name: volume.name, target: '/data' }]);
    }
    await expect(engine.networks.inspect('inner')).rejects.toMatchObject({ code: 'NETWORK_NOT_FOUND' });
    expect(await engine.volumes.list({ filters: { label: 'of=test' } })).toEqual([]);
  });

  it('lists, names, builds and removes images', async () => {
    await engine.images.tag('box', 'other:1');
    expect((await engine.images.inspect('other:1')).tags.sort()).toEqual(['box:latest', 'other:1']);
    await engine.images.remove('other:1');
    expect((await engine.images.list({ filters: { reference: 'box' } })).map(({ tags }) => tags)).toEqual([
      ['box:latest'],
    ]);
    const { pack } = await import('tar-stream');
    const context = pack();
    context.entry({ name: 'Dockerfile' }, 'FROM box\nARG WORD\nRUN echo $WORD > /built\n');
    context.finalize();
    const told: string[] = [];
    const id = await engine.images.build(context as AsyncIterable<Uint8Array>, {
      tags: ['built:1'],
      buildArgs: { WORD: 'here' },
      onProgress: ({ status }) => told.push(status),
    });
    expect(id).toBe((await engine.images.inspect('built:1')).id);
    expect(told.join('')).toContain('RUN echo $WORD');
    const { stdout } = await engine.run({ image: 'built:1', cmd: ['cat', '/built'], network: 'none' });
    expect(stdout).toBe('here\n');
    await engine.images.remove('built:1');
    await expect(engine.images.inspect('built:1')).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
    await expect(engine.images.load('/absent.tar')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });

  it('plans without running', async () => {
    const since = new Date();
    const [one, same, other] = await Promise.all([
      engine.plan({ image: 'box', memory: '64m' }),
      engine.plan({ image: 'box', memory: 64 << 20 }),
      engine.plan({ image: 'box', memory: '65m' }),
    ]);
    expect(one.text).toMatch(/mount/);
    expect(one.digest).toBe(same.digest);
    expect(one.digest).not.toBe(other.digest);
    expect(one.cgroupWrites.map(({ value }) => value)).toContain(String(64 << 20));
    const happened: EngineEvent[] = [];
    for await (const event of engine.events({ since, until: new Date() })) happened.push(event);
    expect(happened).toEqual([]);
  });

  it('tells events, by filters, until the loop is left', async () => {
    const since = new Date();
    await engine.run({ image: 'box', cmd: ['true'], name: 'short', network: 'none' });
    const actions: string[] = [];
    const filters = { type: 'container', container: 'short' };
    for await (const { action, attributes, time } of engine.events({ since, filters })) {
      expect(attributes.name).toBe('short');
      expect(time.getTime()).toBeGreaterThanOrEqual(since.getTime() - 1);
      actions.push(action);
      if (action === 'destroy') break;
    }
    expect(actions).toEqual(['create', 'attach', 'start', 'die', 'destroy']);
  });

  it('ends each call that is aborted, with the reason, and leaves nothing', async () => {
    const why = new Error('No longer wanted');
    const gone = AbortSignal.abort(why);
    await using container = await engine.start({ image: 'box', cmd: forever, network: 'none' });
    const calls: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
      run: (signal) => engine.run({ image: 'box', cmd: forever, network: 'none', signal }),
      exec: (signal) => container.exec(['sleep', '100'], { signal }),
      'exec with input': (signal) => container.exec(['sleep', '100'], { signal, stdin: 'x'.repeat(1 << 20) }),
      wait: (signal) => container.wait({ signal }),
      logs: (signal) => container.logs({ follow: true, signal }).text(),
      attach: async (signal) => (await container.attach({ signal })).collect(),
      events: async (signal) => {
        for await (const _event of engine.events({ signal, filters: { type: 'volume' } }));
      },
    };
    for (const [name, call] of Object.entries(calls)) {
      await expect(call(gone), name).rejects.toBe(why);
      const abort = new AbortController();
      const ended = call(abort.signal).catch((reason: unknown) => reason);
      // By then it is under way; what it is at does not matter.
      await container.inspect();
      abort.abort(why);
      expect(await ended, name).toBe(why);
    }
    const others: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => engine.create({ image: 'box', signal }),
      (signal) => engine.start({ image: 'box', cmd: forever, signal }),
      (signal) => engine.plan({ image: 'box', signal }),
      (signal) => engine.containers({ signal }),
      (signal) => engine.images.pull('box', { signal }),
      (signal) => engine.networks.create({ name: 'never', signal }),
      (signal) => container.stop({ signal }),
    ];
    for (const call of others) await expect(call(gone)).rejects.toBe(why);
    const late = new AbortController();
    const starting = engine.start({ image: 'box', cmd: forever, network: 'none', signal: late.signal });
    late.abort(why);
    await expect(starting).rejects.toBe(why);
    expect((await engine.containers({ all: true })).map(({ id }) => id)).toEqual([container.id]);
    expect(await engine.networks.list({ filters: { name: 'never' } })).toEqual([]);
  });
});

describe.skipIf(whyNoContainers())('a second door to an engine in this process', () => {
  it('is its socket: the command line sees the same containers', async () => {
    const here = createInstallation();
    {
      await using engine = await Engine.open({ dataRoot: here.dataRoot });
      await using container = await engine.create({ image: 'gantry/hello', name: 'seen' });
      expect(await here.ok('ps', '-a', '--no-trunc', '--format', '{{.ID}} {{.Names}}')).toBe(`${container.id} seen`);
      expect(here.enginePid()).toBe(process.pid);
      await expect(Engine.open({ dataRoot: here.dataRoot })).rejects.toMatchObject({ code: 'IN_USE' });
    }
    expect(here.enginePid()).toBeUndefined();
    rmSync(here.dataRoot, { recursive: true, force: true });
  });
});

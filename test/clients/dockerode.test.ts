// dockerode drives the engine: hijacked connections, waits, streams, archives, images, networks, events, abort signals.
import { execFileSync } from 'node:child_process';
import { createReadStream, rmSync } from 'node:fs';
import { PassThrough, type Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import Docker from 'dockerode';
import { pack } from 'tar-stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('dockerode', () => {
  const here = createInstallation();
  const docker = new Docker({ socketPath: here.socket });
  let archive: string;

  beforeAll(async () => {
    await here.ok('info');
    const tree = busyboxTree();
    archive = makeArchive(tree, 'box:latest', { config: { Labels: { made: 'here' } } });
    rmSync(tree, { recursive: true });
    expect(await text(await docker.loadImage(createReadStream(archive)))).toContain('Loaded image: box:latest');
  });
  afterEach(async () => {
    for (const { Id } of await docker.listContainers({ all: true }))
      await docker.getContainer(Id).remove({ force: true, v: true });
  });
  afterAll(async () => {
    rmSync(archive);
    await here.close();
  });

  const create = (Cmd: string[], options: Docker.ContainerCreateOptions = {}): Promise<Docker.Container> =>
    docker.createContainer({ Image: 'box', Cmd, ...options });

  /** Both streams of a hijacked connection, once it has ended. */
  const streamsOf = async (stream: NodeJS.ReadableStream): Promise<{ out: string; err: string }> => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    docker.modem.demuxStream(stream, stdout, stderr);
    const ends = (): void => {
      stdout.end();
      stderr.end();
    };
    stream.once('end', ends).once('close', ends);
    const [out, err] = await Promise.all([text(stdout), text(stderr)]);
    return { out, err };
  };

  const stdin = { AttachStdin: true, AttachStdout: true, AttachStderr: true, OpenStdin: true, StdinOnce: true };

  describe('streams', () => {
    it.each([1000, 5000, 1_000_000])('attaches, sends %i bytes and closes its half', async (bytes) => {
      const container = await create(['wc', '-c'], stdin);
      const stream = await container.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
      await container.start();
      stream.end('x'.repeat(bytes));
      expect((await streamsOf(stream)).out).toBe(`${bytes}\n`);
    });

    it('attaches without a terminal: two streams', async () => {
      const container = await create(['sh', '-c', 'echo out; echo err >&2']);
      const stream = await container.attach({ stream: true, stdout: true, stderr: true });
      const seen = streamsOf(stream);
      await container.start();
      expect(await seen).toEqual({ out: 'out\n', err: 'err\n' });
    });

    it('attaches to a terminal and resizes it', async () => {
      const container = await create(['sh', '-c', 'read x; stty size'], { ...stdin, Tty: true });
      const stream = await container.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
      await container.start();
      await container.resize({ h: 33, w: 99 });
      stream.write('\n');
      expect(await text(stream as unknown as Readable)).toContain('33 99');
    });

    it.each([1000, 5000])('executes with %i bytes of stdin and closes its half', async (bytes) => {
      const container = await create(['sleep', '60']);
      await container.start();
      const exec = await container.exec({ Cmd: ['wc', '-c'], AttachStdin: true, AttachStdout: true });
      const stream = await exec.start({ hijack: true, stdin: true });
      stream.end('x'.repeat(bytes));
      expect((await streamsOf(stream)).out).toBe(`${bytes}\n`);
      expect(await exec.inspect()).toMatchObject({ Running: false, ExitCode: 0, ProcessConfig: { entrypoint: 'wc' } });
    });

    it.each([
      [['sh', '-c', 'exit 5'], 5],
      [['absent'], 127],
      [['/etc/passwd'], 126],
    ])('executes %s and knows the status %i', async (Cmd, status) => {
      const container = await create(['sleep', '60']);
      await container.start();
      const exec = await container.exec({ Cmd, AttachStdout: true, AttachStderr: true });
      await streamsOf(await exec.start({}));
      expect((await exec.inspect()).ExitCode).toBe(status);
    });

    it('executes detached', async () => {
      const container = await create(['sleep', '60']);
      await container.start();
      const exec = await container.exec({ Cmd: ['touch', '/made'] });
      await exec.start({ Detach: true });
      await until(async () => !(await exec.inspect()).Running);
      expect(await container.changes()).toContainEqual({ Path: '/made', Kind: 1 });
    });

    it('follows logs from the beginning, and to the end', async () => {
      const container = await create(['sh', '-c', 'echo one; sleep 0.3; echo two >&2']);
      await container.start();
      const stream = await container.logs({ follow: true, stdout: true, stderr: true });
      expect(await streamsOf(stream)).toEqual({ out: 'one\n', err: 'two\n' });
      const whole = await container.logs({ stdout: true, stderr: false, timestamps: true, tail: 2 });
      expect(whole.subarray(8).toString()).toMatch(/^\d{4}-\d\d-\d\dT\S+Z one\n$/);
    });

    it('streams stats, and takes one', async () => {
      const container = await create(['sleep', '60']);
      await container.start();
      const stream = await container.stats({ stream: true });
      const lines: Docker.ContainerStats[] = [];
      for await (const chunk of stream) {
        lines.push(JSON.parse(String(chunk)) as Docker.ContainerStats);
        if (lines.length === 2) break;
      }
      expect(lines[1]!.memory_stats.usage).toBeGreaterThan(0);
      expect(Date.parse(lines[1]!.read)).toBeGreaterThan(Date.parse(lines[0]!.read));
      expect(await container.stats({ stream: false, 'one-shot': true })).toMatchObject({ pids_stats: { current: 1 } });
    });
  });

  describe('containers', () => {
    it('waits for the next exit before it starts', async () => {
      const container = await create(['sh', '-c', 'exit 9']);
      const waiting = container.wait({ condition: 'next-exit' });
      await container.start();
      expect(await waiting).toEqual({ StatusCode: 9 });
      expect(await container.wait()).toEqual({ StatusCode: 9 });
    });

    it('runs, with output and status', async () => {
      const output = new PassThrough();
      const [{ StatusCode }, container] = (await docker.run('box', ['sh', '-c', 'echo ran; exit 2'], output, {
        Tty: true,
      })) as [{ StatusCode: number }, Docker.Container];
      output.end();
      expect([StatusCode, await text(output)]).toEqual([2, 'ran\r\n']);
      await container.remove();
    });

    it('knows states by their answers', async () => {
      const container = await create(['sleep', '60'], { name: 'states' });
      await container.start();
      await expect(container.start()).rejects.toMatchObject({ statusCode: 304 });
      await container.pause();
      expect((await container.inspect()).State).toMatchObject({ Status: 'paused', Paused: true, Running: true });
      await container.unpause();
      await expect(container.remove()).rejects.toMatchObject({ statusCode: 409 });
      await container.restart({ t: 0 });
      await container.rename({ name: 'renamed' });
      expect((await container.top()).Titles).toContain('PID');
      await container.update({ Memory: 64 << 20, MemorySwap: 64 << 20 });
      expect((await container.inspect()).HostConfig.Memory).toBe(64 << 20);
      await container.stop({ t: 0 });
      await expect(container.stop()).rejects.toMatchObject({ statusCode: 304 });
      await expect(container.kill()).rejects.toMatchObject({ statusCode: 409 });
      await container.remove();
      await expect(container.inspect()).rejects.toMatchObject({ statusCode: 404, reason: 'no such container' });
    });

    it('refuses a taken name and an unknown image with docker’s statuses', async () => {
      await create(['true'], { name: 'taken' });
      await expect(create(['true'], { name: 'taken' })).rejects.toMatchObject({ statusCode: 409 });
      await expect(docker.createContainer({ Image: 'nobody' })).rejects.toMatchObject({
        statusCode: 404,
        json: { message: expect.stringMatching(/no such image/i) },
      });
    });

    it('lists by filters, as promise and as callback', async () => {
      await create(['true'], { name: 'one', Labels: { kind: 'a' } });
      await create(['true'], { name: 'two', Labels: { kind: 'b' } });
      const options = { all: true, filters: { label: ['kind=a'] } };
      expect((await docker.listContainers(options)).map(({ Names }) => Names)).toEqual([['/one']]);
      const called = await new Promise<Docker.ContainerInfo[] | undefined>((resolve, reject) =>
        docker.listContainers({ ...options, filters: JSON.stringify({ label: ['kind=b'] }) }, (error, found) =>
          error ? reject(error as Error) : resolve(found),
        ),
      );
      expect(called?.map(({ Names }) => Names)).toEqual([['/two']]);
      expect((await docker.pruneContainers({ filters: { label: ['kind'] } })).ContainersDeleted).toHaveLength(2);
    });

    it('puts and gets archives', async () => {
      const container = await create(['true']);
      const tar = pack();
      tar.entry({ name: 'put/file', mode: 0o640 }, 'content');
      tar.finalize();
      await container.putArchive(tar as unknown as NodeJS.ReadableStream, { path: '/tmp' });
      const found = execFileSync('tar', ['-xO'], {
        input: await buffer(await container.getArchive({ path: '/tmp/put' })),
      });
      expect(found.toString()).toBe('content');
      const head = await container.infoArchive({ path: '/tmp/put/file' });
      const stat = (head as { headers: Record<string, string> }).headers['x-docker-container-path-stat']!;
      expect(JSON.parse(Buffer.from(stat, 'base64').toString())).toMatchObject({ name: 'file', size: 7, mode: 0o640 });
      await expect(container.getArchive({ path: '/nothing' })).rejects.toMatchObject({ statusCode: 404 });
      expect(
        execFileSync('tar', ['-t'], { input: await buffer(await container.export()) })
          .toString()
          .split('\n'),
      ).toContain('tmp/put/file');
    });

    it('lets go when its signal aborts', async () => {
      const container = await create(['sleep', '60']);
      await container.start();
      for (const call of [
        (abortSignal: AbortSignal) => container.wait({ abortSignal }),
        (abortSignal: AbortSignal) =>
          container
            .logs({ follow: true, stdout: true, abortSignal })
            .then((stream) => text(stream as unknown as Readable)),
        (abortSignal: AbortSignal) =>
          docker.getEvents({ abortSignal }).then((stream) => text(stream as unknown as Readable)),
      ]) {
        const controller = new AbortController();
        setTimeout(() => controller.abort(), 100);
        await expect(call(controller.signal)).rejects.toThrow(/abort/i);
      }
      expect((await container.inspect()).State.Running).toBe(true);
    });
  });

  describe('images', () => {
    it('gets, tags, loads, removes', async () => {
      const image = docker.getImage('box');
      await image.tag({ repo: 'host.example:5000/crate', tag: 'v2' });
      expect(
        (await docker.listImages({ filters: { reference: ['*/crate'] } })).flatMap(({ RepoTags }) => RepoTags),
      ).toEqual(['host.example:5000/crate:v2']);
      const whole = await buffer(await docker.getImage('host.example:5000/crate:v2').get());
      const removed = await docker.getImage('host.example:5000/crate:v2').remove();
      expect(removed).toEqual([{ Untagged: 'host.example:5000/crate:v2' }]);
      const again = new PassThrough();
      again.end(whole);
      expect(await text(await docker.loadImage(again))).toContain('Loaded image: host.example:5000/crate:v2');
      await docker.getImage('host.example:5000/crate:v2').remove();
    });

    it('inspects and tells the history', async () => {
      const found = await docker.getImage('box').inspect();
      expect(found).toMatchObject({ RepoTags: ['box:latest'], Os: 'linux', Config: { Labels: { made: 'here' } } });
      expect(await docker.getImage(found.Id).history()).toMatchObject([{ Id: found.Id, CreatedBy: 'test' }]);
      await expect(docker.getImage('nobody').inspect()).rejects.toMatchObject({ statusCode: 404 });
      expect(await docker.pruneImages()).toMatchObject({ SpaceReclaimed: 0 });
    });

    it('imports a tree and commits a container', async () => {
      const container = await create(['touch', '/made']);
      await container.start();
      await container.wait();
      const { Id } = (await container.commit({ repo: 'made', tag: '1', comment: 'why' })) as { Id: string };
      expect(await docker.getImage('made:1').inspect()).toMatchObject({ Id, Comment: 'why' });
      const tree = (await container.export()) as unknown as Readable;
      const imported = await docker.importImage(tree as unknown as NodeJS.ReadableStream, {
        repo: 'brought',
        tag: '1',
      });
      expect(await text(imported as unknown as Readable)).toContain('sha256:');
      const again = await docker.createContainer({ Image: 'brought:1', Cmd: ['/bin/ls', '/made'], Tty: true });
      await again.start();
      expect(await again.wait()).toEqual({ StatusCode: 0 });
      await again.remove();
      for (const name of ['made:1', 'brought:1']) await docker.getImage(name).remove();
    });

    it('tells in the stream that a pull failed', async () => {
      const stream = await docker.pull('127.0.0.1:1/nothing').catch((error: unknown) => error);
      if (stream instanceof Error) expect(stream).toMatchObject({ statusCode: expect.any(Number) });
      else
        await expect(
          new Promise((resolve, reject) =>
            docker.modem.followProgress(stream as NodeJS.ReadableStream, (error, done) =>
              error ? reject(error) : resolve(done),
            ),
          ),
        ).rejects.toThrow('127.0.0.1:1');
    });
  });

  describe('networks, volumes, the system', () => {
    it('connects and disconnects', async () => {
      const network = await docker.createNetwork({ Name: 'lan', Labels: { kind: 'test' } });
      const container = await create(['sleep', '60'], { name: 'member' });
      await container.start();
      await network.connect({ Container: container.id, EndpointConfig: { Aliases: ['other'] } });
      const { Containers } = (await network.inspect()) as Docker.NetworkInspectInfo;
      expect(Containers?.[container.id]).toMatchObject({ Name: 'member' });
      expect((await container.inspect()).NetworkSettings.Networks).toHaveProperty('lan.Aliases');
      await network.disconnect({ Container: container.id });
      expect(Object.keys((await container.inspect()).NetworkSettings.Networks)).toEqual(['bridge']);
      expect((await docker.listNetworks({ filters: { label: ['kind=test'] } })).map(({ Name }) => Name)).toEqual([
        'lan',
      ]);
      await network.remove();
      await expect(network.inspect()).rejects.toMatchObject({ statusCode: 404 });
      await docker.createNetwork({ Name: 'spare' });
      expect(await docker.pruneNetworks()).toEqual({ NetworksDeleted: ['spare'] });
    });

    it('manages volumes', async () => {
      const volume = await docker.createVolume({ Name: 'data', Labels: { a: '1' } });
      expect(await docker.getVolume(volume.name).inspect()).toMatchObject({ Driver: 'local', Labels: { a: '1' } });
      expect((await docker.listVolumes({ filters: { name: ['data'] } })).Volumes).toHaveLength(1);
      await docker.getVolume('data').remove();
      await docker.createVolume({});
      expect((await docker.pruneVolumes()).VolumesDeleted).toHaveLength(1);
    });

    it('tells events by filters', async () => {
      const stream = await docker.getEvents({ filters: { type: ['container'], event: ['create', 'die'] } });
      const seen: string[] = [];
      stream.on('data', (chunk) => {
        for (const line of String(chunk).split('\n').filter(Boolean))
          seen.push((JSON.parse(line) as { Action: string }).Action);
      });
      const container = await create(['true']);
      await container.start();
      await until(() => seen.length === 2);
      expect(seen).toEqual(['create', 'die']);
      (stream as unknown as Readable).destroy();
    });

    it('knows the system', async () => {
      expect(String(await docker.ping())).toBe('OK');
      expect(await docker.version()).toMatchObject({ Os: 'linux' });
      expect(await docker.info()).toMatchObject({ OSType: 'linux', Images: 1 });
      expect(await docker.df()).toMatchObject({ Images: [{ RepoTags: ['box:latest'] }] });
      await expect(docker.swarmInspect()).rejects.toMatchObject({ statusCode: 503 });
    });
  });
});

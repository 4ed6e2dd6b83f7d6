// Both ends of the guest channel, the guest's in C under sanitizers as a process of this machine, over a unix socket.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Channel, createChannel } from '../../../host/vm/channel/channel.ts';
import { DATA, encodeChannelFrame, PAYLOAD_MAX, WINDOW_BYTES } from '../../../host/vm/channel/protocol.ts';
import { type ChannelStream, READ_AHEAD } from '../../../host/vm/channel/stream.ts';

const init = join(import.meta.dirname, '../../../vm-images/init');
const flags = ['-std=gnu11', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-fsanitize=address,undefined'];

describe.skipIf(process.platform !== 'linux')('the guest channel', () => {
  let directory: string;
  let peer: ChildProcess;
  let channel: Channel;
  let complaint = '';
  const path = (name: string): string => join(directory, name);
  const content = async (stream: ChannelStream): Promise<string> => {
    stream.end();
    return (await buffer(stream)).toString();
  };

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-channel-'));
    // The program that "run" starts: here a shell, whose first argument says what to do.
    const sources = [
      'channel.c',
      'services.c',
      'loop.c',
      'relay.c',
      'uplink.c',
      'packets.c',
      'netlink.c',
      'records.c',
    ].map((name) => join(init, name));
    const program = join(directory, 'peer');
    execFileSync('cc', [
      ...flags,
      '-DEXECUTOR="/bin/sh"',
      '-o',
      program,
      join(import.meta.dirname, 'channel-peer.c'),
      ...sources,
    ]);
    const listener = createServer();
    await once(listener.listen(path('port')), 'listening');
    const connected = once(listener, 'connection') as Promise<[Socket]>;
    peer = spawn(program, [path('port')], { stdio: ['ignore', 'ignore', 'pipe'] });
    peer.stderr!.on('data', (chunk) => {
      complaint += chunk;
    });
    const [port] = await connected;
    listener.close();
    channel = createChannel(port);
    await channel.ready;
  });

  afterAll(async () => {
    const exited = once(peer, 'exit');
    channel.close();
    const [code] = await exited;
    rmSync(directory, { recursive: true, force: true });
    expect(`${code} ${complaint}`).toBe('0 '); // It ends by itself, and no sanitizer has said anything.
  });

  it('has the same numbers at both ends', async () => {
    const protocol = (await import('../../../host/vm/channel/protocol.ts')) as unknown as Record<
      string,
      number | string
    >;
    const header = readFileSync(join(init, 'guest.h'), 'utf8');
    const defined = [...header.matchAll(/^#define (\w+) "?(\w+)"?$/gm)].filter(([, name]) => name! in protocol);
    const listed = [...header.matchAll(/\b([A-Z_]+) = (\d+)/g)];
    expect(defined.length + listed.length).toBeGreaterThan(12);
    for (const [, name, value] of [...defined, ...listed])
      expect(`${name} ${protocol[name!]}`).toBe(`${name} ${value}`);
  });

  it('reads, lists and describes files, and says by code why not', async () => {
    writeFileSync(path('some file'), 'x'.repeat(3 * WINDOW_BYTES + 7));
    mkdirSync(path('inner'));
    expect(await content(channel.open(['read', path('some file')]))).toHaveLength(3 * WINDOW_BYTES + 7);
    expect(await content(channel.open(['read', '/proc/self/status']))).toMatch(/^Name:\tpeer$/m);
    const listed = (await content(channel.open(['list', directory]))).split('\0').filter(Boolean).sort();
    expect(listed).toEqual(['- peer', '- some file', 'd inner']);
    expect(await content(channel.open(['stat', '/dev/null']))).toBe('20666 1 3 0');
    for (const [words, code] of [
      [['read', '/absent'], 'ENOENT'],
      [['list', '/dev/null'], 'ENOTDIR'],
      [['unix', path('port')], 'ENOENT'],
      [['dance'], 'ENOSYS'],
      [['write', '/absent/file', '600'], 'ENOENT'],
    ] as const)
      await expect(channel.open([...words]).opened).rejects.toMatchObject({ code });
    expect(await channel.open(['read', '/']).resume().over).toMatchObject({ status: 21 });
  });

  it('writes a file whole or not at all, and makes directories', async () => {
    const made = channel.open(['mkdir', '750', path('a/b'), path('c')]);
    expect(await made.resume().over).toMatchObject({ status: 0 });
    const stream = channel.open(['write', path('a/b/file'), '640']);
    stream.resume().end('y'.repeat(2 * WINDOW_BYTES));
    expect(await stream.over).toMatchObject({ status: 0 });
    expect(readFileSync(path('a/b/file'), 'utf8')).toHaveLength(2 * WINDOW_BYTES);
    const empty = channel.open(['write', path('c/empty'), '600']);
    empty.resume().end(Buffer.alloc(0));
    expect(await empty.over).toMatchObject({ status: 0 });
    expect(readFileSync(path('c/empty'), 'utf8')).toBe('');
    const left = channel.open(['write', path('a/b/other'), '640']);
    await left.opened;
    left.write('half');
    left.destroy();
    await left.over;
    expect(readdirSync(path('a/b'))).toEqual(['file']);
    symlinkSync('/dev/full', path('full.new')); // What lies in the way of the temporary file is not followed.
    await expect(channel.open(['write', path('full'), '600']).opened).rejects.toMatchObject({ code: 'ELOOP' });
  });

  it('runs programs: input, output, complaints, status', async () => {
    const stream = channel.open(['run', '-c', 'cat; echo trouble >&2; exit 3']);
    const output = buffer(stream);
    stream.end('z'.repeat(WINDOW_BYTES + 1));
    expect(await output).toHaveLength(WINDOW_BYTES + 1);
    expect(await stream.over).toEqual({ status: 3, complaint: 'trouble' });
    const killed = channel.open(['run', '-c', 'kill -9 $$']);
    expect(await killed.resume().over).toMatchObject({ status: 137 });
  });

  it('lets no stream wait for another that nobody reads, or whose program does not', async () => {
    const unread = channel.open(['run', '-c', 'cat /dev/zero']);
    const unwritten = channel.open(['run', '-c', 'exec sleep 1000']);
    await Promise.all([unread.opened, unwritten.opened]);
    while (unwritten.write(Buffer.alloc(65536))); // As much as goes.
    await sleep(50);
    for (let round = 0; round < 20; round++)
      expect(await content(channel.open(['stat', '/dev/null']))).toBe('20666 1 3 0');
    expect(await content(channel.open(['read', path('some file')]))).toHaveLength(3 * WINDOW_BYTES + 7);
    // What was held back is in credit, not in this process.
    expect(unread.readableLength).toBeLessThanOrEqual(WINDOW_BYTES + READ_AHEAD);
    unread.destroy();
    unwritten.destroy();
    await Promise.all([unread.over, unwritten.over]);
  });

  it('carries many streams at once, each byte in its place', async () => {
    const echo = async (index: number): Promise<void> => {
      const sent = Buffer.alloc(40_000 + index * 977, `${index},`);
      const stream = channel.open(['run', '-c', 'cat']);
      const output = buffer(stream);
      stream.end(sent);
      expect((await output).equals(sent)).toBe(true);
    };
    await Promise.all(Array.from({ length: 60 }, (_, index) => echo(index)));
  });

  it('connects to sockets of both kinds, each half of which ends by itself', async () => {
    const answer = (socket: Socket): void => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('end', () => socket.end(`got ${Buffer.concat(chunks)}`));
    };
    const servers: Server[] = [
      createServer({ allowHalfOpen: true }, answer),
      createServer({ allowHalfOpen: true }, answer),
    ];
    await once(servers[0]!.listen(path('server')), 'listening');
    await once(servers[1]!.listen(0, '127.0.0.1'), 'listening');
    const { port } = servers[1]!.address() as { port: number };
    for (const words of [
      ['unix', path('server')],
      ['tcp', '127.0.0.1', String(port)],
    ]) {
      const stream = channel.open(words, { allowHalfOpen: true });
      stream.end('question');
      expect((await buffer(stream)).toString()).toBe('got question');
      expect(await stream.over).toMatchObject({ status: 0 });
    }
    for (const server of servers) await new Promise((resolve) => server.close(resolve));
    await expect(channel.open(['tcp', '127.0.0.1', String(port)]).opened).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it('is told at the other end when a stream is given up', async () => {
    const ended = new Promise<void>((resolve) => {
      const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.once('close', () => server.close(() => resolve()));
        socket.resume();
      }).listen(path('left'), () => {
        const stream = channel.open(['unix', path('left')]);
        stream.opened.then(() => stream.destroy());
      });
    });
    await ended;
  });

  it('is taken over by a host that does not know how far the one before had come', async () => {
    const server = createServer();
    await once(server.listen(path('second')), 'listening');
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const other = spawn(path('peer'), [path('second')], { stdio: ['ignore', 'ignore', 'inherit'] });
    const exited = once(other, 'exit');
    const [port] = await connected;
    server.close();
    const first = createChannel(port);
    await first.ready;
    const unread = first.open(['run', '-c', 'exec cat /dev/zero']);
    await unread.opened;
    // It ends in the middle of a frame, and the guest has more to say to it than it ever reads.
    for (const event of ['data', 'drain', 'close']) port.removeAllListeners(event);
    const half = encodeChannelFrame(1, DATA, Buffer.alloc(PAYLOAD_MAX, 'x'));
    port.write(half.subarray(0, half.length - 1000));
    const second = createChannel(port, { takeover: true });
    await second.ready;
    expect(second.traffic).toEqual({ streams: 0, opened: 0 });
    expect(await content(second.open(['stat', '/dev/null']))).toBe('20666 1 3 0');
    expect(await content(second.open(['read', path('some file')]))).toHaveLength(3 * WINDOW_BYTES + 7);
    second.close();
    expect((await exited)[0]).toBe(0);
  });
});

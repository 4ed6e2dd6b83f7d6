// Streams of the API over a running socket: websockets, halves that close, clients that vanish, metrics.
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readlinkSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { rawCall, rawConnection } from '../helpers/raw-http.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('streams of the API', () => {
  const here = createInstallation();
  let engine: ChildProcess;
  const get = async (path: string): Promise<string> => (await engineCall(here.dataRoot, 'GET', path)).body.toString();
  const upgrade = (path: string): string =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n`;

  beforeAll(async () => {
    engine = here.start('serve');
    engine.stderr!.resume();
    await new Promise((resolve) => engine.stdout!.once('data', resolve));
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await here.ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    await here.ok('run', '-d', '--name', 'busy', 'box', 'sh', '-c', 'while true; do echo tick; sleep 0.1; done');
  });
  afterAll(() => here.close());

  const socketTo = (name: string, query: string): WebSocket =>
    new WebSocket(`ws+unix://${here.socket}:/v1.51/containers/${name}/attach/ws?${query}`);

  it('a websocket carries stdin and output both ways, and ends with the container', async () => {
    await here.ok('create', '-i', '--name', 'echo', 'box', 'sh', '-c', 'read line; echo got $line; exit 3');
    const socket = socketTo('echo', 'stream=1&stdin=1&stdout=1&stderr=1');
    let got = '';
    socket.on('message', (data, binary) => {
      got += `${binary ? '' : 'text '}${data}`;
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send('hel');
    socket.send('lo\n');
    await here.ok('start', 'echo');
    expect([await closed, got]).toEqual([1000, 'got hello\n']);
    expect(await here.ok('wait', 'echo')).toBe('3');
    await here.ok('rm', 'echo');
  });

  it('a websocket to nobody, or by a plain request, is refused', async () => {
    const socket = socketTo('absent', 'stream=1');
    const answer = await new Promise((resolve) =>
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode)),
    );
    socket.on('error', () => {});
    socket.terminate();
    expect(answer).toBe(404);
    const plain = await rawCall(here.socket, 'GET /containers/busy/attach/ws HTTP/1.1\nHost: x\nConnection: close');
    expect(plain).toMatch(/^HTTP\/1.1 400 .*no websocket handshake/s);
  });

  it('output still comes when the client has closed its side', async () => {
    await here.ok('create', '-i', '--name', 'half', 'box', 'sh', '-c', 'cat; echo after');
    const {
      closed,
      until: seen,
      socket,
    } = await rawConnection(here.socket, upgrade('/containers/half/attach?stream=1&stdin=1&stdout=1'), true);
    await seen(/101 UPGRADED/);
    await here.ok('start', 'half');
    socket.end('before\n');
    expect(await closed).toMatch(/before\n.*after\n$/s);
    socket.destroy();
    await here.ok('rm', 'half');
  });

  const vanish = async (head: string): Promise<void> => {
    const connection = await rawConnection(here.socket, head);
    await connection.until(/^HTTP\/1.1 (200|101)/);
    connection.socket.destroy();
  };
  const plain = (operation: string) => () => vanish(`${operation} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const kinds: [string, () => Promise<void>][] = [
    ['events', plain('GET /events')],
    ['logs -f', plain('GET /containers/busy/logs?follow=1&stdout=1&tail=1')],
    ['stats', plain('GET /containers/busy/stats')],
    ['wait', plain('POST /containers/busy/wait?condition=next-exit')],
    ['archive', plain('GET /containers/busy/archive?path=/bin')],
    ['image save', plain('GET /images/box/get')],
    ['attach', () => vanish(upgrade('/containers/busy/attach?stream=1&stdout=1&stdin=1'))],
    [
      'websocket',
      async () => {
        const socket = socketTo('busy', 'stream=1&stdout=1');
        await new Promise((resolve) => socket.once('message', resolve));
        socket.terminate();
      },
    ],
  ];
  const descriptors = (): string[] =>
    readdirSync(`/proc/${engine.pid}/fd`).flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/${engine.pid}/fd/${fd}`).replace(/\d+/g, '')];
      } catch {
        return [];
      }
    });
  it.each(kinds)('25 clients of %s that vanish leave no listener and no descriptor', async (_name, client) => {
    const listeners = async (): Promise<number> =>
      (JSON.parse(await get('/info')) as { NEventsListener: number }).NEventsListener;
    await client(); // What is opened once and kept, is open now.
    const before = { fds: descriptors().length, listeners: await listeners() };
    await Promise.all(Array.from({ length: 25 }, client));
    // The engine itself opens and closes a few meanwhile: slots that it prepares.
    await until(() => descriptors().length < before.fds + 10, 'descriptors to be closed').catch((error: Error) => {
      throw new Error(`${error.message}: ${before.fds}, now ${descriptors().sort().join(' ')}`);
    });
    await until(async () => (await listeners()) === before.listeners, 'listeners to go');
    expect(await here.ok('inspect', '-f', '{{.State.Running}}', 'busy')).toBe('true');
  });

  it('metrics are in the text format, and count what happened', async () => {
    await here.ok('run', '--rm', 'box', 'true');
    const text = await get('/metrics');
    const types = new Map<string, string>();
    const samples = new Map<string, number>();
    for (const line of text.trimEnd().split('\n')) {
      const [, kind, name, rest] = /^# (HELP|TYPE) ([a-z_:][a-z0-9_:]*) (.+)$/i.exec(line) ?? [];
      if (kind === 'TYPE') {
        expect(types.has(name!), `${name} twice`).toBe(false);
        expect(['counter', 'gauge', 'histogram']).toContain(rest);
        types.set(name!, rest!);
      }
      if (kind !== undefined) continue;
      const label = '[a-z_]\\w*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
      const sample = new RegExp(
        `^([a-z_:][\\w:]*)(\\{${label}(?:,${label})*\\})? (-?[\\d.]+(?:e[+-]\\d+)?)$`,
        'i',
      ).exec(line);
      expect(sample, line).not.toBeNull();
      const [key, value] = [`${sample![1]}${sample![2] ?? ''}`, Number(sample![3])];
      const family = sample![1]!.replace(/_(bucket|sum|count)$/, '');
      expect(types.get(family) === 'histogram' || types.has(sample![1]!), line).toBe(true);
      expect(samples.has(key), `${key} twice`).toBe(false);
      samples.set(key, value);
    }
    expect(text.endsWith('\n')).toBe(true);
    const of = (name: string): number => samples.get(name) ?? Number.NaN;
    expect(of('engine_daemon_container_states_containers{state="running"}')).toBe(1);
    const started = 'engine_daemon_container_actions_seconds';
    expect(of(`${started}_count{action="start"}`)).toBeGreaterThanOrEqual(2);
    expect(of(`${started}_bucket{action="start",le="+Inf"}`)).toBe(of(`${started}_count{action="start"}`));
    const buckets = [...samples]
      .filter(([key]) => key.startsWith(`${started}_bucket{action="start"`))
      .map(([, v]) => v);
    expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
    expect(of('engine_daemon_events_total')).toBeGreaterThan(3);
    expect(of('process_open_fds')).toBeGreaterThan(5);
  });
});

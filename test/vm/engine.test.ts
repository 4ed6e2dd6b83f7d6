// The engine in a guest, driven by the command line out here: gantry as a distribution with cgroup v2 has it.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { until } from '../helpers/cli.ts';
import type { Architecture } from './debian.ts';
import { engineFiles } from './engine-files.ts';
import { type Guest, startGuest, whyNoGuest } from './guest.ts';

/** Node of this machine runs in the guest. */
const architecture: Architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const program = join(import.meta.dirname, '../../dist/cli/main.js');
const lock = '/data/gantry/engine.lock';

describe.skipIf(whyNoGuest(architecture))('gantry on cgroup v2', () => {
  let guest: Guest;
  /** What the engine has said, once it has ended. */
  let said: string | undefined;

  async function gantry(...args: string[]): Promise<{ status: number | null; output: string }> {
    const env = { ...process.env, NO_COLOR: '1', GANTRY_HOST: `unix://${guest.directory}/engine.sock` };
    const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const [out, error] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { status: await ended, output: (out + error).trimEnd() };
  }

  async function ok(...args: string[]): Promise<string> {
    const { status, output } = await gantry(...args);
    expect(`${status} ${output}\n${said ?? ''}`).toMatch(/^0 /);
    return output;
  }

  async function startEngine(): Promise<void> {
    const ended = guest.run(
      'node /gantry/dist/cli/main.js serve -H unix:///run/engine.sock --data-root /data/gantry 2>&1',
    );
    said = undefined;
    ended.then(({ output }) => {
      said = output.toString();
    });
    await until(async () => said !== undefined || (await gantry('ps')).status === 0, 'the engine');
    expect(said).toBeUndefined();
  }

  beforeAll(async () => {
    guest = await startGuest(architecture, { memoryMb: 1280, files: engineFiles() });
    await guest.forward(join(guest.directory, 'engine.sock'), '/run/engine.sock');
    await guest.ok('ip link set lo up');
    await startEngine();
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, dirname(archive)]) rmSync(path, { recursive: true });
  });

  afterAll(() => guest?.close());

  it('runs one container after the other, with and without a network', async () => {
    expect(await ok('run', '--rm', 'gantry/hello')).toMatch(/eth0 +172\./);
    for (const word of ['first', 'second', 'third'])
      expect(await ok('run', '--rm', '--network', 'none', 'box', 'echo', word)).toBe(word);
    expect(await gantry('run', '--rm', 'box', 'sh', '-c', 'exit 9')).toEqual({ status: 9, output: '' });
  });

  it('enforces limits and says what happened', async () => {
    const grow = ['sh', '-c', 'a=x; while true; do a=$a$a; done'];
    expect((await gantry('run', '--name', 'greedy', '-m', '16m', 'box', ...grow)).status).toBe(137);
    expect(await ok('inspect', '-f', '{{.State.OOMKilled}}', 'greedy')).toBe('true');
    await ok('rm', 'greedy');
  });

  it('serves a published port, is measured, entered, paused, found again by the next engine, and removed', async () => {
    const limits = ['-m', '64m', '--pids-limit', '50'];
    await ok('run', '-d', '--name', 'web', ...limits, '-p', '8080:80', 'box', 'httpd', '-f', '-h', '/var/www');
    expect(await guest.ok('wget -qO- http://127.0.0.1:8080/')).toBe('served');
    expect(await ok('stats', '--no-stream', 'web')).toMatch(/iB \/ 64MiB .* 1$/);
    expect(await ok('top', 'web')).toContain('httpd -f -h /var/www');
    expect(await ok('exec', 'web', 'cat', '/proc/self/cgroup')).toBe('0::/');
    await ok('pause', 'web');
    expect(await ok('ps')).toContain('(Paused)');
    await ok('unpause', 'web');
    // Until it is gone for good: while it dies it may still take a connection.
    await guest.ok(
      `P=$(grep -o '"pid":[0-9]*' ${lock} | cut -d: -f2); kill -9 $P; while [ -d /proc/$P ]; do sleep 0.1; done`,
    );
    await startEngine();
    expect(await ok('exec', 'web', 'cat', '/sys/fs/cgroup/memory.max')).toBe(String(64 * 1024 ** 2));
    expect(await guest.ok('wget -qO- http://127.0.0.1:8080/')).toBe('served');
    await ok('rm', '-f', 'web');
    expect(await guest.ok('find /sys/fs/cgroup -mindepth 2 -type d; ip -o link | grep -c @; true')).toBe('0');
  });
});

// A guest with the whole engine in it, its data on an ext4 disk, driven by the command line and by requests from out here.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { until } from '../helpers/cli.ts';
import type { Architecture } from './debian.ts';
import { engineFiles } from './engine-files.ts';
import { type Guest, startGuest } from './guest.ts';

const program = join(import.meta.dirname, '../../dist/cli/main.js');
const lock = '/data/gantry/engine.lock';

interface ContainerJson {
  Id: string;
  RestartCount: number;
  State: { Pid: number; OOMKilled: boolean; Health?: { Status: string } };
  HostConfig: { Memory: number; CpuShares: number };
}

export interface EngineGuest {
  guest: Guest;
  /** Both streams of a command line, together. */
  gantry(...args: string[]): Promise<{ status: number | null; output: string }>;
  /** The same; it must succeed. */
  ok(...args: string[]): Promise<string>;
  /** A container as the API tells it: without a command line, which is what takes the time when a change is awaited. */
  inspect(name: string): Promise<ContainerJson>;
  /** The answer to a request, as text. */
  get(path: string): Promise<string>;
  /** Directory of a container's cgroup. */
  cgroup(name: string): Promise<string>;
  startEngine(): Promise<void>;
  /** Until it is gone for good: while it dies it may still take a connection. */
  killEngine(): Promise<void>;
}

/** Boots, starts the engine and loads the image "box"; the caller closes the guest. */
export async function startEngineGuest(architecture: Architecture): Promise<EngineGuest> {
  const guest = await startGuest(architecture, { memoryMb: 1280, files: engineFiles() });
  const socket = join(guest.directory, 'engine.sock');
  /** What the engine has said, once it has ended. */
  let said: string | undefined;

  const here: EngineGuest = {
    guest,
    async gantry(...args) {
      const env = { ...process.env, NO_COLOR: '1', GANTRY_HOST: `unix://${socket}` };
      const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      const [out, error] = await Promise.all([text(child.stdout), text(child.stderr)]);
      return { status: await ended, output: (out + error).trimEnd() };
    },
    async ok(...args) {
      const { status, output } = await here.gantry(...args);
      expect(`${status} ${output}\n${said ?? ''}`).toMatch(/^0 /);
      return output;
    },
    inspect: async (name) => JSON.parse(await here.get(`/containers/${name}/json`)),
    get: (path) =>
      new Promise((resolve, reject) => {
        const sent = request({ socketPath: socket, path }, (answer) => text(answer).then(resolve, reject));
        sent.once('error', reject);
        sent.end();
      }),
    cgroup: async (name) => `/sys/fs/cgroup/gantry/${(await here.inspect(name)).Id}`,
    async startEngine() {
      const serve = 'node /gantry/dist/cli/main.js serve -H unix:///run/engine.sock --data-root /data/gantry 2>&1';
      said = undefined;
      guest.run(serve).then(({ output }) => {
        said = output.toString();
      });
      await until(async () => said !== undefined || (await here.gantry('ps')).status === 0, 'the engine');
      expect(said).toBeUndefined();
    },
    async killEngine() {
      const pid = `P=$(grep -o '"pid":[0-9]*' ${lock} | cut -d: -f2)`;
      await guest.ok(`${pid}; kill -9 $P; while [ -d /proc/$P ]; do sleep 0.1; done`);
    },
  };

  await guest.forward(socket, '/run/engine.sock');
  await guest.ok(
    'ip link set lo up; mkdir /data/gantry; busybox mke2fs -q /dev/vda > /dev/null; mount -t ext4 /dev/vda /data/gantry',
  );
  await here.startEngine();
  const tree = busyboxTree();
  const archive = makeArchive(tree, 'box:latest');
  await here.ok('load', '-i', archive);
  for (const path of [tree, dirname(archive)]) rmSync(path, { recursive: true });
  return here;
}

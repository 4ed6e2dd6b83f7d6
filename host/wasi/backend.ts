// The backend whose containers are WASI programs: a process of Node for each, on whatever host. Read this file first.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend, Exit, Recovery, RunningProcess, StartOptions } from '../backend.ts';
import { type ErrorCode, GantryError } from '../errors.ts';
import type { HostFacts } from '../plan-types.ts';
import { type Order, planModule } from './order.ts';
import type { Prepared } from './runner.ts';
import { readStats } from './stats.ts';

/** Speaks with whatever serves a container's control socket. */
export interface Supervision {
  /** @param run begin, else it has begun. Rejects where nobody listens. */
  follow(
    controlSocket: string,
    options: StartOptions & { run: boolean; recovery?: Recovery | undefined },
  ): Promise<RunningProcess>;
  signal(controlSocket: string, signal: number): Promise<void>;
  recordedExit(path: string): Promise<Exit | undefined>;
}

/** What passes through a runner is short-lived; memory of WebAssembly is no part of the heap. */
const HEAP = ['--max-semi-space-size=1', '--single-threaded-gc'];

export function createWasiBackend({ follow, signal, recordedExit }: Supervision): Backend {
  const refuse = (what: string) => async (): Promise<never> => {
    throw new GantryError('UNSUPPORTED', `Cannot ${what}: a WASI container is one WebAssembly program`);
  };
  const pause = refuse('pause the container');
  const run = refuse('run a planned program');
  /** Input that nobody reads may stand before a signal: it comes by another way. */
  const steered = (process: RunningProcess, controlSocket: string): RunningProcess => ({
    ...process,
    signal: (number) => void signal(controlSocket, number).catch(() => {}),
  });

  return {
    capabilities: {
      name: 'wasi',
      pause: false,
      exec: false,
      networks: false,
      bindMounts: true,
      update: false,
      copies: false,
      processes: false,
      kernel: false,
      sameFiles: true,
      outlivesEngine: true,
    },
    initProgram: '',
    plan: planModule,
    facts: async () => facts,
    prepare: async () => {},
    reserveSlot: () => undefined,
    releaseSlot() {},
    place: async () => () => {},
    sourceOf: ({ source }) => source,
    async start({ setup }, options) {
      const order = JSON.parse(new TextDecoder().decode(setup)) as Order;
      await rm(order.controlSocket, { force: true }); // Of a runner that was killed.
      await startRunner(order, setup);
      const { attachOutput, attachStdin, recovery } = options;
      return steered(
        await follow(order.controlSocket, { attachOutput, attachStdin, recovery, run: true }),
        order.controlSocket,
      );
    },
    async adopt(_id, controlSocket, recovery) {
      const options = { attachOutput: false, attachStdin: false, recovery, run: false };
      const found = await follow(controlSocket, options).catch(() => undefined);
      return found === undefined ? undefined : steered(found, controlSocket);
    },
    recordedExit,
    exec: refuse('run another process in the container'),
    archive: refuse('look into the files of the container'),
    wire: refuse('change the network of the container'),
    resolve: refuse('resolve names for the container'),
    dial: refuse('connect to the container'),
    exchange: () => ({ send() {}, close() {} }), // It has no network: what is sent there is lost.
    run,
    spread: async () => {},
    removeTrees: async (paths) => {
      await Promise.all(paths.map((path) => rm(path, { recursive: true, force: true })));
    },
    renewDirectories: async () => [],
    interfaceIndex: async () => undefined,
    stats: (_id, _parent, pid) => readStats(pid),
    processes: refuse('list the processes of the container'),
    processTable: refuse('list the processes of the container'),
    isPaused: async () => false,
    pause,
    unpause: pause,
    killAll: refuse('signal the processes of the container'),
    checks: async () => [],
    watchMounts() {},
    close: async () => {},
  };
}

/** Nothing is planned by them. */
const facts: HostFacts = {
  architecture: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
  kernel: [0, 0],
  cgroup: { layout: 'v2', mounts: {}, controllers: [] },
  cpus: availableParallelism(),
  cpusetCpus: '',
  cpusetMems: '',
  memoryBytes: totalmem(),
  swapAccounting: false,
  features: [],
  capabilities: [],
  hardLimits: {},
  oomScoreAdj: 0,
  pageSize: 4096,
  devices: {},
};

/** Beside the bundle of the engine; from the sources, what was built of them. */
function runnerProgram(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const places = ['.', '..', '../../dist'].map((place) => join(here, place, 'wasi-runner.js'));
  const found = places.find(existsSync);
  if (found !== undefined) return found;
  throw new GantryError('BACKEND_UNAVAILABLE', 'Cannot find "wasi-runner.js": it is not beside gantry\'s own files', {
    hint: 'Build it with "npm run build"',
  });
}

/** Resolves when the program is compiled and waits to be run. Rejects with what is wrong with it. */
async function startRunner(order: Order, setup: Uint8Array): Promise<void> {
  const limit = order.memoryPages === undefined ? [] : [`--wasm-max-mem-pages=${order.memoryPages}`];
  // The container's directory is for those who look at processes.
  const child = spawn(process.execPath, [...HEAP, ...limit, '--', runnerProgram(), dirname(order.root)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    cwd: '/',
    env: {}, // What the engine was given is not the containers'.
  });
  let answer = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (answer += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  child.stdin.on('error', () => {}); // It has ended: its own words say why.
  child.stdin.end(setup);
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.stdout.once('close', resolve);
  }).catch((cause: Error) => {
    throw new GantryError('BACKEND_UNAVAILABLE', `Cannot start a runner: ${cause.message}`, { cause });
  });
  child.stderr.destroy();
  child.unref();
  const prepared = answer === '' ? undefined : (JSON.parse(answer) as Prepared);
  if (prepared === 'ready') return;
  const { failed, message, hint } =
    prepared ??
    ({
      failed: 'INTERNAL',
      message: `Cannot run the program: its runner ended (${complaint.trim().slice(-500)})`,
    } as Exclude<Prepared, 'ready'>);
  throw new GantryError(failed as ErrorCode, message, { hint });
}

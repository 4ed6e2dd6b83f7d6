// The backend that drives this machine's kernel. Read this file first.
import { rmdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { FRAME_DONE, FRAME_EXEC, FRAME_FAILED, FRAME_HELLO, FRAME_WARN, PLAN_VERSION } from '../../core-asm/abi.ts';
import type { Backend } from '../backend.ts';
import { planBridgeRemoval } from '../core/network-plans.ts';
import { planControl, planRemoval, planRenewal, planSpread } from '../core/plans.ts';
import { GantryError } from '../errors.ts';
import type { Machine } from '../machine.ts';
import type { HostFacts } from '../plan-types.ts';
import { cgroupDirectories } from './cgroup-layout.ts';
import { type Connection, type Listener, openConnection } from './connection.ts';
import { createExecutor, type Executor, findExecutor } from './executor.ts';
import { createFacts } from './facts.ts';
import { encodeFrame, type Failure, type Frame, frames, readFailure, readHello } from '../frames.ts';
import { orphanedBridges } from './orphans.ts';
import { planFailure } from './plan-failure.ts';
import { createPool } from './pool.ts';
import { readProcessTable } from './process-table.ts';
import { readFrozen, readProcesses, readText } from './processes.ts';
import { serveResolver } from './resolver.ts';
import { attachFlags, checkVersion, readExit, superviseProcess } from './running-process.ts';
import { readStats } from './stats.ts';
import { thisMachine } from './this-machine.ts';

export interface LinuxBackendOptions {
  /** Directory for the executor's socket. */
  stateDirectory: string;
  /** Another executor than the one that was built. */
  executorBinary?: string;
}

const silent = { frame() {}, closed() {} };

/** Drives this machine's kernel by an executor that it starts. */
export function createLinuxBackend({ stateDirectory, executorBinary }: LinuxBackendOptions): Backend {
  const watchers: (() => void)[] = [];
  const executor = createExecutor({
    stateDirectory,
    mountsChanged() {
      for (const watcher of watchers) watcher();
    },
    ...(executorBinary === undefined ? {} : { binary: executorBinary }),
  });
  return createBackendOn(thisMachine, {
    connect: executor.connect,
    initProgram: () => executorBinary ?? findExecutor(),
    watchMounts(watcher) {
      watchers.push(watcher);
    },
    async close(readFacts) {
      await executor.close();
      const parents = cgroupDirectories((await readFacts()).cgroup, '', 'any').map((path) => dirname(path));
      for (const path of parents) {
        try {
          rmdirSync(path);
        } catch {
          // Containers of this or another engine are still in it.
        }
      }
    },
  });
}

/** The executor of a machine. */
export interface MachineExecutor {
  connect: Executor['connect'];
  /** Path, there, of the program that serves as /sbin/docker-init. */
  initProgram(): string;
  /** `watcher` is told of what is mounted and unmounted there. */
  watchMounts(watcher: () => void): void;
  /** The backend is not used any more. */
  close(facts: () => Promise<HostFacts>): Promise<void>;
}

/** Drives the Linux kernel of a machine, by an executor that runs there. */
export function createBackendOn(machine: Machine, executor: MachineExecutor): Backend {
  const facts = createFacts(machine);
  const enter = (controlSocket: string): Promise<Connection> => enterContainer(controlSocket, machine);

  const run = (program: Uint8Array): Promise<void> => runOn((listener) => executor.connect(listener), program);

  const control = async (id: string, cgroupParent: string, action: string, signal = 0): Promise<void> =>
    run(planControl({ facts: await facts(), id, cgroupParent, action, signal }));

  /** Cgroups of supervisors that are gone, of this engine or any other. */
  const sweep = (): Promise<void> => control('any', '', 'sweep').catch(() => {});

  const pool = createPool(executor, facts, sweep);

  /** Of a supervisor that was killed: its container's name is on its cgroups, or still that of the slot. */
  const lost = (teardown: Uint8Array | undefined) => async (): Promise<void> => {
    if (teardown !== undefined) await run(teardown).catch(() => {});
    await sweep();
  };

  return {
    capabilities: {
      name: 'linux',
      pause: true,
      exec: true,
      networks: true,
      bindMounts: true,
      update: true,
      copies: true,
      processes: true,
      kernel: true,
      sameFiles: true,
      outlivesEngine: true,
    },
    get initProgram() {
      return executor.initProgram();
    },
    facts,
    async prepare() {
      await pool.fill();
      await sweep();
      for (const name of orphanedBridges()) await run(planBridgeRemoval(await facts(), name)).catch(() => {});
    },
    reserveSlot: (cgroupParent = '') => (cgroupParent === '' ? pool.reserve() : undefined),
    releaseSlot: (slot) => pool.release(slot),
    sourceOf: ({ source }) => source,
    place: async () => () => {},
    checks: async () => [],
    async start(plan, options) {
      const { slot, recovery } = options;
      const pooled = slot === undefined ? undefined : pool.connection(slot);
      const connection = pooled ?? (await executor.connect(silent));
      const started = superviseProcess({
        ...options,
        connection,
        program: plan.setup,
        lost: lost(recovery?.teardown ?? plan.teardown),
      });
      connection.send(frames.attach(attachFlags(options)), frames.run(plan.setup, plan.teardown));
      return pool.serve(started);
    },
    async adopt(_id, controlSocket, recovery) {
      const options = { attachOutput: false, attachStdin: false };
      try {
        const connection = await openConnection(controlSocket, silent, machine);
        const adopted = superviseProcess({ ...options, connection, recovery, lost: lost(recovery?.teardown) });
        connection.send(frames.attach(0));
        return await adopted;
      } catch {
        // Recorded, it may have been killed while it tore down.
        const ended = (await readExit(recovery?.exitRecord)) !== undefined;
        await (ended ? sweep() : lost(recovery?.teardown)());
        return undefined;
      }
    },
    recordedExit: readExit,
    async exec(controlSocket, program, options) {
      const connection = await enter(controlSocket);
      const started = superviseProcess({ ...options, connection, program });
      connection.send(frames.attach(attachFlags(options)), frames.run(program));
      return started;
    },
    async archive(controlSocket, program) {
      const options = { attachOutput: true, attachStdin: true };
      const connection = await (controlSocket === undefined ? executor.connect(silent) : enter(controlSocket));
      const started = superviseProcess({ ...options, connection, program });
      connection.send(frames.attach(attachFlags(options)), frames.run(program));
      return started;
    },
    run,
    dial: machine.dial,
    exchange: machine.exchange,
    wire: (controlSocket, program) =>
      runOn(async (listener) => {
        const connection = await enter(controlSocket);
        connection.listen(listener);
        return connection;
      }, program),
    resolve: (socket, answer) => serveResolver(socket, answer, machine),
    async spread(directories) {
      await run(planSpread(await facts(), directories));
    },
    async removeTrees(paths) {
      await run(planRemoval(await facts(), paths));
    },
    async renewDirectories(paths) {
      const { program, opsEach } = planRenewal(await facts(), paths);
      const failed = new Set<number>();
      const connect = (listener: Listener) => executor.connect(listener);
      await runOn(connect, program, ({ op }) => failed.add(Math.floor(op / opsEach)));
      return paths.filter((_, index) => !failed.has(index));
    },
    interfaceIndex: (name) => readInterfaceIndex(machine, name),
    async stats(id, cgroupParent, pid) {
      return readStats(machine, await facts(), cgroupParent, id, pid);
    },
    async processes(id, cgroupParent) {
      return readProcesses(machine, cgroupDirectories((await facts()).cgroup, cgroupParent, id)[0] ?? '');
    },
    async processTable(id, cgroupParent, options) {
      return readProcessTable(machine, cgroupDirectories((await facts()).cgroup, cgroupParent, id)[0] ?? '', options);
    },
    async isPaused(id, cgroupParent) {
      return readFrozen(machine, (await facts()).cgroup, cgroupParent, id);
    },
    pause: (id, cgroupParent) => control(id, cgroupParent, 'freeze'),
    unpause: (id, cgroupParent) => control(id, cgroupParent, 'thaw'),
    killAll: (id, cgroupParent, signal) => control(id, cgroupParent, 'kill', signal),
    watchMounts: executor.watchMounts,
    async close() {
      await pool.close();
      await executor.close(facts);
    },
  };
}

/** Runs a program that starts no process over a fresh connection. */
async function runOn(
  connect: (listener: Listener) => Promise<Connection>,
  program: Uint8Array,
  warned: (failure: Failure) => void = () => {},
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let failure: GantryError | undefined;
    let done = false;
    connect({
      frame(frame) {
        if (frame.type === FRAME_FAILED) failure = planFailure(program, readFailure(frame));
        else if (frame.type === FRAME_WARN) warned(readFailure(frame));
        else if (frame.type === FRAME_DONE) done = true;
      },
      closed(cause) {
        if (done) resolve();
        else reject(failure ?? new GantryError('PLAN_FAILED', 'Cannot run the program: no answer', { cause }));
      },
    }).then((connection) => connection.send(frames.run(program)), reject);
  });
}

/** Of an interface that is up, in this process's network namespace: /sys may show another one's. */
async function readInterfaceIndex(machine: Machine, name: string): Promise<number | undefined> {
  const line = /^(\d+)\s+([^\s:]+)/;
  for (const text of (await readText(machine, '/proc/net/igmp')).split('\n')) {
    const [, index, found] = line.exec(text) ?? [];
    if (found === name) return Number(index);
  }
  return undefined;
}

function otherVersion(frame: Frame): GantryError {
  const { planVersion } = readHello(frame);
  return new GantryError(
    'OTHER_VERSION',
    `Cannot enter the container: another version of gantry started it (its supervisor reads plans of version ${planVersion}, not ${PLAN_VERSION})`,
    {
      hint: 'Restart the container; until then ps, logs, stop, kill and rm work as ever',
    },
  );
}

/** The container's supervisor forks another for this connection, which greets in its turn. */
export function enterContainer(controlSocket: string, machine: Machine = thisMachine): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const gone = (cause?: unknown): void =>
      reject(new GantryError('INVALID_STATE', 'Cannot enter the container: it is not running', { cause }));
    let greetings = 0;
    let connection: Connection | undefined;
    const listener: Listener = {
      frame(frame) {
        if (frame.type !== FRAME_HELLO) return;
        if (checkVersion(frame) !== undefined) {
          reject(otherVersion(frame));
          connection?.close();
        } else if (++greetings === 2) resolve(connection!);
      },
      closed: gone,
    };
    openConnection(controlSocket, listener, machine).then((opened) => {
      connection = opened;
      opened.send(encodeFrame(FRAME_EXEC));
    }, gone);
  });
}

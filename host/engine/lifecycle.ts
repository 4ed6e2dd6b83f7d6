// Start, exit, restart, stop, kill, pause, remove: every change of a container's state. Read this file first.
import { mkdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import type { Exit, RunningProcess } from '../backend.ts';
import { planTeardown } from '../core/plans.ts';
import { GantryError } from '../errors.ts';
import { type Container, runningProcess } from './container.ts';
import type { Context } from './context.ts';
import { sharedIdMaps } from './id-maps.ts';
import { shareNetworkFiles, writeNetworkFiles } from './network/network-files.ts';
import { type FindRunning, fitsSlot, namedDevices, planRecord } from './planning.ts';
import { removeRecord } from './state-store.ts';
import { SIGKILL, signalNumber } from './signals.ts';

export interface Lifecycle {
  /** False where it runs already. Resolves when its program has been executed. */
  start(container: Container): Promise<boolean>;
  /** False where it did not run. */
  stop(container: Container, seconds?: number, signal?: string): Promise<boolean>;
  restart(container: Container, seconds?: number): Promise<void>;
  kill(container: Container, signal: string): Promise<void>;
  pause(container: Container): Promise<void>;
  unpause(container: Container): Promise<void>;
  remove(container: Container, options: { force: boolean; volumes: boolean }): Promise<void>;
  /** Resolves when what has ended so far is torn down. */
  settle(): Promise<void>;
  /** Takes up a container that an earlier engine started. */
  adopt(container: Container): Promise<void>;
}

const DEFAULT_STOP_SECONDS = 10;
const RESTART_FIRST_MS = 100;
const RESTART_LONGEST_MS = 60_000;
/** A run that lasted so long resets the delay of its restart. */
const RESTART_STEADY_MS = 10_000;

export function createLifecycle(
  context: Context,
  find: FindRunning,
  forget: (container: Container) => void,
  isMounted: (volume: string) => boolean,
): Lifecycle {
  const { backend, events, images, networks, trash, volumes } = context;
  const restarts = new Map<Container, { timer?: NodeJS.Timeout; delayMs: number }>();

  /** Containers that are stopped only to be started again: --rm waits. */
  const keeping = new Set<Container>();

  /** Ended, but not torn down yet. */
  const ending = new Set<Container>();

  const emit = (container: Container, action: string, more: Record<string, string> = {}): void => {
    const { id, name, config } = container.record;
    events.emit('container', action, id, { ...config.labels, image: config.image, name, ...more });
  };
  const parentOf = (container: Container): string => container.record.config.host.cgroupParent;

  const begin = async (container: Container): Promise<boolean> => {
    const { record, files } = container;
    if (container.removed) throw new GantryError('CONTAINER_NOT_FOUND', `No such container: ${record.name}`);
    if (record.state.status === 'paused')
      throw new GantryError('INVALID_STATE', 'Cannot start a paused container, try unpause instead');
    if (container.running !== undefined) return false;
    await container.settled;
    await Promise.all([...container.copies].map(({ exited }) => exited));
    clearTimeout(restarts.get(container)?.timer);
    const slot = fitsSlot(record.config.host) ? backend.reserveSlot(parentOf(container)) : undefined;
    try {
      const attached = container.attachWanted;
      const [facts, image] = await Promise.all([
        backend.facts(namedDevices(record.config)),
        images.find(record.config.imageId),
      ]);
      const shared = sharedIdMaps(record.config, find);
      if (shared !== undefined) record.idMaps = shared;
      else if (record.config.host.userMode.startsWith('container:')) delete record.idMaps;
      const attachment = await networks.attach(record, find);
      Object.assign(record, { endpoints: attachment.endpoints, ports: attachment.ports });
      const hostname = record.config.hostname || record.id.slice(0, 12);
      const [, owner] = /^container:(.+)$/.exec(record.config.host.networkMode) ?? [];
      if (owner !== undefined) shareNetworkFiles(files, context.files.of(find(owner).id));
      else writeNetworkFiles(files, record.config, hostname, Object.values(attachment.endpoints));
      if (record.config.host.autoRemove && record.state.startedAt !== '') await freshWork(files.work);
      if (record.state.startedAt !== '') removeRecord(files.exitRecord);
      mkdirSync(files.runDirectory, { recursive: true, mode: 0o700 }); // A reboot may have been in between.
      const launch = async (place: string | undefined, again = true): Promise<RunningProcess> => {
        const plan = planRecord(context, record, { facts, network: attachment.network, image, find, slot: place });
        record.warnings = [...attachment.warnings, ...plan.warnings];
        return backend
          .start(plan, {
            attachOutput: attached.output,
            attachStdin: attached.stdin,
            slot: place,
            recovery: { exitRecord: files.exitRecord, teardown: plan.teardown },
          })
          .catch(async (error: unknown) => {
            if (!again || !(await networks.repair(plan.setup, error))) throw error;
            return launch(undefined, false);
          });
      };
      const running = await launch(slot);
      record.warnings.push(...(running.warnings ?? []));
      container.began(running);
      container.change({
        status: 'running',
        pid: running.pid,
        startedAt: iso(running.startedAt),
        error: '',
        exitCode: 0,
        oomKilled: false,
        stoppedByUser: false,
      });
      watch(container, running);
      for (const mount of record.mounts) if (mount.name !== '') volumes.markFilled(mount.name);
      for (const mount of record.mounts) mount.copyUp = false;
      emit(container, 'start');
      return true;
    } catch (error) {
      if (slot !== undefined) backend.releaseSlot(slot);
      if (container.running === undefined) await failed(container, error);
      throw error;
    }
  };

  const failed = async (container: Container, error: unknown): Promise<void> => {
    const exitCode = error instanceof GantryError && error.exitStatus !== 125 ? error.exitStatus : 128;
    await networks.release(container.record);
    container.change({ status: 'created', error: (error as Error).message, exitCode, pid: 0 });
    container.tellExit(exitCode);
    if (container.record.config.host.autoRemove) discardContainer(container, true);
  };

  const watch = (container: Container, running: RunningProcess): void => {
    container.settled = running.exited.then(async (exit) => {
      exited(container, exit);
      // Who waits for a container of --rm to be gone does not wait for its cgroups to be.
      const leaving = goesOnExit(container);
      if (leaving) dismiss(container);
      ending.add(container);
      await running.tornDown;
      await networks.release(container.record);
      if (leaving) discardFiles(container, true);
      else await afterExit(container, exit);
    });
    container.settled.catch(() => {}).finally(() => ending.delete(container));
  };

  const exited = (container: Container, { exitCode, oomKilled, finishedAt }: Exit): void => {
    const { state } = container.record;
    const again = shouldRestart(container, exitCode);
    container.running = undefined;
    const status = again ? 'restarting' : 'exited';
    Object.assign(state, { status, pid: 0, exitCode, oomKilled, finishedAt: iso(finishedAt) });
    // The record of a container that goes at once need not say so: after a crash its exit record does.
    if (again || !container.record.config.host.autoRemove || keeping.has(container)) container.save();
    if (oomKilled) emit(container, 'oom');
    emit(container, 'die', { exitCode: String(state.exitCode) });
    container.tellExit(exitCode);
  };

  const goesOnExit = (container: Container): boolean =>
    container.record.config.host.autoRemove &&
    container.record.state.status === 'exited' &&
    !keeping.has(container) &&
    !container.removed;

  const afterExit = async (container: Container, { finishedAt }: Exit): Promise<void> => {
    const { record } = container;
    if (container.removed) return;
    if (record.state.status === 'restarting') {
      const steady = Number(finishedAt / 1_000_000n) - Date.parse(record.state.startedAt) > RESTART_STEADY_MS;
      const before = restarts.get(container)?.delayMs;
      const delayMs = steady || before === undefined ? RESTART_FIRST_MS : Math.min(before * 2, RESTART_LONGEST_MS);
      const timer = setTimeout(() => {
        if (record.state.status !== 'restarting') return;
        record.state.restartCount++;
        container.exclusively(() => begin(container)).catch(() => {});
      }, delayMs);
      restarts.set(container, { timer, delayMs });
    } else if (goesOnExit(container)) discardContainer(container, true);
  };

  const shouldRestart = ({ record: { config, state } }: Container, exitCode: number): boolean => {
    const { name, maximumRetryCount } = config.host.restartPolicy;
    if (state.stoppedByUser) return false;
    if (name === 'on-failure')
      return exitCode !== 0 && (maximumRetryCount === 0 || state.restartCount < maximumRetryCount);
    return name === 'always' || name === 'unless-stopped';
  };

  const end = async (
    container: Container,
    seconds: number | undefined,
    signal: string | undefined,
  ): Promise<boolean> => {
    const { record, running } = container;
    clearTimeout(restarts.get(container)?.timer);
    if (running === undefined) {
      if (record.state.status === 'restarting') container.change({ status: 'exited', stoppedByUser: true });
      return false;
    }
    container.change({ stoppedByUser: true });
    const grace = seconds ?? record.config.stopTimeout ?? DEFAULT_STOP_SECONDS;
    running.signal(signalNumber(signal || record.config.stopSignal));
    if (record.state.status === 'paused') await backend.unpause(record.id, parentOf(container)).catch(() => {});
    if (!(await within(running.exited, grace < 0 ? undefined : grace * 1000))) {
      running.signal(SIGKILL);
      await running.exited;
    }
    emit(container, 'stop');
    return true;
  };

  const discardContainer = (container: Container, withVolumes: boolean): void => {
    if (container.removed) return;
    dismiss(container);
    discardFiles(container, withVolumes);
  };

  /** From here on nobody finds it, and its name is free. */
  const dismiss = (container: Container): void => {
    container.removed = true;
    for (const copy of container.copies) copy.signal(SIGKILL);
    clearTimeout(restarts.get(container)?.timer);
    restarts.delete(container);
    forget(container);
    if (container.record.config.host.autoRemove) removeRecord(container.files.volatileRecord);
    emit(container, 'destroy');
    container.tellRemoved();
  };

  const discardFiles = ({ record, files }: Container, withVolumes: boolean): void => {
    trash.take(files.directory);
    trash.remove(files.runDirectory);
    if (withVolumes)
      for (const { name } of record.mounts) {
        const volume = name === '' ? undefined : volumes.list().find((found) => found.name === name);
        // --volumes-from shares it: the last one takes it along.
        if (volume?.anonymous && !isMounted(name)) volumes.remove(name, trash.take);
      }
  };

  return {
    start: (container) => container.exclusively(() => begin(container)),
    stop: (container, seconds, signal) => container.exclusively(() => end(container, seconds, signal)),
    restart: (container, seconds) =>
      container.exclusively(async () => {
        keeping.add(container);
        try {
          await end(container, seconds, undefined);
          await container.settled;
          await begin(container);
          emit(container, 'restart');
        } finally {
          keeping.delete(container);
        }
      }),
    async kill(container, signal) {
      const number = signalNumber(signal);
      const running = runningProcess(container);
      const { record } = container;
      if (number === SIGKILL || number === signalNumber(record.config.stopSignal))
        container.change({ stoppedByUser: true });
      if (number === 0) return;
      running.signal(number);
      if (number === SIGKILL && record.state.status === 'paused')
        await backend.unpause(record.id, parentOf(container)).catch(() => {});
      emit(container, 'kill', { signal: String(number) });
    },
    pause: (container) =>
      container.exclusively(async () => {
        runningProcess(container);
        if (container.record.state.status === 'paused')
          throw new GantryError('INVALID_STATE', `Container ${container.record.name} is already paused`);
        await backend.pause(container.record.id, parentOf(container));
        container.change({ status: 'paused' });
        emit(container, 'pause');
      }),
    unpause: (container) =>
      container.exclusively(async () => {
        if (container.record.state.status !== 'paused')
          throw new GantryError('INVALID_STATE', `Container ${container.record.name} is not paused`);
        await backend.unpause(container.record.id, parentOf(container));
        container.change({ status: 'running' });
        emit(container, 'unpause');
      }),
    remove: (container, { force, volumes: withVolumes }) =>
      container.exclusively(async () => {
        const { record } = container;
        if (container.running !== undefined || record.state.status === 'restarting') {
          if (!force)
            throw new GantryError(
              'INVALID_STATE',
              `Cannot remove container "${record.name}": container is ${record.state.status}: stop the container before removing or force remove`,
              { hint: `Add -f, or stop it first: gantry stop ${record.name}` },
            );
          await end(container, 0, 'SIGKILL');
        }
        await container.settled;
        discardContainer(container, withVolumes || record.config.host.autoRemove);
      }),
    async settle() {
      await Promise.allSettled([...ending].map(({ settled }) => settled));
    },
    async adopt(container) {
      const { record, files } = container;
      const facts = await backend.facts();
      const teardown = planTeardown(facts, record.id, record.config, networks.recorded(record));
      const recovery = { exitRecord: files.exitRecord, teardown };
      const running = await backend.adopt(record.id, files.controlSocket, recovery);
      if (running !== undefined) {
        container.began(running);
        watch(container, running);
        return;
      }
      const exit = (await backend.recordedExit(files.exitRecord)) ?? {
        exitCode: 137,
        oomKilled: false,
        finishedAt: BigInt(Date.now()) * 1_000_000n,
      };
      exited(container, exit);
      await networks.release(record);
      await afterExit(container, exit);
    },
  };
}

async function freshWork(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { mode: 0o755 });
}

function iso(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(nanoseconds % 1_000_000_000n).padStart(9, '0')}Z`;
}

/** False where it takes longer; undefined: no limit. */
async function within(promise: Promise<unknown>, limitMs: number | undefined): Promise<boolean> {
  if (limitMs === undefined) return promise.then(() => true);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  const done = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return done;
}

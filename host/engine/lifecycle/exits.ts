// The end of a container's process: told at once, torn down, then restarted, removed or left.
import type { Exit, RunningProcess } from '../../backend.ts';
import type { Container } from '../container.ts';
import { type Announce, announceNetworks } from '../container-events.ts';
import type { Context } from '../context.ts';
import type { HealthMonitor } from './health.ts';
import type { Removal } from './removal.ts';
import type { Restarts } from './restarts.ts';
import { isoTime } from './times.ts';

export interface Exits {
  /** Takes charge of a process until its end, and of what comes then. */
  watch(container: Container, running: RunningProcess): void;
  /** The same for one that ended while no engine looked. */
  missed(container: Container): Promise<void>;
  /** It is stopped only to be started again: --rm waits. Returns the way to let it go. */
  keep(container: Container): () => void;
  /** Resolves when what has ended so far is torn down. */
  settle(): Promise<void>;
}

export interface Exiting {
  context: Context;
  announce: Announce;
  health: HealthMonitor;
  restarts: Restarts;
  removal: Removal;
}

export function createExits({
  context: { events, networks, volumeMounts },
  announce,
  health,
  restarts,
  removal,
}: Exiting): Exits {
  const keepers = new Map<Container, number>();
  const isKept = (container: Container): boolean => (keepers.get(container) ?? 0) > 0;
  /** Ended, but not torn down yet. */
  const ending = new Set<Container>();

  const goesOnExit = (container: Container): boolean =>
    container.record.config.host.autoRemove &&
    container.record.state.status === 'exited' &&
    !isKept(container) &&
    !container.removed;

  const exited = (container: Container, { exitCode, oomKilled, finishedAt, error = '' }: Exit): void => {
    const { state } = container.record;
    const again = restarts.wanted(container, exitCode);
    container.running = undefined;
    health.ended(container);
    const status = again ? 'restarting' : 'exited';
    Object.assign(state, { status, pid: 0, exitCode, oomKilled, error, finishedAt: isoTime(finishedAt) });
    if (again) state.restartCount++;
    // The record of a container that goes at once need not say so: after a crash its exit record does.
    if (again || !container.record.config.host.autoRemove || isKept(container)) container.save();
    if (oomKilled) announce(container, 'oom');
    const ranSeconds = Math.max(0, Math.floor((Number(finishedAt / 1_000_000n) - Date.parse(state.startedAt)) / 1000));
    announce(container, 'die', { execDuration: String(ranSeconds), exitCode: String(exitCode) });
    announceNetworks(events, container.record, 'disconnect');
    container.tellExit(exitCode);
  };

  const afterExit = (container: Container, exit: Exit): void => {
    if (container.removed) return;
    if (container.record.state.status === 'restarting') restarts.schedule(container, exit);
    else if (goesOnExit(container)) removal.discard(container, true);
  };

  return {
    keep(container) {
      keepers.set(container, (keepers.get(container) ?? 0) + 1);
      return () => {
        const left = (keepers.get(container) ?? 1) - 1;
        if (left > 0) keepers.set(container, left);
        else keepers.delete(container);
      };
    },
    watch(container, running) {
      container.settled = running.exited.then(async (exit) => {
        exited(container, exit);
        // Who waits for a container of --rm to be gone does not wait for its cgroups to be.
        const leaving = goesOnExit(container);
        if (leaving) removal.dismiss(container);
        ending.add(container);
        await running.tornDown;
        await networks.release(container.record);
        await volumeMounts.release(container.record);
        if (leaving) removal.discardFiles(container, true);
        else afterExit(container, exit);
      });
      container.settled.catch(() => {}).finally(() => ending.delete(container));
    },
    async missed(container) {
      const exit = (await container.backend.recordedExit(container.files.exitRecord)) ?? lostExit();
      exited(container, exit);
      await networks.release(container.record);
      await volumeMounts.release(container.record);
      afterExit(container, exit);
    },
    async settle() {
      await Promise.allSettled([...ending].map(({ settled }) => settled));
    },
  };
}

function lostExit(): Exit {
  return { exitCode: 137, oomKilled: false, finishedAt: BigInt(Date.now()) * 1_000_000n };
}

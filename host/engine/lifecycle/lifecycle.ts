// Start, exit, restart, stop, kill, pause, remove: every change of a container's state. Read this file first.
import type { RunningProcess } from '../../backend.ts';
import { GantryError } from '../../errors.ts';
import { checkAble } from '../abilities.ts';
import { type Container, hasEnded, notRunning, runningProcess } from '../container.ts';
import type { Announce } from '../container-events.ts';
import type { Context } from '../context.ts';
import type { FindRunning } from '../planning.ts';
import { createExits, type Exits } from './exits.ts';
import type { HealthMonitor } from './health.ts';
import { createRecovery, type Recovery } from './recovery.ts';
import { createRemoval } from './removal.ts';
import { createRestarts, type Restarts, startsWithEngine } from './restarts.ts';
import { type Begin, createStart, type Others } from './start.ts';
import { createStops, type Stops } from './stop.ts';
import { type Update, updateContainer } from './update.ts';

export interface Lifecycle extends Pick<Stops, 'stop' | 'kill'>, Pick<Exits, 'settle' | 'keep'>, Recovery {
  /** False where it runs already. Resolves when its program has been executed. */
  start(container: Container): Promise<boolean>;
  restart(container: Container, seconds?: number, signal?: string): Promise<void>;
  /** @param passing by the engine itself, for a moment. */
  pause(container: Container, passing?: boolean): Promise<void>;
  unpause(container: Container): Promise<void>;
  /** Returns warnings. A change that is refused changes nothing. */
  update(container: Container, update: Update): Promise<string[]>;
  remove(container: Container, options: { force: boolean; volumes: boolean }): Promise<void>;
  /** Starts what an earlier engine was to start again, and what starts with every engine. */
  resume(container: Container): Promise<void>;
}

export function createLifecycle(
  context: Context,
  announce: Announce,
  health: HealthMonitor,
  find: FindRunning,
  others: Others,
  forget: (container: Container) => void,
  isMounted: (volume: string) => boolean,
): Lifecycle {
  const parentOf = (container: Container): string => container.record.config.host.cgroupParent;

  const restarts: Restarts = createRestarts((container) =>
    container.exclusively(async () => container.record.state.status === 'restarting' && (await begin(container))),
  );
  const removal = createRemoval(context, announce, forgetAll, isMounted);
  const exits = createExits({ context, announce, health, restarts, removal });
  const stops = createStops(announce, restarts);
  const watch = (container: Container, running: RunningProcess): void => {
    exits.watch(container, running);
    if (container.record.state.status === 'running') health.watch(container);
  };
  const begin: Begin = createStart({
    context,
    find,
    others,
    announce,
    watch,
    discard: (container) => removal.discard(container, true),
  });
  function forgetAll(container: Container): void {
    restarts.reset(container);
    forget(container);
  }

  /** By a user: counts and delays of restarts begin anew. */
  const start = (container: Container): Promise<boolean> =>
    container.exclusively(async () => {
      if (container.record.state.status === 'restarting') return false;
      if (container.running === undefined) restarts.reset(container);
      return begin(container);
    });

  const pause = async (container: Container, passing: boolean): Promise<void> => {
    const { record } = container;
    const running = runningProcess(container);
    checkAble(container, 'pause');
    if (record.state.status === 'paused')
      throw new GantryError('INVALID_STATE', `Container ${record.name} is already paused`);
    container.pausing = true;
    try {
      health.leave(container);
      await Promise.allSettled(container.entering);
      await container.backend.pause(record.id, parentOf(container)).catch(async (error: unknown) => {
        if (!(await hasEnded(running))) throw error;
      });
      if (stops.isKilled(running)) await container.backend.unpause(record.id, parentOf(container)).catch(() => {});
      else if (container.running === running) {
        container.change({ status: 'paused', ...(passing ? { pausedForCommit: true } : {}) });
        announce(container, 'pause');
        return;
      }
    } catch (error) {
      health.watch(container);
      throw error;
    } finally {
      container.pausing = false;
    }
    throw notRunning(container);
  };

  return {
    start,
    stop: stops.stop,
    async restart(container, seconds, signal) {
      const letGo = exits.keep(container);
      try {
        await stops.stop(container, seconds, signal);
        await container.settled;
        await start(container);
        announce(container, 'restart');
      } finally {
        letGo();
      }
    },
    kill: stops.kill,
    pause: (container, passing = false) => container.exclusively(() => pause(container, passing)),
    unpause: (container) =>
      container.exclusively(async () => {
        const { record } = container;
        if (record.state.status !== 'paused')
          throw new GantryError('INVALID_STATE', `Container ${record.name} is not paused`);
        const { running } = container;
        await container.backend.unpause(record.id, parentOf(container)).catch(async (error: unknown) => {
          if (running === undefined || !(await hasEnded(running))) throw error;
        });
        if (container.running === undefined) throw notRunning(container);
        delete record.state.pausedForCommit;
        container.change({ status: 'running' });
        health.watch(container);
        announce(container, 'unpause');
      }),
    update: (container, update) => container.exclusively(() => updateContainer(announce, container, update)),
    async remove(container, { force, volumes: withVolumes }) {
      const { record } = container;
      // Who stops it gracefully at this moment need not be waited for.
      if (force) stops.killNow(container);
      await container.exclusively(async () => {
        if (container.running !== undefined || record.state.status === 'restarting') {
          if (!force) throw inUse(container);
          stops.killNow(container);
          await container.running?.exited;
        }
        await container.settled;
        removal.discard(container, withVolumes || record.config.host.autoRemove);
      });
    },
    settle: exits.settle,
    keep: exits.keep,
    ...createRecovery({ context, announce, exits, removal, watch }),
    resume: (container) =>
      container.exclusively(async () => {
        const { status } = container.record.state;
        if (container.running !== undefined || restarts.isScheduled(container)) return;
        if (status === 'restarting' || startsWithEngine(container)) await begin(container);
      }),
  };
}

function inUse({ record: { name, state } }: Container): GantryError {
  const why =
    state.status === 'paused'
      ? 'container is paused and must be unpaused first'
      : `container is ${state.status}: stop the container before removing or force remove`;
  return new GantryError('INVALID_STATE', `Cannot remove container "${name}": ${why}`, {
    hint: `Add -f, or stop it first: gantry stop ${name}`,
  });
}

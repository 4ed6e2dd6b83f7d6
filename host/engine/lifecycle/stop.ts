// Signals to containers, and their end by them: stop, kill.
import type { RunningProcess } from '../../backend.ts';
import { type Container, runningProcess } from '../container.ts';
import type { Announce } from '../container-events.ts';
import { SIGKILL, signalNumber } from '../signals.ts';
import type { Restarts } from './restarts.ts';
import { within } from './times.ts';

const DEFAULT_STOP_SECONDS = 10;
/** A process that the kernel does not let die does not keep a client waiting longer. */
const KILLED_MS = 10_000;

export interface Stops {
  /** False where it did not run. Resolves when it has ended; others may start, stop or kill it meanwhile. */
  stop(container: Container, seconds?: number, signal?: string): Promise<boolean>;
  kill(container: Container, signal: string): Promise<void>;
  /** It has got a SIGKILL: a pause that crossed it must not keep it from dying. */
  isKilled(running: RunningProcess): boolean;
  /** SIGKILL, without waiting for anything. */
  killNow(container: Container): void;
}

export function createStops(announce: Announce, restarts: Restarts): Stops {
  const killed = new WeakSet<RunningProcess>();

  const thaw = ({ record, backend }: Container): Promise<void> =>
    backend.unpause(record.id, record.config.host.cgroupParent).catch(() => {});

  const send = (container: Container, running: RunningProcess, signal: number): void => {
    if (signal === SIGKILL) killed.add(running);
    running.signal(signal);
    announce(container, 'kill', { signal: String(signal) });
  };

  /** A restart that was to come does not. True where there was one. */
  const giveUpRestart = (container: Container): boolean => {
    restarts.cancel(container);
    if (container.record.state.status !== 'restarting') return false;
    container.change({ status: 'exited', stoppedByUser: true });
    return true;
  };

  return {
    async stop(container, seconds, signal) {
      const { config } = container.record;
      const number = signalNumber(signal || config.stopSignal);
      // A start that is under way comes first; the waiting for the end keeps nobody else waiting.
      const running = await container.exclusively(async () => {
        if (giveUpRestart(container)) return 'was to restart';
        if (container.running === undefined) return undefined;
        container.change({ stoppedByUser: true });
        send(container, container.running, number);
        if (container.record.state.status === 'paused') await thaw(container);
        return container.running;
      });
      if (running === undefined) return false;
      if (running !== 'was to restart') {
        const grace = seconds ?? config.stopTimeout ?? DEFAULT_STOP_SECONDS;
        if (!(await within(running.exited, grace < 0 ? undefined : grace * 1000))) {
          send(container, running, SIGKILL);
          if (container.record.state.status === 'paused') await thaw(container);
          await running.exited;
        }
      }
      announce(container, 'stop');
      return true;
    },
    async kill(container, signal) {
      const number = signalNumber(signal);
      const { record } = container;
      const ends = number === SIGKILL || number === signalNumber(record.config.stopSignal);
      if (ends && giveUpRestart(container)) return;
      const running = runningProcess(container);
      if (ends) container.change({ stoppedByUser: true });
      if (number === 0) return;
      send(container, running, number);
      if (ends && record.state.status === 'paused') await thaw(container);
      if (number === SIGKILL) await within(running.exited, KILLED_MS);
    },
    isKilled: (running) => killed.has(running),
    killNow(container) {
      if (giveUpRestart(container) || container.running === undefined) return;
      container.change({ stoppedByUser: true });
      if (!killed.has(container.running)) send(container, container.running, SIGKILL);
      if (container.record.state.status === 'paused') void thaw(container);
    },
  };
}

// Restart policies: who is started again when it has ended, and after how long.
import type { Exit } from '../../backend.ts';
import type { Container } from '../container.ts';

const FIRST_MS = 100;
const LONGEST_MS = 60_000;
/** A run that lasted so long resets the delay of its restart. */
const STEADY_MS = 10_000;

export interface Restarts {
  /** Whether the policy wants another run after this exit. */
  wanted(container: Container, exitCode: number): boolean;
  /** Starts it later: 100 ms at first, twice as long each time, a minute at most. */
  schedule(container: Container, exit: Exit): void;
  isScheduled(container: Container): boolean;
  /** Nothing is started any more that was scheduled. */
  cancel(container: Container): void;
  /** A user has started it: counts and delays begin anew. */
  reset(container: Container): void;
}

export function createRestarts(start: (container: Container) => Promise<unknown>): Restarts {
  const delays = new Map<Container, number>();
  const timers = new Map<Container, NodeJS.Timeout>();

  const cancel = (container: Container): void => {
    clearTimeout(timers.get(container));
    timers.delete(container);
  };

  return {
    wanted({ record: { config, state } }, exitCode) {
      const { name, maximumRetryCount } = config.host.restartPolicy;
      if (state.stoppedByUser) return false;
      if (name === 'on-failure')
        return exitCode !== 0 && (maximumRetryCount === 0 || state.restartCount < maximumRetryCount);
      return name === 'always' || name === 'unless-stopped';
    },
    schedule(container, { finishedAt }) {
      const { state } = container.record;
      const steady = Number(finishedAt / 1_000_000n) - Date.parse(state.startedAt) >= STEADY_MS;
      const before = delays.get(container);
      const delayMs = steady || before === undefined ? FIRST_MS : Math.min(before * 2, LONGEST_MS);
      delays.set(container, delayMs);
      timers.set(
        container,
        setTimeout(() => {
          timers.delete(container);
          start(container).catch(() => {});
        }, delayMs),
      );
    },
    isScheduled: (container) => timers.has(container),
    cancel,
    reset(container) {
      cancel(container);
      delays.delete(container);
      container.record.state.restartCount = 0;
    },
  };
}

/**
 * Whether an engine that has just started starts it: "always" and "unless-stopped", unless a user stopped it. Docker starts
 * stopped ones of "always", too; here every command may start an engine, which must not undo a stop.
 */
export function startsWithEngine({ record: { config, state } }: Container): boolean {
  const { name } = config.host.restartPolicy;
  return state.startedAt !== '' && !state.stoppedByUser && (name === 'always' || name === 'unless-stopped');
}

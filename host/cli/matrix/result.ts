// What has become of a cell: what displays and reports are told.
import type { Cell } from './cells.ts';
import type { Room } from './pack.ts';

/** error: it did not come to run (image, command, limits); canceled: stopped by us; skipped: never begun. */
export type Outcome = 'passed' | 'failed' | 'timed out' | 'error' | 'canceled' | 'skipped';

export interface Attempt {
  outcome: Outcome;
  /** Of the program, where it ended by itself. */
  status?: number;
  /** "exit status 3"; empty where it passed. */
  reason: string;
  seconds: number;
}

export interface Job {
  cell: Cell;
  demand: Room;
  state: 'waiting' | 'preparing' | 'running' | 'ended';
  attempts: Attempt[];
  /** Of the first attempt, in milliseconds since 1970. */
  began: number | undefined;
  seconds: number;
  /** The end of its output. */
  tail: string;
  /** Path of its log, where logs are kept. */
  log: string | undefined;
}

export function outcomeOf({ attempts }: Job): Outcome {
  return attempts.at(-1)?.outcome ?? 'skipped';
}

/** Whether the whole has failed by it. */
export function isFailure(outcome: Outcome): boolean {
  return outcome === 'failed' || outcome === 'timed out' || outcome === 'error';
}

/** "failed: exit status 3, after 2 attempts". */
export function sentence(job: Job): string {
  const outcome = outcomeOf(job);
  const reason = job.attempts.at(-1)?.reason ?? '';
  const again = job.attempts.length > 1 ? ` (attempt ${job.attempts.length})` : '';
  return `${outcome}${reason === '' ? '' : `: ${reason}`}${again}`;
}

export function lastLines(text: string, count: number): string[] {
  return text
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
    .slice(-count);
}

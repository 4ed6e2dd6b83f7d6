// Runs the cells of a matrix beside each other, as many as fit, and stops them all when asked.
import { setMaxListeners } from 'node:events';
import { StringDecoder } from 'node:string_decoder';
import type { Api } from '../../client/api.ts';
import { type Pulls, runAttempt } from './attempt.ts';
import { decreasing, fill, minus, plus, type Room } from './pack.ts';
import { isFailure, type Job, outcomeOf } from './result.ts';

/** Bytes of a cell's output that are kept for reports. */
const TAIL = 1 << 16;

export interface ScheduleOptions {
  run: string;
  capacity: Room;
  slots: number;
  failFast: boolean;
  /** Ends it: what runs is removed, the rest never begins. */
  signal: AbortSignal;
  /** A file for a cell's output. */
  openLog(job: Job): { write(data: Buffer | string): void; close(): void };
  /** A cell's state or output has changed. */
  changed(job: Job, what: 'state' | 'output'): void;
}

/** Returns when nothing runs any more. @throws {GantryError} where the engine fails, after the rest was stopped. */
export async function runJobs(api: Api, jobs: Job[], options: ScheduleOptions): Promise<void> {
  const stop = new AbortController();
  // Each cell that runs listens.
  setMaxListeners(0, stop.signal);
  const forward = (): void => stop.abort();
  if (options.signal.aborted) stop.abort();
  options.signal.addEventListener('abort', forward);
  const pulls: Pulls = new Map();
  const running = new Set<Promise<void>>();
  let waiting = decreasing(jobs, options.capacity);
  let free = options.capacity;
  let failure: { error: unknown } | undefined;
  const start = (job: Job): void => {
    free = minus(free, job.demand);
    const run = runJob(api, job, pulls, stop.signal, options).then(
      () => {
        if (options.failFast && isFailure(outcomeOf(job))) stop.abort();
      },
      (error: unknown) => {
        failure ??= { error };
        stop.abort();
      },
    );
    const tracked: Promise<void> = run.finally(() => {
      running.delete(tracked);
      free = plus(free, job.demand);
    });
    running.add(tracked);
  };
  try {
    while (true) {
      if (stop.signal.aborted) waiting = [];
      const next = fill(waiting, free, options.slots - running.size);
      waiting = waiting.filter((job) => !next.includes(job));
      next.forEach(start);
      if (running.size === 0) break;
      await Promise.race(running);
    }
  } finally {
    options.signal.removeEventListener('abort', forward);
  }
  for (const job of jobs)
    if (job.state === 'waiting') {
      job.state = 'ended';
      options.changed(job, 'state');
    }
  if (failure !== undefined) throw failure.error;
}

async function runJob(api: Api, job: Job, pulls: Pulls, signal: AbortSignal, options: ScheduleOptions): Promise<void> {
  const { cell } = job;
  const log = options.openLog(job);
  const change = (state: Job['state']): void => {
    job.state = state;
    options.changed(job, 'state');
  };
  const text = new StringDecoder('utf8');
  const write = (data: Buffer): void => {
    log.write(data);
    job.tail = (job.tail + text.write(data)).slice(-TAIL);
    options.changed(job, 'output');
  };
  job.began = Date.now();
  change('preparing');
  try {
    for (let attempt = 1; ; attempt++) {
      if (attempt > 1) {
        log.write(`\n=== attempt ${attempt} ===\n`);
        job.tail = '';
      }
      const started = (): void => change('running');
      const result = await runAttempt(cell, job.demand, { api, run: options.run, pulls, signal, write, started });
      job.attempts.push(result);
      if (!isFailure(result.outcome) || attempt > cell.retries || signal.aborted) break;
      change('preparing');
    }
  } finally {
    log.close();
    job.seconds = (Date.now() - job.began) / 1000;
    change('ended');
  }
}

// One container: its record, the running process where there is one, and those who wait for it.
import type { Backend, OutputSink, RunningProcess } from '../backend.ts';
import { GantryError } from '../errors.ts';
import type { Context } from './context.ts';
import { within } from './lifecycle/times.ts';
import type { ContainerFiles } from './state/layout.ts';
import type { ContainerRecord, ContainerState } from './record.ts';
import { writeRecord } from './state/state-store.ts';

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

/** Someone at the container's terminal: may come before the start. */
export interface Attached {
  write(data: Uint8Array): Promise<void>;
  closeStdin(): void;
  leave(): void;
}

export interface Container {
  readonly record: ContainerRecord;
  readonly files: ContainerFiles;
  /** What runs it. */
  readonly backend: Backend;
  running: RunningProcess | undefined;
  /** Resolves when the last run is torn down; starting waits for it. */
  settled: Promise<void>;
  removed: boolean;
  /** Copies to and from it: the next start waits for them, its removal ends them. */
  readonly copies: Set<RunningProcess>;
  /** Processes that are on their way into it: a pause waits for them, or they would freeze half-way. */
  readonly entering: Set<Promise<unknown>>;
  /** It is about to be paused: nobody enters any more. */
  pausing: boolean;
  /** Someone wants its output or stdin from the start on. */
  readonly attachWanted: { output: boolean; stdin: boolean };
  /** One change after the other. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  change(state: Partial<ContainerState>): void;
  save(): void;
  attach(sink: OutputSink | undefined, stdin: boolean): Attached;
  /** To be called by the start: connects those who came before. */
  began(running: RunningProcess): void;
  /** @param signal ends the waiting without an answer. */
  wait(condition: WaitCondition, signal?: AbortSignal): Promise<number>;
  /** To be called once an exit is recorded, and once it is removed. */
  tellExit(exitCode: number): void;
  tellRemoved(): void;
}

interface Waiting {
  sink: OutputSink | undefined;
  stdin: boolean;
  early: Uint8Array[];
  closed: boolean;
  process?: RunningProcess;
  stop?: () => void;
}

export function createContainer(context: Context, record: ContainerRecord, backend: Backend): Container {
  const files = context.files.of(record.id);
  const exits = new Set<(code: number) => void>();
  const removals = new Set<(code: number) => void>();
  const waiting = new Set<Waiting>();
  let last: Promise<unknown> = Promise.resolve();

  const connect = (entry: Waiting, process: RunningProcess): void => {
    entry.process = process;
    if (entry.sink !== undefined) entry.stop = process.attach(entry.sink);
    for (const data of entry.early.splice(0)) void process.write(data);
    if (entry.closed) process.closeStdin();
  };

  const container: Container = {
    record,
    files,
    backend,
    running: undefined,
    settled: Promise.resolve(),
    removed: false,
    copies: new Set(),
    entering: new Set(),
    pausing: false,
    get attachWanted() {
      const all = [...waiting];
      return { output: all.some(({ sink }) => sink !== undefined), stdin: all.some(({ stdin }) => stdin) };
    },
    exclusively(work) {
      const next = last.then(work, work);
      last = next.catch(() => {});
      return next;
    },
    change(state) {
      Object.assign(record.state, state);
      container.save();
    },
    save() {
      if (container.removed) return;
      writeRecord(record.config.host.autoRemove ? files.volatileRecord : files.record, record);
    },
    attach(sink, stdin) {
      const entry: Waiting = { sink, stdin: stdin && record.config.openStdin, early: [], closed: false };
      if (container.running !== undefined) connect(entry, container.running);
      else waiting.add(entry);
      return {
        async write(data) {
          if (!entry.stdin) return;
          if (entry.process === undefined) entry.early.push(data);
          else await entry.process.write(data);
        },
        closeStdin() {
          entry.closed = entry.stdin;
          if (entry.stdin) entry.process?.closeStdin();
        },
        leave() {
          waiting.delete(entry);
          entry.stop?.();
        },
      };
    },
    began(running) {
      container.running = running;
      for (const entry of waiting) connect(entry, running);
      waiting.clear();
    },
    async wait(condition, signal) {
      const { status, exitCode } = record.state;
      const idle = status === 'exited' || status === 'dead' || status === 'created';
      if (condition === 'not-running' && idle) return exitCode;
      if (container.removed) return exitCode;
      const waiters = condition === 'removed' ? removals : exits;
      return new Promise((resolve) => {
        waiters.add(resolve);
        signal?.addEventListener('abort', () => waiters.delete(resolve), { once: true });
      });
    },
    tellExit(exitCode) {
      for (const resolve of exits) resolve(exitCode);
      exits.clear();
    },
    tellRemoved() {
      for (const resolve of [...exits, ...removals]) resolve(record.state.exitCode);
      for (const { sink } of waiting) sink?.end();
      waiting.clear();
      exits.clear();
      removals.clear();
    },
  };
  return container;
}

/** @throws {GantryError} INVALID_STATE in docker's words where it does not run. */
export function runningProcess(container: Container): RunningProcess {
  const { record, running } = container;
  if (record.state.status === 'restarting') throw isRestarting(container);
  if (running === undefined || (record.state.status !== 'running' && record.state.status !== 'paused'))
    throw notRunning(container);
  return running;
}

/** How long the news of an end may be behind what failed because of it. */
const ENDING_MS = 500;

/** Waits a little: true where what failed did so because the process has ended. */
export function hasEnded(running: RunningProcess): Promise<boolean> {
  return within(running.exited, ENDING_MS);
}

export function notRunning({ record }: Container): GantryError {
  return new GantryError('INVALID_STATE', `Container ${record.id} is not running`, {
    hint: `Start it: gantry start ${record.name}`,
  });
}

export function isRestarting({ record }: Container): GantryError {
  const why = 'is restarting, wait until the container is running';
  return new GantryError('INVALID_STATE', `Container ${record.name} ${why}`);
}

// A process behind a connection to its supervisor: frames become promises and sinks.
import { readFile } from 'node:fs/promises';
import {
  ATTACH_KEEP,
  ATTACH_OUTPUT,
  ATTACH_STDIN,
  EXIT_OOM,
  FRAME_EXITED,
  FRAME_FAILED,
  FRAME_HELLO,
  FRAME_MAX,
  FRAME_OUTPUT,
  FRAME_STARTED,
  FRAME_STDIN,
  FRAME_STDIN_CLOSE,
  FRAME_TORN_DOWN,
  FRAME_WARN,
  PLAN_VERSION,
  STREAM_STDERR,
} from '../../core-asm/abi.ts';
import type { Exit, OutputSink, Recovery, RunningProcess, StartOptions } from '../backend.ts';
import { GantryError } from '../errors.ts';
import type { Connection } from './connection.ts';
import { encodeFrame, type Frame, frames, readExited, readFailure, readHello, readStarted } from '../frames.ts';
import { planFailure, planWarning } from './plan-failure.ts';

export interface Supervised extends StartOptions {
  connection: Connection;
  /** The program that was sent, for the words of a failure; absent for an adopted container. */
  program?: Uint8Array;
  recovery?: Recovery | undefined;
  /** Called once, when the supervisor is gone without having torn down. */
  lost?: (() => Promise<void>) | undefined;
}

const STDIN_CHUNK = Math.min(65536, FRAME_MAX / 2);

/** Waits for STARTED. Rejects with what the program failed with; the supervisor has then undone what was done. */
export function superviseProcess(supervised: Supervised): Promise<RunningProcess> {
  const { connection } = supervised;
  const program = supervised.program ?? new Uint8Array(0);
  const warnings: string[] = [];
  return new Promise((resolve, reject) => {
    let failure: GantryError | undefined;
    connection.listen({
      frame(frame) {
        if (frame.type === FRAME_HELLO) failure ??= checkVersion(frame);
        else if (frame.type === FRAME_WARN) warnings.push(planWarning(program, readFailure(frame)));
        else if (frame.type === FRAME_FAILED) failure = planFailure(program, readFailure(frame));
        else if (frame.type === FRAME_STARTED) resolve(running(supervised, frame, warnings));
      },
      closed(cause) {
        if (failure !== undefined) return reject(failure);
        const message = 'Cannot start the process: its supervisor ended without a word';
        const refuse = (): void => reject(new GantryError('PLAN_FAILED', message, { cause }));
        // It was killed, and has undone nothing.
        if (supervised.lost === undefined) refuse();
        else supervised.lost().then(refuse, refuse);
      },
    });
  });
}

/** Whether the supervisor behind a greeting reads this gantry's programs; what else is spoken with it never changes. */
export function checkVersion(frame: Frame): GantryError | undefined {
  const { planVersion } = readHello(frame);
  if (planVersion === PLAN_VERSION) return undefined;
  return new GantryError(
    'BACKEND_UNAVAILABLE',
    `Cannot use the executor: it reads plans of version ${planVersion}, this gantry writes version ${PLAN_VERSION}`,
    { hint: 'Build both again with "npm run build"' },
  );
}

/** The flags of an ATTACH frame. */
export function attachFlags({ attachOutput, attachStdin, keepOutput = false }: StartOptions): number {
  return (attachOutput ? ATTACH_OUTPUT : 0) | (attachStdin ? ATTACH_STDIN : 0) | (keepOutput ? ATTACH_KEEP : 0);
}

function running(supervised: Supervised, started: Frame, warnings: string[]): RunningProcess {
  const { connection, recovery, lost } = supervised;
  const { pid, startedAt } = readStarted(started);
  const output = createOutput(connection, supervised.attachOutput);
  const exit = withResolvers<Exit>();
  const tornDown = withResolvers<void>();
  let attached = attachFlags(supervised);
  let exited = false;
  let toreDown = false;
  let detached = false;

  connection.listen({
    frame(frame) {
      if (frame.type === FRAME_OUTPUT) output.take(frame.stream === STREAM_STDERR ? 'stderr' : 'stdout', frame.payload);
      else if (frame.type === FRAME_EXITED) {
        const { exitCode, flags, finishedAt } = readExited(frame);
        exited = true;
        output.end();
        exit.resolve({ exitCode, oomKilled: (flags & EXIT_OOM) !== 0, finishedAt });
      } else if (frame.type === FRAME_TORN_DOWN) {
        toreDown = true;
        tornDown.resolve();
      }
    },
    closed() {
      if (detached) return;
      output.end();
      void (async () => {
        if (!exited) exit.resolve((await readExit(recovery?.exitRecord)) ?? lostExit());
        if (!toreDown) await lost?.();
        tornDown.resolve();
      })();
    },
  });

  const attachMore = (flag: number): void => {
    if ((attached & flag) !== 0) return;
    attached |= flag;
    connection.send(frames.attach(attached));
  };
  return {
    pid,
    startedAt,
    warnings,
    exited: exit.promise,
    tornDown: tornDown.promise,
    attach(sink) {
      attachMore(ATTACH_OUTPUT);
      return output.add(sink);
    },
    async write(data) {
      attachMore(ATTACH_STDIN);
      for (let at = 0; at < data.length; at += STDIN_CHUNK)
        if (!connection.send(encodeFrame(FRAME_STDIN, data.subarray(at, at + STDIN_CHUNK)))) await connection.drained();
    },
    closeStdin: () => void connection.send(encodeFrame(FRAME_STDIN_CLOSE)),
    resize: (rows, columns) => void connection.send(frames.resize(rows, columns)),
    signal: (signal) => void connection.send(frames.signal(signal)),
    detach() {
      detached = true;
      connection.close();
    },
  };
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

interface Output {
  take(stream: 'stdout' | 'stderr', data: Uint8Array): void;
  add(sink: OutputSink): () => void;
  end(): void;
}

/** Hands output to every sink; one that is full stops the reading for all. With `keep`, the first sink gets what came before it. */
function createOutput(connection: Connection, keep: boolean): Output {
  const sinks = new Set<OutputSink>();
  let early: ['stdout' | 'stderr', Uint8Array][] | undefined = keep ? [] : undefined;
  let full = 0;
  let ended = false;

  const give = (sink: OutputSink, stream: 'stdout' | 'stderr', data: Uint8Array): void => {
    const wait = sink.output(stream, data);
    if (wait === undefined) return;
    if (full++ === 0) connection.pause();
    const room = (): void => {
      if (--full === 0) connection.resume();
    };
    wait.then(room, room);
  };

  return {
    take(stream, data) {
      if (sinks.size === 0) early?.push([stream, data.slice()]);
      else for (const sink of sinks) give(sink, stream, data);
    },
    add(sink) {
      for (const [stream, data] of early ?? []) give(sink, stream, data);
      early = undefined;
      if (ended) sink.end();
      else sinks.add(sink);
      return () => sinks.delete(sink);
    },
    end() {
      if (ended) return;
      ended = true;
      for (const sink of sinks) sink.end();
      sinks.clear();
    },
  };
}

function lostExit(): Exit {
  return { exitCode: 137, oomKilled: false, finishedAt: BigInt(Date.now()) * 1_000_000n, lost: true };
}

/** What a supervisor recorded; undefined where it did not come to that. */
export async function readExit(path: string | undefined): Promise<Exit | undefined> {
  if (path === undefined) return undefined;
  try {
    const record = JSON.parse(await readFile(path, 'utf8')) as {
      exitCode: number;
      oomKilled: boolean;
      startedAt: string;
      finishedAt: string;
    };
    const { exitCode, oomKilled, startedAt, finishedAt } = record;
    return { exitCode, oomKilled, startedAt: BigInt(startedAt), finishedAt: BigInt(finishedAt) };
  } catch {
    return undefined;
  }
}

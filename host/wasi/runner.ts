// The process of one WASI container: it serves the container's control socket as a supervisor of the executor does, keeps the log and
// the exit record, and goes on without an engine. The program runs in a thread, so that nothing it does can keep this from answering.
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { EXIT_OOM, EXIT_SIGNALED } from '../../core-asm/abi.ts';
import { openLog } from '../log-file.ts';
import { serveControl } from './control.ts';
import { fillRoot } from './fill-root.ts';
import type { Order } from './order.ts';
import type { Told } from './program.ts';
import { type ProgramOutput, runnerStreams, shareStreams } from './shared-streams.ts';

/** What the backend reads from standard output, once. */
export type Prepared = 'ready' | { failed: string; message: string; hint?: string };

const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;
const SIGKILL = 9;
/** Signals that nothing happens at where a program has not asked for them: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH. */
const harmless = new Set([17, 18, 19, 20, 21, 22, 23, 28]);

export async function run(order: Order, prepared: (result: Prepared) => void): Promise<void> {
  const shared = shareStreams();
  const streams = runnerStreams(shared);
  const log = order.log === undefined ? undefined : openLog(order.log);
  if (!order.openStdin) streams.closeInput();
  let startedAt: bigint | undefined;
  let ended = false;

  const end = async (exitCode: number, flags: number): Promise<void> => {
    if (ended) return;
    ended = true;
    const finishedAt = nowNs();
    void worker.terminate();
    log?.close();
    record(order.exitRecord, {
      exitCode,
      oomKilled: (flags & EXIT_OOM) !== 0,
      signaled: (flags & EXIT_SIGNALED) !== 0,
      pid: process.pid,
      startedAt: String(startedAt ?? finishedAt),
      finishedAt: String(finishedAt),
    });
    await control.exited({ exitCode, flags, finishedAt });
    rmSync(order.controlSocket, { force: true });
    // A thread that is in a loop is not waited for.
    process.kill(process.pid, 'SIGKILL');
  };

  const control = await serveControl(order.controlSocket, {
    start() {
      startedAt = nowNs();
      worker.postMessage('run');
      return { pid: process.pid, startedAt };
    },
    input: (data) => streams.write(data),
    closeInput: () => streams.closeInput(),
    held: () => streams.held,
    signal(number) {
      if (number !== SIGKILL && harmless.has(number)) return;
      void end(128 + number, EXIT_SIGNALED);
    },
    left() {
      if (order.stdinOnce) streams.closeInput();
    },
  });

  fillRoot(order);
  const worker = new Worker(new URL('./wasi-program.js', import.meta.url), {
    workerData: { order, streams: shared },
    execArgv: [],
  });
  worker.on('message', (told: Told | ProgramOutput) => {
    if (told === 'taken') {
      streams.feed();
      control.resume();
    } else if (told === 'ready') prepared('ready');
    else if ('failed' in told) {
      prepared(told);
      rmSync(order.controlSocket, { force: true });
      process.kill(process.pid, 'SIGKILL');
    } else if ('exitCode' in told) void end(told.exitCode, told.outOfMemory ? EXIT_OOM : 0);
    else {
      if (ended) return;
      log?.write(told.stream, told.data);
      const bytes = told.data.length;
      const wait = control.output(told.stream, told.data);
      if (wait === undefined) streams.passed(bytes);
      else void wait.then(() => streams.passed(bytes));
    }
  });
  worker.on('error', (error) => {
    if (startedAt === undefined) prepared({ failed: 'INTERNAL', message: `Cannot run the program: ${error.message}` });
    log?.write('stderr', Buffer.from(`${error.message}\n`));
    void end(134, 0);
  });
}

function record(path: string, exit: object): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(exit)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

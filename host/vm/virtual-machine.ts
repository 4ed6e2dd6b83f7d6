// One virtual machine: a QEMU process and the channel to its guest, started or taken over from an engine that was killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GantryError } from '../errors.ts';
import { type Channel, createChannel } from './channel/channel.ts';
import { type GuestPort, type GuestSpec, qemuArguments } from './qemu-arguments.ts';
import { openQmp, type Qmp } from './qmp.ts';

export interface VirtualMachine {
  readonly channel: Channel;
  readonly pid: number;
  /** Undefined where QEMU offers no control. */
  readonly qmp: Qmp | undefined;
  /** Resolves when QEMU has ended, with what is known of why. */
  readonly ended: Promise<string>;
  /** Lets the guest write what it holds and switch itself off; ends QEMU where it does not in time. */
  stop(): Promise<void>;
  /** Ends QEMU at once. */
  kill(): Promise<void>;
  /** Lets go of it: it runs on, for the next engine. */
  release(): void;
}

export interface StartedFrom {
  /** Where QEMU's words go. */
  log: string;
  /** File with the memory of a snapshot; absent: it boots. */
  state?: string | undefined;
  deadlineMs: number;
  /** Told of QEMU's events. */
  told?(event: string, data: Record<string, unknown>): void;
}

/** For a disk that cannot be used any more. */
export const NEW_DISK = '"gantry machine reset" makes a new one, without the containers and volumes of the old';

const LOG_SHOWN = 4096;
const CONSOLE_SHOWN = 2000;
const POWER_OFF_MS = 10_000;
const POLL_MS = 4;
const STATE_FD = 3;

/**
 * Starts QEMU and waits for the guest's greeting.
 * @throws {GantryError} BACKEND_UNAVAILABLE with what QEMU or the guest's console says; nothing is left then.
 */
export async function startMachine(qemu: string, spec: GuestSpec, from: StartedFrom): Promise<VirtualMachine> {
  const { deadlineMs, log, state } = from;
  mkdirSync(dirname(spec.console), { recursive: true, mode: 0o700 });
  const sockets = [spec.port, spec.sharesPort].map((port) => ('socket' in port ? port.socket : undefined));
  for (const path of [spec.console, spec.control, ...sockets]) if (path !== undefined) rmSync(path, { force: true });
  const child = spawnQemu(qemu, state === undefined ? spec : { ...spec, resumeFrom: STATE_FD }, log, state);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`QEMU did not start: ${error.message}`));
    child.once('close', (code, signal) => resolve(said(log) || `QEMU ended with ${signal ?? `status ${code}`}`));
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    const failure = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(startFailure(`the guest did not answer in ${deadlineMs / 1000} s`, spec)),
        deadlineMs,
      );
      ended.then((reason) => reject(startFailure(reason, spec)));
    });
    failure.catch(() => {});
    const port = await Promise.race([connectWhenThere(portPath(spec.port), ended), failure]);
    const channel = createChannel(port);
    const qmp = await Promise.race([connectQmp(spec.control, ended, from.told), failure]);
    await Promise.race([channel.ready, failure]);
    return asMachine({ channel, qmp, pid: child.pid!, ended, release: () => child.unref() });
  } catch (error) {
    child.kill('SIGKILL');
    await ended;
    // The sockets of a QEMU that ends may be closed before it has ended: its own words say more.
    const told = error instanceof GantryError && error.details?.reason !== undefined;
    throw told ? error : startFailure(said(log) || (error as Error).message, spec);
  } finally {
    clearTimeout(timer);
  }
}

export interface RunningQemu {
  pid: number;
  port: string;
  control: string;
  log: string;
}

/**
 * Takes over a machine that runs; undefined where none does, or its guest does not answer: QEMU is ended then.
 * @param deadlineMs how long the guest may take.
 */
export async function adoptMachine(
  { pid, port, control, log }: RunningQemu,
  deadlineMs: number,
  told: StartedFrom['told'],
): Promise<VirtualMachine | undefined> {
  const sockets = await Promise.all([tryConnect(control), tryConnect(port)]);
  const [controlSocket, portSocket] = sockets;
  const timer = setTimeout(() => sockets.forEach((socket) => void socket?.destroy()), deadlineMs);
  try {
    if (controlSocket === undefined) return undefined;
    const qmp = await openQmp(controlSocket, told ?? (() => {}));
    if (portSocket === undefined) throw new Error('QEMU offers no channel');
    const channel = createChannel(portSocket, { takeover: true });
    await channel.ready;
    const ended = qmp.closed.then(() => gone(pid)).then(() => said(log) || 'QEMU has ended');
    return asMachine({ channel, qmp, pid, ended, release() {} });
  } catch {
    // It holds the control socket, so the process of this number is still QEMU.
    if (controlSocket !== undefined) endProcess(pid);
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** It holds its disk a moment longer than its sockets. */
async function gone(pid: number): Promise<void> {
  for (let tries = 0; tries < 500 && isThere(pid); tries++) await sleep(POLL_MS);
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

type Parts = Pick<VirtualMachine, 'channel' | 'qmp' | 'pid' | 'ended' | 'release'>;

function asMachine({ channel, qmp, pid, ended, release }: Parts): VirtualMachine {
  const kill = async (): Promise<void> => {
    endProcess(pid);
    await ended;
    channel.close();
    qmp?.close();
  };
  // Whoever breaks the rules of the channel is not spoken to again.
  channel.closed.then((violation) => violation !== undefined && endProcess(pid));
  ended.then(() => channel.close());
  return {
    channel,
    qmp,
    pid,
    ended,
    kill,
    async stop() {
      const off = channel.open(['off']);
      off.on('error', () => {});
      const forced = setTimeout(() => endProcess(pid), POWER_OFF_MS);
      await ended;
      clearTimeout(forced);
      channel.close();
      qmp?.close();
    },
    release() {
      channel.close();
      qmp?.close();
      release();
    },
  };
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** In a session of its own: neither the terminal's signals nor the engine's end are meant for it. */
function spawnQemu(qemu: string, spec: GuestSpec, log: string, state: string | undefined): ChildProcess {
  const files: number[] = [];
  const open = (path: string, flags: string): number => {
    const file = openSync(path, flags, 0o600);
    files.push(file);
    return file;
  };
  try {
    const words = open(log, 'w');
    const memory = state === undefined ? [] : [open(state, 'r')];
    return spawn(qemu, qemuArguments(spec), {
      stdio: ['ignore', 'ignore', words, ...memory],
      cwd: dirname(spec.console),
      detached: true,
    });
  } finally {
    for (const file of files) closeSync(file);
  }
}

export function portPath(port: GuestPort): string {
  return 'socket' in port ? port.socket : `\\\\.\\pipe\\${port.pipe}`;
}

async function connectQmp(
  path: string | undefined,
  ended: Promise<unknown>,
  told: StartedFrom['told'],
): Promise<Qmp | undefined> {
  if (path === undefined) return undefined;
  const socket = await connectWhenThere(path, ended);
  chmodSync(path, 0o600);
  return openQmp(socket, told ?? (() => {}));
}

/** QEMU makes its sockets soon after it has started. */
async function connectWhenThere(path: string, ended: Promise<unknown>): Promise<Socket> {
  let over = false;
  ended.then(() => {
    over = true;
  });
  for (;;) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if (over || !['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      await sleep(POLL_MS);
    }
  }
}

async function tryConnect(path: string): Promise<Socket | undefined> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch {
    return undefined;
  }
}

/** What QEMU has said. */
function said(log: string): string {
  try {
    return readFileSync(log, 'utf8').slice(-LOG_SHOWN).trim();
  } catch {
    return '';
  }
}

export function logOf(directory: string): string {
  return join(directory, 'qemu.log');
}

function startFailure(reason: string, { accelerator, console }: GuestSpec): GantryError {
  const shown = existsSync(console) ? readFileSync(console, 'utf8').slice(-CONSOLE_SHOWN).trim() : '';
  return new GantryError(
    'BACKEND_UNAVAILABLE',
    `Cannot boot the virtual machine (${accelerator}): ${reason}${shown === '' ? '' : `\n${shown}`}`,
    {
      hint: /data\.qcow2|qcow2 format/i.test(reason)
        ? NEW_DISK
        : 'Run "gantry doctor"; GANTRY_VM_ACCELERATOR=tcg does without the hypervisor',
      details: { reason },
    },
  );
}

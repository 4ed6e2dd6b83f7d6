// One virtual machine: a QEMU process and the channel to its guest, from the boot to the end of both.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GantryError } from '../errors.ts';
import { type Channel, createChannel } from './channel/channel.ts';
import { type GuestSpec, qemuArguments } from './qemu-arguments.ts';

export interface VirtualMachine {
  readonly channel: Channel;
  readonly pid: number;
  /** Resolves when QEMU has ended, with what is known of why. */
  readonly ended: Promise<string>;
  /** Lets the guest write what it holds and switch itself off; ends QEMU where it does not in time. */
  stop(): Promise<void>;
}

const STDERR_KEPT = 4096;
const CONSOLE_SHOWN = 2000;
const POWER_OFF_MS = 10_000;

/**
 * Boots and waits for the guest's greeting.
 * @throws {GantryError} BACKEND_UNAVAILABLE with what QEMU or the guest's console says; nothing is left then.
 */
export async function bootMachine(qemu: string, spec: GuestSpec, deadlineMs: number): Promise<VirtualMachine> {
  rmSync(spec.console, { force: true });
  const listening = 'socket' in spec.port ? await listen(spec.port.socket) : undefined;
  const child = spawn(qemu, qemuArguments(spec), { stdio: ['ignore', 'ignore', 'pipe'], cwd: dirname(spec.console) });
  let complaint = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk).slice(-STDERR_KEPT);
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`QEMU did not start: ${error.message}`));
    child.once('close', (code, signal) => resolve(complaint.trim() || `QEMU ended with ${signal ?? `status ${code}`}`));
  });
  const killed = endWithProcess(child);
  let timer: NodeJS.Timeout | undefined;
  try {
    const failure = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(bootFailure(`the guest did not answer in ${deadlineMs / 1000} s`, spec)),
        deadlineMs,
      );
      ended.then((reason) => reject(bootFailure(reason, spec)));
    });
    failure.catch(() => {});
    const port = await Promise.race([listening?.connected ?? connectPipe(spec.port, ended), failure]);
    const channel = createChannel(port);
    await Promise.race([channel.ready, failure]);
    // Whoever breaks the rules of the channel is not spoken to again.
    channel.closed.then((violation) => violation !== undefined && child.kill('SIGKILL'));
    return {
      channel,
      pid: child.pid!,
      ended: ended.then((reason) => {
        killed();
        return reason;
      }),
      async stop() {
        const off = channel.open(['off']);
        off.on('error', () => {});
        const forced = setTimeout(() => child.kill('SIGKILL'), POWER_OFF_MS);
        await ended;
        clearTimeout(forced);
        channel.close();
        killed();
      },
    };
  } catch (error) {
    child.kill('SIGKILL');
    await ended;
    killed();
    // The channel of a QEMU that ends may be closed before it has ended: its own words say more.
    throw error instanceof GantryError ? error : bootFailure(complaint.trim() || (error as Error).message, spec);
  } finally {
    clearTimeout(timer);
    listening?.close();
  }
}

/** One connection; the socket is gone once it is there. */
async function listen(path: string): Promise<{ connected: Promise<Socket>; close(): void }> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rmSync(path, { force: true });
  const server = createServer();
  await once(server.listen(path), 'listening');
  const connected = once(server, 'connection').then(([socket]) => socket as Socket);
  connected.catch(() => {});
  return { connected, close: () => void server.close() };
}

/** QEMU makes the pipe when it starts. */
async function connectPipe(port: GuestSpec['port'], ended: Promise<unknown>): Promise<Socket> {
  let over = false;
  ended.then(() => {
    over = true;
  });
  for (;;) {
    const socket = connect(`\\\\.\\pipe\\${'pipe' in port ? port.pipe : ''}`);
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if (over || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      await sleep(20);
    }
  }
}

/** Where this process ends without having stopped it, it goes, too. */
function endWithProcess(child: ChildProcess): () => void {
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  return () => void process.off('exit', kill);
}

function bootFailure(reason: string, { accelerator, console }: GuestSpec): GantryError {
  const said = existsSync(console) ? readFileSync(console, 'utf8').slice(-CONSOLE_SHOWN).trim() : '';
  return new GantryError(
    'BACKEND_UNAVAILABLE',
    `Cannot boot the virtual machine (${accelerator}): ${reason}${said === '' ? '' : `\n${said}`}`,
    {
      hint: 'Run "gantry doctor"; GANTRY_VM_ACCELERATOR=tcg does without the hypervisor',
      details: { reason },
    },
  );
}

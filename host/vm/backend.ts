// The backend whose containers run in a virtual machine: the Linux backend at the end of a channel, and what lies on two disks. Read this file first.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Backend, Check, LogTarget, OutputSink, PlanFiles, RunningProcess } from '../backend.ts';
import { GantryError } from '../errors.ts';
import type { Machine } from '../machine.ts';
import { hostMachine } from './accelerator.ts';
import type { Channel } from './channel/channel.ts';
import { errnoCode } from './channel/errno.ts';
import { GUEST_EXECUTOR, guestMachine } from './guest-machine.ts';
import { openLog } from '../log-file.ts';
import { createMachineControl } from './machine-control.ts';
import { createProvider } from './machine-provider.ts';
import type { Uplink } from './network/context.ts';
import { HOST_ADDRESS } from './network/destinations.ts';
import { openRelay } from './network/relay.ts';
import { createPlacement } from './placement.ts';
import type { Owner } from './share/tree.ts';
import { createShares, type Shares, shareTarget } from './share/shares.ts';
import { NEW_DISK } from './virtual-machine.ts';

export interface VmBackendOptions {
  dataRoot: string;
  /** For the channel's socket; short. */
  runRoot: string;
  /** Directories whose entries exist on both sides or on none. */
  mirrored: string[];
  /** A directory's tree as a layer's tar. */
  pack(directory: string): AsyncIterable<Uint8Array>;
  /** For the log. */
  warn(text: string): void;
  uplink: Pick<Uplink, 'ipv6' | 'resolve'>;
  /** Drives the kernel of a machine where an executor runs. @param ended called when nobody needs it any more. */
  drive(machine: Machine, executor: { initProgram: string; ended(): Promise<void> }): Backend;
}

/** How long the end of a machine may take to be seen after that of a stream. */
const LOST_MS = 500;

export function createVmBackend(options: VmBackendOptions): Backend {
  const { dataRoot, runRoot, mirrored, pack, uplink, warn } = options;
  const reachesHost = readReachesHost();
  const provider = createProvider({
    directory: join(dataRoot, 'vm'),
    runDirectory: join(runRoot, 'vm'),
    async settle({ channel }) {
      await Promise.all([mountDisk(channel, dataRoot), openRelay(channel, { ...uplink, reachesHost })]);
    },
    reconnect: (machine) => openRelay(machine.channel, { ...uplink, reachesHost }),
    started: () => void placement.sweep().catch(() => {}),
    warn,
  });
  const channel = async (): Promise<Channel> => (await provider.get()).channel;
  const machine = guestMachine(hostMachine().architecture, channel);
  const placement = createPlacement({ machine, channel, pack, mirrored });
  /** Containers that have not ended, as far as this engine knows. */
  const running = new Set<RunningProcess>();
  const ended = (): Promise<void> => provider.close(running.size > 0);
  const inner = options.drive(machine, { initProgram: GUEST_EXECUTOR, ended });
  const shares = new WeakMap<Channel, Shares>();
  let told = false;

  /** What has been mounted for a container that cannot have all is given back. */
  const share = async (wanted: PlanFiles['shares']): Promise<() => void> => {
    if (wanted.length === 0) return () => {};
    const to = await channel();
    const served = shares.get(to) ?? createShares({ port: provider.sharesPort, owner: shownOwner() });
    shares.set(to, served);
    const settled = await Promise.allSettled(wanted.map((one) => served.acquire(one)));
    const release = (): void => {
      for (const [index, { status }] of settled.entries()) if (status === 'fulfilled') served.release(wanted[index]!);
    };
    const failed = settled.find((result) => result.status === 'rejected');
    if (failed === undefined) return release;
    release();
    throw failed.reason;
  };

  /** Once an engine: what did not work, and what is done instead. */
  const warnings = (): string[] => {
    const { accelerator, failed } = provider.current?.record.verdict ?? { accelerator: '', failed: {} };
    if (told || Object.keys(failed).length === 0) return [];
    told = true;
    return Object.entries(failed).map(
      ([name, reason]) => `The virtual machine does not use ${name}, but ${accelerator}, which is slower: ${reason}`,
    );
  };

  /** Counted until its end, which it is told why where its machine was the reason. */
  const count = (process: RunningProcess): RunningProcess => {
    const { current } = provider;
    running.add(process);
    process.tornDown.then(() => running.delete(process));
    const exited = process.exited.then(async (exit) => {
      if (exit.lost === undefined || current === undefined) return exit;
      // Or only its supervisor was killed, in a guest that goes on.
      if (!(await Promise.race([current.channel.closed.then(() => true), sleep(LOST_MS).then(() => false)])))
        return exit;
      return { ...exit, error: `The virtual machine has ended: ${oneLine(await current.ended)}` };
    });
    return { ...process, exited };
  };

  return {
    ...inner,
    hostPlace: { nameServer: HOST_ADDRESS, gateway: reachesHost ? HOST_ADDRESS : undefined },
    capabilities: { ...inner.capabilities, name: 'vm', sameFiles: false, outlivesEngine: false },
    async prepare() {
      // Nothing is started for it: a machine that is not there is swept when it is.
      if ((await provider.running()) !== undefined) await placement.sweep().catch(() => {});
    },
    sourceOf: shareTarget,
    async place(files) {
      await placement.place(files);
      return share(files.shares);
    },
    async start(plan, { log, recovery: _recorded, ...given }) {
      // What it says is always wanted: the log is written on this side.
      const started = await inner.start(plan, { ...given, attachOutput: true, keepOutput: true });
      const process = count(withLog(started, log, given.attachOutput));
      return { ...process, warnings: [...(process.warnings ?? []), ...warnings()] };
    },
    machine: createMachineControl(provider, join(dataRoot, 'vm')),
    outlived: async () => (await provider.running()) !== undefined,
    async adopt(id, controlSocket, recovery, log) {
      const found = await inner.adopt(id, controlSocket, recovery);
      if (found === undefined) return undefined;
      // Its mounts are there: they have waited for who serves them.
      const release = await share(recovery?.shares ?? []).catch(() => () => {});
      void found.tornDown.then(release);
      return count(withLog(found, log, false));
    },
    recordedExit: async () => undefined, // Its end waits for an engine, or was lost with its machine.
    async removeTrees(paths) {
      await Promise.all(paths.map((path) => rm(path, { recursive: true, force: true })));
      if (provider.current !== undefined) await placement.sweep();
    },
    renewDirectories: async () => [],
    spread: async () => {},
    async checks(): Promise<Check[]> {
      const { verdict, ...machine } = (await provider.get()).record;
      const { accelerator, failed, identity } = verdict;
      const reasons = Object.entries(failed).map(([name, reason]) => `${name} does not work (${oneLine(reason)})`);
      const size = `${machine.memoryMb} MB, ${machine.cpus} CPUs, ${machine.resumed ? 'resumed from a snapshot' : 'booted'}`;
      const detail = [`guest by ${accelerator}`, size, ...reasons, identity].join('; ');
      if (reasons.length === 0) return [{ name: 'virtual machine', state: 'ok', detail }];
      const hint = `What was found is remembered: remove ${join(dataRoot, 'vm/accelerator.json')} to try again`;
      return [{ name: 'virtual machine', state: 'warning', detail, hint }];
    },
  };
}

async function mountDisk(channel: Channel, directory: string): Promise<void> {
  const stream = channel.open(['disk', directory]);
  stream.on('error', () => {});
  const { status } = await stream.resume().over;
  if (status === 0) return;
  const reason = status === undefined ? 'the machine is gone' : errnoCode(status);
  throw new GantryError('BACKEND_UNAVAILABLE', `Cannot mount the disk of the virtual machine: ${reason}`, {
    hint: NEW_DISK,
  });
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, '; ');
}

/** @throws {GantryError} INVALID_ARGUMENT. */
function readReachesHost(setting = process.env.GANTRY_VM_HOST_GATEWAY ?? ''): boolean {
  if (!['', 'on', 'off'].includes(setting))
    throw new GantryError('INVALID_ARGUMENT', `Cannot read GANTRY_VM_HOST_GATEWAY "${setting}"`, { hint: 'on or off' });
  return setting === 'on';
}

/** Root can give files to whoever is to have them; of others, all files are the guest's root's, whoever that is here. */
function shownOwner(): Owner | undefined {
  return process.getuid?.() === 0 ? undefined : { uid: 0, gid: 0 };
}

/** Hands output to the log first. With `keep`, the first sink of a user gets what came before it, as without a log. */
function withLog(process: RunningProcess, target: LogTarget | undefined, keep: boolean): RunningProcess {
  const log = target === undefined ? undefined : openLog(target);
  let early: Parameters<OutputSink['output']>[] | undefined = keep ? [] : undefined;
  process.attach({
    output(stream, data) {
      log?.write(stream, data);
      early?.push([stream, data.slice()]);
    },
    end: () => log?.close(),
  });
  return {
    ...process,
    attach(sink) {
      for (const [stream, data] of early ?? []) void sink.output(stream, data);
      early = undefined;
      return process.attach(sink);
    },
  };
}

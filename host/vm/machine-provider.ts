// The guest of an engine: taken over from an engine that was killed, or resumed, or booted; when it is first needed, and again after its end.
import { randomBytes, randomUUID } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { GantryError } from '../errors.ts';
import { candidates, type HostMachine, hostMachine, recall, remember, type Verdict } from './accelerator.ts';
import { keepClock } from './clock.ts';
import { findQemu, type Qemu } from './find-qemu.ts';
import { findImage, prepareGuestFiles } from './guest-files.ts';
import { askGuest } from './guest-machine.ts';
import { type MachineRecord, readMachineRecord, removeMachineRecord, writeMachineRecord } from './machine-record.ts';
import { idleOf, readSettings, sizeOf } from './machine-settings.ts';
import type { Accelerator, GuestSpec } from './qemu-arguments.ts';
import {
  canSnapshot,
  damageOf,
  discardSnapshots,
  findSnapshot,
  saveSnapshot,
  type Snapshot,
  snapshotKey,
} from './snapshot.ts';
import {
  adoptMachine,
  logOf,
  portPath,
  startMachine,
  type StartedFrom,
  type VirtualMachine,
} from './virtual-machine.ts';

export interface ProviderOptions {
  /** Where disk, snapshot and unpacked image are kept. */
  directory: string;
  /** For the sockets and the logs of QEMU; short, only the user may enter it. */
  runDirectory: string;
  /** Done in each guest before anybody else speaks with it; not in one that is taken over. */
  settle(machine: VirtualMachine): Promise<void>;
  /** Done in place of it in one that is taken over. */
  reconnect(machine: VirtualMachine): Promise<void>;
  /** Told of each machine that was started, once it can be used. */
  started(): void;
  /** What went otherwise than it should, a line each. */
  warn(text: string): void;
  env?: NodeJS.ProcessEnv;
}

export interface RunningMachine extends VirtualMachine {
  readonly record: MachineRecord;
}

export interface MachineProvider {
  /** Where QEMU listens for whoever serves shares: a path for net.connect(). */
  readonly sharesPort: string;
  /** The guest that runs, or one that is started now. @throws {GantryError} BACKEND_UNAVAILABLE and what the image's files say. */
  get(): Promise<RunningMachine>;
  /** The one that runs, or is left from an engine before. Starts none. */
  running(): Promise<RunningMachine | undefined>;
  readonly current: RunningMachine | undefined;
  /** Switches it off; the next `get` starts another one. */
  stop(): Promise<void>;
  /** No more is started. The machine goes, too, unless `leave`. */
  close(leave: boolean): Promise<void>;
}

/** A hypervisor's guest answers in a second or two; the interpreter's may be one of many on a slow machine. */
const PROBE_MS = 8_000;
const INTERPRETER_MS = 120_000;
const RESUME_MS = 30_000;
const ADOPT_MS = 15_000;
const SPARE_MS = 3_000;
/** Until a disk of the host that was full is tried again. */
const FULL_DISK_MS = 2_000;

export function createProvider(options: ProviderOptions): MachineProvider {
  const { directory, runDirectory, warn } = options;
  const env = options.env ?? process.env;
  let starting: Promise<RunningMachine> | undefined;
  let current: RunningMachine | undefined;
  let ending: Promise<unknown> = Promise.resolve();
  let closed = false;
  let lastUsed = Date.now();

  const prepare = async (): Promise<{
    host: HostMachine;
    qemu: Qemu;
    image: string;
    files: Pick<GuestSpec, 'kernel' | 'initramfs' | 'disk'>;
    identity: string;
  }> => {
    const host = hostMachine();
    const { architecture } = host;
    const qemu = await findQemu(architecture, host.platform);
    const files = prepareGuestFiles(findImage(architecture), directory, architecture);
    const identity = `${host.identity}; QEMU ${qemu.version} at ${qemu.path}; ${architecture}`;
    return { host, qemu, files, identity, image: basename(dirname(files.kernel)) };
  };

  const startAny = async (): Promise<RunningMachine> => {
    const settings = readSettings(env);
    const { host, qemu, files, identity, image } = await prepare();
    const path = join(directory, 'accelerator.json');
    const chosen = settings.accelerator;
    const known = chosen === undefined ? recall(path, identity) : undefined;
    const order =
      chosen !== undefined ? [chosen] : known !== undefined ? rest(host, known) : candidates(host, host.architecture);
    const failed: Record<string, string> = { ...known?.failed };
    for (const accelerator of order) {
      const size = sizeOf(settings, host, accelerator);
      const spec: GuestSpec = {
        host: host.platform,
        architecture: host.architecture,
        accelerator,
        ...size,
        ...files,
        ...portsOf(host, runDirectory),
      };
      const verdict: Verdict = { accelerator, failed, identity };
      const record = { image, verdict, ...size, ready: false, startedAt: new Date().toISOString() };
      try {
        const machine = await start(qemu, spec, record, settings.snapshots && canSnapshot(spec));
        if (chosen === undefined) remember(path, verdict);
        return machine;
      } catch (error) {
        if (accelerator === order.at(-1) || !(error instanceof GantryError)) throw error;
        failed[accelerator] = String(error.details?.reason ?? error.message);
      }
    }
    throw new GantryError('INTERNAL', 'Cannot boot the virtual machine: this host has no accelerator');
  };

  type Begun = Omit<MachineRecord, 'pid' | 'resumed'>;

  /** From its snapshot where there is one that works; else it boots, and leaves one. */
  const start = async (qemu: Qemu, spec: GuestSpec, begun: Begun, snapshots: boolean): Promise<RunningMachine> => {
    const key = snapshotKey(qemu, spec, { image: begun.image, host: begun.verdict.identity });
    const snapshot = snapshots ? findSnapshot(directory, key) : undefined;
    const resumed = snapshot === undefined ? undefined : await resume(qemu, spec, snapshot);
    if (resumed !== undefined) return settled(resumed, { ...begun, resumed: true });
    const deadlineMs = spec.accelerator === 'tcg' ? INTERPRETER_MS : PROBE_MS;
    const booted = await startMachine(qemu.path, spec, { ...startedFrom(), deadlineMs });
    const saved = snapshots ? await save(booted, key) : undefined;
    if (saved === undefined) return settled(booted, { ...begun, resumed: false });
    await booted.kill();
    const again = await resume(qemu, spec, saved);
    if (again !== undefined) return settled(again, { ...begun, resumed: true });
    return settled(await startMachine(qemu.path, spec, { ...startedFrom(), deadlineMs }), { ...begun, resumed: false });
  };

  const startedFrom = (): Pick<StartedFrom, 'log' | 'told'> => ({ log: logOf(runDirectory), told });

  /** Its file is read by QEMU and by us at the same time: what has changed in it is found before the guest has a disk. */
  const resume = async (qemu: Qemu, spec: GuestSpec, snapshot: Snapshot): Promise<VirtualMachine | undefined> => {
    const damage = damageOf(snapshot);
    let reason: string | undefined;
    try {
      const resumed = { ...spec, generation: randomUUID() };
      const from = { ...startedFrom(), state: snapshot.state, deadlineMs: RESUME_MS };
      const machine = await startMachine(qemu.path, resumed, from);
      reason = await damage;
      if (reason === undefined) return machine;
      await machine.kill();
    } catch (error) {
      reason = (await damage) ?? String((error as GantryError).details?.reason ?? (error as Error).message);
    }
    warn(`The snapshot of the virtual machine is not used, but made anew: ${oneLine(reason)}`);
    discardSnapshots(directory);
    return undefined;
  };

  const save = async (machine: VirtualMachine, key: string): Promise<Snapshot | undefined> => {
    try {
      await askGuest(machine.channel, ['spare']); // Answered once it has loaded what it needs.
      return await saveSnapshot(machine.qmp!, directory, key);
    } catch (error) {
      warn(`The virtual machine starts without a snapshot: ${oneLine((error as Error).message)}`);
      await machine.qmp!.execute('cont');
      return undefined;
    }
  };

  const settled = async (machine: VirtualMachine, begun: Omit<MachineRecord, 'pid'>): Promise<RunningMachine> => {
    const record: MachineRecord = { ...begun, pid: machine.pid };
    try {
      writeMachineRecord(runDirectory, record);
      await askGuest(machine.channel, ['identity', randomBytes(16).toString('hex')]);
      await options.settle(machine);
      writeMachineRecord(runDirectory, { ...record, ready: true });
    } catch (error) {
      await machine.kill();
      throw error;
    }
    return { ...machine, record: { ...record, ready: true } };
  };

  /** A disk of this host that is full stops the guest, which would otherwise lose what it writes. */
  const told = (event: string, data: Record<string, unknown>): void => {
    if (event !== 'BLOCK_IO_ERROR' || data.action !== 'stop') return;
    const reason = String(data.reason ?? 'unknown reason');
    warn(`The virtual machine waits: its disk cannot be written (${reason}); free space where the data root is`);
    setTimeout(() => void current?.qmp?.execute('cont').catch(() => {}), FULL_DISK_MS).unref();
  };

  const reconnected = (machine: VirtualMachine): Promise<boolean> =>
    options.reconnect(machine).then(
      () => true,
      (error: Error) => {
        warn(`The virtual machine is not taken over: ${oneLine(error.message)}`);
        return false;
      },
    );

  const adopt = async (): Promise<RunningMachine | undefined> => {
    const record = readMachineRecord(runDirectory);
    const { port, control } = portsOf(hostMachine(), runDirectory);
    if (record === undefined || control === undefined || !('socket' in port)) return undefined;
    const machine = await adoptMachine(
      { pid: record.pid, port: port.socket, control, log: logOf(runDirectory) },
      ADOPT_MS,
      told,
    );
    if (machine === undefined) removeMachineRecord(runDirectory);
    if (machine === undefined) return undefined;
    if (record.ready && (await reconnected(machine))) return { ...machine, record };
    await machine.kill();
    return undefined;
  };

  /** From here on it is what `get` gives. */
  const follow = (machine: RunningMachine): RunningMachine => {
    current = machine;
    starting ??= Promise.resolve(machine);
    const leaveClock = keepClock(machine.channel);
    machine.ended.then((reason) => {
      leaveClock();
      if (current !== machine) return; // It was asked to.
      removeMachineRecord(runDirectory);
      starting = current = undefined;
      warn(`The virtual machine has ended, and what ran in it: ${oneLine(reason)}`);
    });
    return machine;
  };

  let adopting: Promise<RunningMachine | undefined> | undefined;
  const adoptOnce = (): Promise<RunningMachine | undefined> => {
    adopting ??= adopt().then((machine) => machine && follow(machine));
    return adopting;
  };

  const stop = async (): Promise<void> => {
    const machine = (await starting?.catch(() => undefined)) ?? (await adoptOnce());
    if (machine === undefined || machine !== current) return;
    starting = current = undefined;
    ending = machine.stop().then(() => removeMachineRecord(runDirectory));
    await ending;
  };

  /**
   * Unused is a machine of which nothing is asked, and in which nothing runs: each container has a stream. Soon after the last
   * use it gives back what it keeps only to be faster, and later it goes.
   */
  const watchIdle = (): void => {
    const idleMs = idleOf(env);
    let opened = -1;
    let spared = 0;
    const look = (): void => {
      if (current === undefined) return;
      const { traffic } = current.channel;
      if (traffic.streams > 0 || traffic.opened !== opened) lastUsed = Date.now();
      opened = traffic.opened;
      const unusedMs = Date.now() - lastUsed;
      if (idleMs > 0 && unusedMs >= idleMs) void stop();
      else if (unusedMs >= SPARE_MS && spared !== lastUsed) {
        spared = lastUsed;
        askGuest(current.channel, ['spare']).catch(() => {});
        opened++; // That was no use.
      }
    };
    setInterval(look, idleMs > 0 ? Math.min(1000, idleMs) : 1000).unref();
  };
  watchIdle();

  const get = async (): Promise<RunningMachine> => {
    await ending.catch(() => {});
    const adopted = await adoptOnce();
    if (adopted !== undefined && adopted === current) return adopted;
    const machine = follow(await startAny());
    setImmediate(options.started); // For others have waited longer.
    return machine;
  };

  return {
    sharesPort: portPath(portsOf(hostMachine(), runDirectory).sharesPort),
    get() {
      lastUsed = Date.now();
      if (closed)
        return Promise.reject(
          new GantryError('BACKEND_UNAVAILABLE', 'Cannot use the virtual machine: the engine is closing'),
        );
      starting ??= get().catch((error) => {
        starting = undefined;
        throw error;
      });
      return starting;
    },
    async running() {
      const machine = current ?? (await starting?.catch(() => undefined)) ?? (await adoptOnce());
      return machine === current ? machine : undefined;
    },
    get current() {
      return current;
    },
    stop,
    async close(leave) {
      closed = true;
      if (!leave) return stop();
      (await starting?.catch(() => undefined))?.release();
    },
  };
}

/** From the remembered one on: what failed before is not tried again, what worked may have ceased to. */
function rest(host: HostMachine, { accelerator }: Verdict): Accelerator[] {
  return accelerator === 'tcg' ? ['tcg'] : candidates(host, host.architecture);
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, '; ');
}

/** What is taken over is found at the same place. */
function portsOf(
  { platform }: HostMachine,
  directory: string,
): Pick<GuestSpec, 'port' | 'sharesPort' | 'console' | 'control'> {
  const console = join(directory, 'console.log');
  if (platform === 'win32') {
    const pipe = (name: string) => ({ pipe: `gantry-${name}-${process.pid}` });
    return { console, port: pipe('vm'), sharesPort: pipe('shares') };
  }
  const socket = (name: string) => ({ socket: join(directory, `${name}.sock`) });
  return { console, port: socket('vm'), sharesPort: socket('shares'), control: join(directory, 'qmp.sock') };
}

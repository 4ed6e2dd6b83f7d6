// The guest of an engine: booted when it is first needed, by the accelerator that works here, booted again after its end.
import { join } from 'node:path';
import { GantryError } from '../errors.ts';
import { candidates, type HostMachine, hostMachine, recall, remember, type Verdict } from './accelerator.ts';
import { findQemu, type Qemu } from './find-qemu.ts';
import { findImage, prepareGuestFiles } from './guest-files.ts';
import { type Accelerator, type GuestSpec, guestSize } from './qemu-arguments.ts';
import { bootMachine, type VirtualMachine } from './virtual-machine.ts';

export interface ProviderOptions {
  /** Where disk and unpacked image are kept. */
  directory: string;
  /** For the channel's socket and the console's log; short, only the user may enter it. */
  runDirectory: string;
  /** Done in each guest before anybody else speaks with it. */
  settle(machine: VirtualMachine): Promise<void>;
  env?: NodeJS.ProcessEnv;
}

export interface MachineProvider {
  /** The guest that runs, or one that is booted now. @throws {GantryError} BACKEND_UNAVAILABLE and what the image's files say. */
  get(): Promise<VirtualMachine>;
  /** The one that runs. */
  readonly current: VirtualMachine | undefined;
  /** What became of the accelerators, once a guest was booted. */
  readonly verdict: Verdict | undefined;
  stop(): Promise<void>;
}

/** A hypervisor's guest answers in a second or two; the interpreter's may be one of many on a slow machine. */
const PROBE_MS = 8_000;
const INTERPRETER_MS = 120_000;

export function createProvider(options: ProviderOptions): MachineProvider {
  const { env = process.env, directory } = options;
  let booting: Promise<VirtualMachine> | undefined;
  let current: VirtualMachine | undefined;
  let verdict: Verdict | undefined;
  let stopped = false;

  const boot = async (): Promise<VirtualMachine> => {
    const host = hostMachine();
    const { architecture } = host;
    const qemu = await findQemu(architecture, host.platform);
    const files = prepareGuestFiles(findImage(architecture), directory, architecture);
    const identity = `${host.identity}; QEMU ${qemu.version} at ${qemu.path}; ${architecture}`;
    const path = join(directory, 'accelerator.json');
    const chosen = chosenAccelerator(env.GANTRY_VM_ACCELERATOR);
    const known = chosen === undefined ? recall(path, identity) : undefined;
    const order =
      chosen !== undefined ? [chosen] : known !== undefined ? rest(host, known) : candidates(host, architecture);
    const failed: Record<string, string> = { ...known?.failed };
    for (const accelerator of order) {
      const size = guestSize(host, accelerator, { memory: env.GANTRY_VM_MEMORY, cpus: env.GANTRY_VM_CPUS });
      if (size === undefined) throw badSize(env);
      const ports = portOf(host, options.runDirectory);
      const spec: GuestSpec = { host: host.platform, architecture, accelerator, ...size, ...files, ...ports };
      try {
        const machine = await start(qemu, spec);
        verdict = { accelerator, failed, identity };
        if (chosen === undefined) remember(path, verdict);
        return machine;
      } catch (error) {
        if (accelerator === order.at(-1) || !(error instanceof GantryError)) throw error;
        failed[accelerator] = String(error.details?.reason ?? error.message);
      }
    }
    throw new GantryError('INTERNAL', 'Cannot boot the virtual machine: this host has no accelerator');
  };

  const start = async (qemu: Qemu, spec: GuestSpec): Promise<VirtualMachine> => {
    const machine = await bootMachine(qemu.path, spec, spec.accelerator === 'tcg' ? INTERPRETER_MS : PROBE_MS);
    try {
      await options.settle(machine);
    } catch (error) {
      await machine.stop();
      throw error;
    }
    return machine;
  };

  return {
    get() {
      if (stopped)
        throw new GantryError('BACKEND_UNAVAILABLE', 'Cannot use the virtual machine: the engine is closing');
      booting ??= boot().then(
        (machine) => {
          current = machine;
          machine.ended.then(() => {
            booting = current = undefined;
          });
          return machine;
        },
        (error) => {
          booting = undefined;
          throw error;
        },
      );
      return booting;
    },
    get current() {
      return current;
    },
    get verdict() {
      return verdict;
    },
    async stop() {
      stopped = true;
      const machine = await booting?.catch(() => undefined);
      await machine?.stop();
    },
  };
}

/** From the remembered one on: what failed before is not tried again, what worked may have ceased to. */
function rest(host: HostMachine, { accelerator }: Verdict): Accelerator[] {
  return accelerator === 'tcg' ? ['tcg'] : candidates(host, host.architecture);
}

function chosenAccelerator(text: string | undefined): Accelerator | undefined {
  if (!text) return undefined;
  const known: Accelerator[] = ['kvm', 'hvf', 'whpx', 'tcg'];
  const found = known.find((name) => name === text);
  if (found !== undefined) return found;
  throw new GantryError('INVALID_ARGUMENT', `Cannot read GANTRY_VM_ACCELERATOR "${text}"`, {
    hint: `One of ${known.join(', ')}`,
  });
}

function badSize({ GANTRY_VM_MEMORY: memory = '', GANTRY_VM_CPUS: cpus = '' }: NodeJS.ProcessEnv): GantryError {
  return new GantryError(
    'INVALID_ARGUMENT',
    `Cannot make a guest with GANTRY_VM_MEMORY "${memory}" and GANTRY_VM_CPUS "${cpus}"`,
    {
      hint: 'Such as 2g, at least 256m; 1 to 64 CPUs',
    },
  );
}

function portOf({ platform }: HostMachine, directory: string): Pick<GuestSpec, 'port' | 'console'> {
  const console = join(directory, 'console.log');
  if (platform === 'win32') return { console, port: { pipe: `gantry-vm-${process.pid}` } };
  return { console, port: { socket: join(directory, 'vm.sock') } };
}

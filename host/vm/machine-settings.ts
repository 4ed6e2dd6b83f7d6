// What users set of the virtual machine, by variables of the engine's environment.
import { GantryError } from '../errors.ts';
import type { Accelerator, HostSize } from './qemu-arguments.ts';
import { guestSize } from './qemu-arguments.ts';

export interface MachineSettings {
  accelerator: Accelerator | undefined;
  memory: string | undefined;
  cpus: string | undefined;
  /** How long it may be unused before it is switched off; 0: for ever. */
  idleMs: number;
  snapshots: boolean;
}

const IDLE_S = 300;
const accelerators: Accelerator[] = ['kvm', 'hvf', 'whpx', 'tcg'];

/** @throws {GantryError} INVALID_ARGUMENT. */
export function readSettings(env: NodeJS.ProcessEnv): MachineSettings {
  return {
    accelerator: oneOf('GANTRY_VM_ACCELERATOR', accelerators, env.GANTRY_VM_ACCELERATOR),
    memory: env.GANTRY_VM_MEMORY || undefined,
    cpus: env.GANTRY_VM_CPUS || undefined,
    idleMs: readSeconds(env.GANTRY_VM_IDLE) * 1000,
    snapshots: oneOf('GANTRY_VM_SNAPSHOT', ['on', 'off'] as const, env.GANTRY_VM_SNAPSHOT) !== 'off',
  };
}

function oneOf<T extends string>(name: string, known: readonly T[], text = ''): T | undefined {
  if (text === '') return undefined;
  const found = known.find((word) => word === text);
  if (found !== undefined) return found;
  throw new GantryError('INVALID_ARGUMENT', `Cannot read ${name} "${text}"`, { hint: `One of ${known.join(', ')}` });
}

function readSeconds(text = ''): number {
  if (text === '') return IDLE_S;
  const seconds = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(seconds)) return seconds;
  throw new GantryError('INVALID_ARGUMENT', `Cannot read GANTRY_VM_IDLE "${text}"`, {
    hint: 'Seconds without use after which the virtual machine is switched off; 0: never',
  });
}

/** The same where others of the settings cannot be read, which is told when the machine is needed. */
export function idleOf(env: NodeJS.ProcessEnv): number {
  try {
    return readSettings(env).idleMs;
  } catch {
    return IDLE_S * 1000;
  }
}

/** @throws {GantryError} INVALID_ARGUMENT. */
export function sizeOf({ memory, cpus }: MachineSettings, host: HostSize, accelerator: Accelerator): HostSize {
  const size = guestSize(host, accelerator, { memory, cpus });
  if (size !== undefined) return size;
  throw new GantryError(
    'INVALID_ARGUMENT',
    `Cannot make a guest with GANTRY_VM_MEMORY "${memory ?? ''}" and GANTRY_VM_CPUS "${cpus ?? ''}"`,
    { hint: 'Such as 2g, at least 256m; 1 to 64 CPUs' },
  );
}

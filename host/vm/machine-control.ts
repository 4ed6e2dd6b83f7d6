// What users do with the machine itself, as "gantry machine" offers it.
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineControl, MachineInfo } from '../backend.ts';
import type { MachineProvider } from './machine-provider.ts';

export function createMachineControl(provider: MachineProvider, directory: string): MachineControl {
  return {
    async info(): Promise<MachineInfo> {
      const machine = await provider.running();
      const { verdict, memoryMb = 0, cpus = 0, resumed = false, startedAt = '' } = machine?.record ?? {};
      const resident = machine === undefined ? undefined : residentBytes(machine.pid);
      return {
        state: machine === undefined ? 'stopped' : 'running',
        ...(machine === undefined || verdict === undefined
          ? {}
          : {
              running: {
                pid: machine.pid,
                accelerator: verdict.accelerator,
                ...{ memoryMb, cpus, resumed, startedAt },
                ...(resident === undefined ? {} : { residentBytes: resident }),
              },
            }),
        diskBytes: bytesOf(directory, /^data\.qcow2$/),
        snapshotBytes: bytesOf(directory, /^snapshot-/),
        directory,
      };
    },
    async start() {
      await provider.get();
    },
    stop: () => provider.stop(),
    async reset() {
      await provider.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function residentBytes(pid: number): number | undefined {
  try {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined; // No /proc on this host.
  }
}

/** What files of these names, and those in directories of these names, take on the disk. */
function bytesOf(directory: string, names: RegExp): number {
  const found = (existsSync(directory) ? readdirSync(directory) : []).filter((name) => names.test(name));
  const files = found.flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? readdirSync(path).map((inner) => join(path, inner)) : [path];
  });
  return files.reduce((bytes, path) => bytes + statSync(path).blocks * 512, 0);
}

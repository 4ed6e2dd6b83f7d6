// What is known of a machine that runs, for the engine that comes after this one.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Verdict } from './accelerator.ts';

export interface MachineRecord {
  pid: number;
  /** Its disk is mounted and all that an engine needs is ready. */
  ready: boolean;
  /** What it was started from: a guest of another image is not the one that this gantry knows. */
  image: string;
  verdict: Verdict;
  memoryMb: number;
  cpus: number;
  /** From a snapshot. */
  resumed: boolean;
  /** ISO 8601. */
  startedAt: string;
}

const NAME = 'machine.json';

export function readMachineRecord(directory: string): MachineRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, NAME), 'utf8')) as MachineRecord;
  } catch {
    return undefined;
  }
}

export function writeMachineRecord(directory: string, record: MachineRecord): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, NAME);
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function removeMachineRecord(directory: string): void {
  rmSync(join(directory, NAME), { force: true });
}

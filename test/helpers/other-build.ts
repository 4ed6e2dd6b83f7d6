// gantry in a directory of its own with an executor that is not the built one, byte by byte: as another version is installed.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { executorProgram } from './executor.ts';

const root = join(import.meta.dirname, '../..');

export interface OtherBuild {
  /** The command line's entry. */
  program: string;
  /** Pids of the processes that run this build's executor, under whatever name. */
  processes(): number[];
  /** Whether a process runs it. */
  runs(pid: number): boolean;
  /** Takes it off the disk; what runs goes on. */
  remove(): void;
}

/** @param defines for the compiler, such as "-DHELLO_VERSION=2"; with none, the executor differs in bytes that mean nothing. */
export async function makeOtherBuild(defines: string[] = []): Promise<OtherBuild> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-build-'));
  cpSync(join(root, 'dist'), join(directory, 'dist'), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  const executor = join(directory, 'dist', executorProgram.slice(join(root, 'dist').length));
  if (defines.length > 0) {
    const source = join(root, 'host/linux/executor');
    const files = readdirSync(source).filter((name) => name.endsWith('.c'));
    const paths = files.map((name) => join(source, name));
    await promisify(execFile)('cc', ['-std=gnu11', '-O0', '-static', ...defines, '-o', executor, ...paths]);
  }
  // What follows the last section is never loaded. Other tests may run builds of their own at the same time.
  appendFileSync(executor, randomBytes(16));
  const bytes = readFileSync(executor);

  const runs = (pid: number): boolean => runsBytes(pid, bytes);
  return {
    program: join(directory, 'dist/cli/main.js'),
    runs,
    processes: () =>
      readdirSync('/proc')
        .map(Number)
        .filter((pid) => pid > 0 && runs(pid)),
    remove: () => rmSync(directory, { recursive: true }),
  };
}

/** Whether a process runs the executor that was built here. */
export function runsBuiltExecutor(pid: number): boolean {
  return runsBytes(pid, readFileSync(executorProgram));
}

/** The executor runs from a copy in memory, so its bytes say which it is, and no path does. */
function runsBytes(pid: number, bytes: Buffer): boolean {
  try {
    const exe = `/proc/${pid}/exe`;
    return statSync(exe).size === bytes.length && readFileSync(exe).equals(bytes);
  } catch {
    return false;
  }
}

export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

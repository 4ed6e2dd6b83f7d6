// The built command line with a data root of its own: run commands, end the engine by its pid, leave nothing.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { enginePaths } from '../../host/paths.ts';

const builtProgram = join(import.meta.dirname, '../../dist/cli/main.js');

export interface Result {
  status: number;
  stdout: string;
  stderr: string;
}

export interface Installation {
  dataRoot: string;
  /** Of the engine's API. */
  socket: string;
  env: NodeJS.ProcessEnv;
  /** The command line's entry; another one from now on, as after an upgrade, where it is set. */
  program: string;
  gantry(...args: string[]): Promise<Result>;
  /** The same, with something on stdin. */
  pipe(input: string, ...args: string[]): Promise<Result>;
  /** Standard output of a command that must succeed, without the last newline. */
  ok(...args: string[]): Promise<string>;
  start(...args: string[]): ChildProcess;
  enginePid(): number | undefined;
  /** Ends containers and engine and checks that they are gone. */
  close(): Promise<void>;
}

/**
 * @param enter program and arguments in front of each command, such as nsenter(1).
 * @param node the program that runs command line and engine.
 */
export function createInstallation(enter: string[] = [], node = process.execPath): Installation {
  const dataRoot = mkdtempSync(join(tmpdir(), 'gantry-e2e-'));
  const { DOCKER_HOST: _docker, GANTRY_HOST: _gantry, ...inherited } = process.env;
  const env = { ...inherited, GANTRY_DATA_ROOT: dataRoot, NO_COLOR: '1' };

  const [command = '', ...before] = [...enter, node, '--'];
  const start = (...args: string[]): ChildProcess =>
    spawn(command, [...before, installation.program, ...args], { env, stdio: 'pipe' });

  const pipe = (input: string, ...args: string[]): Promise<Result> =>
    new Promise((resolve, reject) => {
      const child = start(...args);
      const result: Result = { status: -1, stdout: '', stderr: '' };
      child.stdout?.on('data', (chunk) => {
        result.stdout += chunk;
      });
      child.stderr?.on('data', (chunk) => {
        result.stderr += chunk;
      });
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
      child.once('error', reject);
      child.once('close', (code, signal) => resolve({ ...result, status: code ?? (signal === null ? -1 : -2) }));
    });

  const installation: Installation = {
    dataRoot,
    socket: enginePaths(dataRoot).socket,
    env,
    program: builtProgram,
    gantry: (...args) => pipe('', ...args),
    pipe,
    start,
    async ok(...args) {
      const { status, stdout, stderr } = await installation.gantry(...args);
      if (status !== 0) throw new Error(`gantry ${args.join(' ')}: status ${status}\n${stdout}${stderr}`);
      return stdout.replace(/\n$/, '');
    },
    enginePid() {
      try {
        return (JSON.parse(readFileSync(join(dataRoot, 'engine.lock'), 'utf8')) as { pid: number }).pid;
      } catch {
        return undefined;
      }
    },
    async close() {
      const ids = (await installation.gantry('ps', '-aq')).stdout.split('\n').filter(Boolean);
      if (ids.length > 0) await installation.gantry('rm', '-f', ...ids);
      const pid = installation.enginePid();
      if (pid !== undefined) {
        process.kill(pid, 'SIGTERM');
        await until(() => installation.enginePid() === undefined);
      }
      rmSync(dataRoot, { recursive: true, force: true });
    },
  };
  return installation;
}

/** Waits for a condition; throws after ten seconds. */
export async function until(condition: () => boolean | Promise<boolean>, what = 'the condition'): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Waited 10 s for ${what}`);
}

/** Whether a process has ended, reaped or not. */
export function hasEnded(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

/** Pids of processes whose command line or environment names this directory. */
export function processesOf(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory) ||
          readFileSync(`/proc/${pid}/environ`, 'utf8').includes(directory)
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}

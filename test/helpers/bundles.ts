// Bundles made by hand, and gantry-runtime as its callers call it.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { busyboxTree } from './archives.ts';
import { runtimeProgram } from './runtimes.ts';

// biome-ignore lint/suspicious/noExplicitAny: config.json as tests change it
export type Config = any;

export interface Called {
  status: number;
  stdout: string;
  stderr: string;
}

export interface Bundles {
  directory: string;
  /** Writes config.json of a new bundle; returns its directory. */
  bundle(change?: (config: Config) => void): string;
  /** gantry-runtime with a --root of its own. */
  call(...args: string[]): Called;
  callWith(input: string, env: Record<string, string>, ...args: string[]): Called;
  state(id: string): { status: string; pid: number; [field: string]: unknown };
  /** Ends what is left and removes all. */
  close(): void;
}

/** Ends the planners that this build's fronts have started. */
export function endPlanners(): void {
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      if (words[0] === 'gantry-planner' && words.includes(join(dirname(runtimeProgram), 'planner.cjs')))
        process.kill(Number(name), 'SIGTERM');
    } catch {} // It has gone by itself.
  }
}

let count = 0;

export function createBundles(): Bundles {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bundles-'));
  const root = join(directory, 'state');
  const rootfs = join(directory, 'rootfs');
  renameSync(busyboxTree(), rootfs);
  chmodSync(rootfs, 0o755);
  for (const name of ['proc', 'sys', 'dev']) mkdirSync(join(rootfs, name));
  const parent = `gantry-bundles-${process.pid}`;
  const callWith: Bundles['callWith'] = (input, env, ...args) => {
    // Files: a container that is created keeps its caller's pipes open, and would be waited for.
    const [out, err] = ['out', 'err'].map((name) => openSync(join(directory, name), 'w+'));
    const { status } = spawnSync(runtimeProgram, ['--root', root, ...args], {
      input,
      stdio: ['pipe', out, err],
      env: { ...process.env, ...env },
      timeout: 30_000,
    });
    for (const file of [out!, err!]) closeSync(file);
    const [stdout = '', stderr = ''] = ['out', 'err'].map((name) => readFileSync(join(directory, name), 'utf8'));
    return { status: status ?? -1, stdout, stderr };
  };
  const call: Bundles['call'] = (...args) => callWith('', {}, ...args);
  return {
    directory,
    call,
    callWith,
    bundle(change = () => {}) {
      const own = join(directory, `bundle-${count++}`);
      mkdirSync(own);
      call('spec', '--bundle', own);
      const config: Config = JSON.parse(readFileSync(join(own, 'config.json'), 'utf8'));
      config.process.terminal = false;
      config.process.args = ['sleep', '1000'];
      config.root = { path: rootfs };
      config.linux.cgroupsPath = `/${parent}/${own.slice(own.lastIndexOf('/') + 1)}`;
      change(config);
      writeFileSync(join(own, 'config.json'), JSON.stringify(config));
      return own;
    },
    state(id) {
      const { stdout, stderr } = call('state', id);
      if (stdout === '') throw new Error(stderr);
      return JSON.parse(stdout);
    },
    close() {
      for (const id of existsSync(root) ? readdirSync(root) : []) call('delete', '--force', id);
      for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
        const point = line.split(' ')[4] ?? '';
        if (/ - cgroup2? /.test(line) && existsSync(join(point, parent)))
          spawnSync('rmdir', [join(point, parent)], { stdio: 'inherit' });
      }
      endPlanners();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Until it is so: what another process does is not there at once. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never: ${what}`);
}

// Where an engine keeps its state, and where its socket is; the one place that knows the platform's customs.
import { createHash } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export interface EnginePaths {
  /** Images, containers, volumes: what must survive a reboot. */
  dataRoot: string;
  /** Sockets that others look for. Short, because unix sockets lie in it. */
  runRoot: string;
  /** What dies with the machine and is written at every start: in memory where the system has such a place. Short, too. */
  memoryRoot: string;
  /** Where the engine serves the API. */
  socket: string;
}

/** Leaves room for "/c/", 24 digits and "/control" in the 107 bytes of a unix socket's path. */
const RUN_ROOT_MAX = 64;

/**
 * Paths for this user, or for the data root of --data-root or GANTRY_DATA_ROOT: an engine with a data root of its own has
 * a socket of its own.
 */
export function enginePaths(given?: string, env: NodeJS.ProcessEnv = process.env): EnginePaths {
  const chosen = given || env.GANTRY_DATA_ROOT;
  const dataRoot = chosen ? resolve(chosen) : defaultDataRoot(env);
  const wanted = chosen ? join(dataRoot, 'run') : defaultRunRoot(env);
  const runRoot = Buffer.byteLength(wanted) <= RUN_ROOT_MAX ? wanted : shortRunRoot(dataRoot);
  const socket =
    process.platform === 'win32' ? `\\\\.\\pipe\\gantry-${digest(dataRoot)}` : join(runRoot, 'gantry.sock');
  return { dataRoot, runRoot, memoryRoot: memoryRoot(env, dataRoot) ?? runRoot, socket };
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function defaultDataRoot(env: NodeJS.ProcessEnv): string {
  if (isRoot()) return '/var/lib/gantry';
  if (process.platform === 'win32') return join(env.LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'gantry');
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'gantry');
  return join(env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'gantry');
}

function defaultRunRoot(env: NodeJS.ProcessEnv): string {
  if (isRoot()) return '/run/gantry';
  return env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'gantry') : shortRunRoot(defaultDataRoot(env));
}

/** TMPFS_MAGIC of statfs(2). */
const TMPFS_MAGIC = 0x01021994;

/** The first of the system's places for it that is a tmpfs; a machine without systemd may keep /run on its disk. */
function memoryRoot(env: NodeJS.ProcessEnv, dataRoot: string): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const parents = isRoot() ? ['/run', '/dev/shm'] : [env.XDG_RUNTIME_DIR];
  const parent = parents.find((path) => path !== undefined && isMemory(path));
  return parent === undefined ? undefined : join(parent, `gantry-${digest(dataRoot)}`);
}

function isMemory(path: string): boolean {
  try {
    return statfsSync(path).type === TMPFS_MAGIC;
  } catch {
    return false;
  }
}

function shortRunRoot(dataRoot: string): string {
  return join(tmpdir(), `gantry-${process.getuid?.() ?? 0}-${digest(dataRoot)}`);
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

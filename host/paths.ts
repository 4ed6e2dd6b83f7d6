// Where an engine keeps its state, and where its socket is; the one place that knows the platform's customs.
import { createHash } from 'node:crypto';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export interface EnginePaths {
  /** Images, containers, volumes: what must survive a reboot. */
  dataRoot: string;
  /** Sockets and what dies with the machine. Short, because unix sockets lie in it. */
  runRoot: string;
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
  const wanted = chosen ? chosenRunRoot(dataRoot, env) : defaultRunRoot(env);
  const runRoot = Buffer.byteLength(wanted) <= RUN_ROOT_MAX ? wanted : shortRunRoot(dataRoot);
  const socket =
    process.platform === 'win32' ? `\\\\.\\pipe\\gantry-${digest(dataRoot)}` : join(runRoot, 'gantry.sock');
  return { dataRoot, runRoot, socket };
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

/** Beside the default one, in memory where the system has such a place: a start writes several small files there. */
function chosenRunRoot(dataRoot: string, env: NodeJS.ProcessEnv): string {
  const parent = isRoot() ? '/run' : env.XDG_RUNTIME_DIR;
  return process.platform === 'linux' && parent ? join(parent, `gantry-${digest(dataRoot)}`) : join(dataRoot, 'run');
}

function shortRunRoot(dataRoot: string): string {
  return join(tmpdir(), `gantry-${process.getuid?.() ?? 0}-${digest(dataRoot)}`);
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

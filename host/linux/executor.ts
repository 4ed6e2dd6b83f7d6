// The resident executor of this engine: finds the binary, starts it, starts it again when it died.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GantryError } from '../errors.ts';
import { type Connection, type Listener, openConnection } from './connection.ts';
import { SOCKET_PATH_MAX } from './this-machine.ts';

export interface Executor {
  /** A connection to a fresh supervisor; starts the executor where none runs. @throws {GantryError} BACKEND_UNAVAILABLE. */
  connect(listener: Listener): Promise<Connection>;
  /** Pid of the resident process, while it runs. */
  readonly pid: number | undefined;
  /** Ends the resident process; supervisors live on. */
  close(): Promise<void>;
}

export interface ExecutorOptions {
  /** Directory of the socket; only the user may enter it. */
  stateDirectory: string;
  /** Another binary than the one that was built: with sanitizers, for instance. */
  binary?: string;
  /** Called when something was mounted or unmounted in this mount namespace, or may have been while nobody looked. */
  mountsChanged?: () => void;
}

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** Beside the bundle (dist/, dist/cli/, dist/chunks/) or, from source, in dist/ of the repository. */
const places = ['executor', '../executor', '../dist/executor', '../../dist/executor'];

let found: string | undefined;

/** Path of this machine's executor. @throws {GantryError} BACKEND_UNAVAILABLE where it was not built. */
export function findExecutor(): string {
  const name = `gantry-executor-${architecture}`;
  if (found !== undefined) return found;
  const here = dirname(fileURLToPath(import.meta.url));
  found = places.map((place) => join(here, place, name)).find(existsSync);
  if (found !== undefined) return found;
  throw new GantryError(
    'BACKEND_UNAVAILABLE',
    `Cannot find the executor "${name}": it is not beside gantry's own files`,
    {
      hint: 'Build it with "npm run build"; that needs a C compiler (cc)',
      details: { searched: here },
    },
  );
}

interface Resident {
  child: ChildProcess;
  socket: string;
}

const ignored = (): void => {};

export function createExecutor({ stateDirectory, binary, mountsChanged = ignored }: ExecutorOptions): Executor {
  let resident: Promise<Resident> | undefined;
  let pid: number | undefined;
  let closed = false;
  let socket: string | undefined;

  const running = (): Promise<Resident> => {
    if (closed) throw new GantryError('BACKEND_UNAVAILABLE', 'Cannot use the executor: the engine is closing');
    socket ??= socketPath(stateDirectory);
    const gone = (): void => {
      resident = undefined;
      pid = undefined;
      mountsChanged();
    };
    resident ??= startResident(binary ?? findExecutor(), socket, { gone, mountsChanged });
    return resident;
  };

  return {
    async connect(listener) {
      // A resident that died is noticed at the connection: the second try starts another.
      for (let attempt = 0; ; attempt++) {
        const found = running();
        const { child, socket: path } = await found;
        pid = child.pid;
        try {
          return await openConnection(path, listener);
        } catch (cause) {
          if (resident === found) resident = undefined;
          child.kill();
          if (attempt > 0) throw unavailable(`its socket "${path}" does not answer`, cause);
        }
      }
    },
    get pid() {
      return pid;
    },
    async close() {
      closed = true;
      const found = await resident?.catch(() => undefined);
      if (found === undefined || found.child.exitCode !== null || found.child.signalCode !== null) return;
      await new Promise<void>((resolve) => {
        found.child.ref();
        found.child.once('exit', () => resolve());
        found.child.stdin?.end();
      });
      rmSync(found.socket, { force: true });
      if (dirname(found.socket) !== stateDirectory) rmSync(dirname(found.socket), { recursive: true, force: true });
    },
  };
}

/** In the state directory, or where that is too deep for a unix socket in a private directory of its own. */
function socketPath(stateDirectory: string): string {
  const path = join(stateDirectory, 'executor.sock');
  if (Buffer.byteLength(path) <= SOCKET_PATH_MAX) {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    return path;
  }
  return join(mkdtempSync(join(tmpdir(), 'gantry-')), 'executor.sock');
}

const STDERR_KEPT = 4096;

/** stdin is the lifeline: when this process ends, however it ends, the resident sees its end and goes. */
function startResident(
  binary: string,
  socket: string,
  { gone, mountsChanged }: { gone: () => void; mountsChanged: () => void },
): Promise<Resident> {
  rmSync(socket, { force: true });
  return new Promise((resolve, reject) => {
    const child = spawn(binary, ['serve', socket], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      env: {},
      cwd: '/',
    });
    let complaint = '';
    const fail = (reason: string, cause?: unknown): void => {
      gone();
      reject(unavailable(complaint.trim() || reason, cause));
    };
    child.once('error', (cause) => fail((cause as NodeJS.ErrnoException).code ?? 'it did not start', cause));
    child.once('exit', (code, signal) => fail(`it ended with ${signal ?? `status ${code}`}`));
    child.stdin.on('error', () => {});
    child.stderr.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk).slice(-STDERR_KEPT);
    });
    child.stdout.on('data', (chunk: Buffer) => {
      mountsChanged(); // With "ready" too: who looks only now does not know what came before.
      if (!chunk.toString().includes('ready')) return;
      for (const handle of [child, child.stdin, child.stdout, child.stderr]) (handle as ChildProcess).unref();
      resolve({ child, socket });
    });
  });
}

function unavailable(reason: string, cause?: unknown): GantryError {
  return new GantryError('BACKEND_UNAVAILABLE', `Cannot start the executor: ${reason}`, {
    hint: 'Run "gantry doctor" to see what this machine lacks',
    cause,
  });
}

// One attempt of a cell: a container from its creation to its removal, whatever happens between.
import type { Socket } from 'node:net';
import type { Api } from '../../client/api.ts';
import { createDemultiplexer } from '../../client/stdcopy.ts';
import { GantryError } from '../../errors.ts';
import { pullImage } from '../images/pull.ts';
import { waitFor } from '../run/run.ts';
import type { Cell } from './cells.ts';
import type { Room } from './pack.ts';
import type { Attempt } from './result.ts';

/** Seconds between SIGTERM and SIGKILL for a cell that has no time left. */
const GRACE = 5;

export const MATRIX_LABEL = 'gantry.matrix';

/** Images by name and platform: each is pulled once, however many cells have it. */
export type Pulls = Map<string, Promise<void>>;

export interface AttemptOptions {
  api: Api;
  /** Value of the label that all containers of this matrix have. */
  run: string;
  pulls: Pulls;
  signal: AbortSignal;
  write(data: Buffer): void;
  started(): void;
}

/** @throws {GantryError} ENGINE_UNREACHABLE; what is wrong with the cell is its outcome. */
export async function runAttempt(cell: Cell, demand: Room, options: AttemptOptions): Promise<Attempt> {
  const { api, signal } = options;
  let began = Date.now();
  const end = (outcome: Attempt['outcome'], reason = '', status?: number): Attempt => ({
    outcome,
    reason,
    seconds: (Date.now() - began) / 1000,
    ...(status === undefined ? {} : { status }),
  });
  let id: string | undefined;
  let socket: Socket | undefined;
  try {
    id = await createContainer(cell, demand, options);
    if (signal.aborted) return end('canceled');
    const path = `/containers/${id}`;
    ({ socket } = await api.hijack(`${path}/attach`, { query: { stream: 1, stdout: 1, stderr: 1 } }));
    const output = drained(socket, options.write);
    output.catch(() => {});
    const exit = waitFor(api, path, 'next-exit');
    exit.catch(() => {});
    await exit.begun;
    await api.send('POST', `${path}/start`);
    began = Date.now();
    options.started();
    const first = await firstOf(exit, cell.timeout, signal);
    if (first === 'aborted') return end('canceled');
    if (first === 'late') await api.send('POST', `${path}/stop`, { query: { t: GRACE } });
    const status = await exit;
    await output;
    if (first === 'late') return end('timed out', `no end within ${cell.timeout} s`);
    if (status === 0) return end('passed', '', 0);
    const { State } = await api.send<{ State: { OOMKilled: boolean } }>('GET', `${path}/json`);
    return end('failed', State.OOMKilled ? `out of memory (exit status ${status})` : `exit status ${status}`, status);
  } catch (error) {
    if (signal.aborted) return end('canceled');
    if (!(error instanceof GantryError))
      throw new GantryError('ENGINE_UNREACHABLE', `Lost the engine while the cell "${cell.name}" ran`, {
        cause: error,
        hint: 'See whether it is up: gantry info',
      });
    if (error.code === 'ENGINE_UNREACHABLE') throw error;
    return end('error', `${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`);
  } finally {
    socket?.destroy();
    if (id !== undefined)
      await api.send('DELETE', `/containers/${id}`, { query: { force: 1, v: 1 } }).catch((error: unknown) => {
        if (!(error instanceof GantryError) || error.code !== 'CONTAINER_NOT_FOUND') throw error;
      });
  }
}

async function createContainer(cell: Cell, demand: Room, options: AttemptOptions): Promise<string> {
  const { api } = options;
  const { image, platform } = cell;
  const pull = (): Promise<void> => {
    const key = `${platform ?? ''} ${image}`;
    const pulling = options.pulls.get(key) ?? pullImage(api, image, platform, true);
    options.pulls.set(key, pulling);
    // One that failed may do at the next attempt.
    pulling.catch(() => options.pulls.delete(key));
    return untilAborted(pulling, options.signal);
  };
  const body = {
    Image: image,
    ...(cell.command === undefined ? {} : { Cmd: cell.command }),
    ...(cell.entrypoint === undefined ? {} : { Entrypoint: cell.entrypoint }),
    Env: cell.env,
    WorkingDir: cell.workdir,
    User: cell.user,
    AttachStdout: true,
    AttachStderr: true,
    Labels: { [MATRIX_LABEL]: options.run, [`${MATRIX_LABEL}.cell`]: cell.name },
    Volumes: Object.fromEntries(cell.volumes.filter((volume) => !volume.includes(':')).map((volume) => [volume, {}])),
    HostConfig: {
      Binds: cell.volumes.filter((volume) => volume.includes(':')),
      NetworkMode: cell.network,
      NanoCpus: demand.nanoCpus,
      Memory: demand.memory,
      MemorySwap: demand.memory,
    },
  };
  const create = async (): Promise<string> =>
    (await api.send<{ Id: string }>('POST', '/containers/create', { query: { platform }, body })).Id;
  if (cell.pull === 'always') await pull();
  return create().catch(async (error: unknown) => {
    if (!(error instanceof GantryError) || error.code !== 'IMAGE_NOT_FOUND' || cell.pull !== 'missing') throw error;
    await pull();
    return create();
  });
}

/** Resolves once all output is there. @throws what `write` throws. */
function drained(socket: Socket, write: (data: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const take = createDemultiplexer((_stream, data) => write(data));
    socket.on('data', (chunk: Buffer) => {
      try {
        take(chunk);
      } catch (error) {
        reject(error);
      }
    });
    for (const event of ['end', 'close', 'error']) socket.once(event, () => resolve());
    socket.on('error', () => {});
  });
}

/** What takes long at the engine's side does not hold up an end. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function firstOf(exit: Promise<number>, timeout: number | undefined, signal: AbortSignal) {
  let timer: NodeJS.Timeout | undefined;
  let stop = (): void => {};
  const late = new Promise<'late'>((resolve) => {
    // A timer's longest time is 2^31 ms.
    if (timeout !== undefined) timer = setTimeout(() => resolve('late'), Math.min(timeout * 1000, 0x7fffffff));
  });
  const aborted = new Promise<'aborted'>((resolve) => {
    stop = () => resolve('aborted');
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([exit.then(() => 'ended' as const), late, aborted]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

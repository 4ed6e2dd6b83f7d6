// What `import { Engine } from 'gantry'` gives: an engine elsewhere or in this process, behind one interface.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Api, createApi } from './client/api.ts';
import { GantryError } from './errors.ts';
import { enginePaths } from './paths.ts';
import { race } from './sdk/abort.ts';
import { Engine as EngineClass } from './sdk/engine.ts';

export { type ErrorCode, GantryError } from './errors.ts';
export type { CgroupWrite } from './plan-types.ts';
export type { Abortable } from './sdk/abort.ts';
export type * from './sdk/answers.ts';
export { Container, type ExecOptions, type LogOptions, type RemoveOptions, type WaitOptions } from './sdk/container.ts';
export type * from './sdk/container-options.ts';
export type { EngineVersion, EventOptions, Plan, RunOptions, StartOptions } from './sdk/engine.ts';
export type { Archive, BuildOptions, Images, ProgressOptions, PullOptions } from './sdk/images.ts';
export type { Network, NetworkOptions, Networks } from './sdk/networks.ts';
export type { Output, OutputChunk, OutputLine, Result } from './sdk/output.ts';
export type { Progress } from './sdk/progress.ts';
export type { Filters } from './sdk/query.ts';
export { type Readiness, untilHealthy, untilHttp, untilLog, untilPort } from './sdk/readiness.ts';
export type { Input, Session } from './sdk/session.ts';
export type { Volume, Volumes } from './sdk/volumes.ts';

/** Which engine to speak to. */
export interface ConnectOptions {
  /** `'unix:///PATH'`, `'tcp://HOST:PORT'`, `'ssh://USER@HOST'`; default: as the command line, by the environment. */
  host?: string;
  /** The engine of this data root on this machine, which is started where it does not run. */
  dataRoot?: string;
  signal?: AbortSignal;
}

/** How an engine is opened in this process. */
export interface OpenOptions {
  /** Where its state is; default: `GANTRY_DATA_ROOT`, or the user's own directory. */
  dataRoot?: string;
  /** `'HOST:PORT'` or subnets that may be spoken to in http, or with any certificate. */
  insecureRegistries?: string[];
  /** `'https://HOST'`, asked before docker.io. */
  registryMirrors?: string[];
  signal?: AbortSignal;
}

/** An engine: {@link Engine.connect} to one that runs, or {@link Engine.open} one in this process. */
export class Engine extends EngineClass {
  /**
   * Connects to an engine. This user's own is started in the background where it does not run; it ends by itself.
   * @throws {GantryError} ENGINE_UNREACHABLE.
   */
  static async connect({ host, dataRoot, signal }: ConnectOptions = {}): Promise<Engine> {
    signal?.throwIfAborted();
    if (host !== undefined && dataRoot !== undefined)
      throw new GantryError('INVALID_ARGUMENT', 'Cannot connect by both host and dataRoot: they are two engines');
    const [{ chooseEndpoint }, { startEngine }] = await Promise.all([
      import('./client/endpoint.ts'),
      import('./client/start-engine.ts'),
    ]);
    const socket = dataRoot === undefined ? undefined : enginePaths(dataRoot).socket;
    const api = createApi(
      async () =>
        socket === undefined ? chooseEndpoint(host === undefined ? {} : { host }) : { name: socket, socket, own: true },
      () => startEngine(findCommand(), dataRoot),
    );
    await race(signal, api.send('GET', '/version'));
    return new Engine(api, async () => api.close());
  }

  /**
   * Opens an engine in this process. It serves the socket of its data root as long as it is open, so that `gantry ps` and
   * docker's clients see the same containers.
   * @throws {GantryError} IN_USE where another engine has the data root.
   */
  static async open(options: OpenOptions = {}): Promise<Engine> {
    const { dataRoot, insecureRegistries, registryMirrors, signal } = options;
    signal?.throwIfAborted();
    const { serve } = await import('./index.ts');
    const ending = new AbortController();
    let ended: Promise<void> | undefined;
    await new Promise<void>((ready, failed) => {
      ended = serve({
        ...(dataRoot === undefined ? {} : { dataRoot }),
        ...(insecureRegistries === undefined ? {} : { insecureRegistries }),
        ...(registryMirrors === undefined ? {} : { registryMirrors }),
        notify: false,
        ready: () => ready(),
        signal: ending.signal,
      });
      ended.catch(failed);
    });
    const { socket } = enginePaths(dataRoot);
    const api: Api = createApi(
      async () => ({ name: socket, socket, own: false }),
      async () => {},
    );
    const close = async (): Promise<void> => {
      api.close();
      ending.abort();
      await ended;
    };
    if (signal?.aborted) await close();
    signal?.throwIfAborted();
    return new Engine(api, close);
  }
}

/** The command line's entry, beside the bundle or, from source, in dist/ of the repository. */
function findCommand(): string {
  const places = ['./cli/main.js', '../cli/main.js', '../dist/cli/main.js'];
  const found = places.map((place) => fileURLToPath(new URL(place, import.meta.url))).find(existsSync);
  if (found !== undefined) return found;
  throw new GantryError('ENGINE_UNREACHABLE', "Cannot start an engine: gantry's own command is not there", {
    hint: 'Build it with "npm run build"',
  });
}

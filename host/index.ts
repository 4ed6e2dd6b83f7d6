// The public library surface: wires backends to the engine.
import type { ApiServer } from './api/server.ts';
import type { Engine } from './engine/engine.ts';
import { enginePaths } from './paths.ts';

export { coreVersion } from './core/core.ts';
export { ERRORS, type ErrorCode, GantryError } from './errors.ts';
export type { ContainerConfig, HostConfig, Image } from './types.ts';

export interface OpenOptions {
  /** Default: GANTRY_DATA_ROOT, or the user's own directory. */
  dataRoot?: string | undefined;
}

/** Opens the engine in this process. @throws {GantryError} IN_USE where another engine has the data root. */
export async function open({ dataRoot }: OpenOptions = {}): Promise<Engine> {
  const paths = enginePaths(dataRoot);
  const [{ openEngine }, { createLinuxBackend }, { findExecutor }, { createImageStore }, { createUnpacker }] =
    await Promise.all([
      import('./engine/engine.ts'),
      import('./linux/backend.ts'),
      import('./linux/executor.ts'),
      import('./image/image-store.ts'),
      import('./image/unpack.ts'),
    ]);
  const { mkdirSync } = await import('node:fs');
  mkdirSync(paths.dataRoot, { recursive: true, mode: 0o700 });
  const unpacker = createUnpacker(findExecutor());
  const backend = createLinuxBackend({ stateDirectory: paths.runRoot });
  const engine = await openEngine({
    paths,
    backend,
    openImages: () => createImageStore(paths.dataRoot, unpacker),
  });
  void backend.prepare();
  return engine;
}

export interface ServeOptions extends OpenOptions {
  /** Path of the socket; default: the data root's own. */
  socket?: string | undefined;
  /** End when nothing runs and nobody has asked for something for a while. */
  idleExit?: boolean;
  /** Told once requests are taken. */
  ready?: (socket: string) => void;
  signal?: AbortSignal;
}

const IDLE_MS = 60_000;

/** Serves the Docker Engine API until it is aborted or idle; containers run on. */
export async function serve({ dataRoot, socket, idleExit = false, ready, signal }: ServeOptions = {}): Promise<void> {
  const engine = await open({ dataRoot });
  let server: ApiServer;
  try {
    const { serveApi } = await import('./api/server.ts');
    server = await serveApi(engine, socket ?? engine.paths.socket);
  } catch (error) {
    await engine.close();
    throw error;
  }
  ready?.(socket ?? engine.paths.socket);
  await new Promise<void>((resolve) => {
    signal?.addEventListener('abort', () => resolve(), { once: true });
    if (!idleExit) return;
    const timer = setInterval(() => {
      if (!engine.idle || server.busy > 0 || Date.now() - server.lastUsed < IDLE_MS) return;
      clearInterval(timer);
      resolve();
    }, 1000);
    signal?.addEventListener('abort', () => clearInterval(timer), { once: true });
  });
  await server.close();
  await engine.close();
}

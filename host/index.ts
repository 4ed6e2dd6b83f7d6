// Wires backends to the engine, and the engine to its API. What programs import is library.ts.
import type { ApiServer } from './api/server.ts';
import type { Backend } from './backend.ts';
import type { Engine } from './engine/engine.ts';
import { GantryError } from './errors.ts';
import { createLog, type Log } from './log.ts';
import { type EnginePaths, enginePaths } from './paths.ts';

export { coreVersion } from './core/core.ts';
export { ERRORS, type ErrorCode, GantryError } from './errors.ts';
export { createLog, isLogLevel, type Log, type LogLevel } from './log.ts';
export type { ContainerConfig, HostConfig, Image } from './types.ts';

export interface OpenOptions {
  /** Default: GANTRY_DATA_ROOT, or the user's own directory. */
  dataRoot?: string | undefined;
  /** Default: nothing is written. */
  log?: Log;
}

/** Opens the engine in this process. @throws {GantryError} IN_USE where another engine has the data root. */
export async function open({ dataRoot, log }: OpenOptions = {}): Promise<Engine> {
  const paths = enginePaths(dataRoot);
  const [
    { openEngine },
    { createLayerMounter },
    { createLinuxBackend },
    { findExecutor },
    { createImageStore },
    { layerSetting },
    { createUnpacker },
  ] = await Promise.all([
    import('./engine/engine.ts'),
    import('./engine/layer-mounter.ts'),
    import('./linux/backend.ts'),
    import('./linux/executor.ts'),
    import('./image/image-store.ts'),
    import('./image/layers/format.ts'),
    import('./image/unpack.ts'),
  ]);
  const { mkdirSync } = await import('node:fs');
  const layers = layerSetting(); // Before anything is made: it may be refused.
  mkdirSync(paths.dataRoot, { recursive: true, mode: 0o700 });
  const unpacker = createUnpacker(findExecutor());
  const backend = await openBackend(paths, unpacker.pack, (text) => log?.warn(text));
  // What a virtual machine gets of layers is read on this side.
  const mounter = backend.capabilities.sameFiles
    ? createLayerMounter(backend)
    : createLayerMounter(createLinuxBackend({ stateDirectory: paths.runRoot }), { owned: true });
  const engine = await openEngine({
    paths,
    backend,
    others: { wasm: openWasi },
    openImages: () => createImageStore(paths.dataRoot, { unpacker, mounter, layers }),
  });
  const { clearScratchSpaces } = await import('./build/scratch-space.ts');
  clearScratchSpaces(paths, unpacker.remove);
  void backend.prepare();
  return engine;
}

/** Loaded with the first WASI container. */
async function openWasi(): Promise<Backend> {
  const [{ createWasiBackend }, { controlSockets }] = await Promise.all([
    import('./wasi/backend.ts'),
    import('./linux/control-sockets.ts'),
  ]);
  return createWasiBackend(controlSockets);
}

/** The one that GANTRY_BACKEND names; default: this kernel. @throws {GantryError} INVALID_ARGUMENT. */
async function openBackend(
  paths: EnginePaths,
  pack: (directory: string) => AsyncIterable<Uint8Array>,
  warn: (text: string) => void,
  name = process.env.GANTRY_BACKEND || 'linux',
): Promise<Backend> {
  const { createBackendOn, createLinuxBackend } = await import('./linux/backend.ts');
  if (name === 'linux') return createLinuxBackend({ stateDirectory: paths.runRoot });
  if (name !== 'vm')
    throw new GantryError('INVALID_ARGUMENT', `Cannot use the backend "${name}" of GANTRY_BACKEND`, {
      hint: 'One of linux, vm',
    });
  const [
    { createVmBackend },
    { GUEST_EXECUTOR_SOCKET },
    { openConnection },
    { engineFiles },
    { wantsIPv6 },
    { answerAsHost },
  ] = await Promise.all([
    import('./vm/backend.ts'),
    import('./vm/guest-machine.ts'),
    import('./linux/connection.ts'),
    import('./engine/state/layout.ts'),
    import('./engine/network/ipv6.ts'),
    import('./engine/network/dns-host.ts'),
  ]);
  const files = engineFiles(paths);
  return createVmBackend({
    dataRoot: paths.dataRoot,
    runRoot: paths.runRoot,
    mirrored: [files.containers, files.volumes, files.running, `${paths.dataRoot}/layers`],
    pack,
    warn,
    uplink: { ipv6: wantsIPv6(), resolve: answerAsHost },
    drive: (machine, { initProgram, ended }) =>
      createBackendOn(machine, {
        connect: (listener) => openConnection(GUEST_EXECUTOR_SOCKET, listener, machine),
        initProgram: () => initProgram,
        watchMounts() {}, // Layers come into it as trees.
        close: ended,
      }),
  });
}

export interface ServeOptions extends OpenOptions {
  /** "unix:///PATH", "tcp://ADDRESS:PORT" with `tls`, "fd://" under systemd; default: the data root's own socket. */
  hosts?: string[];
  /** Paths of PEM files: clients need a certificate that `authority` has signed. */
  tls?: { authority: string; certificate: string; key: string } | undefined;
  /** How long a client may take for the head of a request, and for a JSON body; ms, 30 s by default. */
  clientTimeoutMs?: number | undefined;
  /** Tell systemd of this process's life; not where it is another program's. Default: yes. */
  notify?: boolean;
  /** End when nothing runs and nobody has asked for something for a while. */
  idleExit?: boolean;
  /** "HOST:PORT" or subnets that may be spoken to in http, or with any certificate. */
  insecureRegistries?: string[];
  /** "https://HOST", asked before docker.io. */
  registryMirrors?: string[];
  /** Told once requests are taken: the addresses, as -H takes them. */
  ready?: (addresses: string[], control: { reload(): void }) => void;
  signal?: AbortSignal;
}

const IDLE_MS = 60_000;
const CLIENT_TIMEOUT_MS = 30_000;

/** Serves the Docker Engine API until it is aborted or idle; containers run on. */
export async function serve(options: ServeOptions = {}): Promise<void> {
  const { dataRoot, hosts = [], tls, clientTimeoutMs = CLIENT_TIMEOUT_MS, idleExit = false, ready, signal } = options;
  const log = options.log ?? createLog({ level: 'error', format: 'text', write: () => {} });
  const { readAddresses } = await import('./api/addresses.ts');
  const { configureRegistries } = await import('./image/registry/registry-settings.ts');
  configureRegistries({ insecure: options.insecureRegistries ?? [], mirrors: options.registryMirrors ?? [] });
  // Before the engine opens: what is wrong with an address needs no data root.
  const given = readAddresses(hosts, tls);
  const engine = await open({ dataRoot, log });
  const addresses = given.length > 0 ? given : [{ kind: 'unix' as const, path: engine.paths.socket }];
  for (const damage of engine.damaged) log.warn(damage);
  let server: ApiServer;
  try {
    const { serveApi } = await import('./api/server.ts');
    server = await serveApi(engine, { addresses, log, clientTimeoutMs });
  } catch (error) {
    await engine.close();
    throw error;
  }
  const { openServiceManager } = await import('./linux/service-manager.ts');
  const manager = await openServiceManager(options.notify === false ? {} : process.env);
  manager.ready();
  ready?.(server.addresses, server);
  await new Promise<void>((resolve) => {
    if (signal?.aborted) return resolve(); // While it was starting.
    signal?.addEventListener('abort', () => resolve(), { once: true });
    if (!idleExit) return;
    const timer = setInterval(() => {
      if (!engine.idle || server.busy > 0 || Date.now() - server.lastUsed < IDLE_MS) return;
      clearInterval(timer);
      resolve();
    }, 1000);
    signal?.addEventListener('abort', () => clearInterval(timer), { once: true });
  });
  manager.stopping();
  log.info('Shutting down; containers run on');
  await server.close();
  await engine.close();
  await manager.close();
}

// The thread of a container's program: compiles it, says whether it can run, runs it when told to, and tells how it ended.
import { closeSync, constants, readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { Order } from './order.ts';
import { closePlace, openFile, openPlace, walk } from './preview1/confined-path.ts';
import type { Descriptor } from './preview1/descriptors.ts';
import { createImports, ProgramExit } from './preview1/imports.ts';
import { WasiError } from './preview1/errno.ts';
import { programInput, programOutput, type SharedStreams } from './shared-streams.ts';

/** What the thread tells; output comes as ProgramOutput. */
export type Told =
  | 'ready'
  | 'taken'
  | { failed: 'COMMAND_NOT_FOUND' | 'COMMAND_NOT_EXECUTABLE'; message: string; hint?: string }
  | { exitCode: number; outOfMemory?: true };

/** 128 + SIGABRT: what a trap is where there are signals. */
const TRAPPED = 134;
const COMPONENT = 0x1000d;

const { order, streams } = workerData as { order: Order; streams: SharedStreams };
const port = parentPort!;
const tell = (told: Told): void => port.postMessage(told);

class Unfit extends Error {
  readonly told: Exclude<Told, string | { exitCode: number }>;
  constructor(failed: 'COMMAND_NOT_FOUND' | 'COMMAND_NOT_EXECUTABLE', message: string, hint?: string) {
    super(message);
    this.told = { failed, message, ...(hint === undefined ? {} : { hint }) };
  }
}

/** From the container's own root: a link of the image leads nowhere else. */
function readModule(): Uint8Array<ArrayBuffer> {
  const root = openPlace(order.root, { follow: true });
  try {
    const target = walk(root, order.module.replace(/^\/+/, '') || '.', true);
    const fd = openFile(target, constants.O_RDONLY);
    target.close();
    try {
      return new Uint8Array(readFileSync(fd));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const reason =
      error instanceof WasiError && error.message === 'isdir' ? 'is a directory' : 'no such file or directory';
    const failed = reason.startsWith('no') ? 'COMMAND_NOT_FOUND' : 'COMMAND_NOT_EXECUTABLE';
    throw new Unfit(
      failed,
      `Cannot run "${order.module}": ${reason}`,
      'The first argument is the path of a module of WebAssembly',
    );
  } finally {
    closePlace(root);
  }
}

function compile(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const unfit = (why: string, hint?: string): Unfit =>
    new Unfit('COMMAND_NOT_EXECUTABLE', `Cannot run "${order.module}": exec format error: ${why}`, hint);
  if (bytes.length >= 8 && new DataView(bytes.buffer).getUint32(4, true) === COMPONENT)
    throw unfit('it is a component of WASI preview 2', 'Build it for wasm32-wasip1');
  let module: WebAssembly.Module;
  try {
    module = new WebAssembly.Module(bytes);
  } catch (error) {
    throw unfit((error as Error).message);
  }
  const foreign = WebAssembly.Module.imports(module).find(
    ({ module: from }) => !/^wasi_(snapshot_preview1|unstable)$/.test(from),
  );
  if (foreign !== undefined)
    throw unfit(
      `it imports "${foreign.name}" from "${foreign.module}", which is not WASI preview 1`,
      'Build it for wasm32-wasip1',
    );
  const old = WebAssembly.Module.imports(module).some(({ module: from }) => from === 'wasi_unstable');
  if (old) throw unfit('it is of WASI preview 0', 'Build it for wasm32-wasip1');
  if (!WebAssembly.Module.exports(module).some(({ name, kind }) => name === '_start' && kind === 'function'))
    throw unfit('it has no function "_start": it is a library, no program');
  return module;
}

function instantiate(module: WebAssembly.Module): WebAssembly.Instance {
  const descriptors: Descriptor[] = [
    programInput(streams, () => tell('taken')),
    programOutput(streams, 'stdout', port),
    programOutput(streams, 'stderr', port),
    ...order.preopens.map(({ name, path, readonly }) => ({
      ...({ kind: 'directory', place: openPlace(path, { follow: true }), readonly, name } as const),
    })),
  ];
  let instance: WebAssembly.Instance | undefined;
  const memory = () => instance?.exports.memory as WebAssembly.Memory;
  const imports = createImports({ args: order.args, env: order.env, descriptors }, memory);
  try {
    instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: imports as WebAssembly.ModuleImports });
  } catch (error) {
    const message = `Cannot run "${order.module}": ${(error as Error).message}`;
    throw new Unfit(
      'COMMAND_NOT_EXECUTABLE',
      message,
      order.memoryPages === undefined ? undefined : 'Give it more memory with -m',
    );
  }
  return instance;
}

function run({ exports }: WebAssembly.Instance): void {
  try {
    (exports._start as () => void)();
    tell({ exitCode: 0 });
  } catch (error) {
    if (error instanceof ProgramExit) {
      tell({ exitCode: error.code & 0xff });
      return;
    }
    const { name, message } = error as Error;
    programOutput(streams, 'stderr', port).write(Buffer.from(`${name}: ${message}\n`));
    tell({ exitCode: TRAPPED, ...(isFull(exports.memory as WebAssembly.Memory) ? { outOfMemory: true } : {}) });
  }
}

/** Whether the program had all the memory that it may have, but for what it would ask for next. */
function isFull(memory: WebAssembly.Memory): boolean {
  const pages = memory.buffer.byteLength / 65536;
  return order.memoryPages !== undefined && pages >= order.memoryPages * 0.75;
}

try {
  const instance = instantiate(compile(readModule()));
  port.once('message', () => run(instance));
  tell('ready');
} catch (error) {
  if (!(error instanceof Unfit)) throw error;
  tell(error.told);
}

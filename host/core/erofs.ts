// Loads erofs.wasm, which plans EROFS images: one instance for each image, made when a layer comes.
import { readFile } from 'node:fs/promises';
import { REFUSED_TOO_MANY_ENTRIES } from '../../core-asm/erofs/abi.ts';
import { GantryError } from '../errors.ts';
import { erofsRefusal } from './erofs-refusals.ts';

interface ErofsExports {
  limitMemory(bytes: number): void;
  next(): number;
  pointer(): number;
  length(): number;
  position(): number;
  ended(got: number): void;
  imageSize(): number;
  entryCount(): number;
  fileBytes(): number;
  refusal(): number;
  namePointer(): number;
  nameLength(): number;
}

/** What one image asks for, in turn; the actions are in core-asm/erofs/abi.ts. */
export interface ErofsCore {
  /** The next action. @throws {GantryError} INVALID_ARCHIVE, UNSUPPORTED where the layer is refused. */
  next(): number;
  /** Operands of the action. `memory` is valid until the next call. */
  memory(): Uint8Array;
  length(): number;
  position(): number;
  /** The stream has ended after `got` bytes of what was asked for. @throws {GantryError} INVALID_ARCHIVE where it may not. */
  ended(got: number): void;
  /** When all is done: bytes of the image, number of entries, bytes of regular files. */
  totals(): { size: number; entries: number; bytes: number };
  /** Nothing is asked of it any more. */
  close(): void;
}

let loaded: Promise<WebAssembly.Module> | undefined;

/** Beside this file in the sources; one folder up from a chunk of the bundle. */
async function load(): Promise<WebAssembly.Module> {
  const bytes = await readFile(new URL('./erofs.wasm', import.meta.url)).catch(() =>
    readFile(new URL('../erofs.wasm', import.meta.url)),
  );
  return WebAssembly.compile(new Uint8Array(bytes));
}

const PAGE = 1 << 16;
/** Of core-asm/erofs/asconfig.json. */
const INITIAL_PAGES = 32;
const KEPT_MOST = 64 * PAGE;

/**
 * That of the last image, where it is small: V8 keeps 10 GB of addresses for each memory, and where many images come one after
 * the other it collects all garbage to get them back.
 */
let spare: WebAssembly.Memory | undefined;

function takeMemory(): WebAssembly.Memory {
  const memory = spare ?? new WebAssembly.Memory({ initial: INITIAL_PAGES });
  if (spare !== undefined) new Uint8Array(spare.buffer).fill(0);
  spare = undefined;
  return memory;
}

/** @param most bytes that names and directories may take; absent: MEMORY_MAX of the core. */
export async function createErofsCore(most?: number): Promise<ErofsCore> {
  loaded ??= load();
  const compiled = await loaded;
  const memory = takeMemory();
  const { exports } = await WebAssembly.instantiate(compiled, { env: { memory } });
  const core = exports as unknown as ErofsExports;
  if (most !== undefined) core.limitMemory(most);
  const view = (pointer: number, length: number): Uint8Array => new Uint8Array(memory.buffer, pointer, length);

  /** A refusal traps; an instance that has trapped is of no more use. */
  const guarded = <T>(call: () => T): T => {
    try {
      return call();
    } catch (cause) {
      const code = core.refusal();
      if (code === 0) throw new GantryError('INTERNAL', 'Cannot make the image of a layer: the core failed', { cause });
      const ofOne = code !== REFUSED_TOO_MANY_ENTRIES;
      throw erofsRefusal(code, ofOne ? Buffer.from(view(core.namePointer(), core.nameLength())).toString() : '');
    }
  };

  return {
    next: () => guarded(core.next),
    memory: () => view(core.pointer(), core.length()),
    length: () => core.length(),
    position: () => core.position(),
    ended: (got) => guarded(() => core.ended(got)),
    totals: () => ({ size: core.imageSize(), entries: core.entryCount(), bytes: core.fileBytes() }),
    close: () => {
      if (memory.buffer.byteLength <= KEPT_MOST) spare = memory;
    },
  };
}

// Loads core.wasm and calls it: the only WebAssembly of the planning core.
import { readFileSync } from 'node:fs';
import type { GantryError } from '../errors.ts';
import { refusalError } from './refusals.ts';

interface CoreExports {
  memory: WebAssembly.Memory;
  version(): number;
  /** Frees everything of the last call and returns room for `length` input bytes. */
  begin(length: number): number;
  resultPointer(): number;
  resultLength(): number;
  [name: string]: unknown;
}

let loaded: CoreExports | undefined;

function exports(): CoreExports {
  if (loaded === undefined) {
    const module = new WebAssembly.Module(readWasm());
    loaded = new WebAssembly.Instance(module).exports as unknown as CoreExports;
  }
  return loaded;
}

/** Beside this file in the sources; one folder up from a chunk of the bundle. */
function readWasm(): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(readFileSync(new URL('./core.wasm', import.meta.url)));
  } catch {
    return new Uint8Array(readFileSync(new URL('../core.wasm', import.meta.url)));
  }
}

/** Version of the program format that the core writes. */
export function coreVersion(): number {
  return exports().version();
}

/**
 * Calls the export `name(pointer, length…)` with the inputs laid one behind the other and copies the result out.
 * Exports return 0, or 1 where they refused the input: then the result is the refusal.
 * @throws {GantryError} INVALID_ARGUMENT or UNSUPPORTED with the core's reason.
 */
export function callCore(name: string, ...inputs: Uint8Array[]): Uint8Array {
  const core = exports();
  const total = inputs.reduce((sum, input) => sum + input.length, 0);
  let at = core.begin(total);
  const memory = new Uint8Array(core.memory.buffer);
  const args: number[] = [];
  for (const input of inputs) {
    memory.set(input, at);
    args.push(at, input.length);
    at += input.length;
  }
  const status = (core[name] as (...numbers: number[]) => number)(...args);
  const pointer = core.resultPointer();
  const result = new Uint8Array(core.memory.buffer).slice(pointer, pointer + core.resultLength());
  if (status !== 0) throw refusal(result);
  return result;
}

const decoder = new TextDecoder();

function refusal(result: Uint8Array): GantryError {
  const [code = '', field = '', value = '', detail = ''] = decoder.decode(result).split('\0');
  return refusalError(code, field, value, detail);
}

// Loads core.wasm and calls it: the only WebAssembly of the planning core.
import { readFileSync } from 'node:fs';

interface CoreExports {
  version(): number;
}

let loaded: CoreExports | undefined;

function exports(): CoreExports {
  if (loaded === undefined) {
    const module = new WebAssembly.Module(readFileSync(new URL('./core.wasm', import.meta.url)));
    loaded = new WebAssembly.Instance(module).exports as unknown as CoreExports;
  }
  return loaded;
}

/** Version of the program format that the core writes. */
export function coreVersion(): number {
  return exports().version();
}

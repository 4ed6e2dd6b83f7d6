// The wasm exports, and nothing else.
import { PLAN_VERSION } from './abi';
import { ByteWriter } from './bytes';
import { clearRefusal, refused, writeRefusal } from './status';

let resultAt: usize = 0;
let resultSize: i32 = 0;

/** Version of the program format that this core writes. */
export function version(): i32 {
  return PLAN_VERSION;
}

/** Frees everything of the last call and returns room for `length` bytes of input. */
export function begin(length: i32): usize {
  heap.reset();
  clearRefusal();
  return heap.alloc(length);
}

export function resultPointer(): usize {
  return resultAt;
}

export function resultLength(): i32 {
  return resultSize;
}

/** Ends a call: `out` is the result, or the refusal where there is one. Returns 0 or 1. */
function finish(out: ByteWriter): i32 {
  const failed = refused();
  if (failed) {
    out = new ByteWriter();
    writeRefusal(out);
  }
  resultAt = out.pointer;
  resultSize = out.length;
  return failed ? 1 : 0;
}

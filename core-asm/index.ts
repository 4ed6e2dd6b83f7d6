// The wasm exports, and nothing else.
import { PLAN_VERSION } from './abi';

/** Version of the program format that this core writes. */
export function version(): i32 {
  return PLAN_VERSION;
}

// The public library surface: wires backends to the engine.
export { coreVersion } from './core/core.ts';
export { ERRORS, type ErrorCode, GantryError } from './errors.ts';

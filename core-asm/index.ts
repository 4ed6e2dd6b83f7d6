// The wasm exports, and nothing else.
import { PLAN_VERSION } from './abi';
import { ByteWriter } from './bytes';
import { Json, parseJson, writeJson } from './json';
import { compileSeccompFilter, resolveFor } from './seccomp/compile';
import { capabilityMask, capabilityNames, resolveCapabilities } from './spec/capabilities';
import { clearRefusal, refuse, refused, writeRefusal } from './status';

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

/** Profile text ("" is the default) and target JSON → seccomp instructions. */
export function compileSeccomp(profile: usize, profileSize: i32, target: usize, targetSize: i32): i32 {
  const out = new ByteWriter(8192);
  compileSeccompFilter(resolvedProfile(profile, profileSize, target, targetSize), out);
  return finish(out);
}

/** The same input → the resolved OCI linux.seccomp as JSON. */
export function resolveSeccomp(profile: usize, profileSize: i32, target: usize, targetSize: i32): i32 {
  const out = new ByteWriter(16384);
  writeJson(out, resolvedProfile(profile, profileSize, target, targetSize));
  return finish(out);
}

function resolvedProfile(profile: usize, profileSize: i32, target: usize, targetSize: i32): Json {
  const request = input(target, targetSize);
  const available = capabilityMask(request.strings('available'), 'capabilities');
  const names = capabilityNames(resolveCapabilities(request.child('host'), available));
  return resolveFor(profile, profileSize, request.set('capabilities', Json.strings(names)));
}

function input(pointer: usize, length: i32): Json {
  const request = parseJson(pointer, length);
  if (!request) refuse('BAD_INPUT', 'JSON');
  return request ? request : Json.object();
}

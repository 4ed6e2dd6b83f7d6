// The wasm exports, and nothing else.
import { PLAN_VERSION } from './abi';
import { Bytes, ByteWriter } from './bytes';
import { Json, parseJson, writeJson } from './json';
import { planExec as planExecOf } from './plan/exec';
import {
  planControl as planControlOf,
  planRemoval as planRemovalOf,
  planRenewal as planRenewalOf,
  planSpread as planSpreadOf,
} from './plan/control';
import { planBundleDelete, planBundleSetup, planBundleStarted } from './plan/bundle';
import { planBundleExec as planBundleExecOf } from './plan/bundle-exec';
import { cgroupToKill, planFreezes, planLimits } from './plan/bundle-control';
import { stateHead } from './plan/hooks';
import { readBundle } from './spec/bundle';
import { planUpdate as planUpdateOf } from './plan/update';
import { planArchive as planArchiveOf } from './plan/archive';
import { planVolume as planVolumeOf } from './plan/volume';
import {
  planBridge,
  planBridgeClaim,
  planBridgeRemoval,
  planBridgeUp,
  planFirewall,
  publishPorts,
  unpublishPorts,
} from './plan/network';
import { planWire, removeLinks } from './plan/wire';
import { allWrites, planSetup, planSlot as planSlotOf, planTeardown as planTeardownOf } from './plan/plan';
import { ProgramWriter } from './plan/program';
import { parseCpus, parseSizeText } from './resources/size';
import { compileSeccompFilter, resolveFor } from './seccomp/compile';
import { capabilityMask, capabilityNames, resolveCapabilities } from './spec/capabilities';
import { defaultPaths } from './spec/security';
import { specify } from './spec/specify';
import { clearRefusal, refuse, refused, warnings, writeRefusal } from './status';

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

/** "u32 length, bytes" of one part of a result. */
function part(out: ByteWriter, bytes: ByteWriter): void {
  out.u32(bytes.length);
  out.writer(bytes);
}

function programPart(out: ByteWriter, program: ProgramWriter): void {
  out.u32(program.size);
  program.write(out);
}

function textPart(out: ByteWriter, text: string): void {
  const bytes = new ByteWriter(text.length + 8);
  bytes.text(text);
  part(out, bytes);
}

function warningsPart(out: ByteWriter): void {
  const notes = new ByteWriter(256);
  for (let i = 0; i < warnings().length; i++) notes.cstring(warnings()[i]);
  part(out, notes);
}

function architectureOf(request: Json): string {
  return request.child('facts').str('architecture');
}

/** Plan request JSON and seccomp filter → parts: set-up program, tear-down program, warnings (NUL-terminated). */
export function planContainer(pointer: usize, length: i32, filter: usize, filterSize: i32): i32 {
  const request = input(pointer, length);
  const spec = specify(request);
  const setup = new ProgramWriter(architectureOf(request));
  planSetup(setup, request, spec, allWrites(spec, request.child('facts')), new Bytes(filter, filterSize));
  const teardown = new ProgramWriter(architectureOf(request));
  planTeardownOf(teardown, request);
  const out = new ByteWriter(setup.size + teardown.size + 1024);
  programPart(out, setup);
  programPart(out, teardown);
  warningsPart(out);
  return finish(out);
}

/** The same request → {spec, cgroupWrites} JSON: for those who want to see it. */
export function describeContainer(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const spec = specify(request);
  const writes = allWrites(spec, request.child('facts'));
  const list = Json.array();
  for (let i = 0; i < writes.length; i++)
    list.push(
      Json.object()
        .set('controller', Json.of(writes[i].controller))
        .set('file', Json.of(writes[i].file))
        .set('value', Json.of(writes[i].value)),
    );
  const out = new ByteWriter(16384);
  writeJson(out, Json.object().set('spec', spec).set('cgroupWrites', list));
  return finish(out);
}

/** Exec request JSON and seccomp filter → program. */
export function planExec(pointer: usize, length: i32, filter: usize, filterSize: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  planExecOf(program, request, new Bytes(filter, filterSize));
  const out = new ByteWriter(program.size);
  program.write(out);
  return finish(out);
}

/** Bundle request JSON and seccomp filter → parts: set-up, started, delete, freeze, thaw, cgroup to kill, head of the state, warnings. */
export function planBundle(pointer: usize, length: i32, filter: usize, filterSize: i32): i32 {
  const request = input(pointer, length);
  readBundle(request);
  const setup = new ProgramWriter(architectureOf(request));
  planBundleSetup(
    setup,
    request,
    allWrites(request.child('spec'), request.child('facts')),
    new Bytes(filter, filterSize),
  );
  const started = new ProgramWriter(architectureOf(request));
  planBundleStarted(started, request);
  const gone = new ProgramWriter(architectureOf(request));
  planBundleDelete(gone, request);
  const out = new ByteWriter(setup.size + 16384);
  programPart(out, setup);
  programPart(out, started);
  programPart(out, gone);
  for (let frozen = 1; frozen >= 0; frozen--) {
    const freeze = new ProgramWriter(architectureOf(request));
    planFreezes(freeze, request, frozen);
    programPart(out, freeze);
  }
  textPart(out, cgroupToKill(request));
  textPart(out, stateHead(request));
  warningsPart(out);
  return finish(out);
}

/** The same request with `process` → parts: program, warnings. */
export function planBundleExec(pointer: usize, length: i32, filter: usize, filterSize: i32): i32 {
  const request = input(pointer, length);
  readBundle(request);
  const program = new ProgramWriter(architectureOf(request));
  planBundleExecOf(program, request, new Bytes(filter, filterSize));
  const out = new ByteWriter(program.size + 256);
  programPart(out, program);
  warningsPart(out);
  return finish(out);
}

/** The same request with `resources` → parts: program that changes the limits, warnings. */
export function planBundleUpdate(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  readBundle(request);
  const program = new ProgramWriter(architectureOf(request));
  planLimits(program, request);
  const out = new ByteWriter(program.size + 256);
  programPart(out, program);
  warningsPart(out);
  return finish(out);
}

/** Archive request JSON → program that reads or writes files of a container. */
export function planArchive(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  planArchiveOf(program, request);
  const out = new ByteWriter(program.size);
  program.write(out);
  return finish(out);
}

/** {facts, id, container} → parts: the slot's program, its removal. */
export function planSlot(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const slot = new ProgramWriter(architectureOf(request));
  planSlotOf(slot, request);
  const teardown = new ProgramWriter(architectureOf(request));
  planTeardownOf(teardown, request);
  const out = new ByteWriter(16384);
  programPart(out, slot);
  programPart(out, teardown);
  return finish(out);
}

/** {facts, id, container, network} → program that removes what a container left. */
export function planTeardown(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  planTeardownOf(program, request);
  const out = new ByteWriter(program.size);
  program.write(out);
  return finish(out);
}

/** {facts, id, container, action: "freeze" | "thaw" | "kill", signal} → program. */
export function planControl(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  planControlOf(program, request);
  const out = new ByteWriter(program.size);
  program.write(out);
  return finish(out);
}

/** {facts, id, container, before, after} → parts: program that changes the limits of a running container, warnings. */
export function planUpdate(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  planUpdateOf(program, request);
  const out = new ByteWriter(program.size + 256);
  programPart(out, program);
  warningsPart(out);
  return finish(out);
}

/** {facts, paths} → program that removes those trees. */
export function planRemoval(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  planRemovalOf(program, request);
  const out = new ByteWriter(program.size);
  program.write(out);
  return finish(out);
}

/** {facts, paths} → program that makes directories of containers that are gone as new, or warns. */
export function planRenewal(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  planRenewalOf(program, request);
  const out = new ByteWriter(program.size);
  program.write(out);
  return finish(out);
}

/** {facts, paths} → program after which what is made below those directories lies apart. */
export function planSpread(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  planSpreadOf(program, request);
  const out = new ByteWriter(program.size);
  program.write(out);
  return finish(out);
}

/** {facts, action: "mount" | "unmount", path, type, device, options} → program for the file system of a volume. */
export function planVolume(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  planVolumeOf(program, request);
  const out = new ByteWriter(program.size);
  program.write(out);
  return finish(out);
}

/** {facts, action: "create" | "claim" | "up" | "firewall" | "publish" | "unpublish" | "wire" | "unlink" | "remove", name, …} → program of a bridge network. */
export function planNetwork(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const program = new ProgramWriter(architectureOf(request));
  const action = request.str('action');
  if (action == 'create') planBridge(program, request);
  else if (action == 'claim') planBridgeClaim(program, request);
  else if (action == 'up') planBridgeUp(program, request);
  else if (action == 'firewall') planFirewall(program, request);
  else if (action == 'publish') publishPorts(program, request);
  else if (action == 'unpublish') unpublishPorts(program, request);
  else if (action == 'wire') planWire(program, request);
  else if (action == 'unlink') removeLinks(program, request.strings('removed'));
  else planBridgeRemoval(program, request);
  const out = new ByteWriter(program.size);
  program.write(out);
  return finish(out);
}

/** {} → {masked, readOnly} JSON: the paths of /proc and /sys that are confined by default. */
export function systemPaths(pointer: usize, length: i32): i32 {
  input(pointer, length);
  const out = new ByteWriter(1024);
  writeJson(out, defaultPaths());
  return finish(out);
}

/** {kind: "bytes" | "cpus", text} → decimal text: bytes, or 1e-9 CPUs. */
export function parseQuantity(pointer: usize, length: i32): i32 {
  const request = input(pointer, length);
  const text = request.str('text');
  const value = request.str('kind') == 'cpus' ? parseCpus(text, 'cpus') : parseSizeText(text, request.str('kind'));
  const out = new ByteWriter();
  out.text(value.toString());
  return finish(out);
}

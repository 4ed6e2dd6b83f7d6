// What is done to a bundle's container as a whole: freeze and thaw, its limits, the cgroup whose processes are killed.
import { OP_FREEZE } from '../abi';
import { Json } from '../json';
import { cgroupWrites } from '../resources/writes';
import { normalizeResources } from '../spec/bundle';
import { checkPart } from '../spec/bundle-fields';
import { writeLimits } from './cgroup';
import { placesOf } from './plan';
import { ProgramWriter } from './program';

/** Empty where the host has no freezer. */
export function planFreezes(program: ProgramWriter, request: Json, frozen: i32): void {
  const places = placesOf(request, request.str('id'));
  const freezer = places.unified ? places.directory(places.mounts[0]) : places.of('freezer');
  if (freezer != '')
    program
      .op(OP_FREEZE)
      .str(freezer)
      .imm(frozen)
      .imm(places.unified ? 2 : 1);
}

/** A cgroup that holds every process of the container. */
export function cgroupToKill(request: Json): string {
  const places = placesOf(request, request.str('id'));
  const pids = places.of('pids');
  return pids != '' ? pids : places.mounts.length > 0 ? places.directory(places.mounts[0]) : '';
}

/** Only what `resources` names is written. Memory grows from above, and shrinks from below. */
export function planLimits(program: ProgramWriter, request: Json): void {
  const resources = request.child('resources');
  checkPart(resources, 'linux.resources');
  normalizeResources(resources);
  const writes = cgroupWrites(resources, request.child('facts'));
  const before = request.child('spec').child('linux').child('resources').child('memory').int('swap', -1);
  const after = resources.child('memory').int('swap', 0);
  if (after != 0 && before > 0 && (after < 0 || after > before))
    for (let i = 0; i + 1 < writes.length; i++)
      if (writes[i].file == 'memory.limit_in_bytes' && writes[i + 1].file == 'memory.memsw.limit_in_bytes') {
        const held = writes[i];
        writes[i] = writes[i + 1];
        writes[i + 1] = held;
        break;
      }
  writeLimits(program, placesOf(request, request.str('id')), writes);
}

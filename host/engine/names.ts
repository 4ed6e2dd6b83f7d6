// IDs and names: 64 digits, and two words where the user gives no name.
import { randomBytes, randomInt } from 'node:crypto';
import { GantryError } from '../errors.ts';

const qualities =
  'able bold brisk calm clear deft eager even exact fair firm fleet fond frank glad keen kind level light lively lucid merry mild neat nimble noble plain prime proud quick quiet rapid ready sharp sleek smart solid sound stable steady still stout sturdy swift tidy true vivid warm wise witty';
const cranes =
  'anchor ballast beam bollard boom bracket cable caisson capstan cargo chain cleat cog counterweight davit derrick dock drum fender flange fulcrum girder grapple hawser hinge hoist hook jib keel latch lever mast mooring pallet pier pinion pulley quay rail rigging rivet sheave shackle sling spindle spreader strut tackle trolley truss turret winch';

const words = (text: string): string[] => text.split(' ');

export function newId(): string {
  if (at === random.length) {
    random = randomBytes(ID_BYTES * 64); // A call for each costs as much as one for all of these.
    at = 0;
  }
  const id = random.toString('hex', at, at + ID_BYTES);
  at += ID_BYTES;
  return id;
}

const ID_BYTES = 32;
let random = Buffer.alloc(0);
let at = 0;

/** "steady_winch", with digits where all tries are taken. */
export function newName(taken: (name: string) => boolean): string {
  const pick = (list: string[]): string => list[randomInt(list.length)]!;
  for (let attempt = 0; attempt < 20; attempt++) {
    const name = `${pick(words(qualities))}_${pick(words(cranes))}`;
    if (!taken(name)) return name;
  }
  return `${pick(words(qualities))}_${pick(words(cranes))}_${randomBytes(4).toString('hex')}`;
}

/** Docker's rule. @throws {GantryError} INVALID_ARGUMENT. */
export function checkName(name: string): void {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) return;
  throw new GantryError(
    'INVALID_ARGUMENT',
    `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
  );
}

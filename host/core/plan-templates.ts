// Equal containers have equal plans but for their names: one is planned and checked, the others are copies with names of their own.

/** A name that the core only copies: the container's ID, or a slot. Beginnings of an ID are in paths and hostnames, too. */
export interface PlanName {
  actual: string;
  /** What stands for it in what is planned; as long, and found nowhere else. */
  canonical: string;
}

/** @returns undefined where this ID could be taken for a number. */
export function idName(id: string): PlanName | undefined {
  return /^[0-9a-f]{64}$/.test(id) && /[a-f]/.test(id.slice(0, SHORTEST)) ? { actual: id, canonical: ID } : undefined;
}

/** @returns undefined where it is no slot of the pool. */
export function slotName(slot: string): PlanName | undefined {
  return /^slot-[0-9a-f]{16}$/.test(slot) ? { actual: slot, canonical: SLOT } : undefined;
}

const ID = '6f1d0b5e9ac84723f5e0d9417ab3c826e4975b0fd1382ca6907e5fb41d8c3a92';
const SLOT = 'slot-c93b07e5d1f8462a';
/** Digits of an ID that are its own. */
const SHORTEST = 12;
/** Templates are some forty kilobytes each. */
const KEPT = 64;

interface Place {
  at: number;
  length: number;
  /** Index of the name. */
  name: number;
}

interface Template {
  parts: Uint8Array[];
  /** Of each part. */
  places: Place[][];
}

export type Templates = Map<string, Template>;

/** One part of what was planned; copied when it is asked for: a creation looks at the warnings alone. */
export type PlannedPart = (part: number) => Uint8Array;

/**
 * What `plan` makes of a request in JSON; it is asked once for all requests that differ in nothing but these names.
 * @throws what `plan` throws, about the request itself.
 */
export function planByTemplate(
  templates: Templates,
  request: string,
  names: (PlanName | undefined)[],
  plan: (request: string) => Uint8Array[],
): PlannedPart {
  const whole = (): PlannedPart => {
    const parts = plan(request);
    return (part) => parts[part]!;
  };
  const known = names.filter((name) => name !== undefined);
  if (known.length < names.length || [ID.slice(0, SHORTEST), SLOT].some((name) => request.includes(name)))
    return whole();
  const key = known.reduce((text, { actual, canonical }) => rename(text, actual, canonical), request);
  let template = templates.get(key);
  if (template === undefined) {
    try {
      const parts = plan(key);
      template = { parts, places: parts.map((bytes) => placesOf(bytes, known)) };
    } catch {
      return whole(); // A refusal speaks of the container's own names.
    }
    const [oldest] = templates.size >= KEPT ? templates.keys() : [];
    if (oldest !== undefined) templates.delete(oldest);
  } else templates.delete(key);
  templates.set(key, template); // The latest is the last to go.
  const { parts, places } = template;
  return (part) => fill(parts[part]!, places[part]!, known);
}

/** Every name, and every beginning of it that is long enough, in the words of another. */
function rename(text: string, actual: string, canonical: string): string {
  const head = actual.slice(0, SHORTEST);
  let renamed = '';
  let done = 0;
  for (let at = text.indexOf(head); at >= 0; at = text.indexOf(head, done)) {
    let length = head.length;
    while (length < actual.length && text[at + length] === actual[length]) length++;
    renamed += text.slice(done, at) + canonical.slice(0, length);
    done = at + length;
  }
  return renamed + text.slice(done);
}

function placesOf(part: Uint8Array, names: PlanName[]): Place[] {
  const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
  const places: Place[] = [];
  for (const [name, { canonical }] of names.entries()) {
    const whole = Buffer.from(canonical);
    const head = whole.subarray(0, SHORTEST);
    for (let at = bytes.indexOf(head); at >= 0; at = bytes.indexOf(head, at + 1)) {
      let length = head.length;
      while (length < whole.length && bytes[at + length] === whole[length]) length++;
      places.push({ at, length, name });
    }
  }
  return places;
}

function fill(part: Uint8Array, places: Place[], names: PlanName[]): Uint8Array {
  const filled = part.slice();
  const actual = names.map((name) => Buffer.from(name.actual));
  for (const { at, length, name } of places) actual[name]!.copy(filled, at, 0, length);
  return filled;
}

// Reads a request's JSON field by field: wrong types and what is not carried out are refused by name.
import { GantryError } from '../../errors.ts';

export type Json = Record<string, unknown>;

export interface Fields {
  text(name: string): string;
  number(name: string): number | undefined;
  flag(name: string): boolean;
  /** Undefined where absent or null. */
  texts(name: string): string[] | undefined;
  /** The same, where docker takes a lone string for a list of one: commands and capabilities. */
  textsOrOne(name: string): string[] | undefined;
  numbers(name: string): number[];
  list(name: string): Fields[];
  map(name: string): Record<string, unknown>;
  textMap(name: string): Record<string, string>;
  /** Lists of words in a list. */
  pairs(name: string): string[][];
  child(name: string): Fields;
  has(name: string): boolean;
  /** Fields that mean nothing here whatever their value. */
  ignore(...names: string[]): void;
  /** @throws {GantryError} UNSUPPORTED where a field was not read and says something. */
  finish(): void;
}

/** @param path for messages: "HostConfig". */
export function readFields(value: unknown, path: string): Fields {
  if (value !== undefined && value !== null && (typeof value !== 'object' || Array.isArray(value)))
    throw wrong(path, 'an object');
  const object = (value ?? {}) as Json;
  const left = new Set(Object.keys(object));
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`);
  /** As Go reads JSON: "image" is "Image" where that is not there. */
  const lower = new Map(Object.keys(object).map((name) => [name.toLowerCase(), name]));
  const written = (name: string): string =>
    Object.hasOwn(object, name) ? name : (lower.get(name.toLowerCase()) ?? name);
  const look = (name: string): unknown => {
    const own = written(name);
    return Object.hasOwn(object, own) ? (object[own] ?? undefined) : undefined;
  };
  const take = (name: string): unknown => {
    left.delete(written(name));
    return look(name);
  };
  const typed = <T>(name: string, type: string, fallback: T): T => {
    const found = take(name);
    if (found === undefined) return fallback;
    if (typeof found !== type) throw wrong(at(name), type === 'boolean' ? 'true or false' : `a ${type}`);
    return found as T;
  };
  const map = (name: string): Record<string, unknown> => {
    const found = take(name) ?? {};
    if (typeof found !== 'object' || Array.isArray(found)) throw wrong(at(name), 'an object');
    return found as Json;
  };
  const textsOf = (name: string, found: unknown): string[] | undefined => {
    if (found === undefined) return undefined;
    if (!Array.isArray(found) || !found.every((item) => typeof item === 'string'))
      throw wrong(at(name), 'a list of strings');
    return found;
  };
  const fields: Fields = {
    text: (name) => typed(name, 'string', ''),
    number(name) {
      const found = typed<number | undefined>(name, 'number', undefined);
      if (found !== undefined && !Number.isInteger(found)) throw wrong(at(name), 'a whole number');
      return found;
    },
    flag: (name) => typed(name, 'boolean', false),
    texts: (name) => textsOf(name, take(name)),
    textsOrOne(name) {
      const found = take(name);
      return textsOf(name, typeof found === 'string' ? [found] : found);
    },
    numbers(name) {
      const found = take(name) ?? [];
      if (!Array.isArray(found) || !found.every(Number.isInteger)) throw wrong(at(name), 'a list of whole numbers');
      return found as number[];
    },
    list(name) {
      const found = take(name) ?? [];
      if (!Array.isArray(found)) throw wrong(at(name), 'a list');
      return found.map((item, index) => readFields(item, `${at(name)}[${index}]`));
    },
    map,
    textMap(name) {
      const found = map(name);
      for (const [key, item] of Object.entries(found))
        if (typeof item !== 'string') throw wrong(`${at(name)}.${key}`, 'a string');
      return found as Record<string, string>;
    },
    pairs(name) {
      const found = take(name) ?? [];
      if (
        !Array.isArray(found) ||
        !found.every((item) => Array.isArray(item) && item.every((word) => typeof word === 'string'))
      )
        throw wrong(at(name), 'a list of lists of strings');
      return found as string[][];
    },
    child: (name) => readFields(take(name), at(name)),
    has: (name) => look(name) !== undefined,
    ignore(...names) {
      for (const name of names) left.delete(written(name));
    },
    finish() {
      for (const name of left)
        if (says(object[name]))
          throw new GantryError('UNSUPPORTED', `Cannot carry out "${at(name)}": not supported`, {
            hint: 'Leave it out',
          });
    },
  };
  return fields;
}

function wrong(path: string, wanted: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Cannot read "${path}": it must be ${wanted}`);
}

/** Zero values are what clients send for "not set". A loop, for what is sent may be nested deeper than any stack. */
function says(value: unknown): boolean {
  const left = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (next === null || next === undefined || next === '' || next === 0 || next === false || next === -1) continue;
    if (typeof next !== 'object' || (Array.isArray(next) && next.length > 0)) return true;
    for (const inner of Object.values(next)) left.push(inner);
  }
  return false;
}

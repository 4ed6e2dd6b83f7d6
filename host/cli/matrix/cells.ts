// A definition's combinations → cells: each with its settings, its name, and what it wants of the machine.
import { resolve } from 'node:path';
import { GantryError } from '../../errors.ts';
import { parseBytes, parseDuration } from '../format/units.ts';
import { nearest } from '../nearest.ts';
import { parseVolume } from '../run/mount-flag.ts';
import { type Definition, TEXT_SETTINGS, type TextSetting } from './definition.ts';
import { expand, type Values } from './expand.ts';
import type { Room } from './pack.ts';

export interface Cell {
  /** Its values, as GitHub names jobs: "alpine:3.20, 22"; unique. */
  name: string;
  values: Values;
  image: string;
  platform: string | undefined;
  /** Words for the image's entrypoint; undefined: the image's own. */
  command: string[] | undefined;
  entrypoint: string[] | undefined;
  env: string[];
  workdir: string;
  user: string;
  network: string;
  volumes: string[];
  pull: 'always' | 'missing' | 'never';
  memory: number | undefined;
  nanoCpus: number | undefined;
  /** Seconds. */
  timeout: number | undefined;
  retries: number;
}

/** @param directory where relative sources of volumes begin. @throws {GantryError} INVALID_ARGUMENT naming cell and setting. */
export function cellsOf(definition: Definition, file: string, directory: string): Cell[] {
  const names = new Map<string, number>();
  return expand(definition).map((values) => {
    const plain = Object.entries(values)
      .filter(([key]) => key !== 'run' || Object.hasOwn(definition.axes, key))
      .map(([, value]) => value.replace(/\s+/g, ' '))
      .join(', ');
    const count = (names.get(plain) ?? 0) + 1;
    names.set(plain, count);
    return cellOf(definition, values, count === 1 ? plain : `${plain} (${count})`, file, directory);
  });
}

function cellOf(definition: Definition, values: Values, name: string, file: string, directory: string): Cell {
  const bad = (key: string, reason: string, hint?: string): GantryError =>
    new GantryError('INVALID_ARGUMENT', `Cannot read "${file}": ${key} of the cell "${name}": ${reason}`, { hint });
  const fill = (text: string, key: string): string =>
    text.replace(/\$\{\{(.*?)\}\}/gs, (_whole, inner: string) => {
      const [, axis] = /^\s*matrix\.([\w-]+)\s*$/.exec(inner) ?? [];
      if (axis === undefined)
        throw bad(
          key,
          `\${{${inner}}} is not known here`,
          `There is \${{ matrix.NAME }}; scripts read variables as $NAME`,
        );
      const value = Object.hasOwn(values, axis) ? values[axis] : undefined;
      if (value !== undefined) return value;
      const near = nearest(axis, Object.keys(values));
      throw bad(key, `it has no matrix.${axis}`, near === undefined ? undefined : `Meant: matrix.${near}?`);
    });
  const text = (key: TextSetting): string | undefined => {
    if (Object.hasOwn(values, key)) return values[key];
    const given = definition.texts[key];
    return given === undefined ? undefined : fill(given, key);
  };
  /** What a flag's parser says, about the key. */
  const parsed = <T>(key: string, given: string | undefined, parse: (given: string) => T): T | undefined => {
    if (given === undefined) return undefined;
    try {
      return parse(given);
    } catch (error) {
      const { message, hint } = error as GantryError;
      throw bad(key, `"${given}": ${message.replace(/^.*": /, '')}`, hint);
    }
  };
  const image = text('image');
  if (image === undefined || image === '')
    throw bad('image', 'there is none', 'Give image, or an axis of images: matrix.image');
  const pull = text('pull') ?? 'missing';
  if (pull !== 'always' && pull !== 'missing' && pull !== 'never')
    throw bad('pull', `"${pull}" is none of always, missing, never`);
  const timeout = parsed('timeout', text('timeout'), (given) => parseDuration(given, 'timeout'));
  if (timeout === 0) throw bad('timeout', 'it must be more than 0', 'Leave it out for none');
  const retries = text('retries') ?? '0';
  if (!/^\d{1,2}$/.test(retries)) throw bad('retries', `"${retries}" is no whole number below 100`);
  const script = text('run');
  const variables = Object.fromEntries([
    ...Object.entries(definition.env).map(([key, value]) => [key, fill(value, `env.${key}`)]),
    ...Object.entries(values).filter(([key]) => !(TEXT_SETTINGS as readonly string[]).includes(key)),
  ]) as Values;
  return {
    name,
    values,
    image,
    platform: text('platform') || undefined,
    command: script === undefined ? definition.command?.map((word) => fill(word, 'command')) : [script],
    entrypoint: script === undefined ? undefined : ['/bin/sh', '-ec'],
    env: Object.entries(variables).map(([key, value]) => `${key}=${value}`),
    workdir: text('workdir') ?? '',
    user: text('user') ?? '',
    network: text('network') || 'default',
    volumes: definition.volumes.map((volume) => {
      const filled = fill(volume, 'volumes');
      const relative = /^\.{1,2}(\/[^:]*)?(?=:)/.exec(filled)?.[0];
      const placed = relative === undefined ? filled : resolve(directory, relative) + filled.slice(relative.length);
      return parsed('volumes', placed, parseVolume)!;
    }),
    pull,
    memory: parsed('memory', text('memory'), (given) => parseBytes(given, 'memory')),
    nanoCpus: parsed('cpus', text('cpus'), (given) => {
      const nano = /^\d{1,6}(\.\d{1,9})?$/.test(given) ? Math.round(Number(given) * 1e9) : 0;
      if (nano < 1e7) throw new GantryError('INVALID_ARGUMENT', 'Not a number of CPUs from 0.01 on');
      return nano;
    }),
    timeout,
    retries: Number(retries),
  };
}

/** Without settings, one CPU, and the part of the memory that is its part of the CPUs. */
export function demandOf({ nanoCpus, memory }: Cell, capacity: Room): Room {
  const cpus = nanoCpus ?? Math.min(1e9, capacity.nanoCpus);
  return {
    nanoCpus: cpus,
    memory: memory ?? Math.floor((capacity.memory / capacity.nanoCpus) * Math.min(cpus, capacity.nanoCpus)),
  };
}

/** @param filters "axis=value": several of one axis are alternatives. */
export function chosen(cells: Cell[], filters: string[]): Cell[] {
  const axes = [...new Set(cells.flatMap(({ values }) => Object.keys(values)))];
  const wanted = new Map<string, string[]>();
  for (const filter of filters) {
    const [, axis = '', value = ''] = /^([^=]+)=(.*)$/s.exec(filter) ?? [];
    if (!axes.includes(axis)) {
      const near = nearest(axis, axes);
      throw new GantryError('INVALID_ARGUMENT', `Invalid filter "${filter}": there is no axis "${axis}"`, {
        hint: near === undefined ? `The axes are ${axes.join(', ')}` : `Meant: ${near}=${value}?`,
      });
    }
    wanted.set(axis, [...(wanted.get(axis) ?? []), value]);
  }
  const found = cells.filter(({ values }) =>
    [...wanted].every(([axis, alternatives]) => alternatives.includes(values[axis] ?? '')),
  );
  if (found.length === 0)
    throw new GantryError(
      'INVALID_ARGUMENT',
      filters.length > 0 ? 'No cell fits the filters' : 'The matrix has no cell',
      {
        hint: 'See what there is: gantry matrix --dry-run',
      },
    );
  return found;
}

// A matrix file: YAML → what it defines. Every scalar is the text that stands there (3.10 is no 3.1), unknown keys are refused.
import { parseDocument } from 'yaml';
import { GantryError } from '../../errors.ts';
import { nearest } from '../nearest.ts';
import type { Axes, Values } from './expand.ts';

/** Settings that are one text each: keys of the file, and of axes and entries that set them for some cells. */
export const TEXT_SETTINGS = [
  'image',
  'platform',
  'run',
  'workdir',
  'user',
  'network',
  'pull',
  'memory',
  'cpus',
  'timeout',
  'retries',
] as const;

export type TextSetting = (typeof TEXT_SETTINGS)[number];

export interface Definition extends Axes {
  texts: Partial<Record<TextSetting, string>>;
  command: string[] | undefined;
  env: Values;
  volumes: string[];
  jobs: number | undefined;
  failFast: boolean;
}

const KEYS = ['matrix', 'command', 'env', 'volumes', 'jobs', 'fail-fast', ...TEXT_SETTINGS];
/** Settings that no axis can have: they are lists. */
const LISTS = ['command', 'env', 'volumes'];
const LARGEST = 1 << 20;
/** As many as GitHub takes. */
const MOST_CELLS = 256;

/** @param file for errors. @throws {GantryError} INVALID_ARGUMENT naming the key. */
export function parseDefinition(text: string, file: string): Definition {
  const bad = (reason: string, hint?: string): GantryError =>
    new GantryError('INVALID_ARGUMENT', `Cannot read "${file}": ${reason}`, { hint });
  const root = mapOf(parseYaml(text, bad), 'the file', bad);
  checkKeys(Object.keys(root), KEYS, '', bad);
  const matrix = mapOf(root.matrix ?? null, 'matrix', bad);
  const axes: Record<string, string[]> = {};
  for (const [axis, values] of Object.entries(matrix)) {
    if (axis === 'include' || axis === 'exclude') continue;
    checkAxis(axis, `matrix.${axis}`, bad);
    axes[axis] = textsOf(values, `matrix.${axis}`, bad);
    if (axes[axis].length === 0) throw bad(`matrix.${axis} has no values`);
  }
  const entries = (name: 'include' | 'exclude'): Values[] =>
    listOf(matrix[name] ?? [], `matrix.${name}`, bad).map((entry, at) => {
      const path = `matrix.${name}[${at}]`;
      const values = valuesOf(entry, path, bad);
      if (Object.keys(values).length === 0) throw bad(`${path} is empty`);
      if (name === 'exclude') checkKeys(Object.keys(values), Object.keys(axes), `${path}.`, bad, 'axis');
      else for (const key of Object.keys(values)) checkAxis(key, `${path}.${key}`, bad);
      return values;
    });
  const product = Object.values(axes).reduce((count, values) => count * values.length, 1);
  if (product > MOST_CELLS) throw bad(`matrix has ${product} combinations, and ${MOST_CELLS} are the most`);
  const command = root.command === undefined ? undefined : textsOf(root.command, 'command', bad, 'For a script: run');
  const texts: Definition['texts'] = {};
  for (const name of TEXT_SETTINGS) if (root[name] !== undefined) texts[name] = textOf(root[name], name, bad);
  if (command !== undefined && texts.run !== undefined)
    throw bad('it has both run and command', 'run is a script for sh -e, command the words of a program');
  const env = root.env === undefined ? {} : valuesOf(root.env, 'env', bad);
  for (const name of Object.keys(env)) checkVariable(name, `env.${name}`, bad);
  return {
    axes,
    include: entries('include'),
    exclude: entries('exclude'),
    texts,
    command,
    env,
    volumes: root.volumes === undefined ? [] : textsOf(root.volumes, 'volumes', bad),
    jobs: root.jobs === undefined ? undefined : countOf(textOf(root.jobs, 'jobs', bad), 'jobs', bad),
    failFast: root['fail-fast'] === undefined ? false : switchOf(root['fail-fast'], 'fail-fast', bad),
  };
}

type Bad = (reason: string, hint?: string) => GantryError;

function parseYaml(text: string, bad: Bad): unknown {
  if (text.length > LARGEST) throw bad(`it has more than ${LARGEST} bytes`);
  const document = parseDocument(text, { schema: 'failsafe', uniqueKeys: true });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) throw bad(problem.message.trim().split('\n')[0]!.replace(/:$/, ''));
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (cause) {
    throw bad((cause as Error).message);
  }
}

function mapOf(value: unknown, path: string, bad: Bad): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw bad(value === null ? `${path} is missing or empty` : `${path} must be a map`);
}

function listOf(value: unknown, path: string, bad: Bad, hint?: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw bad(`${path} must be a list`, hint);
}

function textOf(value: unknown, path: string, bad: Bad): string {
  if (value === null) return '';
  if (typeof value !== 'string') throw bad(`${path} must be text or a number`);
  return value;
}

function textsOf(value: unknown, path: string, bad: Bad, hint?: string): string[] {
  return listOf(value, path, bad, hint).map((one, at) => textOf(one, `${path}[${at}]`, bad));
}

function valuesOf(value: unknown, path: string, bad: Bad): Values {
  return Object.fromEntries(
    Object.entries(mapOf(value, path, bad)).map(([key, one]) => [key, textOf(one, `${path}.${key}`, bad)]),
  );
}

function countOf(text: string, path: string, bad: Bad): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw bad(`${path} must be a whole number from 1 on, not "${text}"`);
  return Number(text);
}

function switchOf(value: unknown, path: string, bad: Bad): boolean {
  const text = textOf(value, path, bad);
  if (text !== 'true' && text !== 'false') throw bad(`${path} must be true or false, not "${text}"`);
  return text === 'true';
}

function checkKeys(keys: string[], known: string[], path: string, bad: Bad, kind = 'key'): void {
  for (const key of keys) {
    if (known.includes(key)) continue;
    const near = nearest(key, known);
    throw bad(
      `unknown ${kind} ${path}${key}`,
      near === undefined ? `There are ${known.join(', ')}` : `Meant: ${near}?`,
    );
  }
}

function checkVariable(name: string, path: string, bad: Bad): void {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    throw bad(`${path} is no name of a variable`, 'Letters, digits and _ only');
}

/** An axis is a setting, or a variable of the container. */
function checkAxis(name: string, path: string, bad: Bad): void {
  if ((TEXT_SETTINGS as readonly string[]).includes(name)) return;
  if (LISTS.includes(name)) throw bad(`${path} cannot be an axis`, `Set ${name} once, with \${{ matrix.NAME }} in it`);
  checkVariable(name, path, bad);
}

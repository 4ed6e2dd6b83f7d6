// --mount of RUN: "type=cache,target=/x,…".
import type { RunMount } from './ast.ts';
import { Refusal, suggestion } from './failure.ts';

const KEYS = [
  ...['type', 'from', 'source', 'src', 'target', 'dst', 'destination', 'readonly', 'ro', 'readwrite', 'rw', 'required'],
  ...['size', 'id', 'sharing', 'mode', 'uid', 'gid', 'env'],
];
const TYPES = ['bind', 'cache', 'tmpfs', 'secret'];
const SHARING = ['shared', 'private', 'locked'];
const UNITS: Record<string, number> = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Keys in their one spelling. */
const spelling: Record<string, string> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
  rw: 'readwrite',
};

/** Which keys a type takes besides "type" and "target". */
const taken: Record<string, string[]> = {
  bind: ['from', 'source', 'readonly', 'readwrite'],
  cache: ['id', 'from', 'source', 'readonly', 'readwrite', 'sharing', 'mode', 'uid', 'gid'],
  tmpfs: ['size'],
  secret: ['id', 'source', 'required', 'mode', 'uid', 'gid', 'env'],
};

/** Values with quotes around a comma, as in CSV. */
function fields(text: string): string[] {
  const found = [...text.matchAll(/(?:"((?:[^"]|"")*)"|([^,"]*))(,|$)/gy)];
  const list = found.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '');
  if (found.reduce((sum, [all]) => sum + all.length, 0) !== text.length)
    throw new Refusal(`failed to parse csv mounts: bare " in ${JSON.stringify(text)}`);
  // What the last comma, or the end, leaves behind.
  return found.at(-1)?.[0] === '' && list.length > 1 && !text.endsWith(',') ? list.slice(0, -1) : list;
}

/**
 * @param expand puts variables in. Undefined: they are not known yet; what has none is checked all the same.
 * @throws {Refusal}
 */
export function parseMount(text: string, expand: ((value: string) => string) | undefined): RunMount {
  const given = new Map<string, string>();
  for (const field of fields(text)) {
    const at = field.indexOf('=');
    const key = (at < 0 ? field : field.slice(0, at)).toLowerCase();
    if (!KEYS.includes(key)) throw new Refusal(`unexpected key '${key}' in '${field}'${suggestion(key, KEYS)}`);
    const name = spelling[key] ?? key;
    if (at < 0 && !['readonly', 'readwrite', 'required'].includes(name))
      throw new Refusal(`invalid field '${field}' must be a key=value pair`);
    const value = at < 0 ? 'true' : field.slice(at + 1);
    if (name === 'from' && /\$./.test(value))
      throw new Refusal("'from' doesn't support variable expansion, define alias stage instead");
    given.set(name, expand === undefined ? value : expand(value));
  }
  return typed(text, given, expand !== undefined);
}

/** @param final false: a value with "$" in it is taken for its default. */
function typed(text: string, given: Map<string, string>, final: boolean): RunMount {
  const get = (name: string): string | undefined => {
    const value = given.get(name);
    return !final && value?.includes('$') && name !== 'target' && name !== 'source' ? undefined : value;
  };
  const invalid = (name: string): Refusal => new Refusal(`invalid value for ${name}: ${get(name)}`);
  const type = (get('type') ?? 'bind').toLowerCase();
  if (type === 'ssh')
    throw new Refusal(
      'mounts of type "ssh" are not supported: no agent is forwarded',
      'Give the key as a secret: --mount=type=secret,id=…',
    );
  if (!TYPES.includes(type))
    throw new Refusal(`unsupported mount type ${JSON.stringify(type)}${suggestion(type, TYPES)}`);
  const known = given.has('type') && get('type') === undefined ? KEYS : ['type', 'target', ...taken[type]!];
  for (const name of given.keys())
    if (!known.includes(name)) throw new Refusal(`unexpected key '${name}' for mount type '${type}'`);

  const flag = (name: string): boolean | undefined => {
    const value = get(name);
    if (value === undefined) return undefined;
    if (!/^(1|t|true|0|f|false)$/i.test(value)) throw invalid(name);
    return /^(1|t)/i.test(value);
  };
  const number = (name: string, base: 8 | 10, otherwise: number): number => {
    const value = get(name);
    if (value === undefined) return otherwise;
    const found = Number.parseInt(value, base);
    if (!(base === 8 ? /^[0-7]+$/ : /^\d+$/).test(value) || found > 0xffffffff) throw invalid(name);
    return found;
  };
  const target = get('target') ?? '';
  const owner = { uid: number('uid', 10, 0), gid: number('gid', 10, 0) };
  const source = get('source') ?? '';
  const from = get('from');
  const readWrite = flag('readwrite');
  const readOnly = flag('readonly') ?? (readWrite === undefined ? undefined : !readWrite);
  const base = { text, target, ...(from === undefined || from === '' ? {} : { from }) };
  if (target === '' && type !== 'secret') throw new Refusal(`mount of type "${type}" has no target`);
  if (type === 'bind') return { ...base, type, source, writable: readOnly === false };
  if (type === 'tmpfs') return { ...base, type, size: size(get('size'), () => invalid('size')) };
  if (type === 'cache') {
    const sharing = (get('sharing') ?? 'shared').toLowerCase();
    if (!SHARING.includes(sharing))
      throw new Refusal(`unsupported sharing value ${JSON.stringify(sharing)}${suggestion(sharing, SHARING)}`);
    const id = get('id') || target;
    const mode = number('mode', 8, 0o755);
    return { ...base, type, id, sharing: sharing as 'shared', source, readOnly: readOnly === true, mode, ...owner };
  }
  if (source !== '' && given.has('id')) throw new Refusal("both source and id can't be set");
  const id = source || (get('id') ?? '') || target.split('/').at(-1)!;
  if (id === '' && (final || !given.has('id')))
    throw new Refusal('invalid secret mount. one of source, target required');
  const env = get('env');
  return {
    ...base,
    type: 'secret',
    target: target === '' && env === undefined ? `/run/secrets/${id.split('/').at(-1)}` : target,
    id,
    ...(env === undefined ? {} : { env }),
    required: flag('required') === true,
    mode: number('mode', 8, 0o400),
    ...owner,
  };
}

/** "64m" → bytes. */
function size(text: string | undefined, invalid: () => Refusal): number {
  if (text === undefined) return 0;
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?) ?([bkmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  if (count === undefined) throw invalid();
  return Math.floor(Number(count) * UNITS[unit.toLowerCase()]!);
}

// --mount as docker spells it: "type=bind,source=/a,target=/b,readonly".
import { resolve } from 'node:path';
import { GantryError } from '../../errors.ts';
import { parseBytes } from '../format/units.ts';

type Options = Record<string, unknown>;

interface Reading {
  mount: Options;
  bind: Options;
  volume: Options & {
    Labels: Record<string, string>;
    DriverConfig: { Name?: string; Options?: Record<string, string> };
  };
  tmpfs: Options;
  image: Options;
}

/** May stand without a value. */
const SWITCHES = ['readonly', 'ro', 'volume-nocopy', 'bind-nonrecursive', 'bind-create-src', 'idmap'];

function invalid(text: string, reason: string, hint?: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--mount": ${reason}`, { hint });
}

/** One line of CSV: a field with a comma in it stands in quotes, and a quote in it is doubled. */
function fieldsOf(text: string): string[] {
  const found = [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"(?=,|$)|([^",]*)(?=,|$))/g)];
  if (text === '' || found.map(([whole]) => whole).join('') !== text)
    throw invalid(
      text,
      'invalid field: a quote is missing or stands in the middle',
      'Such as "volume-opt=o=addr=1.2.3.4,rw"',
    );
  return found.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '');
}

function truth(key: string, value: string, text: string): boolean {
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw invalid(text, `invalid value for ${key}: ${value}`);
}

function put(map: Record<string, string>, value: string): void {
  const [key = '', ...rest] = value.split('=');
  if (key !== '') map[key] = rest.join('=');
}

const recursion: Record<string, Options> = {
  enabled: {},
  disabled: { NonRecursive: true },
  writable: { ReadOnlyNonRecursive: true },
  readonly: { ReadOnlyForceRecursive: true },
};

/** Key → what it sets. */
const keys: Record<string, (reading: Reading, value: string, text: string, key: string) => void> = {
  type: ({ mount }, value) => {
    mount.Type = value.toLowerCase();
  },
  source: ({ mount }, value) => {
    mount.Source = value.startsWith('.') ? resolve(value) : value;
  },
  target: ({ mount }, value) => {
    mount.Target = value;
  },
  readonly: ({ mount }, value, text, key) => {
    mount.ReadOnly = truth(key, value, text);
  },
  consistency: () => {}, // For macOS; means nothing here, as with docker on Linux.
  idmap: ({ mount }, value, text, key) => {
    if (truth(key, value, text)) mount.Gantry = { idmap: true };
  },
  'bind-propagation': ({ bind }, value) => {
    bind.Propagation = value.toLowerCase();
  },
  'bind-nonrecursive': ({ bind }, value, text, key) => {
    bind.NonRecursive = truth(key, value, text);
  },
  'bind-create-src': ({ bind }, value, text, key) => {
    bind.CreateMountpoint = truth(key, value, text);
  },
  'bind-recursive': ({ bind }, value, text, key) => {
    const set = recursion[value];
    if (set === undefined)
      throw invalid(
        text,
        `invalid value for ${key}: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
      );
    Object.assign(bind, set);
  },
  'volume-subpath': ({ volume }, value) => {
    volume.Subpath = value;
  },
  'volume-nocopy': ({ volume }, value, text, key) => {
    volume.NoCopy = truth(key, value, text);
  },
  'volume-label': ({ volume }, value) => put(volume.Labels, value),
  'volume-driver': ({ volume }, value) => {
    volume.DriverConfig.Name = value;
  },
  'volume-opt': ({ volume }, value) => {
    volume.DriverConfig.Options ??= {};
    put(volume.DriverConfig.Options, value);
  },
  'image-subpath': ({ image }, value) => {
    image.Subpath = value;
  },
  'tmpfs-size': ({ tmpfs }, value) => {
    tmpfs.SizeBytes = parseBytes(value, 'mount');
  },
  'tmpfs-mode': ({ tmpfs }, value, text, key) => {
    if (!/^[0-7]{1,5}$/.test(value)) throw invalid(text, `invalid value for ${key}: ${value}`);
    tmpfs.Mode = Number.parseInt(value, 8);
  },
  'tmpfs-options': ({ tmpfs }, value) => {
    tmpfs.Options = value.split(',').map((word) => word.split('='));
  },
};
const aliases: Record<string, string> = { src: 'source', dst: 'target', destination: 'target', ro: 'readonly' };

/** → docker's Mount. @throws {GantryError} INVALID_ARGUMENT. */
export function parseMount(text: string): object {
  const reading: Reading = {
    mount: { Type: 'volume', Source: '', Target: '', ReadOnly: false },
    bind: {},
    volume: { Labels: {}, DriverConfig: {} },
    tmpfs: {},
    image: {},
  };
  const kinds = new Set<string>();
  for (const field of fieldsOf(text)) {
    const at = field.indexOf('=');
    const name = (at < 0 ? field : field.slice(0, at)).toLowerCase();
    if (at < 0 && !SWITCHES.includes(name)) throw invalid(text, `invalid field '${field}' must be a key=value pair`);
    const set = Object.hasOwn(keys, aliases[name] ?? name) ? keys[aliases[name] ?? name] : undefined;
    if (set === undefined) throw invalid(text, `unexpected key '${name}' in '${field}'`);
    set(reading, at < 0 ? 'true' : field.slice(at + 1), text, name);
    const [, kind] = /^(bind|volume|tmpfs|image)-/.exec(name) ?? [];
    if (kind !== undefined) kinds.add(kind);
  }
  return finish(reading, kinds, text);
}

function finish({ mount, bind, volume, tmpfs, image }: Reading, kinds: Set<string>, text: string): object {
  if (mount.Type === '') throw invalid(text, 'type is required');
  if (mount.Target === '') throw invalid(text, 'target is required');
  for (const kind of kinds)
    if (kind !== mount.Type) throw invalid(text, `cannot mix '${kind}-*' options with mount type '${mount.Type}'`);
  const needs = (option: string, other: string): GantryError =>
    invalid(text, `option '${option}' requires '${other}' to be specified in conjunction`);
  if (bind.ReadOnlyNonRecursive && !mount.ReadOnly) throw needs('bind-recursive=writable', 'readonly');
  if (bind.ReadOnlyForceRecursive && !mount.ReadOnly) throw needs('bind-recursive=readonly', 'readonly');
  if (bind.ReadOnlyForceRecursive && bind.Propagation !== 'rprivate')
    throw needs('bind-recursive=readonly', 'bind-propagation=rprivate');
  return {
    ...mount,
    ...(kinds.has('bind') ? { BindOptions: bind } : {}),
    ...(kinds.has('volume') ? { VolumeOptions: volume } : {}),
    ...(kinds.has('tmpfs') ? { TmpfsOptions: tmpfs } : {}),
    ...(kinds.has('image') ? { ImageOptions: image } : {}),
  };
}

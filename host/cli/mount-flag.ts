// -v, --mount, --tmpfs and --device as docker spells them.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { GantryError } from '../errors.ts';
import { parseBytes } from './units.ts';

function invalid(flag: string, text: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--${flag}": ${reason}`);
}

/** A relative source ("./data", "../x") becomes absolute; the rest is the engine's to read. */
export function parseVolume(text: string): string {
  const [source = '', ...rest] = text.split(':');
  if (text === '' || (rest.length > 0 && source === '')) throw invalid('volume', text, 'empty section between colons');
  return rest.length > 0 && /^\.{1,2}(\/|$)|^~/.test(source) ? [resolve(source), ...rest].join(':') : text;
}

const switches: Record<string, true> = {
  readonly: true,
  ro: true,
  'bind-nonrecursive': true,
  'volume-nocopy': true,
  idmap: true,
};

/** "type=bind,source=/a,target=/b,readonly" → docker's Mount. @throws {GantryError} INVALID_ARGUMENT. */
export function parseMount(text: string): object {
  const fields: Record<string, string> = {};
  const labels: Record<string, string> = {};
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    const key = (at < 0 ? part : part.slice(0, at)).trim().toLowerCase();
    const value = at < 0 ? undefined : part.slice(at + 1);
    if (value === undefined && !(key in switches))
      throw invalid('mount', text, `invalid field '${part}' must be a key=value pair`);
    if (key === 'volume-label')
      Object.assign(labels, { [value!.split('=')[0]!]: value!.split('=').slice(1).join('=') });
    else fields[key] = value ?? 'true';
  }
  const take = (...names: string[]): string | undefined => {
    const name = names.find((candidate) => candidate in fields);
    const value = name === undefined ? undefined : fields[name];
    for (const known of names) delete fields[known];
    return value;
  };
  const flag = (...names: string[]): boolean => {
    const value = take(...names);
    if (value !== undefined && !/^(true|false|1|0)$/.test(value))
      throw invalid('mount', text, `invalid value for ${names[0]}: ${value}`);
    return value === 'true' || value === '1';
  };
  const type = take('type') ?? 'volume';
  const source = take('source', 'src') ?? '';
  const mount: Record<string, unknown> = {
    Type: type,
    Source: type === 'bind' && source !== '' ? resolve(source) : source,
    Target: take('target', 'destination', 'dst') ?? '',
    ReadOnly: flag('readonly', 'ro'),
  };
  if (type !== 'tmpfs' && flag('idmap')) mount.Gantry = { idmap: true };
  if (mount.Target === '') throw invalid('mount', text, 'target is required');
  if (type === 'bind')
    mount.BindOptions = {
      Propagation: take('bind-propagation') ?? '',
      NonRecursive: flag('bind-nonrecursive'),
      ...readOnlyOption(take('bind-recursive'), text),
    };
  if (type === 'volume')
    mount.VolumeOptions = {
      NoCopy: flag('volume-nocopy'),
      Labels: labels,
      DriverConfig: { Name: take('volume-driver') ?? '' },
    };
  if (type === 'tmpfs') {
    const [size, mode] = [take('tmpfs-size'), take('tmpfs-mode')];
    if (mode !== undefined && !/^[0-7]{1,4}$/.test(mode))
      throw invalid('mount', text, `invalid value for tmpfs-mode: ${mode}`);
    mount.TmpfsOptions = {
      ...(size ? { SizeBytes: parseBytes(size, 'mount') } : {}),
      ...(mode ? { Mode: Number.parseInt(mode, 8) } : {}),
    };
  }
  take('consistency');
  const [unknown] = Object.keys(fields);
  if (unknown !== undefined) throw invalid('mount', text, `unexpected key '${unknown}' for type ${type}`);
  return mount;
}

function readOnlyOption(mode: string | undefined, text: string): object {
  if (mode === undefined || mode === 'enabled') return {};
  if (mode === 'disabled') return { NonRecursive: true };
  if (mode === 'writable') return { ReadOnlyNonRecursive: true };
  if (mode === 'readonly') return { ReadOnlyForceRecursive: true };
  throw invalid('mount', text, `invalid value for bind-recursive: ${mode}`);
}

/** "/dev/fuse", "/dev/sda:/dev/xvda:r". */
export function parseDevice(text: string): object {
  const [PathOnHost = '', second, third] = text.split(':');
  const modeOnly = second !== undefined && /^[rwm]+$/.test(second);
  const PathInContainer = modeOnly || second === undefined ? PathOnHost : second;
  const CgroupPermissions = (modeOnly ? second : third) ?? 'rwm';
  if (!PathOnHost.startsWith('/') || !/^[rwm]+$/.test(CgroupPermissions))
    throw invalid('device', text, 'not a device, or its mode has other letters than r, w and m');
  if (!existsSync(PathOnHost) && process.env.DOCKER_HOST === undefined && process.env.GANTRY_HOST === undefined)
    throw new GantryError('PATH_NOT_FOUND', `Cannot add the device "${PathOnHost}": no such file or directory`);
  return { PathOnHost, PathInContainer, CgroupPermissions };
}

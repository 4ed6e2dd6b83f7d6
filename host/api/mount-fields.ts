// Docker's Binds and Mounts → the engine's mounts.
import { GantryError } from '../errors.ts';
import type { Mount } from '../types.ts';
import type { Fields } from './fields.ts';

const propagations = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];

/** "SOURCE:TARGET[:OPTIONS]": an absolute source is a directory of the host, another word a volume. */
export function readBinds(binds: string[]): Mount[] {
  return binds.map((text) => {
    const [source = '', target, options = '', ...more] = text.split(':');
    if (more.length > 0) throw invalid(text, 'too many colons');
    if (target === undefined) return { type: 'volume', source: '', target: source, spelled: text };
    if (!target.startsWith('/')) throw invalid(text, `invalid mount path: '${target}' mount path must be absolute`);
    const mount: Mount = source.startsWith('/')
      ? { type: 'bind', source, target, spelled: text, createSource: true }
      : { type: 'volume', source, target, spelled: text };
    for (const option of options.split(',').filter(Boolean)) applyOption(mount, option, text);
    return mount;
  });
}

function applyOption(mount: Mount, option: string, text: string): void {
  if (option === 'ro') mount.readOnly = true;
  else if (option === 'nocopy') mount.noCopy = true;
  else if (propagations.includes(option)) mount.propagation = option;
  else if (option === 'idmap') mount.idmap = true;
  // z and Z relabel for SELinux, which does nothing where there is none; rw is the default.
  else if (!['rw', 'z', 'Z', 'copy'].includes(option)) throw invalid(text, `invalid mode: ${option}`);
}

function invalid(text: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid volume specification: '${text}': ${reason}`, {
    hint: 'SOURCE:TARGET[:ro]; more options: nocopy, idmap, and rprivate, rslave or rshared',
  });
}

export function readMounts(mounts: Fields[]): Mount[] {
  return mounts.map((fields) => {
    const type = fields.text('Type') || 'volume';
    const target = fields.text('Target');
    if (target === '')
      throw new GantryError('INVALID_ARGUMENT', 'Invalid mount config: field Target must not be empty');
    const base = { source: fields.text('Source'), target, readOnly: fields.flag('ReadOnly') };
    fields.ignore('Consistency');
    const mount =
      type === 'bind'
        ? readBind(fields, base)
        : type === 'volume'
          ? readVolume(fields, base)
          : type === 'tmpfs'
            ? readTmpfs(fields, base)
            : undefined;
    if (mount === undefined)
      throw new GantryError('UNSUPPORTED', `Cannot mount type "${type}" on "${target}": not supported`, {
        hint: 'bind, volume and tmpfs are',
      });
    const own = fields.child('Gantry');
    if (type !== 'tmpfs' && own.flag('idmap')) mount.idmap = true;
    own.finish();
    fields.finish();
    return mount;
  });
}

type Base = Pick<Mount, 'source' | 'target'> & { readOnly: boolean };

function readBind(fields: Fields, base: Base): Mount {
  const options = fields.child('BindOptions');
  const propagation = options.text('Propagation');
  const mount: Mount = {
    type: 'bind',
    ...base,
    ...(propagation ? { propagation } : {}),
    nonRecursive: options.flag('NonRecursive'),
    createSource: options.flag('CreateMountpoint'),
    readOnlyRecursive: options.flag('ReadOnlyNonRecursive')
      ? 'disabled'
      : options.flag('ReadOnlyForceRecursive')
        ? 'force'
        : 'enabled',
  };
  options.finish();
  return mount;
}

function readVolume(fields: Fields, base: Base): Mount {
  const options = fields.child('VolumeOptions');
  const driver = options.child('DriverConfig');
  const name = driver.text('Name');
  if (!['', 'local'].includes(name))
    throw new GantryError('UNSUPPORTED', `Cannot use the volume driver "${name}": not supported`);
  const mount: Mount = {
    type: 'volume',
    ...base,
    noCopy: options.flag('NoCopy'),
    volumeLabels: options.textMap('Labels'),
  };
  driver.finish();
  options.finish();
  return mount;
}

function readTmpfs(fields: Fields, base: Base): Mount {
  const options = fields.child('TmpfsOptions');
  const [size, mode] = [options.number('SizeBytes'), options.number('Mode')];
  options.finish();
  return {
    type: 'tmpfs',
    ...base,
    source: '',
    ...(size ? { tmpfsSize: size } : {}),
    ...(mode ? { tmpfsMode: mode } : {}),
  };
}

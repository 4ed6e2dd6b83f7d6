// Docker's Binds and Mounts → the engine's mounts.
import { GantryError } from '../../errors.ts';
import type { Mount } from '../../types.ts';
import type { Fields } from './fields.ts';

const propagations = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];

/** "SOURCE:TARGET[:OPTIONS]": an absolute source is a directory of the host, another word a volume. */
export function readBinds(binds: string[], volumeDriver = ''): Mount[] {
  return binds.map((text) => {
    const [source = '', target, options = '', ...more] = text.split(':');
    if (more.length > 0) throw invalid(text, 'too many colons');
    if (target === undefined) return { type: 'volume', source: '', target: source, spelled: text, volumeDriver };
    if (!target.startsWith('/')) throw invalid(text, `invalid mount path: '${target}' mount path must be absolute`);
    const mount: Mount = source.startsWith('/')
      ? { type: 'bind', source, target, spelled: text, createSource: true }
      : { type: 'volume', source, target, spelled: text, volumeDriver };
    const words = options.split(',').filter(Boolean);
    for (const option of words) applyOption(mount, option, text);
    if (kinds.some((kind) => words.filter((word) => kind.includes(word)).length > 1))
      throw invalid(text, `invalid mode: ${options}`);
    return mount;
  });
}

/** Of each only one may be given. */
const kinds = [['ro', 'rw'], ['z', 'Z'], ['copy', 'nocopy'], propagations, ['consistent', 'cached', 'delegated']];

function applyOption(mount: Mount, option: string, text: string): void {
  if (option === 'ro') mount.readOnly = true;
  else if (option === 'nocopy') mount.noCopy = true;
  else if (propagations.includes(option)) mount.propagation = option;
  else if (option === 'idmap') mount.idmap = true;
  // z and Z relabel for SELinux, which does nothing where there is none; the last three are for macOS.
  else if (!['rw', 'z', 'Z', 'copy', 'consistent', 'cached', 'delegated'].includes(option))
    throw invalid(text, `invalid mode: ${option}`);
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
            : type === 'image'
              ? readImage(fields, base)
              : undefined;
    if (mount === undefined)
      throw new GantryError('INVALID_ARGUMENT', `Invalid mount config for type "${type}": mount type unknown`, {
        hint: 'bind, volume, tmpfs and image are',
      });
    for (const name of ['BindOptions', 'VolumeOptions', 'TmpfsOptions', 'ImageOptions'])
      if (fields.has(name) && name.toLowerCase() !== `${type}options`)
        throw new GantryError(
          'INVALID_ARGUMENT',
          `Invalid mount config for type "${type}": field ${name} must not be specified`,
        );
    const own = fields.child('Gantry');
    if (own.flag('idmap')) mount.idmap = true;
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
  const subpath = options.text('Subpath');
  const mount: Mount = {
    type: 'volume',
    ...base,
    noCopy: options.flag('NoCopy'),
    volumeLabels: options.textMap('Labels'),
    volumeDriver: driver.text('Name'),
    volumeOptions: driver.textMap('Options'),
    ...(subpath === '' ? {} : { volumeSubpath: subpath }),
  };
  driver.finish();
  options.finish();
  return mount;
}

function readTmpfs(fields: Fields, base: Base): Mount {
  const options = fields.child('TmpfsOptions');
  const [size, mode] = [options.number('SizeBytes'), options.number('Mode')];
  const words = readTmpfsWords(options.pairs('Options'));
  options.finish();
  if (base.source !== '')
    throw new GantryError(
      'INVALID_ARGUMENT',
      'Invalid mount config for type "tmpfs": field Source must not be specified',
    );
  return {
    type: 'tmpfs',
    ...base,
    ...(size ? { tmpfsSize: size } : {}),
    ...(mode ? { tmpfsMode: mode } : {}),
    ...(words === '' ? {} : { tmpfsOptions: words }),
  };
}

/** [["exec"]]: docker takes no others. */
function readTmpfsWords(options: string[][]): string {
  for (const [name = ''] of options)
    if (!['exec', 'noexec'].includes(name))
      throw new GantryError('INVALID_ARGUMENT', `Invalid mount config for type "tmpfs": invalid option: ${name}`);
  return options.map((pair) => pair.join('=')).join(',');
}

function readImage(fields: Fields, base: Base): Mount {
  const options = fields.child('ImageOptions');
  if (options.text('Subpath') !== '')
    throw new GantryError('UNSUPPORTED', `Cannot mount a part of the image "${base.source}": not supported`, {
      hint: 'Mount the whole image, without image-subpath',
    });
  options.finish();
  if (base.source === '')
    throw new GantryError('INVALID_ARGUMENT', 'Invalid mount config for type "image": field Source must not be empty');
  return { type: 'image', ...base, readOnly: true };
}

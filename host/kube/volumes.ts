// Volumes of a pod → named volumes and binds, and where a container mounts them.
import { type Fields, invalidField } from './fields.ts';
import { readQuantity } from './quantity.ts';
import { type AllSettings, findSettings, type Settings } from './settings.ts';

export interface VolumeFile {
  name: string;
  content: Buffer;
  mode: number;
}

/** A named volume of the engine. */
export interface PlannedVolume {
  name: string;
  options: Record<string, string>;
  /** Written before anything runs. */
  files: VolumeFile[];
  /** It outlives the pod. */
  kept: boolean;
}

export interface HostPath {
  path: string;
  type: '' | 'DirectoryOrCreate' | 'Directory' | 'FileOrCreate' | 'File' | 'Socket' | 'CharDevice' | 'BlockDevice';
  /** For errors. */
  at: string;
}

export interface PodVolume {
  volume?: PlannedVolume;
  host?: HostPath;
  readOnly: boolean;
}

const hostTypes = [
  '',
  'DirectoryOrCreate',
  'Directory',
  'FileOrCreate',
  'File',
  'Socket',
  'CharDevice',
  'BlockDevice',
] as const;

/** @param prefix the pod's name: its volumes are its own. */
export function readVolumes(spec: Fields, prefix: string, settings: AllSettings): Map<string, PodVolume> {
  const volumes = new Map<string, PodVolume>();
  for (const fields of spec.list('volumes')) {
    const name = fields.need('name');
    if (volumes.has(name)) throw invalidField(fields.at('name'), `there are two volumes "${name}"`);
    volumes.set(name, readVolume(fields, `${prefix}-${name}`, settings));
    fields.end();
  }
  return volumes;
}

function readVolume(fields: Fields, name: string, settings: AllSettings): PodVolume {
  const planned = (more: Partial<PlannedVolume>): PlannedVolume => ({
    name,
    options: {},
    files: [],
    kept: false,
    ...more,
  });
  const kinds: Record<string, (source: Fields) => PodVolume> = {
    emptyDir: (source) => ({ volume: planned({ options: readEmptyDir(source) }), readOnly: false }),
    hostPath: (source) => {
      const path = source.need('path');
      const type = source.word('type', hostTypes) ?? '';
      if (!path.startsWith('/') || path.split('/').includes('..'))
        throw invalidField(source.at('path'), `"${path}" must be absolute and without ".."`);
      return { host: { path, type, at: source.at('path') }, readOnly: false };
    },
    configMap: (source) => ({
      volume: planned({ files: readFiles(source, 'ConfigMap', source.need('name'), settings) }),
      readOnly: true,
    }),
    secret: (source) => ({
      volume: planned({ files: readFiles(source, 'Secret', source.need('secretName'), settings) }),
      readOnly: true,
    }),
    persistentVolumeClaim: (source) => ({
      volume: planned({ name: source.need('claimName'), kept: true }),
      readOnly: source.flag('readOnly') ?? false,
    }),
  };
  const [kind, ...more] = Object.keys(kinds).filter((known) => fields.has(known));
  if (more.length > 0) throw invalidField(fields.path, `it is both ${kind} and ${more[0]}`);
  if (kind === undefined) {
    if (fields.names().length === 1) return { volume: planned({}), readOnly: false };
    return { readOnly: false };
  }
  const source = fields.child(kind)!;
  const volume = kinds[kind]!(source);
  source.end();
  return volume;
}

function readEmptyDir(source: Fields): Record<string, string> {
  const medium = source.word('medium', ['', 'Memory']);
  if (medium !== 'Memory') {
    if (source.has('sizeLimit'))
      source.refuse('sizeLimit', 'not carried out for a directory; "medium: Memory" has a limit');
    return {};
  }
  const size = readQuantity(source, 'sizeLimit');
  return { type: 'tmpfs', device: 'tmpfs', o: `mode=0777${size === undefined ? '' : `,size=${Math.ceil(size)}`}` };
}

/** The files of a configMap or secret volume. */
function readFiles(source: Fields, kind: Settings['kind'], name: string, all: AllSettings): VolumeFile[] {
  const mode = source.whole('defaultMode', 0, 0o777) ?? 0o644;
  const optional = source.flag('optional') === true;
  const settings = findSettings(all, kind, name, source);
  const items = source.list('items');
  if (items.length === 0) return [...(settings?.data ?? [])].map(([key, content]) => ({ name: key, content, mode }));
  return items.flatMap((item) => {
    const [key, path] = [item.need('key'), item.need('path')];
    const own = item.whole('mode', 0, 0o777) ?? mode;
    item.end();
    if (path.startsWith('/') || path.split('/').some((part) => part === '..' || part === ''))
      throw invalidField(item.at('path'), `"${path}" must be relative and without ".."`);
    const content = settings?.data.get(key);
    if (content === undefined && !optional) throw invalidField(item.at('key'), `${kind} "${name}" has no key "${key}"`);
    return content === undefined ? [] : [{ name: path, content, mode: own }];
  });
}

const propagations = { None: 'rprivate', HostToContainer: 'rslave', Bidirectional: 'rshared' } as const;

/** volumeMounts of a container → docker's Mounts. */
export function readMounts(container: Fields, volumes: ReadonlyMap<string, PodVolume>): object[] {
  return container.list('volumeMounts').map((fields) => {
    const name = fields.need('name');
    const found = volumes.get(name);
    if (found === undefined) throw invalidField(fields.at('name'), `the pod has no volume "${name}"`);
    const Target = fields.need('mountPath');
    if (!Target.startsWith('/')) throw invalidField(fields.at('mountPath'), `"${Target}" must be absolute`);
    const ReadOnly = (fields.flag('readOnly') ?? false) || found.readOnly;
    const propagation = fields.word('mountPropagation', ['None', 'HostToContainer', 'Bidirectional']);
    const subpath = fields.text('subPath');
    if (subpath !== undefined && (subpath.startsWith('/') || subpath.split('/').includes('..')))
      throw invalidField(fields.at('subPath'), `"${subpath}" must be relative and without ".."`);
    if (subpath && found.host !== undefined) fields.refuse('subPath', 'not carried out for a hostPath');
    fields.end();
    if (found.host !== undefined)
      return {
        Type: 'bind',
        Source: found.host.path,
        Target,
        ReadOnly,
        BindOptions: {
          CreateMountpoint: found.host.type === 'DirectoryOrCreate',
          Propagation: propagations[propagation ?? 'None'],
        },
      };
    return {
      Type: 'volume',
      Source: found.volume?.name ?? '',
      Target,
      ReadOnly,
      VolumeOptions: { NoCopy: true, ...(subpath ? { Subpath: subpath } : {}) },
    };
  });
}

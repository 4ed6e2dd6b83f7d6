// Fields of a bundle's config.json: those that we know but do not carry out are refused by name; those that nobody knows are
// told and left alone, as config.md ("Extensibility") wants.
import { Json, JsonKind } from '../json';
import { refuse, warn } from '../status';

/** Field, what is carried out in it, what is refused. */
const FIELDS: StaticArray<string> = [
  '',
  'ociVersion root mounts process hostname domainname hooks annotations linux',
  'solaris windows vm zos freebsd',
  'process',
  'terminal consoleSize cwd env args rlimits apparmorProfile capabilities noNewPrivileges oomScoreAdj scheduler ioPriority user',
  'selinuxLabel execCPUAffinity commandLine',
  'process.user',
  'uid gid umask additionalGids username',
  '',
  'linux',
  'namespaces uidMappings gidMappings timeOffsets devices cgroupsPath resources sysctl seccomp rootfsPropagation maskedPaths readonlyPaths',
  'intelRdt mountLabel personality netDevices memoryPolicy',
  'linux.resources',
  'devices memory cpu blockIO hugepageLimits network pids unified',
  'rdma',
  'linux.resources.memory',
  'limit reservation swap swappiness disableOOMKiller',
  'kernel kernelTCP useHierarchy checkBeforeUpdate',
  'linux.resources.cpu',
  'shares quota period realtimeRuntime realtimePeriod cpus mems',
  'idle burst',
  'linux.resources.network',
  'classID',
  'priorities',
  'linux.resources.blockIO',
  'weight weightDevice throttleReadBpsDevice throttleWriteBpsDevice throttleReadIOPSDevice throttleWriteIOPSDevice',
  'leafWeight',
  'linux.seccomp',
  'defaultAction defaultErrnoRet architectures flags listenerPath listenerMetadata syscalls',
  '',
  'hooks',
  'prestart createRuntime createContainer startContainer poststart poststop',
  '',
];

export function checkFields(spec: Json): void {
  const version = spec.str('ociVersion');
  if (!version.startsWith('1.')) refuse('OCI_VERSION', 'ociVersion', version);
  for (let i = 0; i < FIELDS.length; i += 3) check(find(spec, FIELDS[i]), FIELDS[i], FIELDS[i + 1], FIELDS[i + 2]);
}

/** Of exec's process, and of limits that are updated. */
export function checkPart(part: Json, name: string): void {
  for (let i = 0; i < FIELDS.length; i += 3) {
    if (FIELDS[i] == name) check(part, name, FIELDS[i + 1], FIELDS[i + 2]);
    else if (FIELDS[i].startsWith(name + '.'))
      check(find(part, FIELDS[i].substring(name.length + 1)), FIELDS[i], FIELDS[i + 1], FIELDS[i + 2]);
  }
}

function find(from: Json, path: string): Json {
  if (path == '') return from;
  const parts = path.split('.');
  for (let i = 0; i < parts.length; i++) from = from.child(parts[i]);
  return from;
}

function check(object: Json, path: string, known: string, refused: string): void {
  for (let i = 0; i < object.keys.length; i++) {
    const key = object.keys[i];
    if (isEmpty(object.items[i]) || isOne(known, key)) continue;
    const field = path == '' ? key : path + '.' + key;
    if (isOne(refused, key)) refuse('BUNDLE_FIELD', field);
    else warn('BUNDLE_UNKNOWN_FIELD', field, '', '');
  }
}

function isOne(words: string, word: string): bool {
  return (' ' + words + ' ').indexOf(' ' + word + ' ') >= 0;
}

/** What says nothing: null, false, 0, "", [], {}. */
function isEmpty(value: Json): bool {
  if (value.kind == JsonKind.Number) return value.number == 0;
  if (value.kind == JsonKind.String) return value.text == '';
  if (value.kind == JsonKind.Bool) return !value.bool;
  return value.items.length == 0;
}

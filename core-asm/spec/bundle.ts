// An OCI spec that somebody else has written (runtime-spec, config.md): what is refused, what every container gets besides,
// and what the plan has to know of it in the words of our own requests.
import { deviceRules, defaultDevices } from '../devices/rules';
import { Json } from '../json';
import { MountOptions } from '../plan/mount-options';
import { refuse, warn } from '../status';
import { checkFields } from './bundle-fields';
import { availableOnly } from './capabilities';
import { checkBundleSysctls } from './bundle-sysctls';
import { namespaceFlag, namespaceOf } from './namespaces';

/** Completes request.spec, and the request by what the plan reads beside it. */
export function readBundle(request: Json): void {
  const spec = request.child('spec');
  checkFields(spec);
  checkNamespaces(spec);
  const root = spec.child('root').str('path');
  if (root == '') refuse('BUNDLE_MISSING', 'root.path');
  request.set('rootfs', Json.object().set('lower', Json.strings([inBundle(request, root)])));
  request.set('container', Json.object().set('host', hostWords(spec, request)));
  const network = namespaceOf(spec, 'network');
  const own = network != null && network.str('path') == '';
  request.set('network', Json.object().set('mode', Json.of(own ? 'none' : 'host')));
  checkBundleSysctls(spec);
  completeDevices(spec, request.child('facts'));
  completeMounts(spec, request);
  readProcess(spec.child('process'), request.child('facts'));
  normalizeResources(spec.child('linux').child('resources'));
}

function inBundle(request: Json, path: string): string {
  return path.startsWith('/') ? path : request.child('bundle').str('directory') + '/' + path;
}

function checkNamespaces(spec: Json): void {
  const namespaces = spec.child('linux').list('namespaces');
  for (let i = 0; i < namespaces.length; i++) {
    const type = namespaces[i].str('type');
    const field = 'linux.namespaces[' + i.toString() + ']';
    if (namespaceFlag(type) == 0) refuse('NAMESPACE_TYPE', field, type);
    for (let j = 0; j < i; j++) if (namespaces[j].str('type') == type) refuse('NAMESPACE_TWICE', field, type);
    const path = namespaces[i].str('path');
    if (path != '' && !path.startsWith('/')) refuse('NAMESPACE_PATH', field, path);
  }
  const mount = namespaceOf(spec, 'mount');
  if (mount == null || mount.str('path') != '') refuse('BUNDLE_MOUNT_NAMESPACE', 'linux.namespaces');
  if (spec.str('hostname') != '' && namespaceOf(spec, 'uts') == null)
    refuse('BUNDLE_HOSTNAME', 'hostname', spec.str('hostname'));
}

/** Where the cgroup lies, and how the namespaces are called, in the words of --cgroup-parent, --cgroupns and --userns. */
function hostWords(spec: Json, request: Json): Json {
  const host = Json.object();
  let path = spec.child('linux').str('cgroupsPath');
  if (path.indexOf(':') >= 0) refuse('SYSTEMD_PATH', 'linux.cgroupsPath', path);
  while (path.startsWith('/')) path = path.substring(1);
  while (path.endsWith('/')) path = path.substring(0, path.length - 1);
  if (path.split('/').includes('..')) refuse('CGROUPS_PATH', 'linux.cgroupsPath', path);
  const slash = path.lastIndexOf('/');
  if (path != '') request.set('id', Json.of(path.substring(slash + 1)));
  // "." is the root of each hierarchy: an empty parent would be our own default.
  host.set('cgroupParent', Json.of(slash > 0 ? path.substring(0, slash) : '.'));
  const cgroup = namespaceOf(spec, 'cgroup');
  host.set('cgroupMode', Json.of(cgroup == null ? 'host' : cgroup.str('path') == '' ? 'private' : 'container:path'));
  const user = namespaceOf(spec, 'user');
  if (user == null) return host.set('userMode', Json.of('host'));
  host.set('userMode', Json.of(user.str('path') == '' ? 'private' : 'container:path'));
  const linux = spec.child('linux');
  // Of a namespace that is joined the maps need not be told.
  const joined = user.str('path') != '';
  host.set('uidMaps', Json.strings(mapsOf(linux.list('uidMappings'), joined)));
  return host.set('gidMaps', Json.strings(mapsOf(linux.list('gidMappings'), joined)));
}

function mapsOf(mappings: Json[], joined: bool): string[] {
  if (mappings.length == 0 && joined) return ['0:0:4294967294'];
  const maps: string[] = [];
  for (let i = 0; i < mappings.length; i++) {
    const map = mappings[i];
    const parts = [map.int('containerID').toString(), map.int('hostID').toString(), map.int('size').toString()];
    maps.push(parts.join(':'));
  }
  return maps;
}

/** "Default Devices" of config-linux.md, and what runc and crun allow every container. */
function completeDevices(spec: Json, facts: Json): void {
  const linux = spec.child('linux');
  const given = linux.list('devices');
  const all = defaultDevices(Json.object(), facts);
  for (let i = 0; i < given.length; i++) {
    const path = given[i].str('path');
    const type = given[i].str('type');
    if (type != 'c' && type != 'b' && type != 'u' && type != 'p') refuse('DEVICE_TYPE', path, type);
    if (!path.startsWith('/')) refuse('MOUNT_NOT_ABSOLUTE', 'linux.devices', path);
    let at = 0;
    while (at < all.items.length && all.items[at].str('path') != path) at++;
    if (at < all.items.length) all.items[at] = given[i];
    else all.push(given[i]);
  }
  linux.set('devices', all);
  const resources = linux.child('resources');
  const rules = Json.array();
  const own = resources.list('devices');
  for (let i = 0; i < own.length; i++) rules.push(own[i]);
  const defaults = deviceRules(Json.object(), facts);
  for (let i = 1; i < defaults.items.length; i++) rules.push(defaults.items[i]); // The first denies all.
  resources.set('devices', rules);
  linux.set('resources', resources);
  spec.set('linux', linux);
}

function completeMounts(spec: Json, request: Json): void {
  const mounts = spec.list('mounts');
  const linux = spec.child('linux');
  for (let i = 0; i < mounts.length; i++) {
    const mount = mounts[i];
    const field = 'mounts[' + i.toString() + ']';
    const target = mount.str('destination');
    // Relative targets are of specs before 1.0.2; they mean the same below the root.
    if (!target.startsWith('/')) mount.set('destination', Json.of('/' + target));
    if (target == '' || target == '/') refuse('MOUNT_ON_ROOT', field, target);
    if (target.split('/').includes('..')) refuse('MOUNT_NOT_CLEAN', field, target);
    const options = new MountOptions(mount.strings('options'));
    if (options.bind || mount.str('type') == 'bind') {
      mount.set('source', Json.of(inBundle(request, mount.str('source'))));
      if (options.data.length > 0) refuse('MOUNT_OPTION', field, options.data[0], target);
    }
    if (options.idmap && !mount.has('uidMappings') && !linux.has('uidMappings')) refuse('MOUNT_IDMAP', field, target);
    if (!options.idmap && mount.has('uidMappings')) mount.set('options', withIdmap(mount.strings('options')));
  }
}

function withIdmap(options: string[]): Json {
  options.push('idmap');
  return Json.strings(options);
}

function readProcess(process: Json, facts: Json): void {
  if (process.strings('args').length == 0) refuse('NO_COMMAND', 'process.args');
  if (!process.str('cwd').startsWith('/')) refuse('WORKDIR_NOT_ABSOLUTE', 'process.cwd', process.str('cwd'));
  readProcessOf(process, facts);
}

/** What is the same for the first process and for one of exec. */
export function readProcessOf(process: Json, facts: Json): void {
  const sets = process.child('capabilities');
  for (let i = 0; i < sets.keys.length; i++) {
    const names = sets.strings(sets.keys[i]);
    const kept = availableOnly(names, facts.strings('capabilities'));
    if (kept.length < names.length && sets.keys[i] == 'bounding')
      for (let j = 0; j < names.length; j++)
        if (!kept.includes(names[j])) warn('CAPABILITY_LEFT_OUT', 'process.capabilities', names[j], '');
    sets.items[i] = Json.strings(kept);
  }
  if (process.str('apparmorProfile') == 'unconfined') process.set('apparmorProfile', Json.of(''));
  if (process.str('apparmorProfile') != '' && !facts.strings('features').includes('apparmor'))
    refuse('NO_APPARMOR', 'process.apparmorProfile', process.str('apparmorProfile'));
}

const ZERO_IS_UNSET =
  ',limit,swap,reservation,shares,quota,period,realtimeRuntime,realtimePeriod,weight,leafWeight,classID,kernel,kernelTCP,';

/** Callers send zeros for what they leave alone; a limit of pids that is not positive is none. */
export function normalizeResources(resources: Json): void {
  const groups = ['memory', 'cpu', 'blockIO', 'network'];
  for (let i = 0; i < groups.length; i++) {
    const group = resources.child(groups[i]);
    for (let j = 0; j < group.keys.length; j++)
      if (ZERO_IS_UNSET.indexOf(',' + group.keys[j] + ',') >= 0 && group.int(group.keys[j]) == 0)
        group.items[j] = new Json();
  }
  const pids = resources.child('pids');
  if (pids.has('limit') && pids.int('limit') <= 0) pids.set('limit', Json.int(-1));
}

// The OCI `mounts` list: docker's default mounts, the network files, volumes, binds and tmpfs, outermost targets first.
import { Json } from '../json';
import { parseSize } from '../resources/size';
import { refuse } from '../status';
import { UserNamespace } from './user-namespace';

function mount(target: string, type: string, source: string, options: string): Json {
  return Json.object()
    .set('destination', Json.of(target))
    .set('type', Json.of(type))
    .set('source', Json.of(source))
    .set('options', Json.strings(options.split(',')));
}

/** Builds the list. A user's mount on a default target replaces the default. */
export function specifyMounts(request: Json, user: UserNamespace): Json {
  const container = request.child('container');
  const host = container.child('host');
  const privileged = host.flag('privileged');
  const list = Json.array();
  list.push(mount('/proc', 'proc', 'proc', 'nosuid,noexec,nodev'));
  list.push(mount('/dev', 'tmpfs', 'tmpfs', 'nosuid,strictatime,mode=755,size=65536k'));
  list.push(
    mount('/dev/pts', 'devpts', 'devpts', 'nosuid,noexec,newinstance,ptmxmode=0666,mode=0620' + ttyGroup(user)),
  );
  list.push(mount('/sys', 'sysfs', 'sysfs', privileged ? 'nosuid,noexec,nodev' : 'nosuid,noexec,nodev,ro'));
  list.push(mount('/sys/fs/cgroup', 'cgroup', 'cgroup', privileged ? 'nosuid,noexec,nodev' : 'ro,nosuid,noexec,nodev'));
  if (host.str('ipcMode') != 'host') list.push(mount('/dev/mqueue', 'mqueue', 'mqueue', 'nosuid,noexec,nodev'));
  specifyShm(list, request, host);
  specifyNetworkFiles(list, request, user.active ? 'bind,idmap' : 'bind');
  if (host.flag('init')) list.push(mount('/sbin/docker-init', 'bind', request.child('paths').str('init'), 'bind,ro'));
  const own = request.list('mounts');
  for (let i = 0; i < own.length; i++) {
    if (user.active && own[i].str('type') == 'image') refuse('IMAGE_MOUNT_MAPPED', 'mounts', own[i].str('target'));
    replace(list, specifyOne(own[i], i, user.active));
  }
  const tmpfs = host.child('tmpfs');
  for (let i = 0; i < tmpfs.keys.length; i++) {
    checkTarget(tmpfs.keys[i], 'tmpfs');
    checkProc(tmpfs.keys[i], '', 'tmpfs');
    const options = tmpfs.items[i].text;
    replace(
      list,
      mount(tmpfs.keys[i], 'tmpfs', 'tmpfs', 'nosuid,nodev,noexec' + (options.length > 0 ? ',' + options : '')),
    );
  }
  return list;
}

export const SHARED_MEMORY = '/dev/shm';

/** Where the shared memory of a container is seen from the host. */
export function sharedMemoryOf(pid: i64): string {
  return '/proc/' + pid.toString() + '/root' + SHARED_MEMORY;
}

function specifyShm(list: Json, request: Json, host: Json): void {
  const mode = host.str('ipcMode');
  if (mode == 'host') {
    list.push(mount(SHARED_MEMORY, 'bind', SHARED_MEMORY, 'rbind,nosuid,noexec,nodev'));
    return;
  }
  if (mode.startsWith('container:')) {
    list.push(mount(SHARED_MEMORY, 'bind', sharedMemoryOf(request.child('joinPids').int('ipc')), 'bind'));
    return;
  }
  let size: i64 = 67108864;
  const given = host.get('shmSize');
  if (given) {
    const parsed = parseSize(given, 'shmSize');
    if (parsed > 0) size = parsed;
    else if (parsed < 0) refuse('SHM_SIZE', 'shmSize', parsed.toString());
  }
  list.push(mount(SHARED_MEMORY, 'tmpfs', 'shm', 'nosuid,noexec,nodev,mode=1777,size=' + size.toString()));
}

/** The group that owns terminals, where the container has it: devpts takes no other (devpts(5)). */
function ttyGroup(user: UserNamespace): string {
  return user.active && user.gids.hostId(5) < 0 ? '' : ',gid=5';
}

/** What lies on the root while nothing runs: the network files, volumes and binds, all with the ids that they have on disk. */
export function specifyStillMounts(request: Json): Json {
  const list = Json.array();
  specifyNetworkFiles(list, request, 'bind');
  const own = request.list('mounts');
  for (let i = 0; i < own.length; i++) if (own[i].str('type') != 'tmpfs') replace(list, specifyOne(own[i], i, true));
  return list;
}

function specifyNetworkFiles(list: Json, request: Json, options: string): void {
  const paths = request.child('paths');
  if (paths.str('resolvConf') != '') list.push(mount('/etc/resolv.conf', 'bind', paths.str('resolvConf'), options));
  if (paths.str('hostname') != '') list.push(mount('/etc/hostname', 'bind', paths.str('hostname'), options));
  if (paths.str('hosts') != '') list.push(mount('/etc/hosts', 'bind', paths.str('hosts'), options));
}

/** In place of a mount with the same target, else behind every mount that its target lies in. */
function replace(list: Json, added: Json): void {
  const target = added.str('destination');
  for (let i = 0; i < list.items.length; i++) {
    if (list.items[i].str('destination') == target) {
      list.items[i] = added;
      return;
    }
  }
  // A parent goes before its children, whatever the order on the command line.
  let at = list.items.length;
  for (let i = list.items.length - 1; i >= 0; i--) {
    if (list.items[i].str('destination').startsWith(target == '/' ? target : target + '/')) at = i;
  }
  list.items.push(added);
  for (let i = list.items.length - 1; i > at; i--) list.items[i] = list.items[i - 1];
  list.items[at] = added;
}

function checkTarget(target: string, field: string): void {
  if (!target.startsWith('/')) refuse('MOUNT_NOT_ABSOLUTE', field, target);
  if (target == '/') refuse('MOUNT_ON_ROOT', field, target);
  if (target.indexOf('/../') >= 0 || target.endsWith('/..')) refuse('MOUNT_NOT_CLEAN', field, target);
}

/** Files of /proc that may be covered (lxcfs does so); runc takes the same. */
const COVERABLE =
  ',/proc/cpuinfo,/proc/diskstats,/proc/loadavg,/proc/meminfo,/proc/net/dev,/proc/slabinfo,/proc/stat,/proc/swaps,/proc/uptime,/proc/sys/crypto/fips_enabled,/proc/sys/kernel/ns_last_pid,';

/** What is masked, written and read in /proc must be the kernel's own, not what someone laid over it. */
function checkProc(target: string, source: string, field: string): void {
  if (target == '/proc' ? source == '/proc' : !target.startsWith('/proc/')) return;
  if (COVERABLE.indexOf(',' + target + ',') < 0) refuse('MOUNT_IN_PROC', field, target);
}

const PROPAGATIONS = ',private,rprivate,shared,rshared,slave,rslave,';

function specifyOne(given: Json, index: i32, mapped: bool): Json {
  const field = 'mounts[' + index.toString() + ']';
  const target = given.str('target');
  checkTarget(target, field);
  checkProc(target, given.str('type') == 'bind' ? given.str('source') : '', field);
  const readOnly = given.flag('readOnly');
  if (given.str('type') == 'tmpfs') {
    let options = 'nosuid,nodev,noexec';
    const size = given.get('tmpfsSize');
    if (size) options += ',size=' + parseSize(size, field + '.tmpfsSize').toString();
    if (given.has('tmpfsMode')) options += ',mode=' + given.int('tmpfsMode').toString(8);
    if (given.str('tmpfsOptions') != '') options += ',' + given.str('tmpfsOptions');
    return mount(target, 'tmpfs', 'tmpfs', readOnly ? options + ',ro' : options);
  }
  if (given.str('type') == 'image') {
    return mount(target, 'overlay', 'overlay', 'ro,lowerdir=' + given.strings('layers').join(':'));
  }
  const propagation = given.str('propagation', 'rprivate');
  if (PROPAGATIONS.indexOf(',' + propagation + ',') < 0) refuse('MOUNT_PROPAGATION', field, propagation);
  let options = given.flag('nonRecursive') ? 'bind' : 'rbind';
  if (readOnly) options += given.str('readOnlyRecursive', 'enabled') == 'disabled' ? ',ro' : ',rro';
  if (given.flag('idmap') && !mapped) refuse('MOUNT_IDMAP', field, target);
  // A volume belongs to containers, whichever ids these have; a directory of the host keeps the host's.
  if (mapped && (given.str('type') == 'volume' || given.flag('idmap'))) options += ',idmap';
  const subpath = given.str('volumeSubpath');
  const source = given.str('source') + (subpath.length > 0 ? '/' + subpath : '');
  return mount(target, 'bind', source, options + ',' + propagation);
}

// A bundle's container (runtime-spec, runtime.md): the programs that create it and that delete it. The caller's own process
// carries them out, so the container is its child; nobody supervises it.
import {
  OP_CLONE,
  OP_CHROOT,
  OP_CLOSE,
  OP_ENSURE_DIR,
  OP_FCHDIR,
  OP_LAUNCH,
  OP_MOUNT,
  OP_MOUNT_SETATTR,
  OP_MOVE_MOUNT,
  OP_NETLINK,
  OP_OWN_STDIO,
  OP_PROC_PID_WRITE,
  OP_RELEASE,
  OP_SETDOMAINNAME,
  OP_SETHOSTNAME,
  OP_SETSID,
  OP_UNSHARE,
  OP_USER_NAMESPACE,
  OP_WAIT,
  OP_WRITE_SYSCTL,
  POLICY_IGNORE,
  POLICY_WARN,
} from '../abi';
import { Bytes, ByteWriter } from '../bytes';
import { deviceFilter } from '../devices/filter';
import { Json } from '../json';
import { AT_EMPTY_PATH, AT_FDCWD, CLONE_NEWCGROUP, MOVE_MOUNT_F_EMPTY_PATH } from '../kernel';
import { containerLinks } from '../network/links';
import { CgroupWrite } from '../resources/writes';
import { namespaceOf } from '../spec/namespaces';
import { UserNamespace } from '../spec/user-namespace';
import { refuse } from '../status';
import { becomeBundleProcess } from './bundle-process';
import { CgroupPlaces, joinCgroups, makeForeignCgroups, openCgroup, removeCgroups, writeLimits } from './cgroup';
import { hasHooks, hookState, runHooks } from './hooks';
import { mountAttributes } from './mount-attributes';
import { MountOptions } from './mount-options';
import { appendFileSystem, appendMount, CgroupMounts, MountContext, openShared, openSource, Sources } from './mounts';
import { enterNamespaces, placesOf } from './plan';
import { confine } from './process';
import { ProgramWriter } from './program';
import {
  connectStdio,
  cutPropagation,
  DEVICES,
  enterRoot,
  ensureWorkingDirectory,
  makeDevices,
  mountRoot,
  protectPaths,
} from './rootfs';
import { becomeRoot, Mapping, mountPrepared, prepareMapped } from './user-namespace';

const NETLINK_ROUTE = 0;

/** Ends when the container waits for its start. */
export function planBundleSetup(program: ProgramWriter, request: Json, writes: CgroupWrite[], filter: Bytes): void {
  const spec = request.child('spec');
  const facts = request.child('facts');
  const process = spec.child('process');
  const places = placesOf(request, request.str('id'));
  makeForeignCgroups(program, places, facts);
  writeLimits(program, places, writes);
  const cgroup = openCgroup(
    program,
    places,
    places.unified ? deviceFilter(spec.child('linux').child('resources').list('devices')) : Bytes.none(),
  );
  const launch = program.op(OP_LAUNCH).block();
  program.imm(0).because('a process inside the cgroups, to be cloned from');
  const pid = program.into();
  joinCgroups(program, places);
  confine(program, process.str('apparmorProfile'), facts);
  const sources = new Sources();
  const user = new UserNamespace(request);
  openIdmapped(program, spec.list('mounts'), sources);
  const flags = enterNamespaces(program, spec.child('linux'));
  ownPipes(program, user, process);
  const root = user.active ? prepareMapped(program, request, spec, user, sources) : -1;
  const clone = program.op(OP_CLONE).block();
  program.imm(flags).reg(cgroup).because('the container');
  becomeBundle(program, request, spec, filter, sources, root);
  program.endBlock(clone);
  program.endBlock(launch);
  if (process.has('oomScoreAdj'))
    program
      .op(OP_PROC_PID_WRITE)
      .reg(pid)
      .str('oom_score_adj')
      .content(process.int('oomScoreAdj').toString())
      .policy(POLICY_WARN)
      .because('process.oomScoreAdj');
  if (hasHooks(spec, 'prestart') || hasHooks(spec, 'createRuntime')) {
    program.op(OP_WAIT).because('until its root is mounted');
    hookState(program, request, 'creating');
    runHooks(program, spec, 'prestart');
    runHooks(program, spec, 'createRuntime');
  }
  program.op(OP_RELEASE).because('limits and hooks are done');
  program.op(OP_WAIT).because('until the container could be started');
}

/** Mounts with maps of their own (mounts[].uidMappings), opened while the host's privileges last. */
function openIdmapped(program: ProgramWriter, mounts: Json[], sources: Sources): void {
  for (let i = 0; i < mounts.length; i++) {
    const mount = mounts[i];
    if (!mount.has('uidMappings')) continue;
    const options = new MountOptions(mount.strings('options'));
    if (!options.bind && mount.str('type') != 'bind') refuse('IDMAP_NOT_BIND', 'mounts', mount.str('destination'));
    const namespace = program
      .op(OP_USER_NAMESPACE)
      .content(mapText(mount.list('uidMappings')))
      .content(mapText(mount.list('gidMappings')))
      .because('ids on the disk, ids that are seen, how many')
      .into();
    const tree = openSource(program, mount, Json.object(), options);
    new Mapping(program, namespace).apply(tree, 'its ids are mapped', 0, options.recursiveIdmap);
    program.op(OP_CLOSE).reg(namespace);
    program.free(namespace);
    sources.put(mount.str('destination'), tree);
  }
}

function mapText(mappings: Json[]): string {
  let text = '';
  for (let i = 0; i < mappings.length; i++) {
    const map = mappings[i];
    text +=
      map.int('containerID').toString() + ' ' + map.int('hostID').toString() + ' ' + map.int('size').toString() + '\n';
  }
  return text;
}

/** In the launcher: who runs in there may open its own output again. */
export function ownPipes(program: ProgramWriter, user: UserNamespace, process: Json): void {
  const uid = process.child('user').int('uid');
  if (process.flag('terminal') || (uid == 0 && !user.active)) return;
  program
    .op(OP_OWN_STDIO)
    .imm(user.active ? user.uids.hostId(uid) : uid)
    .imm(-1)
    .because('the user may open its own output');
}

function becomeBundle(
  program: ProgramWriter,
  request: Json,
  spec: Json,
  filter: Bytes,
  sources: Sources,
  preparedRoot: i32,
): void {
  const linux = spec.child('linux');
  const process = spec.child('process');
  if (preparedRoot >= 0) becomeRoot(program);
  const cgroup = namespaceOf(spec, 'cgroup');
  if (cgroup != null && cgroup.str('path') == '')
    program.op(OP_UNSHARE).imm(CLONE_NEWCGROUP).because('its cgroup is the root that it sees');
  let root = preparedRoot;
  let cover = -1;
  if (root >= 0) {
    cover = mountPrepared(program, root);
  } else {
    openShared(program, spec.list('mounts'), sources);
    cutPropagation(program);
    root = mountRoot(program, request);
  }
  populate(program, root, spec, request, sources);
  const sysctls = linux.child('sysctl');
  for (let i = 0; i < sysctls.keys.length; i++)
    program
      .op(OP_WRITE_SYSCTL)
      .reg(root)
      .str('/proc/sys/' + sysctls.keys[i].split('.').join('/'))
      .content(sysctls.items[i].text)
      .because('linux.sysctl ' + sysctls.keys[i]);
  if (spec.str('hostname') != '') program.op(OP_SETHOSTNAME).content(spec.str('hostname'));
  if (spec.str('domainname') != '') program.op(OP_SETDOMAINNAME).content(spec.str('domainname'));
  if (process.flag('terminal')) connectStdio(program, root, true, [], true);
  else program.op(OP_SETSID).because('a session of its own');
  protectPaths(program, root, linux, request, cover);
  if (hasHooks(spec, 'prestart') || hasHooks(spec, 'createRuntime'))
    program.op(OP_RELEASE).because('hooks may look at its root');
  // While the host's /proc tells the pid.
  if (hasHooks(spec, 'createContainer') || hasHooks(spec, 'startContainer')) hookState(program, request, 'creating');
  program.op(OP_WAIT).because('until limits and hooks are done');
  if (request.child('network').str('mode') == 'none') {
    const messages = new ByteWriter(256);
    containerLinks(messages, request.child('network'));
    program.op(OP_NETLINK).imm(NETLINK_ROUTE).buffer(messages.view()).because('lo');
  }
  runHooks(program, spec, 'createContainer');
  if (request.child('bundle').flag('noPivot')) moveRoot(program, root, spec.child('root').flag('readonly'));
  else enterRoot(program, root, spec.child('root').flag('readonly'));
  propagateRoot(program, linux.str('rootfsPropagation'));
  becomeBundleProcess(program, request, process, filter, true);
}

/** Behind pivot_root(2), which takes no shared root. */
function propagateRoot(program: ProgramWriter, propagation: string): void {
  if (propagation == '') return;
  const options = new MountOptions([propagation]);
  if (options.propagation == 0) return refuse('MOUNT_PROPAGATION', 'linux.rootfsPropagation', propagation);
  program.op(OP_MOUNT).str('').str('/').str('').imm(options.propagation).str('').because('linux.rootfsPropagation');
}

/** Everything below the root, in the order of the spec. Devices come with the file system on /dev, or onto the root's own. */
function populate(program: ProgramWriter, root: i32, spec: Json, request: Json, sources: Sources): void {
  const context = new MountContext(program, root, request, sources);
  const cgroup = new CgroupMounts(request);
  const mounts = spec.list('mounts');
  let made = false;
  for (let i = 0; i < mounts.length; i++) if (mounts[i].str('destination') == DEVICES) made = true;
  if (!made) {
    const directory = program.op(OP_ENSURE_DIR).reg(root).str(DEVICES).imm(0o755).imm(-1).imm(-1).into();
    makeDevices(context, spec.child('linux'), directory);
    program.op(OP_CLOSE).reg(directory);
    program.free(directory);
  }
  for (let i = 0; i < mounts.length; i++) {
    const isBind = mounts[i].str('type') == 'bind' || new MountOptions(mounts[i].strings('options')).bind;
    if (mounts[i].str('destination') != DEVICES || isBind) {
      appendMount(context, mounts[i], cgroup);
      continue;
    }
    const directory = appendFileSystem(context, mounts[i]);
    makeDevices(context, spec.child('linux'), directory);
    program.op(OP_CLOSE).reg(directory);
    program.free(directory);
  }
  ensureWorkingDirectory(program, root, spec.child('process').str('cwd'));
}

/** --no-pivot: where "/" is the initramfs, which cannot be pivoted away from (pivot_root(2)). */
function moveRoot(program: ProgramWriter, root: i32, readOnly: bool): void {
  if (readOnly)
    program
      .op(OP_MOUNT_SETATTR)
      .reg(root)
      .str('')
      .imm(AT_EMPTY_PATH)
      .buffer(mountAttributes(1, 0))
      .because('root.readonly');
  program.op(OP_FCHDIR).reg(root);
  program
    .op(OP_MOVE_MOUNT)
    .reg(root)
    .str('')
    .imm(AT_FDCWD)
    .str('/')
    .imm(MOVE_MOUNT_F_EMPTY_PATH)
    .because('over the root of the host');
  program.op(OP_CHROOT).str('.').because('--no-pivot');
  program.op(OP_CLOSE).reg(root);
  program.free(root);
}

/** What is left when the container's last process has gone. */
export function planBundleDelete(program: ProgramWriter, request: Json): void {
  removeCgroups(program, placesOf(request, request.str('id')));
  const spec = request.child('spec');
  if (!hasHooks(spec, 'poststop')) return;
  hookState(program, request, 'stopped');
  runHooks(program, spec, 'poststop', POLICY_WARN);
}

/** When its program runs. */
export function planBundleStarted(program: ProgramWriter, request: Json): void {
  if (!hasHooks(request.child('spec'), 'poststart')) return;
  hookState(program, request, 'running');
  runHooks(program, request.child('spec'), 'poststart');
}

// A container with ids of its own. What needs the host's privileges is opened by the launcher, before it enters the user
// namespace; the container's first process only moves it to its place.
import {
  OP_CLOSE,
  OP_MOUNT_SETATTR,
  OP_MOVE_MOUNT,
  OP_OPEN_TREE,
  OP_OPENAT,
  OP_OWN_STDIO,
  OP_PATCH32,
  OP_PRCTL,
  OP_PRLIMIT64,
  OP_SETGROUPS,
  OP_SETNS,
  OP_SETRESGID,
  OP_SETRESUID,
  OP_UNSHARE,
  OP_USER_NAMESPACE,
  POLICY_FAIL,
  POLICY_IGNORE,
} from '../abi';
import { ByteWriter } from '../bytes';
import { Json } from '../json';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  CLONE_NEWNS,
  CLONE_NEWUSER,
  MOUNT_ATTR_IDMAP,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOVE_MOUNT_F_EMPTY_PATH,
  O_CLOEXEC,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  PR_SET_DUMPABLE,
  PR_SET_PDEATHSIG,
  PR_SET_SECUREBITS,
  SECBIT_NO_SETUID_FIXUP,
  SIGKILL,
} from '../kernel';
import { rlimitNumber } from '../spec/process';
import { UserNamespace } from '../spec/user-namespace';
import { refuse } from '../status';
import { MountOptions } from './mount-options';
import { mountAttributes } from './mount-attributes';
import {
  CgroupMounts,
  cloneSource,
  cloneTree,
  newFileSystem,
  openShared,
  openSource,
  sourceDetail,
  Sources,
} from './mounts';
import { ProgramWriter } from './program';
import { cutPropagation, makeNode, openRoot } from './rootfs';

/** Where in a program's data the attributes of an idmapped mount lie; the fd of the namespace is written into them. */
export class Mapping {
  private attributes: i32;

  constructor(
    private program: ProgramWriter,
    namespace: i32,
  ) {
    this.attributes = program.blob(mountAttributes(MOUNT_ATTR_IDMAP, 0));
    // struct mount_attr: userns_fd is the fourth u64.
    program
      .op(OP_PATCH32)
      .imm(this.attributes + 24)
      .reg(namespace)
      .because('whose maps the mounts below get');
  }

  apply(tree: i32, reason: string, policy: i32 = POLICY_FAIL, recursive: bool = false): void {
    this.program
      .op(OP_MOUNT_SETATTR)
      .reg(tree)
      .str('')
      .imm(AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0))
      .pointer(this.attributes)
      .imm(32)
      .policy(policy)
      .because(reason);
  }
}

/**
 * In the launcher. The order counts: sources are cloned before layers cover the directories that they lie in; what belongs to
 * a namespace of others is mounted while the privilege over it lasts; the user namespace comes last, for behind it the
 * launcher is nobody on the host. Returns the register of the root's detached mount.
 */
export function prepareMapped(
  program: ProgramWriter,
  request: Json,
  spec: Json,
  user: UserNamespace,
  sources: Sources,
): i32 {
  const mounts = spec.list('mounts');
  raiseLimits(program, spec.child('process'), request.child('facts'));
  program.op(OP_UNSHARE).imm(CLONE_NEWNS).because('layers are shown with mapped ids in here only');
  openShared(program, mounts, sources);
  cutPropagation(program);
  const namespace = openNamespace(program, spec.child('linux'), user);
  const mapping = new Mapping(program, namespace);
  for (let i = 0; i < mounts.length; i++) prepareMount(program, request, spec, mounts[i], mapping, sources);
  makeNodes(program, request, spec.child('linux'), user, sources);
  const root = openMappedRoot(program, request, mapping, user);
  program.op(OP_SETNS).reg(namespace).imm(CLONE_NEWUSER).because('from here on without rights on the host');
  program.op(OP_CLOSE).reg(namespace);
  program.free(namespace);
  return root;
}

/** Hard limits can be raised on the host only (getrlimit(2)); the container's first process sets them exactly. */
function raiseLimits(program: ProgramWriter, process: Json, facts: Json): void {
  const rlimits = process.list('rlimits');
  const present = facts.child('hardLimits');
  for (let i = 0; i < rlimits.length; i++) {
    const name = rlimits[i].str('type').substring(7).toLowerCase();
    const hard = rlimits[i].int('hard');
    const now = present.int(name, -1);
    if (now == -1 || (hard != -1 && hard <= now)) continue;
    const value = new ByteWriter(16);
    value.u64(<u64>hard);
    value.u64(<u64>hard);
    program
      .op(OP_PRLIMIT64)
      .imm(0)
      .imm(rlimitNumber(name))
      .struct(value.view())
      .imm(0)
      .policy(POLICY_IGNORE)
      .because('only the host can raise it');
  }
}

function openNamespace(program: ProgramWriter, linux: Json, user: UserNamespace): i32 {
  if (!user.shared)
    return program
      .op(OP_USER_NAMESPACE)
      .content(user.uids.text())
      .content(user.gids.text())
      .because('ids inside, on the host, how many')
      .into();
  const namespaces = linux.list('namespaces');
  let path = '';
  for (let i = 0; i < namespaces.length; i++) if (namespaces[i].str('type') == 'user') path = namespaces[i].str('path');
  return program
    .op(OP_OPENAT)
    .imm(AT_FDCWD)
    .str(path)
    .imm(O_CLOEXEC)
    .imm(0)
    .because('shares the user namespace')
    .into();
}

/** In the launcher: whoever runs in there may reopen the pipes of fds 0–2, whose owner has no id in the namespace. */
export function ownPipes(program: ProgramWriter, user: UserNamespace, process: Json): void {
  if (!user.active || process.flag('terminal')) return;
  program
    .op(OP_OWN_STDIO)
    .imm(user.uids.hostId(process.child('user').int('uid')))
    .imm(user.gids.hostId(process.child('user').int('gid')))
    .because('whoever writes to them may open them again');
}

/**
 * File systems that show a namespace are mounted with the rights over that namespace: here where it is not the container's
 * own. The launcher is in every namespace that it joined but the PID namespace: a proc of its own shows the host's processes.
 */
function showsForeign(type: string, linux: Json): bool {
  const namespace =
    type == 'proc' ? 'pid' : type == 'sysfs' ? 'network' : type == 'mqueue' ? 'ipc' : type == 'cgroup' ? 'cgroup' : '';
  if (namespace == '') return false;
  const namespaces = linux.list('namespaces');
  for (let i = 0; i < namespaces.length; i++)
    if (namespaces[i].str('type') == namespace) return namespaces[i].str('path') != '' && namespace != 'pid';
  return true;
}

function isNetworkFile(paths: Json, source: string): bool {
  return source == paths.str('hosts') || source == paths.str('hostname') || source == paths.str('resolvConf');
}

function prepareMount(
  program: ProgramWriter,
  request: Json,
  spec: Json,
  mount: Json,
  mapping: Mapping,
  sources: Sources,
): void {
  const type = mount.str('type');
  const target = mount.str('destination');
  const options = new MountOptions(mount.strings('options'));
  if (options.bind || type == 'bind') {
    let tree = sources.of(target);
    if (tree < 0) {
      // A volume that is still to be filled gets its attributes behind that.
      const detail = sourceDetail(request, target);
      tree = detail.flag('copyUp')
        ? cloneSource(program, mount, detail, options)
        : openSource(program, mount, detail, options);
      sources.put(target, tree);
    }
    // The engine's own files may lie in a tmpfs, whose ids can be mapped since Linux 6.3: before, they can only be read.
    const own = isNetworkFile(request.child('paths'), mount.str('source'));
    if (options.idmap && !mount.has('uidMappings'))
      mapping.apply(tree, 'its ids are those of the container', own ? POLICY_IGNORE : POLICY_FAIL);
  } else if (showsForeign(type, spec.child('linux'))) {
    if (type == 'cgroup') openCgroups(program, request, target, options, sources);
    else sources.put(target, newFileSystem(program, type, mount.str('source', type), options.data, options.attributes));
  }
}

function openCgroups(
  program: ProgramWriter,
  request: Json,
  target: string,
  options: MountOptions,
  sources: Sources,
): void {
  const cgroup = new CgroupMounts(request);
  if (cgroup.unified) {
    sources.put(target, newFileSystem(program, 'cgroup2', 'cgroup', options.data, options.attributes));
    return;
  }
  for (let i = 0; i < cgroup.names.length; i++)
    sources.put(target + '/' + cgroup.names[i], cgroup.open(program, i, options));
}

/**
 * mknod(2) is refused in a user namespace, so the nodes are made here: in a file system of the container's own, for nodes of
 * the host would belong to nobody in there and open only as their mode on the host says.
 */
function makeNodes(program: ProgramWriter, request: Json, linux: Json, user: UserNamespace, sources: Sources): void {
  const directory = request.child('paths').str('emptyDirectory') + '-mask';
  const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  const nodes = newFileSystem(program, 'tmpfs', 'devices', ['mode=700', 'size=64k'], attributes);
  program
    .op(OP_MOVE_MOUNT)
    .reg(nodes)
    .str('')
    .imm(AT_FDCWD)
    .str(directory)
    .imm(MOVE_MOUNT_F_EMPTY_PATH)
    .because('nodes can be made by the host only');
  const devices = linux.list('devices');
  for (let i = 0; i < devices.length; i++) {
    const name = i.toString();
    const owner = user.uids.hostId(devices[i].int('uid'));
    makeNode(program, nodes, name, devices[i], owner, user.gids.hostId(devices[i].int('gid')));
    const tree = program
      .op(OP_OPEN_TREE)
      .reg(nodes)
      .str(name)
      .imm(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
      .into();
    sources.put(devices[i].str('path'), tree);
  }
  program.op(OP_CLOSE).reg(nodes);
  program.free(nodes);
}

/** Each layer is covered by itself with mapped ids: overlayfs takes paths on every kernel that knows idmapped layers (5.19). */
function openMappedRoot(program: ProgramWriter, request: Json, mapping: Mapping, user: UserNamespace): i32 {
  const rootfs = request.child('rootfs');
  const lower = rootfs.strings('lower');
  if (!rootfs.has('upper')) {
    const tree = openRoot(program, request);
    // Whoever made a bundle has given its files to the container's ids.
    if (!request.has('bundle')) mapping.apply(tree, 'the root belongs to root of the container');
    return tree;
  }
  for (let i = 0; i < lower.length; i++) cover(program, lower[i], mapping);
  // Upper and work directory have to lie in one mount.
  const parent = parentOf(rootfs.str('upper'));
  if (parent == '' || parent != parentOf(rootfs.str('work'))) refuse('BAD_INPUT', 'rootfs.work');
  cover(program, parent, mapping);
  // overlayfs makes its files as who mounted it, and root of the host has no id in the mapped directories.
  program.op(OP_PRCTL).imm(PR_SET_SECUREBITS).imm(SECBIT_NO_SETUID_FIXUP).imm(0).imm(0).imm(0);
  effectiveIds(program, user.uids.hostId(0), user.gids.hostId(0), 'overlayfs writes as root of the container');
  const root = openRoot(program, request);
  effectiveIds(program, 0, 0, 'root of the host again');
  program.op(OP_PRCTL).imm(PR_SET_SECUREBITS).imm(0).imm(0).imm(0).imm(0);
  return root;
}

function effectiveIds(program: ProgramWriter, uid: i64, gid: i64, reason: string): void {
  program.op(OP_SETRESGID).imm(-1).imm(gid).imm(-1);
  program.op(OP_SETRESUID).imm(-1).imm(uid).imm(-1).because(reason);
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash > 0 ? path.substring(0, slash) : '';
}

function cover(program: ProgramWriter, path: string, mapping: Mapping): void {
  const tree = cloneTree(program, path, false);
  mapping.apply(tree, 'files of root belong to root of the container');
  program.op(OP_MOVE_MOUNT).reg(tree).str('').imm(AT_FDCWD).str(path).imm(MOVE_MOUNT_F_EMPTY_PATH);
  program.op(OP_CLOSE).reg(tree);
  program.free(tree);
}

/**
 * First in the user namespace: from nobody to its root. A change of ids takes the parent-death
 * signal away and may make the process dumpable (prctl(2)), open to others of a namespace that it shares (CVE-2016-9962).
 */
export function becomeRoot(program: ProgramWriter): void {
  const none = new ByteWriter(4);
  none.u32(0);
  program.op(OP_SETGROUPS).imm(0).struct(none.view());
  program.op(OP_SETRESGID).imm(0).imm(0).imm(0);
  program.op(OP_SETRESUID).imm(0).imm(0).imm(0).because('root of the user namespace');
  program.op(OP_PRCTL).imm(PR_SET_PDEATHSIG).imm(SIGKILL).imm(0).imm(0).imm(0);
  program.op(OP_PRCTL).imm(PR_SET_DUMPABLE).imm(0).imm(0).imm(0).imm(0).because('whatever fs.suid_dumpable says');
}

/**
 * In the container: its root on top of the host's, and an empty directory of its own for masks. The container's root may not
 * enter the host's directories, so only paths are used that all may. Nothing but the root may lie on "/": behind pivot_root
 * one umount has to take the whole host away. Returns the register of the empty directory.
 */
export function mountPrepared(program: ProgramWriter, root: i32): i32 {
  const attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  const empty = newFileSystem(program, 'tmpfs', 'mask', ['mode=555', 'size=4k'], attributes);
  program
    .op(OP_MOVE_MOUNT)
    .reg(empty)
    .str('')
    .imm(AT_FDCWD)
    .str('/sys')
    .imm(MOVE_MOUNT_F_EMPTY_PATH)
    .because('an empty directory to mask others with');
  program
    .op(OP_MOVE_MOUNT)
    .reg(root)
    .str('')
    .imm(AT_FDCWD)
    .str('/')
    .imm(MOVE_MOUNT_F_EMPTY_PATH)
    .because('the root needs a place to pivot from');
  return empty;
}

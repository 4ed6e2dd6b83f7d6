// Mounts below the container's root: each target is an fd resolved once inside the root, each mount moves onto it.
import {
  OP_CLOSE,
  OP_COPY_UP,
  OP_ENSURE_DIR,
  OP_ENSURE_FILE,
  OP_ENSURE_LIKE,
  OP_FSCONFIG,
  OP_FSMOUNT,
  OP_FSOPEN,
  OP_MKDIRAT,
  OP_MOUNT_SETATTR,
  OP_MOVE_MOUNT,
  OP_OPEN_IN_ROOT,
  OP_OPEN_TREE,
  OP_OPENAT,
} from '../abi';
import { Json } from '../json';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  directoryFlag,
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  MS_PRIVATE,
  MS_SHARED,
  O_CLOEXEC,
  O_PATH,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from '../kernel';
import { SHARED_MEMORY } from '../spec/mounts';
import { refuse } from '../status';
import { cgroupParent } from '../spec/specify';
import { UserNamespace } from '../spec/user-namespace';
import { CgroupPlaces } from './cgroup';
import { takesLayersOneByOne } from './layer-options';
import { mountAttributes, setAttributes } from './mount-attributes';
import { MountOptions } from './mount-options';
import { ProgramWriter } from './program';

/** Detached mounts that are opened before their targets are there, by target. */
export class Sources {
  private targets: string[] = [];
  private registers: i32[] = [];

  put(target: string, register: i32): void {
    this.targets.push(target);
    this.registers.push(register);
  }

  /** The mount's register; -1 where it is still to be opened. */
  of(target: string): i32 {
    const at = this.targets.indexOf(target);
    return at < 0 ? -1 : this.registers[at];
  }
}

/** What the mounts of one container share. */
export class MountContext {
  constructor(
    public program: ProgramWriter,
    /** Register of the root's fd. */
    public root: i32,
    public request: Json,
    public sources: Sources,
  ) {}
}

/** The engine's knowledge of a bind's source: whether it is a directory, whether it is filled from the image first. */
export function sourceDetail(request: Json, target: string): Json {
  const mounts = request.list('mounts');
  for (let i = 0; i < mounts.length; i++) if (mounts[i].str('target') == target) return mounts[i];
  return Json.object();
}

/** Appends fsopen, fsconfig… and fsmount; returns the register of the mount's fd. `sourceAt`: where in the data an op before writes the source. */
export function newFileSystem(
  program: ProgramWriter,
  type: string,
  source: string,
  data: string[],
  attributes: i64,
  sourceAt: i32 = 0,
): i32 {
  const context = program.op(OP_FSOPEN).str(type).imm(FSOPEN_CLOEXEC).into();
  if (source.length > 0) program.op(OP_FSCONFIG).reg(context).imm(FSCONFIG_SET_STRING).str('source').str(source).imm(0);
  else if (sourceAt > 0)
    program.op(OP_FSCONFIG).reg(context).imm(FSCONFIG_SET_STRING).str('source').pointer(sourceAt).imm(0);
  for (let i = 0; i < data.length; i++) {
    const at = data[i].indexOf('=');
    if (at < 0) program.op(OP_FSCONFIG).reg(context).imm(FSCONFIG_SET_FLAG).str(data[i]).imm(0).imm(0);
    else {
      if (data[i].length - at > 255) refuse('MOUNT_OPTION_LONG', 'mounts', data[i]);
      program
        .op(OP_FSCONFIG)
        .reg(context)
        .imm(FSCONFIG_SET_STRING)
        .str(data[i].substring(0, at))
        .str(data[i].substring(at + 1))
        .imm(0);
    }
  }
  program.op(OP_FSCONFIG).reg(context).imm(FSCONFIG_CMD_CREATE).imm(0).imm(0).imm(0);
  const mount = program.op(OP_FSMOUNT).reg(context).imm(FSMOUNT_CLOEXEC).imm(attributes).into();
  program.op(OP_CLOSE).reg(context);
  program.free(context);
  return mount;
}

/** Clones the mount at a path of the host, detached. */
export function cloneTree(program: ProgramWriter, path: string, recursive: bool): i32 {
  return program
    .op(OP_OPEN_TREE)
    .imm(AT_FDCWD)
    .str(path)
    .imm(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0))
    .into();
}

/** The same for a path below a directory, links in which lead nowhere out of it. */
function cloneInside(program: ProgramWriter, directory: string, path: string, recursive: bool): i32 {
  const base = program
    .op(OP_OPENAT)
    .imm(AT_FDCWD)
    .str(directory)
    .imm(O_PATH | O_CLOEXEC)
    .imm(0)
    .into();
  const place = program
    .op(OP_OPEN_IN_ROOT)
    .reg(base)
    .str(path)
    .imm(O_PATH | O_CLOEXEC)
    .because('links in the volume do not lead out of it')
    .into();
  const tree = program
    .op(OP_OPEN_TREE)
    .reg(place)
    .str('')
    .imm(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0))
    .into();
  program.op(OP_CLOSE).reg(place);
  program.op(OP_CLOSE).reg(base);
  program.free(place);
  program.free(base);
  return tree;
}

/** Clones a bind's source as it is. `detail`: what the engine knows of it. */
export function cloneSource(program: ProgramWriter, mount: Json, detail: Json, options: MountOptions): i32 {
  const subpath = detail.str('volumeSubpath');
  if (subpath.length > 0) return cloneInside(program, detail.str('source'), subpath, options.recursive);
  return cloneTree(program, mount.str('source'), options.recursive);
}

/** Opens a bind's source with its attributes and propagation. */
export function openSource(program: ProgramWriter, mount: Json, detail: Json, options: MountOptions): i32 {
  const tree = cloneSource(program, mount, detail, options);
  setAttributes(program, tree, options);
  return tree;
}

/** A shared mount stays a peer of the host's only if it is cloned before the host's mounts become slaves in here. */
export function openShared(program: ProgramWriter, mounts: Json[], sources: Sources): void {
  for (let i = 0; i < mounts.length; i++) {
    const options = new MountOptions(mounts[i].strings('options'));
    if (options.propagation != MS_SHARED) continue;
    const tree = openSource(program, mounts[i], Json.object(), options);
    sources.put(mounts[i].str('destination'), tree);
  }
}

/** Moves a detached mount onto a target's fd and closes both. */
export function attach(program: ProgramWriter, mount: i32, target: i32, reason: string): void {
  place(program, mount, target, reason);
  program.op(OP_CLOSE).reg(mount);
  program.free(mount);
}

/** The same, but the mount's fd stays: its root, for what is made in it. */
function place(program: ProgramWriter, mount: i32, target: i32, reason: string): void {
  program
    .op(OP_MOVE_MOUNT)
    .reg(mount)
    .str('')
    .reg(target)
    .str('')
    .imm(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
    .because(reason);
  program.op(OP_CLOSE).reg(target);
  program.free(target);
}

function ensureDirectory(context: MountContext, path: string): i32 {
  return context.program.op(OP_ENSURE_DIR).reg(context.root).str(path).imm(0o755).imm(-1).imm(-1).into();
}

export function appendMount(context: MountContext, mount: Json, cgroup: CgroupMounts): void {
  const type = mount.str('type');
  const target = mount.str('destination');
  const options = new MountOptions(mount.strings('options'));
  if (type == 'cgroup' || (type == 'cgroup2' && cgroup.unified)) appendCgroup(context, target, options, cgroup);
  else if (options.bind || type == 'bind') appendBind(context, mount, options);
  else if (type == 'overlay' && !context.request.has('bundle')) appendImage(context, target, options.attributes);
  else {
    const fd = appendFileSystem(context, mount);
    context.program.op(OP_CLOSE).reg(fd);
    context.program.free(fd);
  }
}

/** A file system of its own, in its place; the register of its root, to be closed and freed. */
export function appendFileSystem(context: MountContext, mount: Json): i32 {
  const type = mount.str('type');
  const target = mount.str('destination');
  const options = new MountOptions(mount.strings('options'));
  let fd = context.sources.of(target);
  if (fd < 0) fd = newFileSystem(context.program, type, mount.str('source', type), options.data, options.attributes);
  if (options.copyUp) copyUp(context, '', target, fd);
  place(context.program, fd, ensureDirectory(context, target), target);
  return fd;
}

function appendBind(context: MountContext, mount: Json, options: MountOptions): void {
  const program = context.program;
  const source = mount.str('source');
  const target = mount.str('destination');
  const detail = sourceDetail(context.request, target);
  const isDirectory = detail.has('sourceIsDirectory') ? detail.flag('sourceIsDirectory') : target == SHARED_MEMORY;
  let tree = context.sources.of(target);
  if (detail.flag('copyUp')) {
    if (tree < 0 && detail.str('volumeSubpath') != '') tree = cloneSource(program, mount, detail, options);
    copyUp(context, source, target, tree);
    if (tree >= 0) setAttributes(program, tree, options); // Only now: it may become read-only.
  }
  if (tree < 0) tree = openSource(program, mount, detail, options);
  // Of a bundle nobody has looked at the sources.
  const place = context.request.has('bundle')
    ? program.op(OP_ENSURE_LIKE).reg(context.root).str(target).reg(tree).into()
    : isDirectory
      ? ensureDirectory(context, target)
      : program.op(OP_ENSURE_FILE).reg(context.root).str(target).imm(0o644).into();
  attach(program, tree, place, source + ' on ' + target);
}

/** The layers of an image, which nobody can write to. */
function appendImage(context: MountContext, target: string, attributes: i64): void {
  const program = context.program;
  const layers = sourceDetail(context.request, target).strings('layers');
  let tree: i32;
  if (takesLayersOneByOne(context.request.child('facts'))) {
    const data: string[] = [];
    for (let i = 0; i < layers.length; i++) data.push('lowerdir+=' + layers[i]);
    // Without a layer to write to, overlayfs wants two.
    data.push('lowerdir+=' + context.request.child('paths').str('emptyDirectory'));
    tree = newFileSystem(program, 'overlay', 'overlay', data, attributes);
  } else {
    if (layers.length != 1) refuse('IMAGE_MOUNT_KERNEL', 'mounts', target, layers.length.toString());
    tree = cloneTree(program, layers[0], false);
    // A layer's own mount on the host is for overlays only.
    const clear = (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) & ~attributes;
    program
      .op(OP_MOUNT_SETATTR)
      .reg(tree)
      .str('')
      .imm(AT_EMPTY_PATH)
      .buffer(mountAttributes(attributes, 0, clear));
  }
  attach(program, tree, ensureDirectory(context, target), 'an image on ' + target);
}

/** A new volume, or file system of tmpcopyup, starts with what the root has at its target; `tree`: its register where it is open, with the container's ids. */
function copyUp(context: MountContext, source: string, target: string, tree: i32): void {
  const program = context.program;
  const directory = directoryFlag(context.request.child('facts').str('architecture'));
  const start = program.length;
  const from = program
    .op(OP_OPEN_IN_ROOT)
    .reg(context.root)
    .str(target)
    .imm(directory | O_CLOEXEC)
    .into();
  program.skipping(4).because('the image has nothing there');
  const to = program
    .op(OP_OPENAT)
    .reg(tree < 0 ? AT_FDCWD : tree)
    .str(tree < 0 ? source : '.')
    .imm(directory | O_CLOEXEC)
    .imm(0)
    .into();
  program.op(OP_COPY_UP).reg(from).reg(to).because('a new volume starts with what the image has there');
  program.op(OP_CLOSE).reg(to);
  program.op(OP_CLOSE).reg(from);
  program.endSkip(start);
  program.free(to);
  program.free(from);
}

/** The hierarchies as the container sees them. */
export class CgroupMounts {
  /** v1: controllers that share a hierarchy, "cpu,cpuacct", and the directory name below /sys/fs/cgroup. */
  options: string[] = [];
  names: string[] = [];
  /**
   * v1: the container's own cgroup in each, where its cgroup namespace begins, and all that it sees without one. Empty
   * where another's namespace is joined, or a user namespace owns it: then the hierarchy is mounted in there.
   */
  sources: string[] = [];
  unified: bool;

  constructor(request: Json) {
    const facts = request.child('facts');
    const host = request.child('container').child('host');
    const places = new CgroupPlaces(facts, cgroupParent(host), request.str('id'));
    const mode = host.str('cgroupMode');
    const bound = mode == 'host' || (!mode.startsWith('container:') && !new UserNamespace(request).active);
    const cgroup = facts.child('cgroup');
    this.unified = cgroup.str('layout') == 'v2';
    const mounts = cgroup.child('mounts');
    for (let i = 0; i < mounts.keys.length; i++) {
      const path = mounts.items[i].text;
      const name = path.substring(path.lastIndexOf('/') + 1);
      if (mounts.keys[i] == '') continue;
      const at = this.names.indexOf(name);
      if (at >= 0) this.options[at] = this.options[at] + ',' + mounts.keys[i];
      else {
        this.names.push(name);
        this.options.push(mounts.keys[i]);
        this.sources.push(bound ? places.directory(path) : '');
      }
    }
  }

  /** v1: one hierarchy, detached. */
  open(program: ProgramWriter, index: i32, options: MountOptions): i32 {
    if (this.sources[index] == '')
      return newFileSystem(program, 'cgroup', 'cgroup', this.options[index].split(','), options.attributes);
    return cloneTree(program, this.sources[index], false);
  }
}

function appendCgroup(context: MountContext, target: string, options: MountOptions, cgroup: CgroupMounts): void {
  const program = context.program;
  if (cgroup.unified) {
    let fd = context.sources.of(target);
    if (fd < 0) fd = newFileSystem(program, 'cgroup2', 'cgroup', options.data, options.attributes);
    attach(program, fd, ensureDirectory(context, target), target);
    return;
  }
  const writable = options.attributes & ~(<i64>1);
  const top = newFileSystem(program, 'tmpfs', 'cgroup', ['mode=755', 'size=64k'], writable);
  place(program, top, ensureDirectory(context, target), target);
  for (let i = 0; i < cgroup.names.length; i++) {
    const name = cgroup.names[i];
    let fd = context.sources.of(target + '/' + name);
    if (fd < 0) fd = cgroup.open(program, i, options);
    program.op(OP_MKDIRAT).reg(top).str(name).imm(0o755);
    const directory = program
      .op(OP_OPEN_IN_ROOT)
      .reg(top)
      .str(name)
      .imm(O_PATH | O_CLOEXEC)
      .into();
    attach(program, fd, directory, 'the controller as this container sees it');
  }
  program
    .op(OP_MOUNT_SETATTR)
    .reg(top)
    .str('')
    .imm(AT_EMPTY_PATH | AT_RECURSIVE)
    .buffer(mountAttributes(options.attributes, MS_PRIVATE))
    .because('all of them, and nothing that the host mounts there comes in');
  program.op(OP_CLOSE).reg(top);
  program.free(top);
}

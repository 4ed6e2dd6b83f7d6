// The container's root: overlay or bind, devices, mounts, masks, and the pivot into it. Runs in the child.
import {
  OP_CLOSE,
  OP_ENSURE_DIR,
  OP_ENSURE_FILE,
  OP_FCHDIR,
  OP_FCHOWNAT,
  OP_MASK,
  OP_MKNOD_IN_ROOT,
  OP_MOUNT,
  OP_MOUNT_SETATTR,
  OP_MOVE_MOUNT,
  OP_OPEN_TERMINAL,
  OP_OPEN_TREE,
  OP_OPENAT,
  OP_PIVOT_ROOT,
  OP_READ_ONLY_PATH,
  OP_SEND_TERMINAL,
  OP_STDIO,
  OP_SYMLINK_IN_ROOT,
  OP_UMOUNT2,
  POLICY_IGNORE,
} from '../abi';
import { Json } from '../json';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  directoryFlag,
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  MS_REC,
  MS_SLAVE,
  O_CLOEXEC,
  O_PATH,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
} from '../kernel';
import { refuse } from '../status';
import { takesLayersOneByOne } from './layer-options';
import { mountAttributes } from './mount-attributes';
import { appendFileSystem, appendMount, attach, CgroupMounts, cloneTree, MountContext, Sources } from './mounts';
import { mountOverlayOn, newOverlay } from './overlay';
import { ProgramWriter } from './program';

/** In a mount namespace of its own: what is mounted from here on stays in it. */
export function cutPropagation(program: ProgramWriter): void {
  program
    .op(OP_MOUNT)
    .str('')
    .str('/')
    .str('')
    .imm(MS_REC | MS_SLAVE)
    .str('')
    .because('nothing mounted in here reaches the host');
}

/** The root file system, detached. Returns its register. */
export function openRoot(program: ProgramWriter, request: Json): i32 {
  const rootfs = request.child('rootfs');
  const lower = rootfs.strings('lower');
  if (lower.length == 0) refuse('BAD_INPUT', 'rootfs.lower');
  if (!rootfs.has('upper')) return cloneTree(program, lower[0], true);
  const facts = request.child('facts');
  if (takesLayersOneByOne(facts)) return newOverlay(program, rootfs);
  const place = request.child('paths').str('emptyDirectory');
  const mounted = mountOverlayOn(program, place, rootfs, facts.str('architecture'));
  const tree = program
    .op(OP_OPEN_TREE)
    .reg(mounted)
    .str('')
    .imm(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)
    .into();
  program.op(OP_CLOSE).reg(mounted);
  program.free(mounted);
  return tree;
}

/** Mounts the root over an empty directory of the host, in the container's own mount namespace. Returns the root's register. */
export function mountRoot(program: ProgramWriter, request: Json): i32 {
  const rootfs = request.child('rootfs');
  const facts = request.child('facts');
  // A bundle's root on itself: hooks look for it there.
  const place = request.has('bundle') ? rootfs.strings('lower')[0] : request.child('paths').str('emptyDirectory');
  if (rootfs.has('upper') && !takesLayersOneByOne(facts))
    return mountOverlayOn(program, place, rootfs, facts.str('architecture'));
  const root = openRoot(program, request);
  program
    .op(OP_MOVE_MOUNT)
    .reg(root)
    .str('')
    .imm(AT_FDCWD)
    .str(place)
    .imm(MOVE_MOUNT_F_EMPTY_PATH)
    .because('the root needs a place to pivot from');
  return root;
}

/** Everything below the root, in the order of the spec. */
export function populateRoot(program: ProgramWriter, root: i32, spec: Json, request: Json, sources: Sources): void {
  const context = new MountContext(program, root, request, sources);
  const cgroup = new CgroupMounts(request);
  const mounts = spec.list('mounts');
  for (let i = 0; i < mounts.length; i++) {
    if (mounts[i].str('destination') != DEVICES || mounts[i].str('type') != 'tmpfs') {
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

export function ensureWorkingDirectory(program: ProgramWriter, root: i32, cwd: string): void {
  if (cwd == '/') return;
  const made = program.op(OP_ENSURE_DIR).reg(root).str(cwd).imm(0o755).imm(-1).imm(-1).into();
  program.because('the working directory is made where missing');
  program.op(OP_CLOSE).reg(made);
  program.free(made);
}

export const DEVICES = '/dev';

const LINKS: StaticArray<string> = [
  '/proc/self/fd',
  'fd',
  '/proc/self/fd/0',
  'stdin',
  '/proc/self/fd/1',
  'stdout',
  '/proc/self/fd/2',
  'stderr',
  '/proc/kcore',
  'core',
  'pts/ptmx',
  'ptmx',
];

/** @param directory register of /dev itself: what lies right in it is made without a walk from the root. */
export function makeDevices(context: MountContext, linux: Json, directory: i32): void {
  const program = context.program;
  const root = context.root;
  const devices = linux.list('devices');
  for (let i = 0; i < devices.length; i++) {
    const device = devices[i];
    const tree = context.sources.of(device.str('path'));
    if (tree >= 0) {
      const place = program.op(OP_ENSURE_FILE).reg(root).str(device.str('path')).imm(0o666).into();
      attach(program, tree, place, device.str('path'));
      continue;
    }
    const path = device.str('path');
    const inside = path.startsWith(DEVICES + '/') && path.lastIndexOf('/') == DEVICES.length;
    const name = inside ? path.substring(DEVICES.length + 1) : path;
    makeNode(program, inside ? directory : root, name, device, device.int('uid'), device.int('gid'));
  }
  for (let i = 0; i < LINKS.length; i += 2)
    program
      .op(OP_SYMLINK_IN_ROOT)
      .reg(directory)
      .str(LINKS[i])
      .str(LINKS[i + 1]);
}

/** A device node below a directory's fd. */
export function makeNode(program: ProgramWriter, directory: i32, path: string, device: Json, uid: i64, gid: i64): void {
  const type = device.str('type');
  const format = type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR;
  const major = device.int('major');
  const minor = device.int('minor');
  program
    .op(OP_MKNOD_IN_ROOT)
    .reg(directory)
    .str(path)
    .imm(format | <i32>device.int('fileMode', 0o666))
    .imm(((major & 0xfff) << 8) | (minor & 0xff) | ((minor & ~0xff) << 12))
    .imm(uid)
    .imm(gid);
}

/** Rows, then columns; 0 where nobody has said how large the terminal is. */
function sizeAt(size: Json[], index: i32): i64 {
  return size.length == 2 ? size[index].integer : 0;
}

/** Fds 0–2: the supervisor's pipes, or a pty of the container's own devpts, which /dev/console shows too. */
export function connectStdio(program: ProgramWriter, root: i32, terminal: bool, size: Json[], console: bool): void {
  if (!terminal) {
    program.op(OP_STDIO).reg(root);
    return;
  }
  const master = program
    .op(OP_OPEN_TERMINAL)
    .reg(root)
    .str('/dev/ptmx')
    .imm(sizeAt(size, 0))
    .imm(sizeAt(size, 1))
    .into();
  program.op(OP_SEND_TERMINAL).reg(master);
  program.op(OP_CLOSE).reg(master);
  program.free(master);
  if (!console) return;
  const tree = program
    .op(OP_OPEN_TREE)
    .imm(0)
    .str('')
    .imm(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)
    .into();
  const place = program.op(OP_ENSURE_FILE).reg(root).str('/dev/console').imm(0o620).into();
  program
    .op(OP_MOVE_MOUNT)
    .reg(tree)
    .str('')
    .reg(place)
    .str('')
    .imm(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
    .because('/dev/console is the container terminal');
  program.op(OP_CLOSE).reg(place);
  program.op(OP_CLOSE).reg(tree);
  program.free(place);
  program.free(tree);
}

/** Fds 0–2 that are pipes or the terminal go to the user, so that it can open /dev/stdout again; what is not its own stays. */
export function ownStdio(program: ProgramWriter, user: Json, withInput: bool): void {
  const uid = user.int('uid');
  if (uid == 0) return;
  for (let fd = withInput ? 0 : 1; fd < 3; fd++)
    program
      .op(OP_FCHOWNAT)
      .imm(fd)
      .str('')
      .imm(uid)
      .imm(-1)
      .imm(AT_EMPTY_PATH)
      .policy(POLICY_IGNORE)
      .because('the user may open its own output');
}

/** @param cover an empty directory to mask directories with; -1: the host's. */
export function protectPaths(program: ProgramWriter, root: i32, linux: Json, request: Json, cover: i32): void {
  const masked = linux.strings('maskedPaths');
  if (masked.length > 0) {
    const directory = directoryFlag(request.child('facts').str('architecture'));
    let empty = cover;
    if (empty < 0)
      empty = program
        .op(OP_OPENAT)
        .imm(AT_FDCWD)
        .str(request.child('paths').str('emptyDirectory') + '-mask')
        .imm(O_PATH | O_CLOEXEC | directory)
        .imm(0)
        .into();
    for (let i = 0; i < masked.length; i++) program.op(OP_MASK).reg(root).str(masked[i]).reg(empty);
    program.op(OP_CLOSE).reg(empty);
    program.free(empty);
  }
  const readOnly = linux.strings('readonlyPaths');
  for (let i = 0; i < readOnly.length; i++) program.op(OP_READ_ONLY_PATH).reg(root).str(readOnly[i]);
}

/** Makes the root read-only where asked, and enters it. */
export function enterRoot(program: ProgramWriter, root: i32, readOnly: bool): void {
  if (readOnly)
    program
      .op(OP_MOUNT_SETATTR)
      .reg(root)
      .str('')
      .imm(AT_EMPTY_PATH)
      .buffer(mountAttributes(MOUNT_ATTR_RDONLY, 0))
      .because('--read-only');
  program.op(OP_FCHDIR).reg(root);
  program.op(OP_PIVOT_ROOT).str('.').str('.');
  program.op(OP_UMOUNT2).str('.').imm(MNT_DETACH).because('the host file system is gone from here on');
  program.op(OP_CLOSE).reg(root);
  program.free(root);
}

// What is done to all processes of a container at once: freeze, thaw, kill. And of directories: their removal, their place on the disk.
import { OP_FREEZE, OP_INODE_FLAGS, OP_KILL_CGROUP, OP_REMOVE_TREE, POLICY_IGNORE, POLICY_WARN } from '../abi';
import { Json } from '../json';
import { AT_FDCWD } from '../kernel';
import { refuse } from '../status';
import { placesOf } from './plan';
import { ProgramWriter } from './program';

const SIGKILL: i64 = 9;

export function planControl(program: ProgramWriter, request: Json): void {
  const places = placesOf(request, request.str('id'));
  const action = request.str('action');
  const freezer = places.of('freezer');
  const version = places.unified ? 2 : 1;
  if (action == 'freeze' || action == 'thaw') {
    if (freezer == '') return refuse('NO_FREEZER', 'action', action);
    program
      .op(OP_FREEZE)
      .str(freezer)
      .imm(action == 'freeze' ? 1 : 0)
      .imm(version);
    return;
  }
  const signal = request.int('signal');
  const pids = places.of('pids');
  program
    .op(OP_KILL_CGROUP)
    .str(pids != '' ? pids : places.directory(places.mounts[0]))
    .imm(signal)
    .because('every process of the container');
  // A frozen process dies only once it runs again.
  if (signal == SIGKILL && freezer != '' && !places.unified) program.op(OP_FREEZE).str(freezer).imm(0).imm(version);
}

/** Removes every tree of `paths`; one that cannot be removed does not keep the others. */
export function planRemoval(program: ProgramWriter, request: Json): void {
  const paths = request.strings('paths');
  for (let i = 0; i < paths.length; i++) program.op(OP_REMOVE_TREE).imm(AT_FDCWD).str(paths[i]).policy(POLICY_WARN);
}

/** FS_TOPDIR_FL of linux/fs.h. */
const TOP_DIRECTORY: i64 = 0x00020000;

/**
 * What is made below these directories lies apart on the disk. Without it ext4 puts the inodes of all containers into one block
 * group, and looks at each that was freed in the last five seconds before it takes one (recently_deleted in fs/ext4/ialloc.c).
 */
export function planSpread(program: ProgramWriter, request: Json): void {
  const paths = request.strings('paths');
  for (let i = 0; i < paths.length; i++)
    program
      .op(OP_INODE_FLAGS)
      .str(paths[i])
      .imm(TOP_DIRECTORY)
      .policy(POLICY_IGNORE)
      .because('not every file system has this');
}

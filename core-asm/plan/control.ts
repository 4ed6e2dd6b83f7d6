// What is done to all processes of a container at once: freeze, thaw, kill. And of directories: their removal, their place on the disk.
import {
  OP_EMPTY_TREE,
  OP_FREEZE,
  OP_INODE_FLAGS,
  OP_KILL_CGROUP,
  OP_MKDIRAT,
  OP_REMOVE_TREE,
  OP_SWEEP_CGROUPS,
  POLICY_IGNORE,
  POLICY_WARN,
} from '../abi';
import { Json } from '../json';
import { AT_FDCWD } from '../kernel';
import { refuse } from '../status';
import { placesOf } from './plan';
import { ProgramWriter } from './program';

const SIGKILL: i64 = 9;

export function planControl(program: ProgramWriter, request: Json): void {
  const places = placesOf(request, request.str('id'));
  const action = request.str('action');
  if (action == 'sweep') {
    const mounts = places.leaving();
    for (let i = 0; i < mounts.length; i++)
      program.op(OP_SWEEP_CGROUPS).str(places.parentOf(mounts[i])).policy(POLICY_IGNORE);
    return;
  }
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

/**
 * Makes directories of containers as new, by as many ops each: with an empty "work", and an "upper" that is a new directory.
 * Whoever still holds the old container's root has the old "upper", which is in no tree any more. "work" itself is never
 * seen through an overlay, and what the kernel keeps in it is made by each mount anew.
 */
export function planRenewal(program: ProgramWriter, request: Json): void {
  const paths = request.strings('paths');
  for (let i = 0; i < paths.length; i++) {
    const path = paths[i];
    program.op(OP_EMPTY_TREE).imm(AT_FDCWD).str(path).str('work').policy(POLICY_WARN);
    program
      .op(OP_EMPTY_TREE)
      .imm(AT_FDCWD)
      .str(path + '/work')
      .imm(0)
      .policy(POLICY_WARN);
    program
      .op(OP_MKDIRAT)
      .imm(AT_FDCWD)
      .str(path + '/upper')
      .imm(0o755)
      .policy(POLICY_WARN);
  }
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

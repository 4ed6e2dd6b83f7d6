// A child that reads or writes a container's files: in the mount namespace of the running one, or in a root mounted for it alone.
import {
  OP_ARCHIVE,
  OP_CLONE,
  OP_CONTAINER_PIDFD,
  OP_LAUNCH,
  OP_MOUNT_SETATTR,
  OP_MOVE_MOUNT,
  OP_SETNS,
  OP_STDIO,
  OP_SUPERVISE,
  SUPERVISE_EXEC,
  SUPERVISE_STDIN,
  SUPERVISE_STDIN_ONCE,
} from '../abi';
import { Json } from '../json';
import {
  AT_FDCWD,
  AT_RECURSIVE,
  CLONE_NEWNS,
  CLONE_NEWUSER,
  MOUNT_ATTR_NODEV,
  MOVE_MOUNT_F_EMPTY_PATH,
} from '../kernel';
import { specifyStillMounts } from '../spec/mounts';
import { UserNamespace } from '../spec/user-namespace';
import { mountAttributes } from './mount-attributes';
import { appendMount, CgroupMounts, cloneTree, MountContext, Sources } from './mounts';
import { ProgramWriter } from './program';
import { cutPropagation, enterRoot, mountRoot } from './rootfs';
import { becomeRoot } from './user-namespace';

/** It joins no cgroup: a frozen or full container can be copied from. Its mounts are a copy: what the container mounts meanwhile is not seen. */
export function planArchive(program: ProgramWriter, request: Json): void {
  const running = request.flag('running');
  program
    .op(OP_SUPERVISE)
    .imm(SUPERVISE_STDIN | SUPERVISE_STDIN_ONCE | (running ? SUPERVISE_EXEC : 0))
    .imm(0);
  const container = running ? program.op(OP_CONTAINER_PIDFD).into() : -1;
  const launch = program.op(OP_LAUNCH).block();
  program.imm(0);
  // With mapped ids a file can only be made by who has an id in there, and owners read as the container's.
  const user = new UserNamespace(request);
  const enters = running && user.active;
  if (running)
    program
      .op(OP_SETNS)
      .reg(container)
      .imm(CLONE_NEWNS | (enters ? CLONE_NEWUSER : 0))
      .because('the files as the container sees them');
  const clone = program.op(OP_CLONE).block();
  program.imm(CLONE_NEWNS).imm(-1).because('a process of ours: no program of the container runs');
  if (enters) becomeRoot(program);
  program.op(OP_STDIO).imm(-1);
  cutPropagation(program);
  const bare = request.flag('withoutMounts');
  if (!running) mountStill(program, request, bare);
  else if (bare) enterBareRoot(program);
  program
    .op(OP_MOUNT_SETATTR)
    .imm(AT_FDCWD)
    .str('/')
    .imm(AT_RECURSIVE)
    .buffer(mountAttributes(MOUNT_ATTR_NODEV, 0))
    .because('a device that takes the place of a file cannot be opened');
  program
    .op(OP_ARCHIVE)
    .imm(request.int('action'))
    .str(request.str('directory'))
    .str(request.str('name'))
    .str(request.str('as'))
    .imm(request.int('uid'))
    .imm(request.int('gid'));
  program.endBlock(clone);
  program.endBlock(launch);
}

/** The root of a running container, and nothing that is mounted in it. */
function enterBareRoot(program: ProgramWriter): void {
  const root = cloneTree(program, '/', false);
  program.because('what lies under the mounts, not what is in them');
  program
    .op(OP_MOVE_MOUNT)
    .reg(root)
    .str('')
    .imm(AT_FDCWD)
    .str('/')
    .imm(MOVE_MOUNT_F_EMPTY_PATH)
    .because('a root that is pivoted to must be mounted');
  enterRoot(program, root, false);
}

/** The root of a container that does not run, with its volumes and binds unless it is to be bare. */
function mountStill(program: ProgramWriter, request: Json, bare: bool): void {
  const root = mountRoot(program, request);
  const context = new MountContext(program, root, request, new Sources());
  const cgroup = new CgroupMounts(request);
  const mounts = specifyStillMounts(request).items;
  for (let i = 0; !bare && i < mounts.length; i++) appendMount(context, mounts[i], cgroup);
  enterRoot(program, root, request.child('container').child('host').flag('readonlyRootfs'));
}

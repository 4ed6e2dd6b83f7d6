// --ipc container:NAME shares /dev/shm too: its mount is cloned where it is, in the mount namespace of that container.
import { OP_CLOSE, OP_OPEN_IN_ROOT, OP_OPEN_TREE, OP_OPENAT, OP_SETNS } from '../abi';
import { Json } from '../json';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  CLONE_NEWNS,
  directoryFlag,
  O_CLOEXEC,
  O_PATH,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from '../kernel';
import { SHARED_MEMORY, sharedMemoryOf } from '../spec/mounts';
import { Sources } from './mounts';
import { ProgramWriter } from './program';

/** In the launcher: goes into that namespace and comes back; nothing in there is resolved but inside its root. */
export function openSharedMemory(program: ProgramWriter, request: Json, spec: Json, sources: Sources): void {
  const pid = request.child('joinPids').int('ipc');
  const mounts = spec.list('mounts');
  let shared = false;
  for (let i = 0; i < mounts.length; i++)
    if (mounts[i].str('destination') == SHARED_MEMORY) shared = mounts[i].str('source') == sharedMemoryOf(pid);
  if (pid <= 0 || !shared) return;
  const own = openPath(program, '/proc/self/ns/mnt', O_CLOEXEC);
  const other = openPath(program, '/proc/' + pid.toString() + '/ns/mnt', O_CLOEXEC);
  program.op(OP_SETNS).reg(other).imm(CLONE_NEWNS).because('where the shared /dev/shm is mounted');
  const root = openPath(program, '/', O_PATH | O_CLOEXEC);
  const directory = directoryFlag(request.child('facts').str('architecture'));
  const place = program
    .op(OP_OPEN_IN_ROOT)
    .reg(root)
    .str(SHARED_MEMORY)
    .imm(O_PATH | O_CLOEXEC | directory)
    .into();
  const tree = program
    .op(OP_OPEN_TREE)
    .reg(place)
    .str('')
    .imm(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)
    .into();
  program.op(OP_SETNS).reg(own).imm(CLONE_NEWNS).because('back');
  close(program, place);
  close(program, root);
  close(program, other);
  close(program, own);
  sources.put(SHARED_MEMORY, tree);
}

function openPath(program: ProgramWriter, path: string, flags: i32): i32 {
  return program.op(OP_OPENAT).imm(AT_FDCWD).str(path).imm(flags).imm(0).into();
}

function close(program: ProgramWriter, register: i32): void {
  program.op(OP_CLOSE).reg(register);
  program.free(register);
}

// A further process in a bundle's container: its namespaces by the first process's pidfd, then as any process.
import {
  OP_CLONE,
  OP_CLOSE,
  OP_CONTAINER_CGROUP,
  OP_CONTAINER_PIDFD,
  OP_LAUNCH,
  OP_OPENAT,
  OP_SETNS,
  OP_SETSID,
  OP_WRITE_PROC,
  POLICY_WARN,
} from '../abi';
import { Bytes } from '../bytes';
import { Json } from '../json';
import { AT_FDCWD, O_CLOEXEC, O_PATH } from '../kernel';
import { checkPart } from '../spec/bundle-fields';
import { readProcessOf } from '../spec/bundle';
import { namespaceFlag } from '../spec/namespaces';
import { UserNamespace } from '../spec/user-namespace';
import { refuse } from '../status';
import { ownPipes } from './bundle';
import { becomeBundleProcess } from './bundle-process';
import { joinCgroups } from './cgroup';
import { placesOf } from './plan';
import { confine } from './process';
import { ProgramWriter } from './program';
import { connectStdio } from './rootfs';
import { becomeRoot } from './user-namespace';

/** request: that of the container, and `process`. */
export function planBundleExec(program: ProgramWriter, request: Json, filter: Bytes): void {
  const process = request.child('process');
  const facts = request.child('facts');
  checkPart(process, 'process');
  if (process.strings('args').length == 0) refuse('NO_COMMAND', 'args');
  if (!process.str('cwd').startsWith('/')) refuse('WORKDIR_NOT_ABSOLUTE', 'cwd', process.str('cwd'));
  readProcessOf(process, facts);
  const places = placesOf(request, request.str('id'));
  let cgroup = -1;
  if (places.unified && places.mounts.length > 0) cgroup = program.op(OP_CONTAINER_CGROUP).str(places.mounts[0]).into();
  const container = program.op(OP_CONTAINER_PIDFD).into();
  const launch = program.op(OP_LAUNCH).block();
  program.imm(0);
  joinCgroups(program, places);
  const user = new UserNamespace(request);
  ownPipes(program, user, process);
  if (process.has('oomScoreAdj'))
    program
      .op(OP_WRITE_PROC)
      .str('/proc/self/oom_score_adj')
      .content(process.int('oomScoreAdj').toString())
      .policy(POLICY_WARN)
      .because('process.oomScoreAdj');
  confine(program, process.str('apparmorProfile'), facts);
  const namespaces = request.child('spec').child('linux').list('namespaces');
  let flags: i64 = 0;
  for (let i = 0; i < namespaces.length; i++) flags |= namespaceFlag(namespaces[i].str('type'));
  program.op(OP_SETNS).reg(container).imm(flags).because('the namespaces of the container');
  const clone = program.op(OP_CLONE).block();
  program.imm(0).reg(cgroup);
  if (user.active) becomeRoot(program);
  if (process.flag('terminal')) {
    const root = program
      .op(OP_OPENAT)
      .imm(AT_FDCWD)
      .str('/')
      .imm(O_PATH | O_CLOEXEC)
      .imm(0)
      .into();
    connectStdio(program, root, true, [], false);
    program.op(OP_CLOSE).reg(root);
    program.free(root);
  } else program.op(OP_SETSID).because('a session of its own');
  becomeBundleProcess(program, request, process, filter, false);
  program.endBlock(clone);
  program.endBlock(launch);
}

// A process in a running container: its namespaces by the supervisor's pidfd, its cgroups, its root, then as any process.
import {
  OP_CLONE,
  OP_CLOSE,
  OP_CONTAINER_CGROUP,
  OP_CONTAINER_PIDFD,
  OP_LAUNCH,
  OP_OPENAT,
  OP_SETNS,
  OP_SUPERVISE,
  OP_WRITE_PROC,
  POLICY_WARN,
  SUPERVISE_EXEC,
  SUPERVISE_STDIN,
  SUPERVISE_TTY,
} from '../abi';
import { Bytes } from '../bytes';
import { Json } from '../json';
import { AT_FDCWD, O_CLOEXEC, O_PATH } from '../kernel';
import { filterFlags } from '../seccomp/profile';
import { capabilityMask, resolveCapabilities } from '../spec/capabilities';
import { namespacesToEnter } from '../spec/namespaces';
import { clampOomScore, environment, noNewPrivileges, specifyCapabilities, specifyRlimits } from '../spec/process';
import { apparmorProfile } from '../spec/security';
import { UserNamespace } from '../spec/user-namespace';
import { joinCgroups } from './cgroup';
import { placesOf } from './plan';
import { becomeProcess, confine } from './process';
import { ProgramWriter } from './program';
import { connectStdio, ownStdio } from './rootfs';
import { becomeRoot, ownPipes } from './user-namespace';

export function planExec(program: ProgramWriter, request: Json, filter: Bytes): void {
  const terminal = request.flag('tty');
  let flags = SUPERVISE_EXEC;
  if (terminal) flags |= SUPERVISE_TTY;
  if (request.flag('openStdin')) flags |= SUPERVISE_STDIN;
  program.op(OP_SUPERVISE).imm(flags).imm(0);
  const places = placesOf(request, request.str('id'));
  let cgroup = -1;
  // Not by its name: where a container has made cgroups below its own (systemd does), no process may join the one above.
  if (places.unified && places.mounts.length > 0) cgroup = program.op(OP_CONTAINER_CGROUP).str(places.mounts[0]).into();
  const container = program.op(OP_CONTAINER_PIDFD).into();
  const launch = program.op(OP_LAUNCH).block();
  program.imm(0);
  joinCgroups(program, places);
  const user = new UserNamespace(request);
  const process = specifyExec(request);
  ownPipes(program, user, process);
  const facts = request.child('facts');
  const host = request.child('container').child('host');
  const score = clampOomScore(host.int('oomScoreAdj'), facts);
  if (score != 0)
    program
      .op(OP_WRITE_PROC)
      .str('/proc/self/oom_score_adj')
      .content(score.toString())
      .policy(POLICY_WARN)
      .because('--oom-score-adj');
  const privileged = host.flag('privileged') || request.flag('privileged');
  confine(program, apparmorProfile(host, facts.strings('features'), privileged), facts);
  program.op(OP_SETNS).reg(container).imm(namespacesToEnter(request)).because('the namespaces of the container');
  const clone = program.op(OP_CLONE).block();
  program.imm(0).reg(cgroup);
  if (user.active) becomeRoot(program);
  const root = program
    .op(OP_OPENAT)
    .imm(AT_FDCWD)
    .str('/')
    .imm(O_PATH | O_CLOEXEC)
    .imm(0)
    .into();
  connectStdio(program, root, terminal, request.list('consoleSize'), false);
  ownStdio(program, request.child('user'), terminal || request.flag('openStdin'));
  program.op(OP_CLOSE).reg(root);
  becomeProcess(program, process, filter, filterFlags(request.strings('seccompFlags')));
  program.endBlock(clone);
  program.endBlock(launch);
}

function specifyExec(request: Json): Json {
  const container = request.child('container');
  const host = container.child('host');
  const user = request.child('user');
  const available = capabilityMask(request.child('facts').strings('capabilities'), 'facts.capabilities');
  const bounding = request.flag('privileged') ? available : resolveCapabilities(host, available);
  const env = container.strings('env').concat(request.strings('env'));
  const given = request.str('workingDir');
  const cwd = given.length > 0 ? given : container.str('workingDir');
  return Json.object()
    .set('args', request.get('args')!)
    .set(
      'env',
      Json.strings(
        environment(env, request.flag('tty'), container.str('hostname', request.str('id').substring(0, 12)), user),
      ),
    )
    .set('cwd', Json.of(cwd.length > 0 ? cwd : '/'))
    .set('user', user)
    .set('terminal', Json.bool(request.flag('tty')))
    .set('capabilities', specifyCapabilities(bounding, user.int('uid') == 0))
    .set('rlimits', specifyRlimits(host, request.child('facts')))
    .set('noNewPrivileges', Json.bool(noNewPrivileges(host.strings('securityOpt'))));
}

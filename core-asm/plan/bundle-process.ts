// The last steps of a bundle's process: all that can fail comes before it waits for its start, the filter behind, which
// might forbid the waiting.
import {
  OP_AWAIT_START,
  OP_CHDIR,
  OP_FIND_EXECUTABLE,
  OP_HOME,
  OP_IOPRIO_SET,
  OP_KEYCTL,
  OP_PRCTL,
  OP_RELEASE,
  OP_SCHED_SETATTR,
  OP_SEAL,
  OP_SECCOMP,
  OP_SEND_LISTENER,
  OP_UMASK,
  POLICY_IGNORE,
} from '../abi';
import { Bytes, ByteWriter } from '../bytes';
import { Json } from '../json';
import { KEYCTL_JOIN_SESSION_KEYRING, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG } from '../kernel';
import { filterFlags } from '../seccomp/profile';
import { NOTIFY } from '../seccomp/rules';
import { capabilityMask, LAST_CAPABILITY } from '../spec/capabilities';
import { refuse } from '../status';
import { hasHooks, hookState, runHooks } from './hooks';
import { becomeUser, capset, capsetMasks, execute, limits, listOf, SYS_ADMIN } from './process';
import { ProgramWriter } from './program';

/** @param waits it is a container's first process: it waits for its start. */
export function becomeBundleProcess(
  program: ProgramWriter,
  request: Json,
  process: Json,
  filter: Bytes,
  waits: bool,
): void {
  limits(program, process);
  schedule(program, process);
  program.op(OP_UMASK).imm(process.child('user').int('umask', 0o022));
  if (!request.child('bundle').flag('noNewKeyring'))
    program.op(OP_KEYCTL).imm(KEYCTL_JOIN_SESSION_KEYRING).imm(0).imm(0).imm(0).imm(0).policy(POLICY_IGNORE);
  const capabilities = process.child('capabilities');
  const bounding = capabilityMask(capabilities.strings('bounding'), 'process.capabilities.bounding');
  for (let number = 0; number <= LAST_CAPABILITY; number++)
    if ((bounding & ((<u64>1) << number)) == 0)
      program.op(OP_PRCTL).imm(PR_CAPBSET_DROP).imm(number).imm(0).imm(0).imm(0).policy(POLICY_IGNORE);
  const noNewPrivileges = process.flag('noNewPrivileges');
  if (noNewPrivileges) program.op(OP_PRCTL).imm(PR_SET_NO_NEW_PRIVS).imm(1).imm(0).imm(0).imm(0);
  const environment = process.strings('env');
  if (!defines(environment, 'HOME=')) program.op(OP_HOME).imm(process.child('user').int('uid'));
  const filterNeedsAdmin = filter.length > 0 && !noNewPrivileges;
  if (filterNeedsAdmin) {
    becomeUser(program, process, bounding | SYS_ADMIN);
    const effective = capabilityMask(capabilities.strings('effective'), 'process.capabilities.effective');
    const permitted = capabilityMask(capabilities.strings('permitted'), 'process.capabilities.permitted');
    const inheritable = capabilityMask(capabilities.strings('inheritable'), 'process.capabilities.inheritable');
    capsetMasks(program, effective | SYS_ADMIN, permitted | SYS_ADMIN, inheritable, 'the filter needs CAP_SYS_ADMIN');
  } else {
    becomeUser(program, process, 0);
    capset(program, capabilities);
  }
  program.op(OP_SEAL).because('nothing but fds 0-2 and those of --preserve-fds survives');
  program.op(OP_CHDIR).str(process.str('cwd')).because('working directory');
  const args = process.strings('args');
  program
    .op(OP_FIND_EXECUTABLE)
    .str(args.length > 0 ? args[0] : '')
    .buffer(listOf(environment));
  program.op(OP_PRCTL).imm(PR_SET_PDEATHSIG).imm(0).imm(0).imm(0).imm(0).because('it outlives who made it');
  if (waits) {
    program.op(OP_RELEASE).because('it could be started');
    program.op(OP_AWAIT_START).because('until it is');
    if (hasHooks(request.child('spec'), 'startContainer')) {
      hookState(program, request, 'created');
      runHooks(program, request.child('spec'), 'startContainer');
    }
  }
  if (filter.length > 0) installFilter(program, request, filter);
  if (filterNeedsAdmin) capset(program, capabilities);
  execute(program, process);
}

function defines(environment: string[], name: string): bool {
  for (let i = 0; i < environment.length; i++) if (environment[i].startsWith(name)) return true;
  return false;
}

const NEW_LISTENER: i32 = 8;

function installFilter(program: ProgramWriter, request: Json, filter: Bytes): void {
  const profile = request.child('spec').child('linux').child('seccomp');
  const flags = filterFlags(profile.strings('flags'));
  if (!notifies(profile)) {
    program.op(OP_SECCOMP).buffer(filter).imm(flags).because('system calls that the container may make');
    return;
  }
  if (profile.str('listenerPath') == '') refuse('SECCOMP_NO_LISTENER', 'linux.seccomp');
  const listener = program
    .op(OP_SECCOMP)
    .buffer(filter)
    .imm(flags | NEW_LISTENER)
    .because('system calls that the container may make, or that its listener decides')
    .into();
  program.op(OP_SEND_LISTENER).reg(listener).because('linux.seccomp.listenerPath');
}

export function notifies(profile: Json): bool {
  let found = profile.str('defaultAction') == NOTIFY;
  const rules = profile.list('syscalls');
  for (let i = 0; i < rules.length; i++) {
    if (rules[i].str('action') != NOTIFY) continue;
    found = true;
    // The listener is handed over behind the filter.
    if (rules[i].strings('names').includes('sendmsg')) refuse('SECCOMP_NOTIFY_SENDMSG', 'linux.seccomp');
  }
  return found;
}

const POLICIES: StaticArray<string> = [
  'SCHED_OTHER',
  'SCHED_FIFO',
  'SCHED_RR',
  'SCHED_BATCH',
  'SCHED_ISO',
  'SCHED_IDLE',
  'SCHED_DEADLINE',
];
const SCHEDULER_FLAGS: StaticArray<string> = [
  'SCHED_FLAG_RESET_ON_FORK',
  'SCHED_FLAG_RECLAIM',
  'SCHED_FLAG_DL_OVERRUN',
  'SCHED_FLAG_KEEP_POLICY',
  'SCHED_FLAG_KEEP_PARAMS',
  'SCHED_FLAG_UTIL_CLAMP_MIN',
  'SCHED_FLAG_UTIL_CLAMP_MAX',
];
const CLASSES: StaticArray<string> = ['', 'IOPRIO_CLASS_RT', 'IOPRIO_CLASS_BE', 'IOPRIO_CLASS_IDLE'];
const IOPRIO_WHO_PROCESS = 1;

function placeOf(words: StaticArray<string>, word: string, field: string): i32 {
  for (let i = 0; i < words.length; i++) if (words[i] == word && word != '') return i;
  refuse('BUNDLE_WORD', field, word);
  return 0;
}

/** process.scheduler (sched_setattr(2)) and process.ioPriority (ioprio_set(2)). */
function schedule(program: ProgramWriter, process: Json): void {
  const scheduler = process.get('scheduler');
  if (scheduler != null) {
    let flags: u64 = 0;
    const names = scheduler.strings('flags');
    for (let i = 0; i < names.length; i++)
      flags |= (<u64>1) << placeOf(SCHEDULER_FLAGS, names[i], 'process.scheduler.flags');
    const attributes = new ByteWriter(56);
    attributes.u32(48);
    attributes.u32(placeOf(POLICIES, scheduler.str('policy'), 'process.scheduler.policy'));
    attributes.u64(flags);
    attributes.u32(<u32>scheduler.int('nice'));
    attributes.u32(<u32>scheduler.int('priority'));
    attributes.u64(scheduler.u64('runtime'));
    attributes.u64(scheduler.u64('deadline'));
    attributes.u64(scheduler.u64('period'));
    attributes.zeros(8);
    program.op(OP_SCHED_SETATTR).imm(0).struct(attributes.view()).imm(0).because('process.scheduler');
  }
  const priority = process.get('ioPriority');
  if (priority != null) {
    const value =
      (placeOf(CLASSES, priority.str('class'), 'process.ioPriority.class') << 13) | <i32>priority.int('priority');
    program.op(OP_IOPRIO_SET).imm(IOPRIO_WHO_PROCESS).imm(0).imm(value).because('process.ioPriority');
  }
}

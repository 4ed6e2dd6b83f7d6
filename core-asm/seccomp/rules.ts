// A resolved profile's rules for one architecture: for each system call an action, or a chain of argument tests.
import { Json } from '../json';
import { refuse } from '../status';
import {
  NUMBERS_AARCH64,
  NUMBERS_ARM,
  NUMBERS_X32,
  NUMBERS_X86,
  NUMBERS_X86_64,
  SYSCALL_NAMES,
} from './syscalls.generated';

export const ARCH_X86_64: u32 = 0xc000003e;
export const ARCH_X86: u32 = 0x40000003;
export const ARCH_AARCH64: u32 = 0xc00000b7;
export const ARCH_ARM: u32 = 0x40000028;
/** Numbers of x32 calls carry this bit under AUDIT_ARCH_X86_64. */
export const X32_BIT: u32 = 0x40000000;

/** Leaves the call to who has the filter's listener (seccomp_unotify(2)). */
export const NOTIFY = 'SCMP_ACT_NOTIFY';

/** seccomp(2) return value of an OCI action. */
export function actionValue(name: string, errno: i64, field: string): u32 {
  if (name == 'SCMP_ACT_ALLOW') return 0x7fff0000;
  if (name == 'SCMP_ACT_ERRNO') return 0x00050000 | <u32>(errno & 0xffff);
  if (name == 'SCMP_ACT_KILL' || name == 'SCMP_ACT_KILL_THREAD') return 0;
  if (name == 'SCMP_ACT_KILL_PROCESS') return 0x80000000;
  if (name == 'SCMP_ACT_TRAP') return 0x00030000;
  if (name == 'SCMP_ACT_LOG') return 0x7ffc0000;
  if (name == NOTIFY) return 0x7fc00000;
  if (name == 'SCMP_ACT_TRACE') return 0x7ff00000 | <u32>(errno & 0xffff);
  refuse('SECCOMP_ACTION', field, name);
  return 0;
}

/** Conditions that must all hold for an action. */
export class Test {
  constructor(
    public args: Json[],
    public action: u32,
  ) {}
}

/** What happens to one system call: the first test that holds, else `otherwise`. */
export class Decision {
  tests: Test[] = [];

  constructor(
    public number: u32,
    public otherwise: u32,
    /** An unconditional rule named it. */
    public settled: bool = false,
  ) {}
}

function indexOf(name: string): i32 {
  let low = 0;
  let high = SYSCALL_NAMES.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (SYSCALL_NAMES[middle] == name) return middle;
    if (SYSCALL_NAMES[middle] < name) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

function numberOf(architecture: string, index: i32): i32 {
  if (architecture == 'SCMP_ARCH_X86_64') return NUMBERS_X86_64[index];
  if (architecture == 'SCMP_ARCH_X86') return NUMBERS_X86[index];
  if (architecture == 'SCMP_ARCH_X32') return NUMBERS_X32[index];
  if (architecture == 'SCMP_ARCH_AARCH64') return NUMBERS_AARCH64[index];
  return NUMBERS_ARM[index];
}

/** Calls that 32-bit x86 also makes through socketcall(2) and ipc(2), by their number there less one (linux/net.h, linux/ipc.h). */
const SOCKET_CALLS =
  'socket,bind,connect,listen,accept,getsockname,getpeername,socketpair,send,recv,sendto,recvfrom,shutdown,setsockopt,getsockopt,sendmsg,recvmsg,accept4,recvmmsg,sendmmsg';
const IPC_CALLS = 'semop,semget,semctl,semtimedop,,,,,,,msgsnd,msgrcv,msgget,msgctl,,,,,,,shmat,shmdt,shmget,shmctl';

/** Decisions under construction. */
class Decisions {
  private byNumber: Map<u32, Decision> = new Map<u32, Decision>();
  all: Decision[] = [];

  constructor(private fallback: u32) {}

  of(number: u32): Decision {
    if (this.byNumber.has(number)) return this.byNumber.get(number);
    const decision = new Decision(number, this.fallback);
    this.byNumber.set(number, decision);
    this.all.push(decision);
    return decision;
  }
}

/** The rule for a call through a multiplexer: its own arguments are behind a pointer, so only the call is compared. */
function addMultiplexed(
  decisions: Decisions,
  calls: string,
  through: string,
  name: string,
  action: u32,
  fallback: u32,
): void {
  const at = calls.split(',').indexOf(name);
  if (at < 0) return;
  const call = Json.object()
    .set('index', Json.int(0))
    .set('op', Json.of('SCMP_CMP_EQ'))
    .set('value', Json.int(at + 1));
  addRule(decisions.of(NUMBERS_X86[indexOf(through)]), [call], action, fallback);
}

/** Decisions of every call that the profile names, by ascending number. Unknown names are left out, as runc does. */
export function decisionsFor(architecture: string, profile: Json, fallback: u32): Decision[] {
  const decisions = new Decisions(fallback);
  const rules = profile.list('syscalls');
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i];
    const action = actionValue(rule.str('action'), rule.int('errnoRet', 1), 'syscalls[' + i.toString() + '].action');
    const args = rule.list('args');
    const names = rule.list('names');
    for (let j = 0; j < names.length; j++) {
      const name = names[j].text;
      if (architecture == 'SCMP_ARCH_X86') {
        addMultiplexed(decisions, SOCKET_CALLS, 'socketcall', name, action, fallback);
        addMultiplexed(decisions, IPC_CALLS, 'ipc', name, action, fallback);
      }
      const index = indexOf(name);
      const number = index < 0 ? -1 : numberOf(architecture, index);
      if (number >= 0) addRule(decisions.of(number), args, action, fallback);
    }
  }
  return decisions.all.sort((a, b) => (a.number < b.number ? -1 : 1));
}

function addRule(decision: Decision, args: Json[], action: u32, fallback: u32): void {
  // A rule that says what the default says adds nothing (runc leaves it out).
  if (decision.settled || action == fallback) return;
  if (args.length == 0) {
    // An unconditional rule overrides what arguments said before, as in libseccomp.
    decision.tests = [];
    decision.otherwise = action;
    decision.settled = true;
    return;
  }
  if (!repeatsIndex(args)) decision.tests.push(new Test(args, action));
  else for (let i = 0; i < args.length; i++) decision.tests.push(new Test([args[i]], action));
}

/** runc: two conditions on one argument mean either. */
function repeatsIndex(args: Json[]): bool {
  let seen = 0;
  for (let i = 0; i < args.length; i++) {
    const bit = 1 << (<i32>args[i].int('index'));
    if (seen & bit) return true;
    seen |= bit;
  }
  return false;
}

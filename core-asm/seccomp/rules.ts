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

/** seccomp(2) return value of an OCI action. */
export function actionValue(name: string, errno: i64, field: string): u32 {
  if (name == 'SCMP_ACT_ALLOW') return 0x7fff0000;
  if (name == 'SCMP_ACT_ERRNO') return 0x00050000 | <u32>(errno & 0xffff);
  if (name == 'SCMP_ACT_KILL' || name == 'SCMP_ACT_KILL_THREAD') return 0;
  if (name == 'SCMP_ACT_KILL_PROCESS') return 0x80000000;
  if (name == 'SCMP_ACT_TRAP') return 0x00030000;
  if (name == 'SCMP_ACT_LOG') return 0x7ffc0000;
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

/** Decisions of every call that the profile names, by ascending number. Unknown names are left out, as runc does. */
export function decisionsFor(architecture: string, profile: Json, fallback: u32): Decision[] {
  const byNumber = new Map<u32, Decision>();
  const decisions: Decision[] = [];
  const rules = profile.list('syscalls');
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i];
    const action = actionValue(rule.str('action'), rule.int('errnoRet', 1), 'syscalls[' + i.toString() + '].action');
    const args = rule.list('args');
    const names = rule.list('names');
    for (let j = 0; j < names.length; j++) {
      const index = indexOf(names[j].text);
      const number = index < 0 ? -1 : numberOf(architecture, index);
      if (number < 0) continue;
      let decision: Decision;
      if (byNumber.has(number)) decision = byNumber.get(number);
      else {
        decision = new Decision(number, fallback);
        byNumber.set(number, decision);
        decisions.push(decision);
      }
      addRule(decision, args, action, fallback);
    }
  }
  decisions.sort((a, b) => (a.number < b.number ? -1 : 1));
  return decisions;
}

function addRule(decision: Decision, args: Json[], action: u32, fallback: u32): void {
  if (decision.settled) return;
  if (args.length == 0) {
    // An unconditional rule overrides what arguments said before, as in libseccomp.
    decision.tests = [];
    decision.otherwise = action;
    decision.settled = true;
    return;
  }
  if (action == fallback) return;
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

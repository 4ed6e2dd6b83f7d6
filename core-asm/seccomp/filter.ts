// Profile → seccomp filter. For each architecture a balanced tree over ranges of numbers with equal decisions:
//   arch == X86_64 ? (nr & X32_BIT ? x32 tree : x86-64 tree) : arch == I386 ? x86 tree : kill
// Numbers above the newest that the profile knows fail with ENOSYS, so that a libc falls back (runc does the same).
import { ByteWriter } from '../bytes';
import { Json } from '../json';
import { refuse } from '../status';
import { Filter, JEQ, JGE, JGT } from './bpf';
import {
  ARCH_AARCH64,
  ARCH_ARM,
  ARCH_X86,
  ARCH_X86_64,
  actionValue,
  Decision,
  decisionsFor,
  Test,
  X32_BIT,
} from './rules';

const ENOSYS: u32 = 0x00050000 | 38;
const KILL_THREAD: u32 = 0;
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const ARGS_AT: u32 = 16;
/** BPF_MAXINSNS. */
const LIMIT = 4096;

/** Compiles a resolved profile (profile.ts) into instructions of 8 bytes each. */
export function compileFilter(profile: Json, out: ByteWriter): void {
  const fallback = actionValue(profile.str('defaultAction'), profile.int('defaultErrnoRet', 1), 'defaultAction');
  const architectures = profile.strings('architectures');
  const filter = new Filter();
  let next = filter.ret(KILL_THREAD);
  if (architectures.includes('SCMP_ARCH_ARM'))
    next = section(filter, ARCH_ARM, tree(filter, 'SCMP_ARCH_ARM', profile, fallback), next);
  if (architectures.includes('SCMP_ARCH_AARCH64'))
    next = section(filter, ARCH_AARCH64, tree(filter, 'SCMP_ARCH_AARCH64', profile, fallback), next);
  if (architectures.includes('SCMP_ARCH_X86'))
    next = section(filter, ARCH_X86, tree(filter, 'SCMP_ARCH_X86', profile, fallback), next);
  if (architectures.includes('SCMP_ARCH_X86_64')) {
    const x32 = architectures.includes('SCMP_ARCH_X32')
      ? tree(filter, 'SCMP_ARCH_X32', profile, fallback)
      : filter.ret(KILL_THREAD);
    const native = tree(filter, 'SCMP_ARCH_X86_64', profile, fallback);
    filter.branch(JGE, X32_BIT, x32, native);
    next = section(filter, ARCH_X86_64, filter.load(NUMBER_AT), next);
  }
  filter.goto(next);
  filter.load(ARCH_AT);
  if (filter.position > LIMIT) refuse('SECCOMP_TOO_LARGE', 'seccomp', filter.position.toString(), LIMIT.toString());
  filter.write(out);
}

/** The accumulator holds the architecture: its tree, or the next test. Trees of other than x86-64 load the number themselves. */
function section(filter: Filter, architecture: u32, body: i32, next: i32): i32 {
  const start = architecture == ARCH_X86_64 ? body : filter.position == body ? filter.load(NUMBER_AT) : body;
  return filter.branch(JEQ, architecture, start, next);
}

/** A range of numbers [from, next range's from) with one decision. */
class Range {
  constructor(
    public from: u32,
    public decision: Decision,
  ) {}
}

function same(a: Decision, b: Decision): bool {
  return a.tests.length == 0 && b.tests.length == 0 && a.otherwise == b.otherwise;
}

function push(ranges: Range[], from: u32, decision: Decision): void {
  if (ranges.length > 0 && same(ranges[ranges.length - 1].decision, decision)) return;
  ranges.push(new Range(from, decision));
}

function tree(filter: Filter, architecture: string, profile: Json, fallback: u32): i32 {
  const decisions = decisionsFor(architecture, profile, fallback);
  const base: u32 = architecture == 'SCMP_ARCH_X32' ? X32_BIT : 0;
  const ranges: Range[] = [];
  let next: u32 = 0;
  for (let i = 0; i < decisions.length; i++) {
    if (decisions[i].number > next || i == 0) push(ranges, base + next, new Decision(next, fallback));
    push(ranges, base + decisions[i].number, decisions[i]);
    next = decisions[i].number + 1;
  }
  const denies = (fallback & 0x7fff0000) == 0x00050000 && fallback != ENOSYS;
  push(ranges, base + next, new Decision(next, denies ? ENOSYS : fallback));
  if (ranges.length > 1 && ranges[1].from == ranges[0].from) ranges.shift();
  return branches(filter, ranges, 0, ranges.length);
}

/** Balanced: compares with the middle range's start. Returns the entry's position. */
function branches(filter: Filter, ranges: Range[], low: i32, high: i32): i32 {
  if (high - low == 1) return decide(filter, ranges[low].decision);
  const middle = (low + high) >> 1;
  const above = branches(filter, ranges, middle, high);
  const below = branches(filter, ranges, low, middle);
  return filter.branch(JGE, ranges[middle].from, above, below);
}

function decide(filter: Filter, decision: Decision): i32 {
  let next = filter.ret(decision.otherwise);
  for (let i = decision.tests.length - 1; i >= 0; i--) next = test(filter, decision.tests[i], next);
  return next;
}

/** All conditions → the action; else `next`. */
function test(filter: Filter, test: Test, next: i32): i32 {
  let success = filter.ret(test.action);
  for (let i = test.args.length - 1; i >= 0; i--) success = condition(filter, test.args[i], success, next);
  return success;
}

/** One 64-bit comparison as two of 32 bits, high word first. */
function condition(filter: Filter, arg: Json, success: i32, failure: i32): i32 {
  const index = arg.int('index');
  if (index < 0 || index > 5) refuse('SECCOMP_ARGUMENT', 'args.index', index.toString());
  const low = ARGS_AT + <u32>index * 8;
  const op = arg.str('op');
  if (op == 'SCMP_CMP_MASKED_EQ') {
    const mask = arg.int('value');
    const wanted = arg.int('valueTwo');
    filter.branch(JEQ, <u32>wanted, success, failure);
    filter.and(<u32>mask);
    const lowTest = filter.load(low);
    filter.branch(JEQ, <u32>(wanted >> 32), lowTest, failure);
    filter.and(<u32>(mask >> 32));
    return filter.load(low + 4);
  }
  const value = arg.int('value');
  const high32 = <u32>(value >> 32);
  const low32 = <u32>value;
  if (op == 'SCMP_CMP_EQ') return equal(filter, low, high32, low32, success, failure);
  if (op == 'SCMP_CMP_NE') return equal(filter, low, high32, low32, failure, success);
  if (op == 'SCMP_CMP_GE') return greater(filter, low, high32, low32, JGE, success, failure);
  if (op == 'SCMP_CMP_GT') return greater(filter, low, high32, low32, JGT, success, failure);
  if (op == 'SCMP_CMP_LT') return greater(filter, low, high32, low32, JGE, failure, success);
  if (op == 'SCMP_CMP_LE') return greater(filter, low, high32, low32, JGT, failure, success);
  refuse('SECCOMP_OPERATOR', 'args.op', op);
  return failure;
}

function equal(filter: Filter, low: u32, high32: u32, low32: u32, success: i32, failure: i32): i32 {
  filter.branch(JEQ, low32, success, failure);
  const lowTest = filter.load(low);
  filter.branch(JEQ, high32, lowTest, failure);
  return filter.load(low + 4);
}

function greater(filter: Filter, low: u32, high32: u32, low32: u32, comparison: u32, success: i32, failure: i32): i32 {
  filter.branch(comparison, low32, success, failure);
  const lowTest = filter.load(low);
  // High words equal: the low ones decide; else the high ones.
  const highTest = filter.branch(JEQ, high32, lowTest, failure);
  filter.branch(JGT, high32, success, highTest);
  return filter.load(low + 4);
}

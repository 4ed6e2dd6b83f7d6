// Profile → seccomp filter. For each architecture a balanced tree over ranges of numbers with equal decisions:
//   arch == X86_64 ? (nr & X32_BIT ? x32 tree : x86-64 tree) : arch == I386 ? x86 tree : kill
// Numbers above the newest that the profile knows fail with ENOSYS, so that a libc falls back, unless the default lets them
// through or leaves them to a tracer (runc does the same).
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
      : skippedOrKilled(filter, fallback);
    const native = tree(filter, 'SCMP_ARCH_X86_64', profile, fallback);
    filter.branch(JGE, X32_BIT, x32, native);
    next = section(filter, ARCH_X86_64, filter.load(NUMBER_AT), next);
  }
  filter.goto(next);
  filter.load(ARCH_AT);
  if (filter.position > LIMIT) refuse('SECCOMP_TOO_LARGE', 'seccomp', filter.position.toString(), LIMIT.toString());
  filter.write(out);
}

/** Without x32 its calls are another architecture's; -1, a call that a tracer has skipped, is none of them (libseccomp). */
function skippedOrKilled(filter: Filter, fallback: u32): i32 {
  const kill = filter.ret(KILL_THREAD);
  return filter.branch(JEQ, u32.MAX_VALUE, filter.ret(fallback), kill);
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
  push(ranges, base + next, new Decision(next, denies(fallback) ? ENOSYS : fallback));
  if (ranges.length > 1 && ranges[1].from == ranges[0].from) ranges.shift();
  // libseccomp compares only the low words on the 32-bit architectures, x32 among them.
  const wide = architecture == 'SCMP_ARCH_X86_64' || architecture == 'SCMP_ARCH_AARCH64';
  return branches(filter, ranges, 0, ranges.length, wide);
}

/** Whether an action is neither ALLOW, LOG nor TRACE. */
function denies(action: u32): bool {
  const kind = action & 0xffff0000;
  return kind != 0x7fff0000 && kind != 0x7ffc0000 && kind != 0x7ff00000;
}

/** Balanced: compares with the middle range's start. Returns the entry's position. */
function branches(filter: Filter, ranges: Range[], low: i32, high: i32, wide: bool): i32 {
  if (high - low == 1) return decide(filter, ranges[low].decision, wide);
  const middle = (low + high) >> 1;
  const above = branches(filter, ranges, middle, high, wide);
  const below = branches(filter, ranges, low, middle, wide);
  return filter.branch(JGE, ranges[middle].from, above, below);
}

function decide(filter: Filter, decision: Decision, wide: bool): i32 {
  let next = filter.ret(decision.otherwise);
  for (let i = decision.tests.length - 1; i >= 0; i--) next = test(filter, decision.tests[i], next, wide);
  return next;
}

/** All conditions → the action; else `next`. */
function test(filter: Filter, test: Test, next: i32, wide: bool): i32 {
  let success = filter.ret(test.action);
  for (let i = test.args.length - 1; i >= 0; i--) success = condition(filter, test.args[i], success, next, wide);
  return success;
}

/** One comparison of an argument, its high word first where there are two. */
function condition(filter: Filter, arg: Json, success: i32, failure: i32, wide: bool): i32 {
  const index = arg.int('index');
  if (index < 0 || index > 5) refuse('SECCOMP_ARGUMENT', 'args.index', index.toString());
  const word = new Word(filter, ARGS_AT + <u32>index * 8, wide);
  const op = arg.str('op');
  const value = arg.u64('value');
  if (op == 'SCMP_CMP_MASKED_EQ') return word.equal(arg.u64('valueTwo') & value, value, success, failure);
  if (op == 'SCMP_CMP_EQ') return word.equal(value, u64.MAX_VALUE, success, failure);
  if (op == 'SCMP_CMP_NE') return word.equal(value, u64.MAX_VALUE, failure, success);
  if (op == 'SCMP_CMP_GE') return word.greater(value, JGE, success, failure);
  if (op == 'SCMP_CMP_GT') return word.greater(value, JGT, success, failure);
  if (op == 'SCMP_CMP_LT') return word.greater(value, JGE, failure, success);
  if (op == 'SCMP_CMP_LE') return word.greater(value, JGT, failure, success);
  refuse('SECCOMP_OPERATOR', 'args.op', op);
  return failure;
}

/** An argument under comparison: 64 bits, or the low 32. */
class Word {
  constructor(
    private filter: Filter,
    private low: u32,
    private wide: bool,
  ) {}

  private load(at: u32, mask: u32): i32 {
    if (mask != u32.MAX_VALUE) this.filter.and(mask);
    return this.filter.load(at);
  }

  equal(value: u64, mask: u64, success: i32, failure: i32): i32 {
    this.filter.branch(JEQ, <u32>value, success, failure);
    const lowTest = this.load(this.low, <u32>mask);
    if (!this.wide) return lowTest;
    this.filter.branch(JEQ, <u32>(value >> 32), lowTest, failure);
    return this.load(this.low + 4, <u32>(mask >> 32));
  }

  greater(value: u64, comparison: u32, success: i32, failure: i32): i32 {
    this.filter.branch(comparison, <u32>value, success, failure);
    const lowTest = this.filter.load(this.low);
    if (!this.wide) return lowTest;
    // High words equal: the low ones decide; else the high ones.
    const highTest = this.filter.branch(JEQ, <u32>(value >> 32), lowTest, failure);
    this.filter.branch(JGT, <u32>(value >> 32), success, highTest);
    return this.filter.load(this.low + 4);
  }
}

// Device rules → a BPF_PROG_TYPE_CGROUP_DEVICE program (cgroup v2). Its pseudo-code, rules last to first:
//   type = ctx.access_type & 0xffff; access = ctx.access_type >> 16; major = ctx.major; minor = ctx.minor
//   for each rule: if type, major, minor match and access is within the rule's: return allow
//   return 0
import { Bytes, ByteWriter } from '../bytes';
import { Json } from '../json';

const ALU64_MOV_K = 0xb7;
const ALU_AND_K = 0x54;
const ALU_RSH_K = 0x74;
const ALU64_MOV_X = 0xbf;
const LDX_W = 0x61;
const JMP_JNE_K = 0x55;
const JMP_JNE_X = 0x5d;
const JMP_EXIT = 0x95;

const TYPE = 2;
const ACCESS = 3;
const MAJOR = 4;
const MINOR = 5;
const SCRATCH = 1;
const RESULT = 0;

function emit(out: ByteWriter, code: u32, destination: u32, source: u32, offset: i32, immediate: i32): void {
  out.u8(code);
  out.u8(destination | (source << 4));
  out.u16(<u32>offset & 0xffff);
  out.u32(<u32>immediate);
}

/** BPF_DEVCG_ACC_MKNOD 1, READ 2, WRITE 4. */
function accessBits(access: string): i32 {
  return (access.includes('m') ? 1 : 0) | (access.includes('r') ? 2 : 0) | (access.includes('w') ? 4 : 0);
}

/** Instructions of 8 bytes; empty where everything is allowed. */
export function deviceFilter(rules: Json[]): Bytes {
  const out = new ByteWriter(1024);
  emit(out, LDX_W, TYPE, 1, 0, 0);
  emit(out, ALU64_MOV_X, ACCESS, TYPE, 0, 0);
  emit(out, ALU_AND_K, TYPE, 0, 0, 0xffff);
  emit(out, ALU_RSH_K, ACCESS, 0, 0, 16);
  emit(out, LDX_W, MAJOR, 1, 4, 0);
  emit(out, LDX_W, MINOR, 1, 8, 0);
  for (let i = rules.length - 1; i >= 0; i--) {
    const rule = rules[i];
    const all = rule.str('type', 'a') == 'a';
    const partial = accessBits(rule.str('access', 'rwm')) != 7;
    if (all && !rule.has('major') && !partial) {
      if (i == 0 && rule.flag('allow')) return rules.length == 1 ? Bytes.none() : finish(out, 1);
      return finish(out, rule.flag('allow') ? 1 : 0);
    }
    oneRule(out, rule, all, partial);
  }
  return finish(out, 0);
}

function finish(out: ByteWriter, result: i32): Bytes {
  emit(out, ALU64_MOV_K, RESULT, 0, 0, result);
  emit(out, JMP_EXIT, 0, 0, 0, 0);
  return out.view();
}

function oneRule(out: ByteWriter, rule: Json, all: bool, partial: bool): void {
  const hasMajor = rule.has('major');
  const hasMinor = rule.has('minor');
  // Instructions left in this rule behind each test: the distance to the next rule.
  let left = 2 + (all ? 0 : 1) + (partial ? 3 : 0) + (hasMajor ? 1 : 0) + (hasMinor ? 1 : 0);
  if (!all) emit(out, JMP_JNE_K, TYPE, 0, --left, rule.str('type') == 'b' ? 1 : 2);
  if (partial) {
    emit(out, ALU64_MOV_X, SCRATCH, ACCESS, 0, 0);
    emit(out, ALU_AND_K, SCRATCH, 0, 0, accessBits(rule.str('access')));
    left -= 3;
    emit(out, JMP_JNE_X, SCRATCH, ACCESS, left, 0);
  }
  if (hasMajor) emit(out, JMP_JNE_K, MAJOR, 0, --left, <i32>rule.int('major'));
  if (hasMinor) emit(out, JMP_JNE_K, MINOR, 0, --left, <i32>rule.int('minor'));
  emit(out, ALU64_MOV_K, RESULT, 0, 0, rule.flag('allow') ? 1 : 0);
  emit(out, JMP_EXIT, 0, 0, 0, 0);
}

// Builds one program: header, 64-byte ops and the data behind them (layout in abi.ts).
import {
  ARCH_AARCH64,
  ARCH_X86_64,
  HEADER_SIZE,
  KIND_DATA,
  KIND_IMMEDIATE,
  KIND_REGISTER,
  OP_ARGS,
  OP_SIZE,
  PLAN_MAGIC,
  PLAN_VERSION,
  POLICY_FAIL,
  POLICY_SKIP,
  REGISTER_NONE,
  REGISTERS,
} from '../abi';
import { Bytes, ByteWriter } from '../bytes';
import { refuse } from '../status';
import { StringTable } from './string-table';

/** Appends ops: `program.op(OP_MKDIRAT).fd(AT_FDCWD).path('/x').imm(0o755).because('the upper directory')`. */
export class ProgramWriter {
  private ops: ByteWriter = new ByteWriter(16384);
  private data: ByteWriter = new ByteWriter(16384);
  private architecture: i32;
  private count: i32 = 0;
  private argument: i32 = 0;
  private kinds: u32 = 0;
  /** Bit n: register n is in use. */
  private taken: u64 = 0;
  /** Strings already in the data, found again by their text. */
  private strings: StringTable = new StringTable();

  constructor(architecture: string) {
    this.architecture = architecture == 'aarch64' ? ARCH_AARCH64 : ARCH_X86_64;
    this.data.u32(0); // Offset 0 means "none" for notes.
  }

  /** Number of ops so far: the index of the next one. */
  get length(): i32 {
    return this.count;
  }

  /** Starts an op; operands follow in order. */
  op(code: i32): ProgramWriter {
    this.ops.zeros(OP_SIZE);
    this.count++;
    this.ops.setU32(this.at(0), code | (REGISTER_NONE << 16) | (POLICY_FAIL << 24));
    this.argument = 0;
    this.kinds = 0;
    return this;
  }

  private at(offset: i32): i32 {
    return (this.count - 1) * OP_SIZE + offset;
  }

  private operand(kind: i32, value: u64): ProgramWriter {
    if (this.argument >= OP_ARGS) refuse('BAD_INPUT', 'operands');
    this.kinds |= kind << (this.argument * 4);
    this.ops.setU32(this.at(4), this.kinds);
    this.ops.setU64(this.at(8 + this.argument * 8), value);
    this.argument++;
    return this;
  }

  imm(value: i64): ProgramWriter {
    return this.operand(KIND_IMMEDIATE, <u64>value);
  }

  /** What an earlier op returned; a negative register is the immediate fd AT_FDCWD or -1 itself. */
  reg(register: i32): ProgramWriter {
    return register < 0 ? this.imm(register) : this.operand(KIND_REGISTER, register);
  }

  /** A NUL-terminated string. */
  str(text: string): ProgramWriter {
    return this.operand(KIND_DATA, this.text(text));
  }

  /** Bytes; their length is not an operand. */
  struct(bytes: Bytes): ProgramWriter {
    this.data.align(8);
    const offset = this.data.length;
    this.data.bytes(bytes);
    return this.operand(KIND_DATA, offset);
  }

  /** Bytes and, as the next operand, their length. */
  buffer(bytes: Bytes): ProgramWriter {
    return this.struct(bytes).imm(bytes.length);
  }

  /** UTF-8 text and, as the next operand, its length without a NUL. */
  content(text: string): ProgramWriter {
    const bytes = new ByteWriter(text.length + 8);
    bytes.text(text);
    return this.buffer(bytes.view());
  }

  /** Puts the result into a fresh register. */
  into(): i32 {
    for (let register = 0; register < REGISTERS; register++) {
      if ((this.taken & ((<u64>1) << register)) == 0) {
        this.taken |= (<u64>1) << register;
        this.ops.setU8(this.at(2), register);
        return register;
      }
    }
    refuse('TOO_MANY_MOUNTS', 'mounts', REGISTERS.toString());
    return 0;
  }

  /** The register may be used again: its fd was closed or consumed. */
  free(register: i32): void {
    this.taken &= ~((<u64>1) << register);
  }

  policy(policy: i32): ProgramWriter {
    this.ops.setU8(this.at(3), policy);
    return this;
  }

  /** Where the thing is missing, skip this and the next `ops` ops. */
  skipping(ops: i32): ProgramWriter {
    this.ops.setU32(this.at(60), ops);
    return this.policy(POLICY_SKIP);
  }

  /** Why the op is there, for readers of the plan. */
  because(reason: string): ProgramWriter {
    this.ops.setU32(this.at(56), this.text(reason));
    return this;
  }

  /** Opens a block (launch, clone): give the index that this returns to `endBlock`. The length is the first operand. */
  block(): i32 {
    this.imm(0);
    return this.count - 1;
  }

  /** Ends the block of the op at `start`: everything since belongs to it. */
  endBlock(start: i32): void {
    this.ops.setU32(start * OP_SIZE + 8, this.count - start - 1);
  }

  /** Gives the skip of an earlier op: everything since it. */
  endSkip(start: i32): void {
    this.ops.setU32(start * OP_SIZE + 60, this.count - start - 1);
  }

  /** Raw bytes into the data; their offset, for PATCH32. */
  blob(bytes: Bytes): i32 {
    this.data.align(8);
    const offset = this.data.length;
    this.data.bytes(bytes);
    return offset;
  }

  /** An operand that points at a blob. */
  pointer(offset: i32): ProgramWriter {
    return this.operand(KIND_DATA, offset);
  }

  private text(text: string): i32 {
    const next = this.data.length;
    const offset = this.strings.put(text, next);
    if (offset == next) this.data.cstring(text);
    return offset;
  }

  /** Writes the whole program. */
  write(out: ByteWriter): void {
    out.u32(PLAN_MAGIC);
    out.u16(PLAN_VERSION);
    out.u16(this.architecture);
    out.u32(this.count);
    out.u32(this.data.length);
    out.zeros(HEADER_SIZE - 16);
    out.writer(this.ops);
    out.writer(this.data);
  }

  /** Bytes that `write` will give. */
  get size(): i32 {
    return HEADER_SIZE + this.ops.length + this.data.length;
  }
}

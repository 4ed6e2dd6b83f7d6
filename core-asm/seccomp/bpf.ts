// Classic BPF: instructions of struct sock_filter (linux/filter.h), written back to front so that jumps know their targets.
import { ByteWriter } from '../bytes';

const BPF_LD_W_ABS: u32 = 0x20;
const BPF_JMP_JA: u32 = 0x05;
const BPF_JEQ_K: u32 = 0x15;
const BPF_JGT_K: u32 = 0x25;
const BPF_JGE_K: u32 = 0x35;
const BPF_AND_K: u32 = 0x54;
const BPF_RET_K: u32 = 0x06;

export const JEQ: u32 = BPF_JEQ_K;
export const JGT: u32 = BPF_JGT_K;
export const JGE: u32 = BPF_JGE_K;

/** A jump from a little further on still reaches so far. */
const NEAR: i32 = 240;

/** A filter under construction. Positions count from the end: the last instruction is 1, the one before it 2. */
export class Filter {
  /** Instructions, last first. */
  private codes: u32[] = [];
  private operands: u32[] = [];
  /** Where each action was returned last. */
  private returns: Map<u32, i32> = new Map<u32, i32>();

  /** Position of the instruction written last: a jump target. */
  get position(): i32 {
    return this.codes.length;
  }

  private add(code: u32, operand: u32): i32 {
    this.codes.push(code);
    this.operands.push(operand);
    return this.codes.length;
  }

  /** One that is near serves again: what is compiled into each container's kernel memory is a third shorter for it. */
  ret(action: u32): i32 {
    if (this.returns.has(action) && this.position - this.returns.get(action) < NEAR) return this.returns.get(action);
    const position = this.add(BPF_RET_K, action);
    this.returns.set(action, position);
    return position;
  }

  load(offset: u32): i32 {
    return this.add(BPF_LD_W_ABS, offset);
  }

  and(mask: u32): i32 {
    return this.add(BPF_AND_K, mask);
  }

  /** Goes to a position: nothing where that is next anyway. */
  goto(target: i32): i32 {
    const distance = this.position - target;
    return distance == 0 ? target : this.add(BPF_JMP_JA, distance);
  }

  /** Compares the accumulator; targets are positions. Distances beyond 255 go through an unconditional jump. */
  branch(comparison: u32, value: u32, whenTrue: i32, whenFalse: i32): i32 {
    if (this.position - whenFalse > 254) whenFalse = this.add(BPF_JMP_JA, this.position - whenFalse);
    if (this.position - whenTrue > 255) {
      whenTrue = this.add(BPF_JMP_JA, this.position - whenTrue);
    }
    const jumpTrue = this.position - whenTrue;
    const jumpFalse = this.position - whenFalse;
    return this.add(comparison | (jumpTrue << 16) | (jumpFalse << 24), value);
  }

  write(out: ByteWriter): void {
    for (let i = this.codes.length - 1; i >= 0; i--) {
      out.u16(this.codes[i] & 0xffff);
      out.u8((this.codes[i] >> 16) & 0xff);
      out.u8(this.codes[i] >> 24);
      out.u32(this.operands[i]);
    }
  }
}

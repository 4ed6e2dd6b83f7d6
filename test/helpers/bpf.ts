// A classic BPF interpreter, enough for seccomp filters: what the kernel would return for one call.
const LD_W_ABS = 0x20;
const JA = 0x05;
const JEQ = 0x15;
const JGT = 0x25;
const JGE = 0x35;
const AND = 0x54;
const RET = 0x06;

export interface SeccompCall {
  arch: number;
  number: number;
  args: bigint[];
}

interface Instruction {
  code: number;
  whenTrue: number;
  whenFalse: number;
  operand: number;
}

const decoded = new WeakMap<Uint8Array, Instruction[]>();

function decode(filter: Uint8Array): Instruction[] {
  const view = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  const instructions: Instruction[] = [];
  for (let at = 0; at < filter.length; at += 8)
    instructions.push({
      code: view.getUint16(at, true),
      whenTrue: view.getUint8(at + 2),
      whenFalse: view.getUint8(at + 3),
      operand: view.getUint32(at + 4, true),
    });
  decoded.set(filter, instructions);
  return instructions;
}

function holds(code: number, accumulator: number, operand: number): boolean {
  if (code === JEQ) return accumulator === operand;
  if (code === JGT) return accumulator > operand;
  if (code === JGE) return accumulator >= operand;
  throw new Error(`Unknown instruction ${code}`);
}

/** Runs instructions of struct sock_filter over struct seccomp_data. @returns the SECCOMP_RET_* value. */
export function runFilter(filter: Uint8Array, call: SeccompCall): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.arch, true);
  for (const [index, arg] of call.args.entries()) data.setBigUint64(16 + index * 8, BigInt.asUintN(64, arg), true);
  const instructions = decoded.get(filter) ?? decode(filter);
  let accumulator = 0;
  for (let at = 0; at < instructions.length; at++) {
    const { code, whenTrue, whenFalse, operand } = instructions[at]!;
    if (code === RET) return operand;
    if (code === LD_W_ABS) accumulator = data.getUint32(operand, true);
    else if (code === AND) accumulator = (accumulator & operand) >>> 0;
    else if (code === JA) at += operand;
    else at += holds(code, accumulator, operand) ? whenTrue : whenFalse;
  }
  throw new Error('The filter ends without a verdict');
}

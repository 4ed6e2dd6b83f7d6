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

/** Runs instructions of struct sock_filter over struct seccomp_data. @returns the SECCOMP_RET_* value. */
export function runFilter(filter: Uint8Array, call: SeccompCall): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.arch, true);
  for (const [index, arg] of call.args.entries()) data.setBigUint64(16 + index * 8, BigInt.asUintN(64, arg), true);
  const view = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  let accumulator = 0;
  for (let at = 0; at * 8 < filter.length; at++) {
    const code = view.getUint16(at * 8, true);
    const whenTrue = view.getUint8(at * 8 + 2);
    const whenFalse = view.getUint8(at * 8 + 3);
    const operand = view.getUint32(at * 8 + 4, true);
    if (code === RET) return operand;
    if (code === LD_W_ABS) accumulator = data.getUint32(operand, true);
    else if (code === AND) accumulator = (accumulator & operand) >>> 0;
    else if (code === JA) at += operand;
    else {
      const tests: Record<number, boolean> = {
        [JEQ]: accumulator === operand,
        [JGT]: accumulator > operand,
        [JGE]: accumulator >= operand,
      };
      const holds = tests[code];
      if (holds === undefined) throw new Error(`Unknown instruction ${code} at ${at}`);
      at += holds ? whenTrue : whenFalse;
    }
  }
  throw new Error('The filter ends without a verdict');
}

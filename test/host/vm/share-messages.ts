// FUSE requests as a guest's kernel, or who has taken its place, may write them; and what comes back.
import { opcodes } from '../../../host/vm/share/fuse-protocol.ts';

export const numbers = (...values: (number | bigint)[]): Buffer =>
  Buffer.concat(
    values.map((value) => {
      const out = Buffer.alloc(typeof value === 'bigint' ? 8 : 4);
      if (typeof value === 'bigint') out.writeBigUInt64LE(value);
      else out.writeUInt32LE(value >>> 0);
      return out;
    }),
  );

export const text = (...names: string[]): Buffer => Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1');

let unique = 0n;

/** u64 are bigints, u32 numbers, names strings. */
export function request(
  opcode: keyof typeof opcodes | number,
  node: number,
  ...body: (number | bigint | string | Buffer)[]
): Buffer {
  const parts = body.map((part) =>
    typeof part === 'string' ? text(part) : Buffer.isBuffer(part) ? part : numbers(part),
  );
  const payload = Buffer.concat(parts);
  const code = typeof opcode === 'number' ? opcode : opcodes[opcode];
  return Buffer.concat([numbers(40 + payload.length, code, ++unique, BigInt(node), 0, 0, 1, 0), payload]);
}

export interface Reply {
  errno: number;
  unique: bigint;
  body: Buffer;
}

export function readReply(bytes: Buffer): Reply {
  return { errno: 0 - bytes.readInt32LE(4), unique: bytes.readBigUInt64LE(8), body: bytes.subarray(16) };
}

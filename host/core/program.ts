// Reads a program's bytes back into ops: for the plan's text, the lint and the words of a failure.
import {
  HEADER_SIZE,
  KIND_DATA,
  KIND_NONE,
  KIND_REGISTER,
  OP_ARGS,
  OP_SIZE,
  PLAN_MAGIC,
  PLAN_VERSION,
  REGISTER_NONE,
} from '../../core-asm/abi.ts';
import { GantryError } from '../errors.ts';
import { opShape } from './op-table.ts';

/** One operand, read by the op's shape. */
export type Operand =
  | { kind: 'number'; value: bigint; letter: string }
  | { kind: 'register'; register: number; letter: string }
  | { kind: 'string'; text: string; letter: string }
  | { kind: 'bytes'; bytes: Uint8Array; letter: string }
  | { kind: 'list'; items: string[]; letter: string };

export interface Op {
  index: number;
  code: number;
  name: string;
  operands: Operand[];
  /** Register that takes the result; undefined: none. */
  destination: number | undefined;
  policy: number;
  skip: number;
  note: string;
}

export interface Program {
  architecture: number;
  ops: Op[];
}

const decoder = new TextDecoder();

/** Decodes a program. @throws {GantryError} INTERNAL where the bytes are not a program of this version. */
export function readProgram(bytes: Uint8Array): Program {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_SIZE || view.getUint32(0, true) !== PLAN_MAGIC || view.getUint16(4, true) !== PLAN_VERSION)
    throw new GantryError('INTERNAL', 'Cannot read the program: it is not of this version');
  const count = view.getUint32(8, true);
  const data = bytes.subarray(HEADER_SIZE + count * OP_SIZE);
  const ops: Op[] = [];
  for (let index = 0; index < count; index++) ops.push(readOp(view, data, index));
  return { architecture: view.getUint16(6, true), ops };
}

function readOp(view: DataView, data: Uint8Array, index: number): Op {
  const base = HEADER_SIZE + index * OP_SIZE;
  const code = view.getUint16(base, true);
  const kinds = view.getUint32(base + 4, true);
  const shape = opShape(code);
  const values: bigint[] = [];
  for (let i = 0; i < OP_ARGS; i++) values.push(view.getBigInt64(base + 8 + i * 8, true));
  const operands: Operand[] = [];
  for (let i = 0; i < OP_ARGS; i++) {
    const kind = (kinds >>> (i * 4)) & 15;
    if (kind === KIND_NONE) break;
    operands.push(readOperand(kind, shape?.operands[i] ?? 'i', values[i] ?? 0n, values[i + 1] ?? 0n, data));
  }
  const destination = view.getUint8(base + 2);
  const note = view.getUint32(base + 56, true);
  return {
    index,
    code,
    name: shape?.name ?? `op ${code}`,
    operands,
    destination: destination === REGISTER_NONE ? undefined : destination,
    policy: view.getUint8(base + 3),
    skip: view.getUint32(base + 60, true),
    note: note === 0 ? '' : cstring(data, note),
  };
}

const structSizes: Record<string, number> = { d: 32 };

function readOperand(kind: number, letter: string, value: bigint, next: bigint, data: Uint8Array): Operand {
  if (kind === KIND_REGISTER) return { kind: 'register', register: Number(value), letter };
  if (kind !== KIND_DATA) return { kind: 'number', value, letter };
  const offset = Number(value);
  if (letter === 'b') return { kind: 'bytes', bytes: data.subarray(offset, offset + Number(next)), letter };
  if (letter === 'a') {
    const items = decoder.decode(data.subarray(offset, offset + Number(next))).split('\0');
    return { kind: 'list', items: items.slice(0, -1), letter };
  }
  if (letter === 'd')
    return { kind: 'bytes', bytes: data.subarray(offset, offset + (structSizes[letter] ?? 0)), letter };
  return { kind: 'string', text: cstring(data, offset), letter };
}

function cstring(data: Uint8Array, offset: number): string {
  const end = data.indexOf(0, offset);
  return decoder.decode(data.subarray(offset, end < 0 ? data.length : end));
}

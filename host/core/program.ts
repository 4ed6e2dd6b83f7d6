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
  readonly index: number;
  readonly code: number;
  readonly name: string;
  readonly operands: Operand[];
  /** Register that takes the result; undefined: none. */
  readonly destination: number | undefined;
  readonly policy: number;
  readonly skip: number;
  readonly note: string;
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
  for (let index = 0; index < count; index++) ops.push(new StoredOp(view, data, index));
  return { architecture: view.getUint16(6, true), ops };
}

/** An op as it stands in the bytes; operands and note are decoded when somebody looks: the lint looks at few. */
class StoredOp implements Op {
  readonly code: number;
  readonly name: string;
  readonly destination: number | undefined;
  private readonly base: number;
  private decoded: Operand[] | undefined;

  constructor(
    private readonly view: DataView,
    private readonly data: Uint8Array,
    readonly index: number,
  ) {
    this.base = HEADER_SIZE + index * OP_SIZE;
    this.code = view.getUint16(this.base, true);
    this.name = opShape(this.code)?.name ?? `op ${this.code}`;
    const destination = view.getUint8(this.base + 2);
    this.destination = destination === REGISTER_NONE ? undefined : destination;
  }

  get policy(): number {
    return this.view.getUint8(this.base + 3);
  }

  get skip(): number {
    return this.view.getUint32(this.base + 60, true);
  }

  get note(): string {
    const note = this.view.getUint32(this.base + 56, true);
    return note === 0 ? '' : cstring(this.data, note);
  }

  get operands(): Operand[] {
    this.decoded ??= readOperands(this.view, this.data, this.base, opShape(this.code)?.operands ?? '');
    return this.decoded;
  }
}

function readOperands(view: DataView, data: Uint8Array, base: number, letters: string): Operand[] {
  const kinds = view.getUint32(base + 4, true);
  const value = (i: number): bigint => (i < OP_ARGS ? view.getBigInt64(base + 8 + i * 8, true) : 0n);
  const operands: Operand[] = [];
  for (let i = 0; i < OP_ARGS; i++) {
    const kind = (kinds >>> (i * 4)) & 15;
    if (kind === KIND_NONE) break;
    operands.push(readOperand(kind, letters[i] ?? 'i', value(i), value(i + 1), data));
  }
  return operands;
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

// A plan as people read it: strace-like lines, one op a line with its reason, the same bytes on every OS.
import { createHash } from 'node:crypto';
import { ARCH_AARCH64, POLICY_IGNORE, POLICY_SKIP, POLICY_WARN } from '../../core-asm/abi.ts';
import type { Plan } from '../plan-types.ts';
import { numberName, structText } from './operand-names.ts';
import { type Op, type Operand, readProgram } from './program.ts';

const FD_CWD = -100n;
const SECRET = /(pass(word|wd)?|secret|token|api_?key|credential|private_?key)/i;

const cloneFlags: [bigint, string][] = [
  [0x80n, 'NEWTIME'],
  [0x20000n, 'NEWNS'],
  [0x2000000n, 'NEWCGROUP'],
  [0x4000000n, 'NEWUTS'],
  [0x8000000n, 'NEWIPC'],
  [0x10000000n, 'NEWUSER'],
  [0x20000000n, 'NEWPID'],
  [0x40000000n, 'NEWNET'],
];

function flagNames(value: bigint): string {
  const names = cloneFlags.filter(([bit]) => (value & bit) !== 0n).map(([, name]) => `CLONE_${name}`);
  return names.length > 0 ? names.join('|') : '0';
}

/** An environment entry whose name looks like a secret's loses its value. */
export function redact(entry: string): string {
  const at = entry.indexOf('=');
  return at > 0 && SECRET.test(entry.slice(0, at)) ? `${entry.slice(0, at)}=[redacted]` : entry;
}

function bytesText(bytes: Uint8Array): string {
  const printable = bytes.length <= 200 && bytes.every((byte) => (byte >= 32 && byte < 127) || byte === 10);
  if (printable) return JSON.stringify(new TextDecoder().decode(bytes));
  return `<${bytes.length} bytes ${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}>`;
}

function numberText(value: bigint, letter: string): string {
  if (letter === 'f') return value === FD_CWD ? 'AT_FDCWD' : value.toString();
  if (letter === 'o') return `0${value.toString(8)}`;
  if (letter === 'c') return flagNames(value);
  if ('xm'.includes(letter)) return value === 0n ? '0' : `0x${BigInt.asUintN(64, value).toString(16)}`;
  return value.toString();
}

/** What a register holds, by the operand's letter; an fd where none of these. */
const registers: Record<string, string> = { p: 'pid', r: '' };

function operandText(operand: Operand, place: number, op: Op, arm64: boolean): string {
  const [head] = op.operands;
  const first = head?.kind === 'number' ? head.value : undefined;
  switch (operand.kind) {
    case 'register':
      return `${registers[operand.letter] ?? 'fd'}$${operand.register}`;
    case 'number':
      return numberName(op.name, place, operand.value, first, arm64) ?? numberText(operand.value, operand.letter);
    case 'string':
      return JSON.stringify(operand.text);
    case 'bytes':
      return structText(op.name, place, operand.bytes, first) ?? bytesText(operand.bytes);
    case 'list':
      return `[${operand.items.map((item) => JSON.stringify(redact(item))).join(', ')}]`;
  }
}

const policies: Record<number, string> = { [POLICY_WARN]: ' ?warn', [POLICY_IGNORE]: ' ?ignore' };

function opText(op: Op, arm64: boolean): string {
  const args = op.operands
    .map((operand, place) =>
      operand.letter === 'j' || operand.letter === 'n' ? '' : operandText(operand, place, op, arm64),
    )
    .filter((text) => text !== '');
  const result = op.destination === undefined ? '' : ` = $${op.destination}`;
  const policy = op.policy === POLICY_SKIP ? ` ?skip ${op.skip}` : (policies[op.policy] ?? '');
  const note = op.note === '' ? '' : `  # ${op.note}`;
  return `${op.name}(${args.join(', ')})${result}${policy}${note}`;
}

/** Lines of one program; blocks are indented, each line begins with the op's index. */
export function programLines(bytes: Uint8Array): string[] {
  const lines: string[] = [];
  const ends: number[] = [];
  const { architecture, ops } = readProgram(bytes);
  for (const op of ops) {
    while (ends.length > 0 && op.index >= ends[ends.length - 1]!) ends.pop();
    lines.push(
      `${String(op.index).padStart(4)} ${'  '.repeat(ends.length)}${opText(op, architecture === ARCH_AARCH64)}`,
    );
    const length = op.operands[0];
    if (length?.kind === 'number' && length.letter === 'j') ends.push(op.index + 1 + Number(length.value));
  }
  return lines;
}

/** The whole plan as text: set-up and tear-down. */
export function explainPlan(plan: Pick<Plan, 'setup' | 'teardown'>): string {
  return ['set-up:', ...programLines(plan.setup), 'tear-down:', ...programLines(plan.teardown), ''].join('\n');
}

/** sha256 over both programs, hex. */
export function planDigest(plan: Pick<Plan, 'setup' | 'teardown'>): string {
  return createHash('sha256').update(plan.setup).update(plan.teardown).digest('hex');
}

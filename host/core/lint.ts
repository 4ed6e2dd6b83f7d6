// Properties of a set-up program that must hold before it may run: checked over the ops, whoever planned them.
import { GantryError } from '../errors.ts';
import { type Op, type Program, readProgram } from './program.ts';

interface Rule {
  name: string;
  /** Returns the offending op, or undefined. `launcher`: the ops around the clone that makes the child. */
  violation: (child: Op[], launcher: Op[]) => Op | undefined;
}

const before = (ops: Op[], name: string): Op[] => {
  const at = ops.findLastIndex((op) => op.name === name);
  return at < 0 ? ops : ops.slice(0, at);
};
const first = (ops: Op[]): Op | undefined => ops[0];
const text = (op: Op, index: number): string | undefined => {
  const operand = op.operands[index];
  return operand?.kind === 'string' ? operand.text : undefined;
};
const number = (op: Op, index: number): bigint | undefined => {
  const operand = op.operands[index];
  return operand?.kind === 'number' ? operand.value : undefined;
};

const MOVE_MOUNT_T_EMPTY_PATH = 0x40n;
const MOUNT_ATTR_NODEV = 0x4n;

/** attr_set of a mount_setattr(2) on the whole tree. */
const attributes = (op: Op): bigint | undefined => {
  const operand = op.operands[3];
  if (operand?.kind !== 'bytes' || (number(op, 2) ?? 0n) !== AT_RECURSIVE) return undefined;
  return new DataView(operand.bytes.buffer, operand.bytes.byteOffset).getBigUint64(0, true);
};
const AT_RECURSIVE = 0x8000n;
const CLONE_NEWNS = 0x20000n;
const CLONE_NEWUSER = 0x10000000n;

const entersUser = (op: Op): boolean => op.name === 'setns' && ((number(op, 1) ?? 0n) & CLONE_NEWUSER) !== 0n;

/** The one mount on a path of the host: the root, while nothing of the container is mounted yet. */
const rootPlacement = (child: Op[]): Op | undefined =>
  child.find((op) => op.name === 'move_mount' || (op.name === 'mount' && text(op, 2) === 'overlay'));

const rules: Rule[] = [
  {
    name: 'every mount target inside the container is an fd resolved in the root',
    violation: (child) =>
      child.find((op, index) => {
        if (op.name !== 'move_mount') return false;
        const target = op.operands[2];
        // --no-pivot: the root over the host's, which is left at once.
        if (child[index + 1]?.name === 'chroot') return false;
        // The root itself, before anything is below it.
        if (target?.kind !== 'register') return child.slice(0, index).some(({ name }) => name.startsWith('ensure_'));
        const maker = child.slice(0, index).findLast((other) => other.destination === target.register);
        return (
          !['ensure_dir', 'ensure_file', 'ensure_like', 'open_in_root'].includes(maker?.name ?? '') ||
          text(op, 3) !== '' ||
          ((number(op, 4) ?? 0n) & MOVE_MOUNT_T_EMPTY_PATH) === 0n
        );
      }),
  },
  {
    name: 'nothing but the root lies where it is pivoted from',
    violation: (child) => {
      const byPath = child.filter((op) => op.name === 'move_mount' && op.operands[2]?.kind !== 'register');
      return byPath.find((op, index) => byPath.slice(0, index).some((other) => text(other, 3) === text(op, 3)));
    },
  },
  {
    name: 'no mount by path but the root and the change of propagation',
    violation: (child) => child.find((op) => op.name === 'mount' && text(op, 1) !== '/' && op !== rootPlacement(child)),
  },
  {
    name: 'nothing but fds 0-2 survives',
    violation: (child) =>
      child.some((op) => op.name === 'execve') && !before(child, 'execve').some((op) => op.name === 'seal')
        ? child.at(-1)
        : undefined,
  },
  {
    name: 'capabilities drop before exec',
    violation: (child) => {
      const lead = before(child, 'execve');
      return child.some((op) => op.name === 'execve') && !lead.some((op) => op.name === 'capset')
        ? child.at(-1)
        : undefined;
    },
  },
  {
    name: 'ids change before capabilities are set for good',
    violation: (child) => {
      const last = child.findLastIndex((op) => op.name === 'capset');
      return last < 0 ? undefined : first(child.slice(last + 1).filter((op) => /^setres|^setgroups$/.test(op.name)));
    },
  },
  {
    name: 'the launcher mounts only in a mount namespace of its own',
    violation: (_child, launcher) => {
      const apart = launcher.findIndex((op) => op.name === 'unshare' && ((number(op, 0) ?? 0n) & CLONE_NEWNS) !== 0n);
      return launcher.find((op, index) => /^(move_)?mount$/.test(op.name) && (apart < 0 || index < apart));
    },
  },
  {
    name: 'nothing is opened or mounted for the container once its user namespace is entered',
    violation: (_child, launcher) => {
      const at = launcher.findIndex(entersUser);
      return at < 0 ? undefined : launcher.slice(at + 1).find(({ name }) => !['close', 'clone'].includes(name));
    },
  },
  {
    name: 'in a user namespace its root is taken on first',
    violation: (child, launcher) => {
      if (!launcher.some(entersUser)) return undefined;
      const wanted = ['setgroups', 'setresgid', 'setresuid'];
      return child.find((op, index) => index < wanted.length && op.name !== wanted[index]);
    },
  },
  {
    name: 'exec is the last op',
    violation: (child) => {
      const at = child.findIndex((op) => op.name === 'execve' || op.name === 'archive');
      return at >= 0 ? child[at + 1] : undefined;
    },
  },
  {
    name: 'files are copied where no device can be opened',
    violation: (child) => {
      const at = child.findIndex((op) => op.name === 'archive');
      if (at < 0) return undefined;
      const guarded = child
        .slice(0, at)
        .some((op) => op.name === 'mount_setattr' && text(op, 1) === '/' && attributes(op) === MOUNT_ATTR_NODEV);
      return guarded ? undefined : child[at];
    },
  },
  {
    name: 'the host file system is left before exec',
    violation: (child) => {
      const pivot = child.findIndex((op) => op.name === 'pivot_root');
      if (pivot < 0) return undefined;
      return child[pivot + 1]?.name === 'umount2' ? undefined : child[pivot];
    },
  },
];

/** Ops of the block that this op opens. */
function blockOf(program: Program, op: Op | undefined): Op[] {
  const length = op?.operands[0];
  if (op === undefined || length?.kind !== 'number') return [];
  return program.ops.slice(op.index + 1, op.index + 1 + Number(length.value));
}

/** Checks every rule over a set-up or exec program. @throws {GantryError} PLAN_REFUSED with the rule and the op. */
export function lintPlan(bytes: Uint8Array): void {
  const program = readProgram(bytes);
  // The innermost block is what the container's first process does.
  const child = blockOf(
    program,
    program.ops.find((op) => op.name === 'clone'),
  );
  const inside = new Set(child);
  const launch = program.ops.find((op) => op.name === 'launch');
  const launcher = blockOf(program, launch).filter((op) => !inside.has(op));
  for (const rule of rules) {
    const op = rule.violation(child, launcher);
    if (op !== undefined)
      throw new GantryError(
        'PLAN_REFUSED',
        `Cannot run the plan: op ${op.index} (${op.name}) violates "${rule.name}"`,
        {
          hint: 'This is a defect of gantry: please report it with the output of `gantry plan`',
          details: { op: op.index, rule: rule.name },
        },
      );
  }
}

/** The rules, for documentation and `gantry plan --lint`. */
export function lintRules(): string[] {
  return rules.map((rule) => rule.name);
}

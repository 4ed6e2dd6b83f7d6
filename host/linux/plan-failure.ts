// (op, errno, phase) → the error that a user reads, by looking the op up in the very program that was sent.
import { HOOK_EXITED, PHASE_TEARDOWN, PHASE_VALIDATE } from '../../core-asm/abi.ts';
import { type Op, type Program, readProgram } from '../core/program.ts';
import { type ErrorCode, GantryError } from '../errors.ts';
import { errnoName, errnoText } from './errno.ts';
import type { Failure } from '../frames.ts';

/** What a failed program becomes. */
export function planFailure(bytes: Uint8Array, failure: Failure): GantryError {
  const program = readProgram(bytes);
  const op = program.ops[failure.op];
  const details = { op: failure.op, errno: errnoName(failure.errno) };
  if (op === undefined || failure.phase === PHASE_VALIDATE)
    return new GantryError('PLAN_FAILED', `Cannot run the plan: the executor refuses op ${failure.op}${named(op)}`, {
      hint: 'Executor and planning core do not fit: build both again with "npm run build"',
      details,
    });
  if (op.name === 'execve' || op.name === 'find_executable') return execFailure(op, failure, details);
  if (op.name === 'chdir' && ['ENOENT', 'ENOTDIR', 'EACCES'].includes(details.errno))
    return new GantryError(
      'PLAN_FAILED',
      `Cannot enter the working directory "${strings(op)[0] ?? ''}": ${errnoText(failure.errno)} (op ${failure.op})`,
      { hint: 'Choose a directory of the image with -w, and a user who may enter it', details },
    );
  if (op.name === 'hook') return hookFailure(op, failure, details);
  const message = `Cannot ${action(op, program)}: ${errnoText(failure.errno)} (${position(op)})`;
  if (details.errno === 'ENOSPC' && ['clone', 'unshare', 'user_namespace'].includes(op.name))
    return new GantryError('PLAN_FAILED', message, {
      hint: 'A limit on namespaces is reached: raise those of /proc/sys/user/max_*_namespaces',
      details,
    });
  if (isIdmap(op) && details.errno === 'EINVAL')
    return new GantryError('UNSUPPORTED', message, {
      hint: 'The file system there cannot map ids (mount_setattr(2), "ID-mapped mounts"): keep it on ext4, xfs or btrfs',
      details,
    });
  const profile = profileOf(op);
  if (profile !== undefined && details.errno === 'ENOENT')
    return new GantryError('INVALID_ARGUMENT', `Cannot apply the AppArmor profile "${profile}": it is not loaded`, {
      hint: 'Load it: apparmor_parser -r FILE; "apparmor=unconfined" does without one',
      details,
    });
  const hint = lacksController(op, details.errno) ? controllerHint : hints[details.errno];
  return new GantryError(codes[details.errno] ?? 'PLAN_FAILED', message, { hint, details });
}

/** A warning of the executor as a sentence. */
export function planWarning(bytes: Uint8Array, failure: Failure): string {
  const program = readProgram(bytes);
  const op = program.ops[failure.op];
  if (op === undefined || failure.phase === PHASE_TEARDOWN) return `Op ${failure.op}: ${errnoText(failure.errno)}`;
  return `Left out: ${action(op, program)}: ${errnoText(failure.errno)} (${position(op)})`;
}

const controllerHint =
  'The cgroup above hands this controller on to nobody: processes must not be in it, and under systemd it needs Delegate=yes';

/** The AppArmor profile that the op asks for. */
function profileOf(op: Op): string | undefined {
  const [path = ''] = strings(op);
  return op.name === 'write_proc' && path.startsWith('/proc/self/attr/')
    ? contentOf(op)?.replace(/^exec /, '')
    : undefined;
}

/** cgroup v2 shows the files of a controller only where every cgroup above has enabled it. */
function lacksController(op: Op, errno: string): boolean {
  const [path = ''] = strings(op);
  return op.name === 'write_file' && errno === 'ENOENT' && /\/(cpu|cpuset|io|memory|pids|hugetlb)\.[^/]+$/.test(path);
}

const codes: Record<string, ErrorCode> = { ENOSPC: 'DISK_FULL', EDQUOT: 'DISK_FULL' };

const hints: Record<string, string> = {
  EAGAIN:
    'A limit on processes is reached: --pids-limit counts one more while a process is made, --ulimit nproc the whole user',
  EPERM: 'Run gantry as root; inside another container, that container must grant the privilege',
  EACCES: 'Check the permissions of the path and of the directories above it',
  ENOSPC: 'Free space on the file system that holds the data root',
  EDQUOT: 'Free space on the file system that holds the data root',
  ENOSYS: 'A newer kernel is needed; run "gantry doctor" to see what this one lacks',
  EMFILE: 'Raise the limit on open files: ulimit -n',
};

/** Is it the op that gives a mount the ids of a user namespace. */
function isIdmap({ name, note }: Op): boolean {
  return name === 'mount_setattr' && note.endsWith('of the container');
}

function named(op: Op | undefined): string {
  return op === undefined ? '' : ` (${op.name})`;
}

function position(op: Op): string {
  return op.note === '' ? `op ${op.index}` : `op ${op.index}: ${op.note}`;
}

function hookFailure(op: Op, { errno }: Failure, details: { op: number; errno: string }): GantryError {
  const [path = ''] = strings(op);
  const status = errno - HOOK_EXITED;
  const reason =
    details.errno === 'ETIMEDOUT'
      ? 'it took longer than its timeout'
      : status >= 256
        ? `signal ${status - 256} killed it`
        : status > 0
          ? `it exited with status ${status}`
          : errnoText(errno);
  return new GantryError('PLAN_FAILED', `Cannot run the ${op.note} hook "${path}": ${reason}`, {
    hint: 'What the hook wrote is in the log; 127 without a word says that the program is not there',
    details,
  });
}

/** Docker's clients tell exit status 126 and 127 by these phrases. */
function execFailure(op: Op, { errno }: Failure, details: { op: number; errno: string }): GantryError {
  const [file = ''] = strings(op);
  const reason = details.errno === 'ENOENT' && !file.includes('/') ? 'executable file not found in $PATH' : undefined;
  const message = `Cannot run "${file}": ${reason ?? errnoText(errno)}`;
  if (details.errno === 'ENOENT')
    return new GantryError('COMMAND_NOT_FOUND', message, {
      hint: 'Check the command, and for a script that its interpreter is in the image',
      details,
    });
  const hint =
    details.errno === 'ENOEXEC'
      ? 'Is the program built for this architecture, and does a script begin with "#!"'
      : undefined;
  return new GantryError('COMMAND_NOT_EXECUTABLE', message, { hint, details });
}

const verbs: Record<string, string> = {
  netlink: 'configure the network',
  clone: 'create the namespaces',
  launch: 'start the launcher',
  seccomp: 'install the seccomp filter',
  bpf_device: 'attach the device filter',
  setns: 'enter the namespace',
  user_namespace: 'make the user namespace',
  mount_setattr: 'set the attributes of the mount',
  capset: 'set the capabilities',
  setgroups: 'set the groups',
};

/** Operand that names the object where that is not the first string. */
const objects: Record<string, number> = { mount: 1, symlinkat: 2, linkat: 3, move_mount: 2, fsconfig: 0 };

const VALUE_SHOWN = 80;

/** 'write "64" to "/sys/…/pids.max"', 'mount "/proc"'. */
function action(op: Op, program: Program): string {
  const target = objectOf(op, program);
  const quoted = target === undefined ? '' : ` "${target}"`;
  const content = contentOf(op);
  if (/^write_|_write$/.test(op.name) && content !== undefined)
    return `write "${content.slice(0, VALUE_SHOWN)}" to${quoted}`;
  return `${verbs[op.name] ?? op.name}${quoted}`;
}

function contentOf(op: Op): string | undefined {
  const content = op.operands.find((operand) => operand.kind === 'bytes');
  return content?.kind === 'bytes' ? new TextDecoder().decode(content.bytes).trimEnd() : undefined;
}

function strings(op: Op): string[] {
  return op.operands.flatMap((operand) => (operand.kind === 'string' && operand.text !== '' ? [operand.text] : []));
}

/** The path that the op works on; for an fd, the path of the op that opened it. */
function objectOf(op: Op, program: Program, depth = 0): string | undefined {
  const chosen = objects[op.name];
  const operands = chosen === undefined ? op.operands : op.operands.slice(chosen, chosen + 1);
  for (const operand of operands) if (operand.kind === 'string' && operand.text !== '') return operand.text;
  for (const operand of operands) {
    if (operand.kind !== 'register' || 'pr'.includes(operand.letter) || depth > 4) continue;
    const maker = program.ops.slice(0, op.index).findLast((other) => other.destination === operand.register);
    if (maker !== undefined) return objectOf(maker, program, depth + 1);
  }
  return undefined;
}

// The last steps before the program runs: limits, ids, capabilities, filter, exec. In a new container and in an exec.
import {
  OP_CAPSET,
  OP_CHDIR,
  OP_EXECVE,
  OP_KEYCTL,
  OP_PRCTL,
  OP_PRLIMIT64,
  OP_SEAL,
  OP_SECCOMP,
  OP_SETGROUPS,
  OP_SETRESGID,
  OP_SETRESUID,
  OP_UMASK,
  OP_WRITE_PROC,
  POLICY_IGNORE,
  POLICY_WARN,
} from '../abi';
import { Bytes, ByteWriter } from '../bytes';
import { Json } from '../json';
import {
  CAPABILITY_VERSION_3,
  KEYCTL_JOIN_SESSION_KEYRING,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_KEEPCAPS,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  SIGKILL,
} from '../kernel';
import { capabilityMask, LAST_CAPABILITY } from '../spec/capabilities';
import { rlimitNumber } from '../spec/process';
import { DEFAULT_PROFILE } from '../spec/security';
import { ProgramWriter } from './program';

/**
 * Appends the steps for an OCI `process`. A filter without no_new_privs needs CAP_SYS_ADMIN, so it goes in before the
 * last capset; with it, last of all.
 */
export function becomeProcess(program: ProgramWriter, process: Json, filter: Bytes, filterFlags: i32): void {
  limits(program, process);
  program.op(OP_UMASK).imm(0o022);
  program.op(OP_KEYCTL).imm(KEYCTL_JOIN_SESSION_KEYRING).imm(0).imm(0).imm(0).imm(0).policy(POLICY_IGNORE);
  const capabilities = process.child('capabilities');
  const bounding = capabilityMask(capabilities.strings('bounding'), 'capabilities.bounding');
  for (let number = 0; number <= LAST_CAPABILITY; number++)
    if ((bounding & ((<u64>1) << number)) == 0)
      program.op(OP_PRCTL).imm(PR_CAPBSET_DROP).imm(number).imm(0).imm(0).imm(0).policy(POLICY_IGNORE);
  const noNewPrivileges = process.flag('noNewPrivileges');
  if (noNewPrivileges) program.op(OP_PRCTL).imm(PR_SET_NO_NEW_PRIVS).imm(1).imm(0).imm(0).imm(0);
  if (filter.length > 0 && !noNewPrivileges) {
    becomeUser(program, process, bounding | SYS_ADMIN);
    seccomp(program, filter, filterFlags);
    capset(program, capabilities);
  } else {
    becomeUser(program, process, 0);
    capset(program, capabilities);
  }
  program
    .op(OP_PRCTL)
    .imm(PR_SET_PDEATHSIG)
    .imm(SIGKILL)
    .imm(0)
    .imm(0)
    .imm(0)
    .because('no container without its supervisor');
  program.op(OP_CHDIR).str(process.str('cwd')).because('working directory');
  program.op(OP_SEAL).because('nothing but fds 0-2 survives');
  if (filter.length > 0 && noNewPrivileges) seccomp(program, filter, filterFlags);
  execute(program, process);
}

/**
 * In the launcher, while the host's own /proc is seen: what the container has laid over its /proc gets no write
 * (CVE-2019-19921). The kernel keeps the name over fork(2) until the program is executed (apparmor_procattr).
 */
export function confine(program: ProgramWriter, profile: string, facts: Json): void {
  if (profile == '') return;
  const kernel = facts.list('kernel');
  const major = kernel[0].integer;
  // A directory of AppArmor's own: Linux 5.8.
  const own = major > 5 || (major == 5 && kernel[1].integer >= 8);
  program
    .op(OP_WRITE_PROC)
    .str(own ? '/proc/self/attr/apparmor/exec' : '/proc/self/attr/exec')
    .content('exec ' + profile)
    .because('AppArmor profile of the program that is executed');
  if (profile == DEFAULT_PROFILE) program.policy(POLICY_IGNORE);
}

export function limits(program: ProgramWriter, process: Json): void {
  const rlimits = process.list('rlimits');
  for (let i = 0; i < rlimits.length; i++) {
    const name = rlimits[i].str('type').substring(7).toLowerCase();
    const value = new ByteWriter(16);
    value.u64(<u64>rlimits[i].int('soft'));
    value.u64(<u64>rlimits[i].int('hard'));
    program
      .op(OP_PRLIMIT64)
      .imm(0)
      .imm(rlimitNumber(name))
      .struct(value.view())
      .imm(0)
      .policy(POLICY_WARN)
      .because('--ulimit ' + name);
  }
}

export function seccomp(program: ProgramWriter, filter: Bytes, flags: i32): void {
  program.op(OP_SECCOMP).buffer(filter).imm(flags).because('system calls that the container may make');
}

export const SYS_ADMIN: u64 = 1 << 21;

/** Ids; capabilities of `keep` are held over the change: the filter needs CAP_SYS_ADMIN. */
export function becomeUser(program: ProgramWriter, process: Json, keep: u64): void {
  const user = process.child('user');
  const groups = user.list('additionalGids');
  const list = new ByteWriter(groups.length * 4 + 4);
  for (let i = 0; i < groups.length; i++) list.u32(<u32>groups[i].integer);
  if (groups.length == 0) list.u32(0);
  const uid = user.int('uid');
  const gid = user.int('gid');
  program.op(OP_SETGROUPS).imm(groups.length).struct(list.view());
  program.op(OP_SETRESGID).imm(gid).imm(gid).imm(gid);
  if (uid == 0) return;
  program.op(OP_PRCTL).imm(PR_SET_KEEPCAPS).imm(1).imm(0).imm(0).imm(0);
  program.op(OP_SETRESUID).imm(uid).imm(uid).imm(uid);
  // The change of uid emptied the effective set.
  if (keep != 0) capsetMasks(program, keep, keep, 0, 'the filter needs CAP_SYS_ADMIN');
}

export function capsetMasks(
  program: ProgramWriter,
  effective: u64,
  permitted: u64,
  inheritable: u64,
  reason: string,
): void {
  const all: u64 = ((<u64>1) << (LAST_CAPABILITY + 1)) - 1;
  const header = new ByteWriter(8);
  header.u32(CAPABILITY_VERSION_3);
  header.u32(0);
  const data = new ByteWriter(24);
  for (let word = 0; word < 2; word++) {
    data.u32(<u32>((effective & all) >> (word * 32)));
    data.u32(<u32>((permitted & all) >> (word * 32)));
    data.u32(<u32>((inheritable & all) >> (word * 32)));
  }
  program.op(OP_CAPSET).struct(header.view()).struct(data.view()).because(reason);
}

export function capset(program: ProgramWriter, capabilities: Json): void {
  const inheritable = capabilityMask(capabilities.strings('inheritable'), 'capabilities.inheritable');
  const ambient = capabilityMask(capabilities.strings('ambient'), 'capabilities.ambient');
  capsetMasks(
    program,
    capabilityMask(capabilities.strings('effective'), 'capabilities.effective'),
    capabilityMask(capabilities.strings('permitted'), 'capabilities.permitted'),
    inheritable,
    'what the container may do',
  );
  for (let number = 0; number <= LAST_CAPABILITY; number++)
    if (ambient & ((<u64>1) << number))
      program.op(OP_PRCTL).imm(PR_CAP_AMBIENT).imm(PR_CAP_AMBIENT_RAISE).imm(number).imm(0).imm(0);
}

export function listOf(values: string[]): Bytes {
  const out = new ByteWriter(256);
  for (let i = 0; i < values.length; i++) out.cstring(values[i]);
  return out.view();
}

export function execute(program: ProgramWriter, process: Json): void {
  const args = process.strings('args');
  program
    .op(OP_EXECVE)
    .str(args.length > 0 ? args[0] : '')
    .buffer(listOf(args))
    .buffer(listOf(process.strings('env')));
}

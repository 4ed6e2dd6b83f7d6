// What the comparison of seccomp filters runs through: profiles, call numbers of each architecture, argument values.
import { callCore } from '../../host/core/core.ts';
import type { Argument, Profile } from './libseccomp.ts';

export interface Target {
  architecture: 'x86_64' | 'aarch64';
  kernel: [number, number];
  host: { privileged: boolean; capAdd: string[]; capDrop: string[] };
  available: string[];
}

export const ALL_CAPABILITIES =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
    .split(' ')
    .map((name) => `CAP_${name}`);

/** Names newer than libseccomp 2.5 → their numbers: the same on every architecture, but for uretprobe and map_shadow_stack. */
export const newerThanLibseccomp: Record<string, number[]> = {
  uretprobe: [335],
  futex_waitv: [449],
  set_mempolicy_home_node: [450],
  cachestat: [451],
  fchmodat2: [452],
  map_shadow_stack: [453],
  futex_wake: [454],
  futex_wait: [455],
  futex_requeue: [456],
  statmount: [457],
  listmount: [458],
  lsm_get_self_attr: [459],
  lsm_set_self_attr: [460],
  lsm_list_modules: [461],
  mseal: [462],
  setxattrat: [463],
  getxattrat: [464],
  listxattrat: [465],
  removexattrat: [466],
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The core's resolved OCI linux.seccomp. */
export function resolvedText(text: string, target: Target): string {
  return decoder.decode(callCore('resolveSeccomp', encoder.encode(text), encoder.encode(JSON.stringify(target))));
}

export const architectureOf = (architecture: 'x86_64' | 'aarch64'): string[] =>
  architecture === 'x86_64'
    ? ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']
    : ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'];

/** One architecture as the kernel reports it. */
export interface Section {
  name: string;
  /** AUDIT_ARCH_*. */
  arch: number;
  /** libseccomp's token; 0: not one of the profile's. */
  token: number;
  /** First number. */
  base: number;
}

const X32 = 0x40000000;
const every: (Section & { scmp: string })[] = [
  { scmp: 'SCMP_ARCH_X86_64', name: 'x86_64', arch: 0xc000003e, token: 0xc000003e, base: 0 },
  { scmp: 'SCMP_ARCH_X32', name: 'x32', arch: 0xc000003e, token: 0x4000003e, base: X32 },
  { scmp: 'SCMP_ARCH_X86', name: 'ia32', arch: 0x40000003, token: 0x40000003, base: 0 },
  { scmp: 'SCMP_ARCH_AARCH64', name: 'aarch64', arch: 0xc00000b7, token: 0xc00000b7, base: 0 },
  { scmp: 'SCMP_ARCH_ARM', name: 'arm', arch: 0x40000028, token: 0x40000028, base: 0 },
  { scmp: '', name: 'riscv64', arch: 0xc00000f3, token: 0, base: 0 },
];

/** All of them: those that a profile leaves out are bad architectures. */
export function sections(architectures: string[]): Section[] {
  return every.map((section) => ({ ...section, token: architectures.includes(section.scmp) ? section.token : 0 }));
}

/** 0–600 from the base, the private calls of arm, and numbers beyond every table. */
export function numbersOf({ base }: Section): number[] {
  const numbers = Array.from({ length: 601 }, (_unused, number) => base + number);
  for (let number = 0xf0000; number <= 0xf0007; number++) numbers.push(base + number);
  return [...numbers, base + 0x3ffffff0, ...(base === 0 ? [] : [-1, 0x7fffffff, -0x7fffffff])];
}

const none = [0n, 0n, 0n, 0n, 0n, 0n];

/**
 * Argument sets worth trying, by number: the values around each comparison of the call's rules, combined over indexes.
 * Under -1: what any other call gets.
 */
export function argumentSets(profile: Profile, known: Map<string, number>, section: Section): Map<number, bigint[][]> {
  const values = new Map<number, Map<number, Set<bigint>>>();
  for (const rule of profile.syscalls)
    for (const name of rule.names) {
      const number = known.get(name);
      if (number === undefined) continue;
      const own = values.get(number) ?? new Map<number, Set<bigint>>();
      values.set(number, own);
      for (const arg of rule.args) {
        const set = own.get(arg.index) ?? new Set([0n]);
        own.set(arg.index, set);
        for (const value of around(arg)) set.add(BigInt.asUintN(64, value));
      }
    }
  const result = new Map<number, bigint[][]>([[-1, [none, none.map(() => 0xffffffffffffffffn)]]]);
  for (const [number, own] of values) if (own.size > 0) result.set(number, combine(own));
  // socketcall(2) and ipc(2) of ia32 are decided by the call in their first argument.
  if (section.name === 'ia32')
    for (const number of [102, 117])
      result.set(
        number,
        Array.from({ length: 30 }, (_unused, call) => [BigInt(call), 0n, 0n, 0n, 0n, 0n]),
      );
  return result;
}

function around({ op, value, valueTwo }: Argument): bigint[] {
  const high = 1n << 32n;
  const near = (base: bigint): bigint[] => [base - 1n, base, base + 1n, base ^ high, base | (high << 31n)];
  if (op !== 'SCMP_CMP_MASKED_EQ') return [...near(value), 0xffffffffn];
  const bits: bigint[] = [];
  for (let bit = 0n; bit < 64n; bit++) if ((value >> bit) & 1n) bits.push(valueTwo ^ (1n << bit));
  return [...near(value), ...near(valueTwo), ...bits, valueTwo | ~value];
}

/** Every combination, of at most 4,000. */
function combine(own: Map<number, Set<bigint>>): bigint[][] {
  let sets = [none];
  for (const [index, values] of own)
    sets = sets.flatMap((set) => [...values].map((value) => set.with(index, value))).slice(0, 4000);
  return sets;
}

/** Profiles of users: everything that the format can say. JSON text, for numbers of 64 bits. */
export function customProfiles(architectures: string[]): Record<string, string> {
  const list = architectures.map((name) => `"${name}"`).join(',');
  const profile = (fallback: string, rules: string[], more = '', arches = list): string =>
    `{"defaultAction":"SCMP_ACT_${fallback}",${more}"architectures":[${arches}],"syscalls":[${rules.join(',')}]}`;
  const rule = (names: string, action: string, args: string[] = [], more = ''): string =>
    `{"names":[${names
      .split(' ')
      .map((name) => `"${name}"`)
      .join(',')}],"action":"SCMP_ACT_${action}",${more}"args":[${args.join(',')}]}`;
  const arg = (index: number, op: string, value: bigint | number, valueTwo: bigint | number = 0): string =>
    `{"index":${index},"value":${value},"valueTwo":${valueTwo},"op":"SCMP_CMP_${op}"}`;
  const operators = ['NE', 'LT', 'LE', 'EQ', 'GE', 'GT'];
  const wide = 0xfedcba9800000007n;
  return {
    'every operator': profile(
      'ALLOW',
      ['read', 'write', 'mmap', 'ioctl', 'mprotect', 'madvise'].map((name, at) =>
        rule(name, 'ERRNO', [arg(2, operators[at]!, 8)], '"errnoRet":5,'),
      ),
    ),
    'every operator over 64 bits': profile(
      'ERRNO',
      ['read', 'write', 'mmap', 'ioctl', 'mprotect', 'madvise'].map((name, at) =>
        rule(name, 'ALLOW', [arg(1, operators[at]!, wide)]),
      ),
    ),
    'masked comparisons': profile('ERRNO', [
      rule('mmap', 'ALLOW', [arg(2, 'MASKED_EQ', 4, 0)]),
      rule('ioctl', 'ALLOW', [arg(1, 'MASKED_EQ', 0xffffffff, 0x5401)]),
      rule('openat', 'ALLOW', [arg(2, 'MASKED_EQ', 0xff00ff00ff00ff00n, 0x1200560000001200n)]),
      rule('fcntl', 'ALLOW', [arg(1, 'MASKED_EQ', 0xf0, 0x1f)]),
    ]),
    'several arguments in one rule': profile('ERRNO', [
      rule('mmap', 'ALLOW', [arg(1, 'GT', 4096), arg(2, 'EQ', 3), arg(3, 'MASKED_EQ', 0x20, 0x20)]),
      rule('prctl', 'ALLOW', [arg(0, 'NE', 15), arg(4, 'LE', 1)]),
    ]),
    'several rules for one call': profile('ERRNO', [
      rule('ioctl', 'ALLOW', [arg(1, 'EQ', 0x5401)]),
      rule('ioctl', 'ALLOW', [arg(1, 'EQ', 0x5413)]),
      rule('ioctl', 'ALLOW', [arg(0, 'EQ', 7)]),
      rule('read', 'ALLOW', [arg(0, 'EQ', 3)]),
      rule('read', 'ALLOW'),
      rule('write', 'ALLOW'),
      rule('write', 'ALLOW', [arg(0, 'EQ', 3)]),
      rule('prctl', 'ALLOW', [arg(0, 'GE', 10), arg(0, 'EQ', 3)]),
    ]),
    'several actions for one call': profile('ALLOW', [
      rule('ioctl', 'ERRNO', [arg(1, 'EQ', 0x5401)], '"errnoRet":5,'),
      rule('ioctl', 'ERRNO', [arg(1, 'EQ', 0x5413)], '"errnoRet":6,'),
      rule('ioctl', 'KILL_PROCESS', [arg(1, 'GT', 0x6000)]),
      rule('fcntl', 'ERRNO', [arg(0, 'EQ', 3)], '"errnoRet":6,'),
      rule('fcntl', 'ERRNO', [arg(0, 'EQ', 3), arg(1, 'EQ', 4)], '"errnoRet":5,'),
      rule('dup3', 'ERRNO', [arg(0, 'EQ', 1)], '"errnoRet":6,'),
      rule('dup3', 'KILL_PROCESS'),
      rule('statfs', 'ERRNO', [], '"errnoRet":6,'),
      rule('statfs', 'ERRNO', [arg(0, 'EQ', 1)], '"errnoRet":7,'),
    ]),
    'a rule that repeats the default': profile('ERRNO', [
      rule('clone', 'ALLOW', [arg(0, 'MASKED_EQ', 0x7e020000, 0)]),
      rule('clone', 'ERRNO'),
    ]),
    'every action': profile('ALLOW', [
      rule('mkdirat', 'ERRNO', [], '"errnoRet":13,'),
      rule('unlinkat', 'TRACE', [], '"errnoRet":7,'),
      rule('mount', 'KILL_PROCESS'),
      rule('umount2', 'KILL_THREAD'),
      rule('reboot', 'KILL'),
      rule('ptrace', 'TRAP'),
      rule('getpid', 'LOG'),
    ]),
    'multiplexed calls denied': profile('ALLOW', [
      rule('socket', 'ERRNO', [arg(0, 'EQ', 38)]),
      rule('connect accept send recv sendmmsg', 'ERRNO'),
      rule('shmat semop msgsnd', 'ERRNO', [], '"errnoRet":38,'),
    ]),
    'multiplexed calls allowed': profile('ERRNO', [
      rule('socket', 'ALLOW', [arg(0, 'NE', 38)]),
      rule('bind listen accept4 shmget shmdt semtimedop close_range', 'ALLOW'),
    ]),
    'kill as the default': profile('KILL_PROCESS', [rule('read write exit exit_group', 'ALLOW')]),
    'trap as the default': profile('TRAP', [rule('read write exit_group', 'ALLOW')]),
    'log as the default': profile('LOG', [rule('read write', 'ALLOW'), rule('mount', 'ERRNO')]),
    'trace as the default': profile('TRACE', [rule('read write', 'ALLOW')], '"defaultErrnoRet":2,'),
    'ENOSYS as the default': profile('ERRNO', [rule('read write', 'ALLOW')], '"defaultErrnoRet":38,'),
    'the native architecture alone': profile('ERRNO', [rule('read write', 'ALLOW')], '', `"${architectures[0]}"`),
    'nothing but a default': profile('ALLOW', []),
    flags: profile('ALLOW', [rule('mount', 'ERRNO')], '"flags":["SECCOMP_FILTER_FLAG_LOG"],'),
  };
}

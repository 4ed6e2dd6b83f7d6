// libseccomp as the oracle of seccomp filters: a resolved OCI profile → the BPF that a runtime would install.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const source = join(import.meta.dirname, '../fixtures/seccomp/export.c');

export function whyNoLibseccomp(): string {
  const reason = existsSync('/usr/include/seccomp.h')
    ? spawnSync('cc', ['--version']).error === undefined
      ? ''
      : 'there is no cc'
    : 'libseccomp-dev is not installed';
  if (reason !== '') console.log(`Seccomp filters are not compared with libseccomp: ${reason}`);
  return reason;
}

/** Numbers of 64 bits are bigints here: JSON.parse would round them. */
export interface Argument {
  index: number;
  op: string;
  value: bigint;
  valueTwo: bigint;
}

export interface Rule {
  names: string[];
  action: string;
  errnoRet?: number;
  args: Argument[];
}

export interface Profile {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures: string[];
  syscalls: Rule[];
}

/** Reads resolved OCI linux.seccomp. */
export function readProfile(text: string): Profile {
  const exact = text.replace(/"(value|valueTwo)":(\d+)/g, '"$1":"$2"');
  const profile = JSON.parse(exact) as Profile;
  for (const rule of profile.syscalls)
    rule.args = (rule.args ?? []).map(({ index, op, value, valueTwo }) => ({
      index,
      op,
      value: BigInt(value),
      valueTwo: BigInt(valueTwo ?? 0),
    }));
  return profile;
}

/** SECCOMP_RET_* of an OCI action; libseccomp's SCMP_ACT_* are the same numbers. */
export function actionNumber(name: string, errno = 1): number {
  const plain: Record<string, number> = {
    SCMP_ACT_ALLOW: 0x7fff0000,
    SCMP_ACT_LOG: 0x7ffc0000,
    SCMP_ACT_TRAP: 0x00030000,
    SCMP_ACT_KILL: 0,
    SCMP_ACT_KILL_THREAD: 0,
    SCMP_ACT_KILL_PROCESS: 0x80000000,
    SCMP_ACT_ERRNO: 0x00050000 | errno,
    SCMP_ACT_TRACE: 0x7ff00000 | errno,
  };
  const found = plain[name];
  if (found === undefined) throw new Error(`No such action: ${name}`);
  return found;
}

export interface Exported {
  filter: Uint8Array;
  /** Names that this libseccomp does not know. */
  unknown: string[];
  /** Names whose rule it refused, with the errno. */
  refused: string[];
  /** AUDIT_ARCH_* (x32: with its own token) → name → number. */
  numbers: Map<number, Map<string, number>>;
}

export interface Libseccomp {
  build(profile: Profile): Exported;
  close(): void;
}

/** Compiles the exporter. */
export function openLibseccomp(): Libseccomp {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-libseccomp-'));
  const program = join(directory, 'export');
  execFileSync('cc', ['-O1', '-Wall', '-Werror', '-o', program, source, '-lseccomp'], { stdio: 'inherit' });
  return {
    build(profile) {
      const { status, stdout, stderr } = spawnSync(program, { input: linesOf(profile) });
      if (status !== 0) throw new Error(`The libseccomp exporter ended with ${status}: ${stderr}`);
      return { filter: new Uint8Array(stdout), ...readNotes(stderr.toString()) };
    },
    close: () => rmSync(directory, { recursive: true }),
  };
}

function linesOf({ defaultAction, defaultErrnoRet, architectures, syscalls }: Profile): string {
  const fallback = actionNumber(defaultAction, defaultErrnoRet);
  const lines = [`default ${fallback}`, ...architectures.map((name) => `arch ${name.slice(10).toLowerCase()}`)];
  for (const { names, action, errnoRet, args } of syscalls) {
    lines.push(...names.map((name) => `name ${name}`));
    const number = actionNumber(action, errnoRet);
    // As runc does: a rule that says what the default says is left out; two conditions on one argument mean either.
    if (number === fallback) continue;
    const indexes = args.map(({ index }) => index);
    const chains = new Set(indexes).size < indexes.length ? args.map((arg) => [arg]) : [args];
    for (const name of names)
      for (const chain of chains)
        lines.push(`rule ${number} ${name} ${chain.length} ${chain.map(argumentText).join(' ')}`);
  }
  return `${lines.join('\n')}\n`;
}

const argumentText = ({ index, op, value, valueTwo }: Argument): string =>
  `${index} ${op.replace('SCMP_CMP_', '')} ${value} ${valueTwo}`;

function readNotes(text: string): Omit<Exported, 'filter'> {
  const notes: Omit<Exported, 'filter'> = { unknown: [], refused: [], numbers: new Map() };
  for (const line of text.split('\n')) {
    const [word, first = '', second = '', third = ''] = line.split(' ');
    if (word === 'unknown') notes.unknown.push(first);
    else if (word === 'refused') notes.refused.push(`${first} ${second}`);
    else if (word === 'number') {
      const arch = Number.parseInt(first, 16);
      const known = notes.numbers.get(arch) ?? new Map<string, number>();
      notes.numbers.set(arch, known.set(second, Number(third)));
    }
  }
  return notes;
}

// The processes of a container, from its cgroup and /proc (proc_pid_stat(5)).
import { readdir, readFile } from 'node:fs/promises';
import type { ProcessEntry } from '../backend.ts';
import type { CgroupFacts } from '../plan-types.ts';
import { cgroupDirectory } from './cgroup-layout.ts';

/** sysconf(_SC_CLK_TCK): 100 on every architecture that gantry runs on. */
const TICKS_PER_SECOND = 100;

/** @param directory of the container's cgroup, in any hierarchy that it is in. */
export async function readProcesses(directory: string): Promise<ProcessEntry[]> {
  const [pids, bootMs] = await Promise.all([cgroupPids(directory), bootTimeMs()]);
  const entries = await Promise.all(pids.map((pid) => readProcess(pid, bootMs)));
  return entries
    .filter((entry): entry is ProcessEntry => entry !== undefined)
    .sort((a, b) => a.startedAtMs - b.startedAtMs || a.pid - b.pid);
}

/** Pids of a cgroup and of the cgroups below it. */
export async function cgroupPids(directory: string): Promise<number[]> {
  const own = (await readFile(`${directory}/cgroup.procs`, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  const children = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const below = await Promise.all(
    children.filter((child) => child.isDirectory()).map((child) => cgroupPids(`${directory}/${child.name}`)),
  );
  return [...own.map(Number), ...below.flat()];
}

/** Frozen, or about to be. */
export async function readFrozen(facts: CgroupFacts, cgroupParent: string, id: string): Promise<boolean> {
  const file = facts.layout === 'v2' ? 'cgroup.freeze' : 'freezer.state';
  const state = await readFile(`${cgroupDirectory(facts, 'freezer', cgroupParent, id)}/${file}`, 'utf8').catch(
    () => '',
  );
  return state.trim() !== '' && !['0', 'THAWED'].includes(state.trim());
}

async function bootTimeMs(): Promise<number> {
  const found = /^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8'));
  return Number(found?.[1] ?? 0) * 1000;
}

async function readProcess(pid: number, bootMs: number): Promise<ProcessEntry | undefined> {
  try {
    const [stat, status, cmdline] = await Promise.all(
      ['stat', 'status', 'cmdline'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8')),
    );
    return parseProcess(pid, stat!, status!, cmdline!, bootMs);
  } catch {
    return undefined; // It has ended meanwhile.
  }
}

function parseProcess(pid: number, stat: string, status: string, cmdline: string, bootMs: number): ProcessEntry {
  const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
  // Field 3 of the manual page is the first behind the name.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3] ?? 0);
  const command = cmdline.replace(/\0+$/, '').replaceAll('\0', ' ');
  return {
    pid,
    parentPid: field(4),
    uid: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? 0),
    threads: field(20),
    startedAtMs: bootMs + (field(22) * 1000) / TICKS_PER_SECOND,
    cpuMs: ((field(14) + field(15)) * 1000) / TICKS_PER_SECOND,
    residentBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024,
    state: fields[0] ?? '?',
    terminal: terminalName(field(7)),
    command: command === '' ? `[${name}]` : command,
  };
}

/** tty_nr: minor in bits 31–20 and 7–0, major in bits 15–8; majors 136–143 are pseudoterminals. */
function terminalName(device: number): string {
  const major = (device >> 8) & 0xff;
  const minor = (device & 0xff) | ((device >>> 20) << 8);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  return major === 0 ? '?' : `${major}:${minor}`;
}

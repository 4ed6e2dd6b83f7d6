// The processes of a container, from its cgroup and /proc (proc_pid_stat(5)).
import type { ProcessEntry } from '../backend.ts';
import type { Machine } from '../machine.ts';
import type { CgroupFacts } from '../plan-types.ts';
import { cgroupDirectory } from './cgroup-layout.ts';

/** sysconf(_SC_CLK_TCK): 100 on every architecture that gantry runs on. */
const TICKS_PER_SECOND = 100;

/** @param directory of the container's cgroup, in any hierarchy that it is in. */
export async function readProcesses(machine: Machine, directory: string): Promise<ProcessEntry[]> {
  const [pids, bootMs] = await Promise.all([cgroupPids(machine, directory), bootTimeMs(machine)]);
  const entries = await Promise.all(pids.map((pid) => readProcess(machine, pid, bootMs)));
  return entries
    .filter((entry): entry is ProcessEntry => entry !== undefined)
    .sort((a, b) => a.startedAtMs - b.startedAtMs || a.pid - b.pid);
}

/** Pids of a cgroup and of the cgroups below it. */
export async function cgroupPids(machine: Machine, directory: string): Promise<number[]> {
  const own = (await readText(machine, `${directory}/cgroup.procs`)).split('\n').filter(Boolean);
  const children = (await machine.list(directory)).filter(({ isDirectory }) => isDirectory);
  const below = await Promise.all(children.map(({ name }) => cgroupPids(machine, `${directory}/${name}`)));
  return [...own.map(Number), ...below.flat()];
}

/** Frozen, or about to be. */
export async function readFrozen(
  machine: Machine,
  facts: CgroupFacts,
  cgroupParent: string,
  id: string,
): Promise<boolean> {
  const file = facts.layout === 'v2' ? 'cgroup.freeze' : 'freezer.state';
  const state = await readText(machine, `${cgroupDirectory(facts, 'freezer', cgroupParent, id)}/${file}`);
  return state.trim() !== '' && !['0', 'THAWED'].includes(state.trim());
}

/** Empty where it cannot be read. */
export async function readText(machine: Machine, path: string): Promise<string> {
  return new TextDecoder().decode(await machine.read(path));
}

async function bootTimeMs(machine: Machine): Promise<number> {
  const found = /^btime (\d+)$/m.exec(await readText(machine, '/proc/stat'));
  return Number(found?.[1] ?? 0) * 1000;
}

/** Undefined where it has ended meanwhile. */
async function readProcess(machine: Machine, pid: number, bootMs: number): Promise<ProcessEntry | undefined> {
  const [stat, status, cmdline] = await Promise.all(
    ['stat', 'status', 'cmdline'].map((name) => readText(machine, `/proc/${pid}/${name}`)),
  );
  if (!stat || !status) return undefined;
  return parseProcess(pid, stat, status, cmdline!, bootMs);
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

// ps(1) of this machine, with the user's options, cut to the processes of a container; a table of our own where there is no ps.
import type { ProcessTable } from '../backend.ts';
import { GantryError } from '../errors.ts';
import type { Machine } from '../machine.ts';
import { cgroupPids, readProcesses } from './processes.ts';

const DEFAULT = '-ef';

/** @param directory of the container's cgroup. @throws {GantryError} INVALID_STATE where it has just ended, INTERNAL with what ps says. */
export async function readProcessTable(machine: Machine, directory: string, options: string[]): Promise<ProcessTable> {
  const pids = await cgroupPids(machine, directory);
  if (pids.length === 0) throw new GantryError('INVALID_STATE', 'Cannot list processes: the container has just ended');
  // Some options do not go with -q.
  const text = await machine.ps([...options, `-q${pids.join(',')}`]).catch(() => machine.ps(options));
  if (text !== undefined) return cutTable(text, new Set(pids));
  if (options.join(' ') === DEFAULT) return ownTable(machine, directory);
  throw new GantryError('UNSUPPORTED', `Cannot list processes with "${options.join(' ')}": this machine has no ps`, {
    hint: 'Install procps, or leave the options out',
  });
}

const words = (line: string): string[] => line.split(/[\t\n\f\r ]+/).filter(Boolean);

/** Rows of the container's processes, and of their threads behind them, whose pid is "-". */
export function cutTable(text: string, pids: Set<number>): ProcessTable {
  const [header = '', ...lines] = text.split('\n');
  const titles = words(header);
  const column = titles.indexOf('PID');
  if (column < 0)
    throw new GantryError('INTERNAL', 'Could not find PID field in ps output', { hint: 'Ask for it, too: -o pid,…' });
  const rows: string[][] = [];
  let inside = false;
  for (const line of lines) {
    const cells = words(line);
    if (cells.length === 0) continue;
    if (cells[column] !== '-') inside = pids.has(Number(cells[column]));
    // The last column is the command, which has blanks.
    if (inside) rows.push([...cells.slice(0, titles.length - 1), cells.slice(titles.length - 1).join(' ')]);
  }
  return { titles, rows };
}

async function ownTable(machine: Machine, directory: string): Promise<ProcessTable> {
  const found = await readProcesses(machine, directory);
  return {
    titles: ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'],
    rows: found.map((process) => [
      String(process.uid),
      String(process.pid),
      String(process.parentPid),
      '0',
      new Date(process.startedAtMs).toTimeString().slice(0, 5),
      process.terminal,
      new Date(process.cpuMs).toISOString().slice(11, 19),
      process.command,
    ]),
  };
}

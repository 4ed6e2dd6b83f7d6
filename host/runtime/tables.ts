// What `list` and `ps` print.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { thisMachine } from '../linux/this-machine.ts';
import type { Question } from './messages.ts';

interface ListedContainer {
  id: string;
  pid: number;
  status: string;
  bundle: string;
  created: string;
}

function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_cell, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]): string => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

/** @param states a JSON array of states. */
export function listTable(states: Uint8Array): string {
  const containers = JSON.parse(new TextDecoder().decode(states)) as ListedContainer[];
  const rows = containers.map(({ id, pid, status, bundle, created }) => [
    id,
    String(pid),
    status,
    bundle,
    created,
    'root',
  ]);
  return table([['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'], ...rows]);
}

function pidsBelow(cgroup: string): number[] {
  const own = readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').trim().split('\n').filter(Boolean).map(Number);
  const below = readdirSync(cgroup, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...own, ...below.flatMap(({ name }) => pidsBelow(join(cgroup, name)))];
}

/** ps(1)'s lines of the container's processes; as JSON their numbers. */
export async function processTable({ words }: Question): Promise<string> {
  const pids = pidsBelow(words.get('cgroup')?.at(-1) ?? '');
  if (words.get('format')?.at(-1) === 'json') return `${JSON.stringify(pids)}\n`;
  const listed = await thisMachine.ps(words.get('arg') ?? ['-ef']);
  if (listed === undefined) return pids.map((pid) => `${pid}\n`).join('');
  const [head = '', ...lines] = listed.split('\n');
  const column = head.trim().split(/\s+/).indexOf('PID');
  const chosen = lines.filter((line) => pids.includes(Number(line.trim().split(/\s+/)[column])));
  return [head, ...chosen].map((line) => `${line}\n`).join('');
}

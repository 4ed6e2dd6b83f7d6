// `stats`: how much running containers use, as a table that renews itself.
import type { Api } from '../../client/api.ts';
import { type Command, MANY } from '../command.ts';
import { formatRows, type Row } from '../format/format.ts';
import { binarySize, decimalSize } from '../format/units.ts';

interface Stats {
  id: string;
  name: string;
  cpu_stats: { cpu_usage: { total_usage: number }; system_cpu_usage?: number; online_cpus?: number };
  precpu_stats: Stats['cpu_stats'];
  memory_stats: { usage?: number; limit?: number; stats?: Record<string, number> };
  networks?: Record<string, { rx_bytes: number; tx_bytes: number }>;
  blkio_stats: { io_service_bytes_recursive: { op: string; value: number }[] | null };
  pids_stats: { current?: number };
}

const columns: [string, string][] = [
  ['CONTAINER ID', 'ID'],
  ['NAME', 'Name'],
  ['CPU %', 'CPUPerc'],
  ['MEM USAGE / LIMIT', 'MemUsage'],
  ['MEM %', 'MemPerc'],
  ['NET I/O', 'NetIO'],
  ['BLOCK I/O', 'BlockIO'],
  ['PIDS', 'PIDs'],
];

/** As docker counts: of one CPU, cache that can be given back is no use of memory. */
/** @param given what the user called it. */
function rowOf(stats: Stats, given: string | undefined, whole: boolean): Row {
  const { name, cpu_stats, precpu_stats, memory_stats, networks = {}, blkio_stats, pids_stats } = stats;
  const id = whole ? stats.id : stats.id.slice(0, 12);
  const used = cpu_stats.cpu_usage.total_usage - precpu_stats.cpu_usage.total_usage;
  const machine = (cpu_stats.system_cpu_usage ?? 0) - (precpu_stats.system_cpu_usage ?? 0);
  const cpu = machine > 0 ? (used / machine) * (cpu_stats.online_cpus ?? 1) * 100 : 0;
  const { usage = 0, limit = 0, stats: counters = {} } = memory_stats;
  const memory = Math.max(0, usage - (counters.total_inactive_file ?? counters.inactive_file ?? 0));
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  const block = (op: string): number =>
    sum((blkio_stats.io_service_bytes_recursive ?? []).filter((entry) => entry.op === op).map(({ value }) => value));
  const interfaces = Object.values(networks);
  return {
    ID: id,
    Container: given ?? id,
    Name: name.slice(1),
    CPUPerc: `${cpu.toFixed(2)}%`,
    MemUsage: `${binarySize(memory)} / ${binarySize(limit)}`,
    MemPerc: `${(limit > 0 ? (memory / limit) * 100 : 0).toFixed(2)}%`,
    NetIO: `${decimalSize(sum(interfaces.map(({ rx_bytes }) => rx_bytes)))} / ${decimalSize(sum(interfaces.map(({ tx_bytes }) => tx_bytes)))}`,
    BlockIO: `${decimalSize(block('read'))} / ${decimalSize(block('write'))}`,
    PIDs: String(pids_stats.current ?? 0),
  };
}

async function sample(api: Api, names: string[], stopped: boolean, whole: boolean): Promise<Row[]> {
  const list = (): Promise<{ Id: string }[]> => api.send('GET', '/containers/json', { query: { all: stopped } });
  const all = names.length > 0 ? names : (await list()).map(({ Id }) => Id);
  const found = await Promise.all(
    all.map((name) => api.send<Stats>('GET', `/containers/${encodeURIComponent(name)}/stats?stream=false`)),
  );
  return found.map((stats, index) => rowOf(stats, names[index], whole));
}

export const stats: Command = {
  usage: '[OPTIONS] [CONTAINER...]',
  summary: 'Display a live stream of container(s) resource usage statistics',
  flags: [
    { name: 'all', short: 'a', kind: 'switch', help: 'Show all containers (default shows just running)' },
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'table', 'json' or a Go template" },
    { name: 'no-stream', kind: 'switch', help: 'Disable streaming stats and only pull the first result' },
    { name: 'no-trunc', kind: 'switch', help: 'Do not truncate output' },
  ],
  args: [0, MANY],
  async run(parsed, { api }) {
    for (;;) {
      const rows = await sample(api, parsed.args, parsed.switch('all'), parsed.switch('no-trunc'));
      const text = formatRows(rows, parsed.value('format'), columns);
      const once = parsed.switch('no-stream');
      process.stdout.write(once || !process.stdout.isTTY ? text : `\x1b[H\x1b[2J${text}`);
      if (once) return 0;
      // The engine takes its second for each running container; with none, nothing else waits.
      if (rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  },
};

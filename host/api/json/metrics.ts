// GET /metrics: counters in Prometheus' text format, under docker's names where docker has them.
import { readdirSync, readFileSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import type { Engine } from '../../engine/engine.ts';
import type { Route } from '../http.ts';
import { VERSION } from '../routes/system-routes.ts';

export interface Metrics {
  /** An operation was carried out. */
  observe(route: Route, seconds: number): void;
  readonly route: Route;
}

type Labels = Record<string, string>;
type Sample = readonly [suffix: string, labels: Labels, value: number];

/** Docker's actions, and the operations that are those. */
const actions: Record<string, string> = {
  'GET /containers/:id/changes': 'changes',
  'POST /commit': 'commit',
  'POST /containers/create': 'create',
  'DELETE /containers/:id': 'delete',
  'POST /containers/:id/start': 'start',
};
const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

interface Histogram {
  counts: number[];
  sum: number;
  count: number;
}

export function createMetrics(engine: Engine): Metrics {
  const taken = new Map<string, Histogram>();
  for (const action of Object.values(actions)) taken.set(action, { counts: bounds.map(() => 0), sum: 0, count: 0 });
  let events = 0;
  engine.events.listen(() => {
    events++;
  });
  return {
    observe(route, seconds) {
      const found = taken.get(actions[`${route.method} ${route.path}`] ?? '');
      if (found === undefined) return;
      found.count++;
      found.sum += seconds;
      bounds.forEach((bound, index) => {
        if (seconds <= bound) found.counts[index]!++;
      });
    },
    route: {
      method: 'GET',
      path: '/metrics',
      async handler({ response }) {
        const body = await text();
        response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(body);
      },
    },
  };

  async function text(): Promise<string> {
    const { architecture } = await engine.backend.facts();
    const info = { version: VERSION, architecture, kernel: release(), os_type: 'linux', graphdriver: 'overlayfs' };
    const histogram = [...taken].flatMap(([action, { counts, sum, count }]): Sample[] => [
      ...bounds.map((bound, index): Sample => ['_bucket', { action, le: String(bound) }, counts[index]!]),
      ['_bucket', { action, le: '+Inf' }, count],
      ['_sum', { action }, sum],
      ['_count', { action }, count],
    ]);
    const name = (rest: string): string => `engine_daemon_${rest}`;
    return [
      family(name('container_actions_seconds'), 'histogram', 'Seconds that container actions take', histogram),
      family(name('container_states_containers'), 'gauge', 'Containers by state', states(engine)),
      family(name('engine_cpus_cpus'), 'gauge', 'CPUs of the host', one(cpus().length)),
      family(name('engine_memory_bytes'), 'gauge', 'Memory of the host', one(totalmem())),
      family(name('engine_info'), 'gauge', 'What the engine is', [['', info, 1]]),
      family(name('events_total'), 'counter', 'Events', one(events)),
      family('gantry_published_ports', 'gauge', 'Host ports published for running containers', one(ports(engine))),
      ...processFamilies(),
    ].join('');
  }
}

function one(value: number): Sample[] {
  return [['', {}, value]];
}

function states(engine: Engine): Sample[] {
  const count = (...wanted: string[]): number =>
    engine.list().filter(({ record }) => wanted.includes(record.state.status)).length;
  return [
    ['', { state: 'paused' }, count('paused')],
    ['', { state: 'running' }, count('running', 'restarting')],
    ['', { state: 'stopped' }, count('created', 'exited', 'dead')],
  ];
}

function ports(engine: Engine): number {
  return engine
    .list()
    .filter(({ running }) => running !== undefined)
    .reduce((sum, { record }) => sum + record.ports.length, 0);
}

/** The names that Prometheus' own client libraries use. */
function processFamilies(): string[] {
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const [, maxFds = '0'] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  const gauges: [string, string, number][] = [
    ['process_resident_memory_bytes', 'Resident memory', rss],
    ['process_open_fds', 'Open file descriptors', readdirSync('/proc/self/fd').length],
    ['process_max_fds', 'Most file descriptors', Number(maxFds)],
    ['process_start_time_seconds', 'Start, seconds since the epoch', Date.now() / 1000 - process.uptime()],
    ['nodejs_heap_size_used_bytes', "Used part of Node's heap", heapUsed],
    ['nodejs_heap_size_total_bytes', "Node's heap", heapTotal],
    ['nodejs_external_memory_bytes', "Memory beside Node's heap", external],
  ];
  return [
    family('process_cpu_seconds_total', 'counter', 'CPU time', one((user + system) / 1e6)),
    ...gauges.map(([name, help, value]) => family(name, 'gauge', help, one(value))),
    family('nodejs_version_info', 'gauge', 'Version of Node', [['', { version: process.version, arch: arch() }, 1]]),
  ];
}

function family(name: string, type: string, help: string, samples: Sample[]): string {
  const escaped = (value: string): string =>
    value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
  const lines = samples.map(([suffix, labels, value]) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
    return `${name}${suffix}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

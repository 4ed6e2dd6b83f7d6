// Raw counters of a running container from its cgroup's files (v1 and v2) and its network namespace.
import type { BlockCounter, ContainerStats, NetworkCounters } from '../backend.ts';
import { GantryError } from '../errors.ts';
import type { Machine } from '../machine.ts';
import type { HostFacts } from '../plan-types.ts';
import { cgroupDirectory } from './cgroup-layout.ts';
import { cgroupPids, readText } from './processes.ts';

type Read = (controller: string, file: string) => Promise<string>;

/** @throws {GantryError} INVALID_STATE where the cgroup is gone. */
export async function readStats(
  machine: Machine,
  facts: HostFacts,
  cgroupParent: string,
  id: string,
  pid: number,
): Promise<ContainerStats> {
  const directory = (controller: string) => cgroupDirectory(facts.cgroup, controller, cgroupParent, id);
  const read: Read = (controller, file) => readText(machine, `${directory(controller)}/${file}`);
  const unified = facts.cgroup.layout === 'v2';
  const [cpu, memory, pids, block, networks] = await Promise.all([
    unified ? cpuV2(read) : cpuV1(read),
    unified ? memoryV2(read, facts) : memoryV1(read, facts),
    readPids(machine, read, directory('pids') ?? ''),
    unified ? blockV2(read) : blockV1(read),
    readNetworks(machine, pid),
  ]);
  if (memory === undefined)
    throw new GantryError('INVALID_STATE', `Cannot read the counters of "${id.slice(0, 12)}": it is not running`);
  const readAt = BigInt(Date.now()) * 1_000_000n;
  return { readAt, unified, cpu: { ...cpu, ...(await wholeMachine(machine)) }, memory, pids, block, networks };
}

/** "name value" lines → record. */
export function flatKeyed(text: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const at = line.lastIndexOf(' ');
    if (at > 0) found[line.slice(0, at)] = Number(line.slice(at + 1));
  }
  return found;
}

type Cpu = Omit<ContainerStats['cpu'], 'machineNs' | 'onlineCpus'>;

async function wholeMachine(machine: Machine): Promise<{ machineNs: number; onlineCpus: number }> {
  const text = await readText(machine, '/proc/stat');
  const [line = ''] = text.split('\n');
  const ticks = line
    .split(/\s+/)
    .slice(1, 8)
    .reduce((sum, value) => sum + Number(value), 0);
  return { machineNs: ticks * 10_000_000, onlineCpus: text.match(/^cpu\d+ /gm)?.length ?? 1 };
}

async function cpuV1(read: Read): Promise<Cpu> {
  const [usage, perCpu, split, throttling] = await Promise.all([
    read('cpuacct', 'cpuacct.usage'),
    read('cpuacct', 'cpuacct.usage_percpu'),
    read('cpuacct', 'cpuacct.stat'),
    read('cpu', 'cpu.stat'),
  ]);
  const { user = 0, system = 0 } = flatKeyed(split);
  const { nr_periods = 0, nr_throttled = 0, throttled_time = 0 } = flatKeyed(throttling);
  return {
    totalNs: Number(usage),
    userNs: user * 10_000_000,
    kernelNs: system * 10_000_000,
    perCpuNs: perCpu.trim().split(/\s+/).filter(Boolean).map(Number),
    periods: nr_periods,
    throttledPeriods: nr_throttled,
    throttledNs: throttled_time,
  };
}

async function cpuV2(read: Read): Promise<Cpu> {
  const stat = flatKeyed(await read('cpu', 'cpu.stat'));
  return {
    totalNs: (stat.usage_usec ?? 0) * 1000,
    userNs: (stat.user_usec ?? 0) * 1000,
    kernelNs: (stat.system_usec ?? 0) * 1000,
    perCpuNs: [],
    periods: stat.nr_periods ?? 0,
    throttledPeriods: stat.nr_throttled ?? 0,
    throttledNs: (stat.throttled_usec ?? 0) * 1000,
  };
}

function limited(text: string, facts: HostFacts): number {
  const limit = text.trim() === 'max' || text === '' ? Number.POSITIVE_INFINITY : Number(text);
  return Math.min(limit, facts.memoryBytes);
}

async function memoryV1(read: Read, facts: HostFacts): Promise<ContainerStats['memory'] | undefined> {
  const [usage, max, limit, failures, stat] = await Promise.all(
    ['usage_in_bytes', 'max_usage_in_bytes', 'limit_in_bytes', 'failcnt', 'stat'].map((file) =>
      read('memory', `memory.${file}`),
    ),
  );
  if (usage === '') return undefined;
  return {
    usageBytes: Number(usage),
    maxUsageBytes: Number(max),
    limitBytes: limited(limit!, facts),
    failures: Number(failures),
    counters: flatKeyed(stat!),
  };
}

async function memoryV2(read: Read, facts: HostFacts): Promise<ContainerStats['memory'] | undefined> {
  const [usage, limit, events, stat] = await Promise.all(
    ['current', 'max', 'events', 'stat'].map((file) => read('memory', `memory.${file}`)),
  );
  if (usage === '') return undefined;
  return {
    usageBytes: Number(usage),
    limitBytes: limited(limit!, facts),
    failures: flatKeyed(events!).oom ?? 0,
    counters: flatKeyed(stat!),
  };
}

async function readPids(machine: Machine, read: Read, directory: string): Promise<ContainerStats['pids']> {
  const [current, max] = await Promise.all([read('pids', 'pids.current'), read('pids', 'pids.max')]);
  const counted = current === '' ? (await cgroupPids(machine, directory)).length : Number(current);
  return { current: counted, ...(max === '' || max.trim() === 'max' ? {} : { limit: Number(max) }) };
}

/** "8:0 Read 4096" lines; the "Total" line has no device. */
export function parseBlkio(text: string): BlockCounter[] {
  return text.split('\n').flatMap((line) => {
    const found = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line);
    if (found === null) return [];
    const [, major, minor, operation, value] = found;
    return [{ major: Number(major), minor: Number(minor), operation: operation!.toLowerCase(), value: Number(value) }];
  });
}

async function blockV1(read: Read): Promise<ContainerStats['block']> {
  const first = async (...files: string[]): Promise<BlockCounter[]> => {
    for (const file of files) {
      const found = parseBlkio(await read('blkio', file));
      if (found.length > 0) return found;
    }
    return [];
  };
  const [serviceBytes, serviced] = await Promise.all([
    first('blkio.bfq.io_service_bytes_recursive', 'blkio.throttle.io_service_bytes_recursive'),
    first('blkio.bfq.io_serviced_recursive', 'blkio.throttle.io_serviced_recursive'),
  ]);
  return { serviceBytes, serviced };
}

/** "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" lines. */
export function parseIoStat(text: string): ContainerStats['block'] {
  const serviceBytes: BlockCounter[] = [];
  const serviced: BlockCounter[] = [];
  const kinds: Record<string, [BlockCounter[], string]> = {
    rbytes: [serviceBytes, 'read'],
    wbytes: [serviceBytes, 'write'],
    rios: [serviced, 'read'],
    wios: [serviced, 'write'],
  };
  for (const line of text.split('\n')) {
    const [device = '', ...pairs] = line.split(' ');
    const [major, minor] = device.split(':').map(Number);
    for (const pair of pairs) {
      const [key = '', value] = pair.split('=');
      const kind = kinds[key];
      if (kind) kind[0].push({ major: major!, minor: minor!, operation: kind[1], value: Number(value) });
    }
  }
  return { serviceBytes, serviced };
}

async function blockV2(read: Read): Promise<ContainerStats['block']> {
  return parseIoStat(await read('io', 'io.stat'));
}

/** proc_pid_net(5), "dev": interface, 8 receive and 8 transmit counters. */
async function readNetworks(machine: Machine, pid: number): Promise<Record<string, NetworkCounters>> {
  const text = await readText(machine, `/proc/${pid}/net/dev`);
  const found: Record<string, NetworkCounters> = {};
  for (const line of text.split('\n').slice(2)) {
    const [name = '', ...rest] = line.trim().split(/[:\s]+/);
    if (name === '' || name === 'lo') continue;
    const value = (index: number): number => Number(rest[index] ?? 0);
    found[name] = {
      rxBytes: value(0),
      rxPackets: value(1),
      rxErrors: value(2),
      rxDropped: value(3),
      txBytes: value(8),
      txPackets: value(9),
      txErrors: value(10),
      txDropped: value(11),
    };
  }
  return found;
}

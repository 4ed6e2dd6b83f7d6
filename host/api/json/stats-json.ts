// Counters in docker's spelling, with the sample before for the CPU share.
import type { BlockCounter, ContainerStats, NetworkCounters } from '../../backend.ts';
import type { Container } from '../../engine/container.ts';

const NEVER = '0001-01-01T00:00:00Z';

/** Of memory.stat on v1, each also with "total_" in front. */
const MEMORY_V1 =
  'cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault inactive_anon active_anon inactive_file active_file unevictable'.split(
    ' ',
  );
const LIMITS_V1 = ['hierarchical_memory_limit', 'hierarchical_memsw_limit'];
const MEMORY_V2 =
  'anon file kernel_stack slab sock shmem file_mapped file_dirty file_writeback anon_thp inactive_anon active_anon inactive_file active_file unevictable slab_reclaimable slab_unreclaimable pgfault pgmajfault workingset_refault workingset_activate workingset_nodereclaim pgrefill pgscan pgsteal pgactivate pgdeactivate pglazyfree pglazyfreed thp_fault_alloc thp_collapse_alloc'.split(
    ' ',
  );

/** Docker's names of what blkio counts. */
const BLOCK = [
  'io_service_bytes_recursive',
  'io_serviced_recursive',
  'io_queue_recursive',
  'io_service_time_recursive',
  'io_wait_time_recursive',
  'io_merged_recursive',
  'io_time_recursive',
  'sectors_recursive',
];

function isoOf(nanoseconds: bigint): string {
  return new Date(Number(nanoseconds / 1_000_000n)).toISOString();
}

function cpuJson({ cpu }: ContainerStats): object {
  return {
    cpu_usage: {
      total_usage: cpu.totalNs,
      ...(cpu.perCpuNs.length > 0 ? { percpu_usage: cpu.perCpuNs } : {}),
      usage_in_kernelmode: cpu.kernelNs,
      usage_in_usermode: cpu.userNs,
    },
    system_cpu_usage: cpu.machineNs,
    online_cpus: cpu.onlineCpus,
    throttling_data: { periods: cpu.periods, throttled_periods: cpu.throttledPeriods, throttled_time: cpu.throttledNs },
  };
}

/** v2 counts bytes only; what is not counted is null there and empty on v1. */
function blockJson({ block, unified }: ContainerStats): object {
  const list = (counters: BlockCounter[]): object[] | null =>
    unified && counters.length === 0
      ? null
      : counters.map(({ major, minor, operation, value }) => ({ major, minor, op: operation, value }));
  const counted = unified ? [block.serviceBytes] : [block.serviceBytes, block.serviced];
  return Object.fromEntries(BLOCK.map((name, index) => [name, list(counted[index] ?? [])]));
}

function memoryJson({ memory, unified }: ContainerStats): object {
  const names = unified ? MEMORY_V2 : [...MEMORY_V1, ...LIMITS_V1, ...MEMORY_V1.map((name) => `total_${name}`)];
  return {
    usage: memory.usageBytes,
    ...(memory.maxUsageBytes === undefined ? {} : { max_usage: memory.maxUsageBytes }),
    stats: Object.fromEntries(names.map((name) => [name, memory.counters[name] ?? 0])),
    ...(memory.failures > 0 ? { failcnt: memory.failures } : {}),
    limit: memory.limitBytes,
  };
}

function networksJson(networks: Record<string, NetworkCounters>): { networks?: object } {
  const found = Object.entries(networks);
  if (found.length === 0) return {};
  return {
    networks: Object.fromEntries(
      found.map(([name, counters]) => [
        name,
        {
          rx_bytes: counters.rxBytes,
          rx_packets: counters.rxPackets,
          rx_errors: counters.rxErrors,
          rx_dropped: counters.rxDropped,
          tx_bytes: counters.txBytes,
          tx_packets: counters.txPackets,
          tx_errors: counters.txErrors,
          tx_dropped: counters.txDropped,
        },
      ]),
    ),
  };
}

const noCpu = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

/** Of a container that does not run, as docker tells it: nothing is used. */
export function idleStatsJson({ record }: Container): object {
  return {
    read: NEVER,
    preread: NEVER,
    pids_stats: {},
    blkio_stats: Object.fromEntries(BLOCK.map((name) => [name, null])),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: noCpu,
    precpu_stats: noCpu,
    memory_stats: {},
    name: `/${record.name}`,
    id: record.id,
  };
}

export function statsJson({ record }: Container, stats: ContainerStats, before: ContainerStats | undefined): object {
  const { pids } = stats;
  // What the host's interfaces carry is not this container's.
  const networks = record.config.host.networkMode === 'host' ? {} : stats.networks;
  return {
    read: isoOf(stats.readAt),
    preread: before === undefined ? NEVER : isoOf(before.readAt),
    pids_stats: { current: pids.current, ...(pids.limit === undefined ? {} : { limit: pids.limit }) },
    blkio_stats: blockJson(stats),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuJson(stats),
    precpu_stats: before === undefined ? noCpu : cpuJson(before),
    memory_stats: memoryJson(stats),
    name: `/${record.name}`,
    id: record.id,
    ...networksJson(networks),
  };
}

// Counters in docker's spelling, with the sample before for the CPU share.
import type { BlockCounter, ContainerStats } from '../backend.ts';
import type { Container } from '../engine/container.ts';

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

function blockJson(counters: BlockCounter[]): object[] | null {
  if (counters.length === 0) return null;
  return counters.map(({ major, minor, operation, value }) => ({ major, minor, op: operation, value }));
}

const noCpu = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

/** Of a container that does not run, as docker tells it: nothing is used. */
export function idleStatsJson({ record }: Container): object {
  const read = '0001-01-01T00:00:00Z';
  const empty = { pids_stats: {}, blkio_stats: { io_service_bytes_recursive: null }, memory_stats: {} };
  return {
    id: record.id,
    name: `/${record.name}`,
    read,
    preread: read,
    ...empty,
    cpu_stats: noCpu,
    precpu_stats: noCpu,
  };
}

export function statsJson({ record }: Container, stats: ContainerStats, before: ContainerStats | undefined): object {
  const { memory, pids, block, networks } = stats;
  return {
    id: record.id,
    name: `/${record.name}`,
    read: isoOf(stats.readAt),
    preread: before === undefined ? '0001-01-01T00:00:00Z' : isoOf(before.readAt),
    pids_stats: { current: pids.current, ...(pids.limit === undefined ? {} : { limit: pids.limit }) },
    blkio_stats: {
      io_service_bytes_recursive: blockJson(block.serviceBytes),
      io_serviced_recursive: blockJson(block.serviced),
    },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuJson(stats),
    precpu_stats: before === undefined ? noCpu : cpuJson(before),
    memory_stats: {
      usage: memory.usageBytes,
      ...(memory.maxUsageBytes === undefined ? {} : { max_usage: memory.maxUsageBytes }),
      stats: memory.counters,
      failcnt: memory.failures,
      limit: memory.limitBytes,
    },
    ...(Object.keys(networks).length === 0
      ? {}
      : {
          networks: Object.fromEntries(
            Object.entries(networks).map(([name, counters]) => [
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
        }),
  };
}

// Counters of a runner's process, as Linux tells them of any process.
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import type { ContainerStats } from '../backend.ts';
import { GantryError } from '../errors.ts';

const TICKS_PER_SECOND = 100; // USER_HZ: the same on every architecture that Node runs on.
const NS_PER_TICK = 1e9 / TICKS_PER_SECOND;
const NS_PER_MS = 1e6;

/** @throws {GantryError} INVALID_STATE where it has ended; UNSUPPORTED where there is no /proc. */
export async function readStats(pid: number): Promise<ContainerStats> {
  const [stat, status] = await Promise.all(
    ['stat', 'status'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8')),
  ).catch(async () => {
    await readFile('/proc/self/stat').catch(() => {
      throw new GantryError('UNSUPPORTED', 'Cannot tell what a WASI container uses: this host has no /proc');
    });
    throw new GantryError('INVALID_STATE', 'Cannot tell what the container uses: it has ended');
  });
  // proc_pid_stat(5): the name in brackets may hold anything; utime and stime are fields 14 and 15.
  const fields = stat!.slice(stat!.lastIndexOf(')') + 2).split(' ');
  const [userNs = 0, kernelNs = 0] = fields.slice(11, 13).map((ticks) => Number(ticks) * NS_PER_TICK);
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status!)?.[1] ?? 0);
  const machine = cpus().reduce((all, { times }) => all + Object.values(times).reduce((sum, ms) => sum + ms, 0), 0);
  return {
    unified: true,
    readAt: BigInt(Date.now()) * 1_000_000n,
    cpu: {
      totalNs: userNs + kernelNs,
      userNs,
      kernelNs,
      perCpuNs: [],
      periods: 0,
      throttledPeriods: 0,
      throttledNs: 0,
      machineNs: machine * NS_PER_MS,
      onlineCpus: availableParallelism(),
    },
    memory: { usageBytes: kilobytes('VmRSS') * 1024, limitBytes: totalmem(), failures: 0, counters: {} },
    pids: { current: kilobytes('Threads') },
    block: { serviceBytes: [], serviced: [] },
    networks: {},
  };
}

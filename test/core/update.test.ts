// Changes of limits through the wasm: which files are written, and in which order, on v1 and v2.
import { describe, expect, it } from 'vitest';
import { programLines } from '../../host/core/plan-text.ts';
import { planUpdate } from '../../host/core/plans.ts';
import type { Resources } from '../../host/types.ts';
import { hostFacts } from '../helpers/plan-requests.ts';

const MB = 2 ** 20;

function update(layout: 'v1' | 'v2', before: Resources, after: Resources): string[] {
  const { program } = planUpdate({ facts: hostFacts(layout, 'x86_64'), id: 'ab', cgroupParent: '', before, after });
  return programLines(program)
    .filter((line) => line.includes('/gantry/ab/'))
    .map((line) => line.replace(/.*\/gantry\/ab\/([\w.]+)".*?"(.*?)".*/, '$1=$2'));
}

describe('an update', () => {
  it('writes only what changes', () => {
    const before: Resources = { memory: 64 * MB, cpuShares: 512, pidsLimit: 10 };
    expect(update('v1', before, before)).toEqual([]);
    expect(update('v1', before, { ...before, pidsLimit: 20 })).toEqual(['pids.max=20']);
    expect(update('v2', before, { ...before, cpuShares: 1024 })).toEqual(['cpu.weight=100']);
    expect(update('v1', {}, { cpusetCpus: '0', blkioWeight: 0 })).toEqual(['cpuset.cpus=0']);
  });

  it.each(['v1', 'v2'] as const)('takes the limit of processes away on %s', (layout) => {
    expect(update(layout, { pidsLimit: 10 }, { pidsLimit: -1 })).toEqual(['pids.max=max']);
  });

  it('back to what was not set writes what a new cgroup has', () => {
    const all: Resources = {
      ...{ memory: 64 * MB, memorySwap: 128 * MB, memoryReservation: 32 * MB, cpuShares: 512, pidsLimit: 10 },
      ...{ cpuPeriod: 50000, cpuQuota: 20000, cpusetCpus: '1', cpusetMems: '0', blkioWeight: 300 },
    };
    const { cpusetCpus, cpusetMems } = hostFacts('v1', 'x86_64');
    expect(update('v1', all, {})).toEqual([
      ...['memory.memsw.limit_in_bytes=-1', 'memory.limit_in_bytes=-1', 'memory.soft_limit_in_bytes=-1'],
      ...['cpu.shares=1024', 'cpu.cfs_period_us=100000', 'cpu.cfs_quota_us=-1'],
      ...[`cpuset.cpus=${cpusetCpus}`, `cpuset.mems=${cpusetMems}`, 'pids.max=max', 'blkio.bfq.weight=100'],
    ]);
    expect(update('v2', all, { pidsLimit: 10 })).toEqual([
      ...['memory.swap.max=max', 'memory.max=max', 'memory.low=0', 'cpu.weight=100', 'cpu.max=max 100000'],
      ...[
        `cpuset.cpus=${cpusetCpus}`,
        `cpuset.mems=${cpusetMems}`,
        'io.bfq.weight=default 100',
        'io.weight=default 100',
      ],
    ]);
  });

  it.each([
    [{ memory: 64 * MB }, { memory: 256 * MB }, ['memory.memsw.limit_in_bytes', 'memory.limit_in_bytes']],
    [{ memory: 256 * MB }, { memory: 64 * MB }, ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes']],
    [{}, { memory: 64 * MB }, ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes']],
    [
      { memory: 64 * MB, memorySwap: 64 * MB },
      { memory: 128 * MB, memorySwap: -1 },
      ['memory.memsw.limit_in_bytes', 'memory.limit_in_bytes'],
    ],
    [
      { memory: 64 * MB, memorySwap: -1 },
      { memory: 128 * MB, memorySwap: 128 * MB },
      ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'],
    ],
    [{ memory: 64 * MB, memorySwap: 128 * MB }, { memory: 96 * MB, memorySwap: 128 * MB }, ['memory.limit_in_bytes']],
  ] as [Resources, Resources, string[]][])(
    'v1: from %j to %j memory never exceeds memory plus swap',
    (before, after, files) => {
      expect(update('v1', before, after).map((line) => line.split('=')[0])).toEqual(files);
    },
  );

  it('v2: the swap file counts what is above memory', () => {
    expect(update('v2', { memory: 64 * MB }, { memory: 96 * MB, memorySwap: 128 * MB })).toEqual([
      `memory.swap.max=${32 * MB}`,
      `memory.max=${96 * MB}`,
    ]);
  });

  it('v1: the share of time is at no moment above both values', () => {
    const half = { cpuPeriod: 100000, cpuQuota: 50000 };
    const shorter = { cpuPeriod: 50000, cpuQuota: 40000 };
    expect(update('v1', half, shorter)).toEqual(['cpu.cfs_quota_us=40000', 'cpu.cfs_period_us=50000']);
    expect(update('v1', shorter, half)).toEqual(['cpu.cfs_period_us=100000', 'cpu.cfs_quota_us=50000']);
    expect(update('v1', {}, { nanoCpus: 5e8 })).toEqual(['cpu.cfs_period_us=100000', 'cpu.cfs_quota_us=50000']);
    expect(update('v2', half, shorter)).toEqual(['cpu.max=40000 50000']);
  });

  it('is refused as a new container is', () => {
    expect(() => update('v1', {}, { memory: MB })).toThrow('the minimum is 6 MiB');
    expect(() => update('v1', {}, { memorySwap: 64 * MB })).toThrow('it needs a memory limit');
    expect(() => update('v2', {}, { cpusetCpus: '0-99' })).toThrow('this host has');
  });
});

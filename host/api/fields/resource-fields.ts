// Docker's Resources → the engine's. Values are checked by the planning core; here only the spelling changes.
import type { DeviceRate, Resources } from '../../types.ts';
import type { Fields } from './fields.ts';

const numbers: [string, keyof Resources][] = [
  ['CpuShares', 'cpuShares'],
  ['NanoCpus', 'nanoCpus'],
  ['CpuPeriod', 'cpuPeriod'],
  ['CpuQuota', 'cpuQuota'],
  ['CpuRealtimePeriod', 'cpuRealtimePeriod'],
  ['CpuRealtimeRuntime', 'cpuRealtimeRuntime'],
  ['Memory', 'memory'],
  ['MemoryReservation', 'memoryReservation'],
  ['MemorySwap', 'memorySwap'],
  ['PidsLimit', 'pidsLimit'],
  ['BlkioWeight', 'blkioWeight'],
];

const rates: [string, keyof Resources][] = [
  ['BlkioDeviceReadBps', 'blkioDeviceReadBps'],
  ['BlkioDeviceWriteBps', 'blkioDeviceWriteBps'],
  ['BlkioDeviceReadIOps', 'blkioDeviceReadIOps'],
  ['BlkioDeviceWriteIOps', 'blkioDeviceWriteIOps'],
];

/** @param own gantry's own fields: what docker has no word for. */
export function readResources(host: Fields, own: Fields): Resources {
  const resources: Record<string, unknown> = {};
  for (const [theirs, ours] of numbers) {
    const value = host.number(theirs);
    if (value !== undefined && value !== 0) resources[ours] = value;
  }
  const swappiness = host.number('MemorySwappiness');
  if (swappiness !== undefined && swappiness !== -1) resources.memorySwappiness = swappiness;
  if (host.flag('OomKillDisable')) resources.oomKillDisable = true;
  for (const [theirs, ours] of [
    ['CpusetCpus', 'cpusetCpus'],
    ['CpusetMems', 'cpusetMems'],
  ] as const) {
    const value = host.text(theirs);
    if (value !== '') resources[ours] = value;
  }
  for (const [theirs, ours] of rates) {
    const list = host
      .list(theirs)
      .map((item): DeviceRate => ({ path: item.text('Path'), rate: item.number('Rate') ?? 0 }));
    if (list.length > 0) resources[ours] = list;
  }
  const weights = host
    .list('BlkioWeightDevice')
    .map((item) => ({ path: item.text('Path'), weight: item.number('Weight') ?? 0 }));
  if (weights.length > 0) resources.blkioWeightDevice = weights;
  const rules = host.texts('DeviceCgroupRules') ?? [];
  if (rules.length > 0) resources.deviceCgroupRules = rules;
  const unified = own.textMap('unified');
  if (Object.keys(unified).length > 0) resources.unified = unified;
  const hugetlb = own
    .list('hugetlb')
    .map((item) => ({ pageSize: item.text('pageSize'), limit: item.number('limit') ?? 0 }));
  if (hugetlb.length > 0) resources.hugetlb = hugetlb;
  const netCls = own.number('netClsClassId');
  if (netCls !== undefined) resources.netClsClassId = netCls;
  return resources as Resources;
}

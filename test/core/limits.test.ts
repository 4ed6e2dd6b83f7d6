// Arithmetic of limits through the wasm: what docker's words become in the files of v1 and v2, and what is refused.
import { describe, expect, it } from 'vitest';
import { callCore } from '../../host/core/core.ts';
import { planContainer } from '../../host/core/plans.ts';
import type { HostFacts } from '../../host/plan-types.ts';
import type { Resources } from '../../host/types.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';

const v1 = hostFacts('v1', 'x86_64');
const v2: HostFacts = hostFacts('v2', 'x86_64');
v2.cgroup.controllers = [...v2.cgroup.controllers, 'hugetlb'];

const planOf = (resources: Resources, facts: HostFacts) =>
  planContainer(
    planRequest(facts, (request) => {
      request.container.host.resources = resources;
    }),
  );
const writes = (resources: Resources, facts: HostFacts): string[] =>
  planOf(resources, facts)
    .cgroupWrites.filter(({ controller }) => controller !== 'devices')
    .map(({ file, value }) => `${file}=${value}`);

const quantity = (kind: string, text: string): string =>
  new TextDecoder().decode(callCore('parseQuantity', new TextEncoder().encode(JSON.stringify({ kind, text }))));

describe('sizes', () => {
  it.each([
    ['0', '0'],
    ['1', '1'],
    ['64b', '64'],
    ['1k', '1024'],
    ['1K', '1024'],
    ['1kb', '1024'],
    ['1KiB', '1024'],
    ['1.5m', '1572864'],
    ['0.5g', '536870912'],
    ['1t', '1099511627776'],
    ['2p', '2251799813685248'],
    ['8191p', '9222246136947933184'],
    ['-1', '-1'],
  ])('"%s" is %s bytes', (text, bytes) => {
    expect(quantity('memory', text)).toBe(bytes);
  });

  it.each(['', 'm', '1x', '1mm', '1 2', '1.2.3', '.', '0x10', '-2', '+1', '1e3', '８m'])('"%s" is refused', (text) => {
    expect(() => quantity('memory', text)).toThrow(`Cannot read memory "${text}": not a size`);
  });

  it.each(['8192p', '9223372036854775808', '99999999999999999999'])('"%s" is more than the kernel counts', (text) => {
    expect(() => quantity('memory', text)).toThrow('more than the kernel can count');
  });
});

describe('CPUs', () => {
  it.each([
    ['1', '1000000000'],
    ['0.5', '500000000'],
    ['.25', '250000000'],
    ['1.', '1000000000'],
    ['0.000000001', '1'],
    ['128', '128000000000'],
  ])('"%s" are %s billionths', (text, nano) => {
    expect(quantity('cpus', text)).toBe(nano);
  });

  it.each(['', 'one', '1,5', '-1', '1e3', '0.0000000001', '.'])('"%s" are refused', (text) => {
    expect(() => quantity('cpus', text)).toThrow(/not a number of CPUs|at most nine decimals/);
  });
});

describe('shares become a weight', () => {
  const weight = (cpuShares: number): number => Number(writes({ cpuShares }, v2)[0]?.replace('cpu.weight=', ''));

  // Values of the table in the tests of opencontainers/cgroups (ConvertCPUSharesToCgroupV2Value).
  it.each([
    [2, 1],
    [1024, 100],
    [262144, 10000],
    [1, 1],
    [300000, 10000],
  ])('%i → %i', (shares, expected) => {
    expect(weight(shares)).toBe(expected);
  });

  it('by the quadratic, in range and never falling', () => {
    let before = 0;
    for (let shares = 2; shares <= 262144; shares = Math.ceil(shares * 1.09)) {
      const found = weight(shares);
      const l = Math.log2(shares);
      expect(found, `${shares} shares`).toBe(shares === 2 ? 1 : Math.ceil(10 ** ((l * l + 125 * l) / 612 - 7 / 34)));
      expect(found).toBeGreaterThanOrEqual(before);
      expect(found).toBeLessThanOrEqual(10000);
      before = found;
    }
  });
});

describe('limits on v2', () => {
  it.each<[string, Resources, string[]]>([
    ['memory', { memory: '64m' }, ['memory.swap.max=67108864', 'memory.max=67108864']],
    ['memory and swap', { memory: '64m', memorySwap: '96m' }, ['memory.swap.max=33554432', 'memory.max=67108864']],
    ['no swap', { memory: '64m', memorySwap: '64m' }, ['memory.swap.max=0', 'memory.max=67108864']],
    ['unlimited swap', { memory: '64m', memorySwap: -1 }, ['memory.swap.max=max', 'memory.max=67108864']],
    ['unlimited memory', { memory: -1 }, ['memory.max=max']],
    ['a reservation', { memoryReservation: '32m' }, ['memory.low=33554432']],
    ['CPUs', { nanoCpus: 1_500_000_000 }, ['cpu.max=150000 100000']],
    ['a hundredth of a CPU', { nanoCpus: 10_000_000 }, ['cpu.max=1000 100000']],
    ['a quota', { cpuQuota: 20_000 }, ['cpu.max=20000 100000']],
    ['quota and period', { cpuQuota: 20_000, cpuPeriod: 50_000 }, ['cpu.max=20000 50000']],
    ['a period alone', { cpuPeriod: 50_000 }, ['cpu.max=max 50000']],
    ['an unlimited quota', { cpuQuota: -1 }, ['cpu.max=max 100000']],
    ['cpusets', { cpusetCpus: '0-2', cpusetMems: '0' }, ['cpuset.cpus=0-2', 'cpuset.mems=0']],
    ['pids', { pidsLimit: 7 }, ['pids.max=7']],
    ['unlimited pids', { pidsLimit: -1 }, []],
    ['the least IO weight', { blkioWeight: 10 }, ['io.bfq.weight=default 10', 'io.weight=default 1']],
    ['the greatest IO weight', { blkioWeight: 1000 }, ['io.bfq.weight=default 1000', 'io.weight=default 10000']],
    [
      'the weight of a device',
      { blkioWeightDevice: [{ path: '/dev/sda', weight: 505 }] },
      ['io.bfq.weight=8:0 505', 'io.weight=8:0 5000'],
    ],
    [
      'IO rates',
      {
        blkioDeviceReadBps: [{ path: '/dev/sda', rate: '1m' }],
        blkioDeviceWriteBps: [{ path: '/dev/sda', rate: 4096 }],
        blkioDeviceReadIOps: [{ path: '/dev/sda', rate: 10 }],
        blkioDeviceWriteIOps: [{ path: '/dev/sda', rate: 20 }],
      },
      ['io.max=8:0 rbps=1048576', 'io.max=8:0 wbps=4096', 'io.max=8:0 riops=10', 'io.max=8:0 wiops=20'],
    ],
    ['huge pages', { hugetlb: [{ pageSize: '2MB', limit: '4m' }] }, ['hugetlb.2MB.max=4194304']],
    ['files of the user', { unified: { 'memory.high': '1000000' } }, ['memory.high=1000000']],
  ])('%s', (_name, resources, expected) => {
    expect(writes(resources, v2)).toEqual(expected);
  });

  it.each<[Resources, string]>([
    [{ memorySwappiness: 10 }, 'Cannot set memorySwappiness: cgroup v2 has no such control'],
    [{ oomKillDisable: true }, 'Cannot set oomKillDisable: cgroup v2 has no such control'],
    [{ cpuRealtimeRuntime: 1000 }, 'Cannot set cpuRealtimeRuntime: cgroup v2 has no such control'],
    [{ cpuRealtimePeriod: 1000 }, 'Cannot set cpuRealtimePeriod: cgroup v2 has no such control'],
    [{ netClsClassId: 1 }, 'Cannot set netClsClassId: this kernel has no "net_cls" controller'],
  ])('%o is refused', (resources, message) => {
    expect(() => planOf(resources, v2)).toThrow(message);
  });
});

describe('limits are refused with the reason:', () => {
  it.each<[Resources, string]>([
    [{ memory: '6291455' }, 'Cannot set memory to "6291455": the minimum is 6 MiB'],
    [{ memory: -2 }, 'Cannot set memory to "-2": it must not be negative'],
    [{ memory: '1g', memoryReservation: '2g' }, 'it must not exceed the memory limit 1073741824'],
    [{ memoryReservation: '1m' }, 'Cannot set memoryReservation to "1048576": the minimum is 6 MiB'],
    [{ memoryReservation: -5 }, 'Cannot set memoryReservation to "-5": it must not be negative'],
    [{ memorySwap: '1g' }, 'Cannot set memorySwap to "1073741824": it needs a memory limit'],
    [
      { memory: '64m', memorySwap: '32m' },
      'Cannot set memorySwap to "33554432": it must be at least the memory limit 67108864',
    ],
    [{ memory: '64m', memorySwap: -3 }, 'Cannot set memorySwap to "-3": it must not be negative'],
    [{ memorySwappiness: 101 }, 'Cannot set memorySwappiness to "101": the range is 0 to 100'],
    [{ memorySwappiness: -2 }, 'Cannot set memorySwappiness to "-2": the range is 0 to 100'],
    [{ nanoCpus: 4_010_000_000 }, 'Cannot set cpus to "4.01": the range is from 0.01 to 4, as this host has 4 CPUs'],
    [{ nanoCpus: 1_000_000 }, 'Cannot set cpus to "0.001": the range is from 0.01 to 4'],
    [{ nanoCpus: -1 }, 'Cannot set cpus to'],
    [{ nanoCpus: 1e9, cpuQuota: 50_000 }, 'Cannot set cpus: it conflicts with cpuPeriod and cpuQuota'],
    [{ nanoCpus: 1e9, cpuPeriod: 50_000 }, 'Cannot set cpus: it conflicts with cpuPeriod and cpuQuota'],
    [{ cpuPeriod: 999 }, 'Cannot set cpuPeriod to "999": the range is 1000 to 1000000 microseconds'],
    [{ cpuPeriod: 1_000_001 }, 'Cannot set cpuPeriod to "1000001": the range is 1000 to 1000000 microseconds'],
    [{ cpuQuota: 999 }, 'Cannot set cpuQuota to "999": the minimum is 1000 microseconds'],
    [{ cpuShares: 1 }, 'Cannot set cpuShares to "1": the range is 2 to 262144'],
    [{ cpuShares: 262_145 }, 'Cannot set cpuShares to "262145": the range is 2 to 262144'],
    [{ cpuShares: -1 }, 'Cannot set cpuShares to "-1": the range is 2 to 262144'],
    [{ cpuRealtimeRuntime: 20, cpuRealtimePeriod: 10 }, 'it must not exceed the period 10'],
    [{ cpusetCpus: '4' }, 'Cannot set cpusetCpus to "4": this host has 0-3'],
    [{ cpusetCpus: '2-1' }, 'Cannot read cpusetCpus "2-1": not a list'],
    [{ cpusetCpus: '0,,1' }, 'Cannot read cpusetCpus "0,,1": not a list'],
    [{ cpusetMems: '1' }, 'Cannot set cpusetMems to "1": this host has 0'],
    [{ pidsLimit: -2 }, 'Cannot set pidsLimit to "-2": it must not be negative'],
    [{ blkioWeight: 9 }, 'Cannot set blkioWeight to "9": the range is 10 to 1000'],
    [{ blkioWeight: 1001 }, 'Cannot set blkioWeight to "1001": the range is 10 to 1000'],
    [
      { blkioWeightDevice: [{ path: '/dev/sda', weight: 5 }] },
      'Cannot set blkioWeightDevice to "5": the range is 10 to 1000',
    ],
    [{ blkioDeviceWriteBps: [{ path: '/dev/sda', rate: 0 }] }, 'the rate must be above zero'],
    [{ blkioDeviceWriteBps: [{ path: '/dev/sdz', rate: 1 }] }, 'Cannot use "/dev/sdz" in blkioDeviceWriteBps'],
    [{ hugetlb: [{ pageSize: '2MB', limit: '2m' }] }, 'Cannot set hugetlb: this kernel has no "hugetlb" controller'],
    [{ netClsClassId: 1 }, 'Cannot set netClsClassId: this kernel has no "net_cls" controller'],
    [{ unified: { 'memory.high': '1' } }, 'Cannot write "memory.high": this host has cgroup v1'],
    [{ deviceCgroupRules: ['c 1:3'] }, 'Cannot read the device rule "c 1:3"'],
    [{ deviceCgroupRules: ['x 1:3 rwm'] }, 'Cannot read the device rule "x 1:3 rwm"'],
    [{ deviceCgroupRules: ['c 1:3 rwx'] }, 'only r, w and m may stand there'],
  ])('%o', (resources, message) => {
    expect(() => planOf(resources, v1)).toThrow(message);
  });

  it('numbers that no integer holds', () => {
    expect(() => planOf({ memory: 1e30 }, v1)).toThrow('more than the kernel can count');
    expect(() => planOf({ memory: 6.5e6 + 0.5 }, v1)).toThrow('Cannot read memory "6500000.5": not a size');
    expect(() => planOf({ cpuShares: 1e300 }, v1)).toThrow('the range is 2 to 262144');
  });
});

describe('a ulimit above the hard limit of the host', () => {
  const limited = (hard: number, capabilities: string[]) => {
    const facts = { ...v1, capabilities: [...v1.capabilities, ...capabilities] };
    return planContainer(
      planRequest(facts, (request) => {
        request.container.host.ulimits = [{ name: 'nofile', soft: hard, hard }];
      }),
    );
  };
  const rlimits = ({ spec }: ReturnType<typeof limited>) => (spec.process as { rlimits: unknown }).rlimits;

  it('is lowered to it, with a warning', () => {
    const plan = limited(50_000, []);
    expect(rlimits(plan)).toEqual([{ type: 'RLIMIT_NOFILE', soft: 20_000, hard: 20_000 }]);
    expect(plan.warnings).toEqual([
      'The ulimit nofile of 50000 is set to 20000: raising it further needs CAP_SYS_RESOURCE, which gantry does not have here',
    ]);
    expect(limited(-1, []).warnings[0]).toContain('nofile of unlimited is set to 20000');
  });

  it('stays as it is where it may be raised, or does not need to be', () => {
    expect(limited(50_000, ['CAP_SYS_RESOURCE']).warnings).toEqual([]);
    expect(limited(20_000, [])).toMatchObject({ warnings: [] });
  });
});

describe('an OOM score below the one of the host', () => {
  const scored = (oomScoreAdj: number, capabilities: string[]) =>
    planContainer(
      planRequest({ ...v1, capabilities: [...v1.capabilities, ...capabilities] }, (request) => {
        request.container.host.oomScoreAdj = oomScoreAdj;
      }),
    );
  const scoreOf = ({ spec }: ReturnType<typeof scored>) => (spec.process as { oomScoreAdj: number }).oomScoreAdj;

  it('is raised to it, with a warning, where it may not be lowered', () => {
    const plan = scored(-500, []);
    expect(scoreOf(plan)).toBe(0);
    expect(plan.warnings[0]).toContain('The OOM score adjustment of -500 is set to 0');
    expect(scored(-500, ['CAP_SYS_RESOURCE'])).toMatchObject({ warnings: [] });
    expect(scoreOf(scored(-500, ['CAP_SYS_RESOURCE']))).toBe(-500);
    expect(scored(300, [])).toMatchObject({ warnings: [] });
  });

  it('is refused outside its range', () => {
    for (const score of [-1001, 1001]) expect(() => scored(score, [])).toThrow('the range is -1000 to 1000');
  });
});

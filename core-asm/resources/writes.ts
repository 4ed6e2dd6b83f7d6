// OCI linux.resources → the files to write, in an order that every kernel accepts.
import { POLICY_FAIL, POLICY_IGNORE, POLICY_WARN } from '../abi';
import { Json } from '../json';
import { warn } from '../status';

export class CgroupWrite {
  constructor(
    /** Names the hierarchy on v1; informative on v2. */
    public controller: string,
    public file: string,
    public value: string,
    public policy: i32 = POLICY_FAIL,
  ) {}

  /** Another line of the same file. */
  goesWith(other: CgroupWrite): bool {
    return this.controller == other.controller && this.file == other.file && this.policy == other.policy;
  }
}

/** All writes but the device rules. */
export function cgroupWrites(resources: Json, facts: Json): CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  if (facts.child('cgroup').str('layout') == 'v2') unifiedWrites(writes, resources);
  else v1Writes(writes, resources, facts.strings('features'));
  return writes;
}

function put(
  writes: CgroupWrite[],
  controller: string,
  file: string,
  from: Json,
  key: string,
  policy: i32 = POLICY_FAIL,
): void {
  if (from.has(key)) writes.push(new CgroupWrite(controller, file, from.int(key).toString(), policy));
}

function v1Writes(writes: CgroupWrite[], resources: Json, features: string[]): void {
  const memory = resources.child('memory');
  put(writes, 'memory', 'memory.limit_in_bytes', memory, 'limit');
  put(writes, 'memory', 'memory.memsw.limit_in_bytes', memory, 'swap', POLICY_WARN);
  put(writes, 'memory', 'memory.soft_limit_in_bytes', memory, 'reservation');
  put(writes, 'memory', 'memory.swappiness', memory, 'swappiness');
  if (memory.flag('disableOOMKiller')) writes.push(new CgroupWrite('memory', 'memory.oom_control', '1'));
  const cpu = resources.child('cpu');
  put(writes, 'cpu', 'cpu.shares', cpu, 'shares');
  put(writes, 'cpu', 'cpu.cfs_period_us', cpu, 'period');
  put(writes, 'cpu', 'cpu.cfs_quota_us', cpu, 'quota');
  put(writes, 'cpu', 'cpu.rt_period_us', cpu, 'realtimePeriod');
  put(writes, 'cpu', 'cpu.rt_runtime_us', cpu, 'realtimeRuntime');
  if (cpu.str('cpus') != '') writes.push(new CgroupWrite('cpuset', 'cpuset.cpus', cpu.str('cpus')));
  if (cpu.str('mems') != '') writes.push(new CgroupWrite('cpuset', 'cpuset.mems', cpu.str('mems')));
  if (resources.child('pids').has('limit'))
    writes.push(new CgroupWrite('pids', 'pids.max', limitText(resources.child('pids').int('limit'))));
  blkioWrites(writes, resources.child('blockIO'), features);
  const huge = resources.list('hugepageLimits');
  for (let i = 0; i < huge.length; i++)
    put(writes, 'hugetlb', 'hugetlb.' + huge[i].str('pageSize') + '.limit_in_bytes', huge[i], 'limit');
  put(writes, 'net_cls', 'net_cls.classid', resources.child('network'), 'classID');
}

function deviceName(entry: Json): string {
  return entry.int('major').toString() + ':' + entry.int('minor').toString();
}

const V1_RATES: StaticArray<string> = [
  'throttleReadBpsDevice',
  'blkio.throttle.read_bps_device',
  'throttleWriteBpsDevice',
  'blkio.throttle.write_bps_device',
  'throttleReadIOPSDevice',
  'blkio.throttle.read_iops_device',
  'throttleWriteIOPSDevice',
  'blkio.throttle.write_iops_device',
];

/**
 * Kernels name the file after the scheduler that honours it: CFQ (before Linux 5.0) "blkio.weight", BFQ "blkio.bfq.weight".
 * On v2 both are tried; ioWeight is the conversion of runc (opencontainers/cgroups, ConvertBlkIOToIOWeightValue).
 */
function weightFile(features: string[]): string {
  if (features.includes('blkio_weight')) return 'blkio.weight';
  return features.includes('bfq') ? 'blkio.bfq.weight' : '';
}

function blkioWrites(writes: CgroupWrite[], blockIO: Json, features: string[]): void {
  const file = weightFile(features);
  const weights = blockIO.list('weightDevice');
  if (file != '') put(writes, 'blkio', file, blockIO, 'weight', POLICY_WARN);
  else if (blockIO.has('weight')) warn('NO_WEIGHT', 'blkioWeight', blockIO.int('weight').toString(), '');
  if (file == '' && weights.length > 0) warn('NO_WEIGHT_DEVICE', 'blkioWeightDevice', '', '');
  for (let i = 0; i < weights.length && file != ''; i++)
    writes.push(
      new CgroupWrite(
        'blkio',
        file + '_device',
        deviceName(weights[i]) + ' ' + weights[i].int('weight').toString(),
        POLICY_WARN,
      ),
    );
  for (let i = 0; i < V1_RATES.length; i += 2) {
    const rates = blockIO.list(V1_RATES[i]);
    for (let j = 0; j < rates.length; j++)
      writes.push(
        new CgroupWrite('blkio', V1_RATES[i + 1], deviceName(rates[j]) + ' ' + rates[j].int('rate').toString()),
      );
  }
}

/**
 * cpu.weight for cpu.shares: the quadratic in log2 that runc and crun use since 2025
 * (ConvertCPUSharesToCgroupV2Value of opencontainers/cgroups 0.0.3), which maps the defaults 1024 → 100 and the ends 2 → 1, 262144 → 10000.
 */
export function weightOfShares(shares: i64): i64 {
  if (shares == 0) return 0;
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const l = Math.log2(<f64>shares);
  const exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0;
  return <i64>Math.ceil(Math.pow(10, exponent));
}

function limitText(value: i64): string {
  return value < 0 ? 'max' : value.toString();
}

function unifiedWrites(writes: CgroupWrite[], resources: Json): void {
  const memory = resources.child('memory');
  if (memory.has('swap')) {
    const swap = memory.int('swap');
    const value = swap < 0 ? 'max' : (swap - memory.int('limit')).toString();
    writes.push(new CgroupWrite('memory', 'memory.swap.max', value, POLICY_WARN));
  }
  if (memory.has('limit')) writes.push(new CgroupWrite('memory', 'memory.max', limitText(memory.int('limit'))));
  if (memory.has('reservation'))
    writes.push(new CgroupWrite('memory', 'memory.low', memory.int('reservation').toString()));
  const cpu = resources.child('cpu');
  if (cpu.has('shares'))
    writes.push(new CgroupWrite('cpu', 'cpu.weight', weightOfShares(cpu.int('shares')).toString()));
  if (cpu.has('quota') || cpu.has('period')) {
    const quota = cpu.int('quota') > 0 ? cpu.int('quota').toString() : 'max';
    writes.push(new CgroupWrite('cpu', 'cpu.max', quota + ' ' + cpu.int('period', 100000).toString()));
  }
  if (cpu.str('cpus') != '') writes.push(new CgroupWrite('cpuset', 'cpuset.cpus', cpu.str('cpus')));
  if (cpu.str('mems') != '') writes.push(new CgroupWrite('cpuset', 'cpuset.mems', cpu.str('mems')));
  if (resources.child('pids').has('limit'))
    writes.push(new CgroupWrite('pids', 'pids.max', limitText(resources.child('pids').int('limit'))));
  ioWrites(writes, resources.child('blockIO'));
  const huge = resources.list('hugepageLimits');
  for (let i = 0; i < huge.length; i++)
    put(writes, 'hugetlb', 'hugetlb.' + huge[i].str('pageSize') + '.max', huge[i], 'limit');
  const own = resources.child('unified');
  for (let i = 0; i < own.keys.length; i++)
    writes.push(new CgroupWrite(own.keys[i].split('.')[0], own.keys[i], own.items[i].text));
}

const V2_RATES: StaticArray<string> = [
  'throttleReadBpsDevice',
  'rbps',
  'throttleWriteBpsDevice',
  'wbps',
  'throttleReadIOPSDevice',
  'riops',
  'throttleWriteIOPSDevice',
  'wiops',
];

/** io.weight runs 1–10000 where blkio's ran 10–1000. */
function ioWeight(weight: i64): string {
  return (1 + ((weight - 10) * 9999) / 990).toString();
}

function ioWrites(writes: CgroupWrite[], blockIO: Json): void {
  if (blockIO.has('weight')) {
    const weight = blockIO.int('weight');
    writes.push(new CgroupWrite('io', 'io.bfq.weight', 'default ' + weight.toString(), POLICY_IGNORE));
    writes.push(new CgroupWrite('io', 'io.weight', 'default ' + ioWeight(weight), POLICY_WARN));
  }
  const weights = blockIO.list('weightDevice');
  for (let i = 0; i < weights.length; i++) {
    const device = deviceName(weights[i]) + ' ';
    const weight = weights[i].int('weight');
    writes.push(new CgroupWrite('io', 'io.bfq.weight', device + weight.toString(), POLICY_IGNORE));
    writes.push(new CgroupWrite('io', 'io.weight', device + ioWeight(weight), POLICY_WARN));
  }
  for (let i = 0; i < V2_RATES.length; i += 2) {
    const rates = blockIO.list(V2_RATES[i]);
    for (let j = 0; j < rates.length; j++)
      writes.push(
        new CgroupWrite(
          'io',
          'io.max',
          deviceName(rates[j]) + ' ' + V2_RATES[i + 1] + '=' + rates[j].int('rate').toString(),
        ),
      );
  }
}

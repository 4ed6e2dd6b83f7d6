// Docker's resources → OCI linux.resources (runtime-spec, config-linux.md), every limit checked with its reason.
import { Json } from '../json';
import { refuse } from '../status';
import { missingFrom } from './cpuset';
import { parseSize } from './size';

const MINIMUM_MEMORY: i64 = 6 * 1024 * 1024;

function sizeOf(resources: Json, name: string): i64 {
  const value = resources.get(name);
  return value ? parseSize(value, name) : 0;
}

/** Builds memory, cpu, pids, blockIO, hugepageLimits, network and unified; devices are the devices module's. */
export function resolveResources(resources: Json, facts: Json): Json {
  const result = Json.object();
  const unified = facts.child('cgroup').str('layout') == 'v2';
  const memory = resolveMemory(resources, unified);
  if (memory.keys.length > 0) result.set('memory', memory);
  const cpu = resolveCpu(resources, facts, unified);
  if (cpu.keys.length > 0) result.set('cpu', cpu);
  const pids = resources.int('pidsLimit');
  if (pids < -1) refuse('NEGATIVE', 'pidsLimit', pids.toString());
  if (pids > 0) result.set('pids', Json.object().set('limit', Json.int(pids)));
  const blockIO = resolveBlockIO(resources, facts);
  if (blockIO.keys.length > 0) result.set('blockIO', blockIO);
  const huge = resources.list('hugetlb');
  if (huge.length > 0) {
    const limits = Json.array();
    for (let i = 0; i < huge.length; i++)
      limits.push(
        Json.object()
          .set('pageSize', Json.of(huge[i].str('pageSize')))
          .set('limit', Json.int(sizeOf(huge[i], 'limit'))),
      );
    requireController(facts, 'hugetlb', 'hugetlb');
    result.set('hugepageLimits', limits);
  }
  const classId = resources.int('netClsClassId');
  if (classId != 0) {
    requireController(facts, 'net_cls', 'netClsClassId');
    result.set('network', Json.object().set('classID', Json.int(classId)));
  }
  const own = resources.child('unified');
  if (own.keys.length > 0) {
    if (!unified) refuse('UNIFIED_ON_V1', 'unified', own.keys[0]);
    result.set('unified', own);
  }
  return result;
}

function requireController(facts: Json, controller: string, field: string): void {
  if (!facts.child('cgroup').strings('controllers').includes(controller)) refuse('NO_CONTROLLER', field, controller);
}

function resolveMemory(resources: Json, unified: bool): Json {
  const result = Json.object();
  const limit = sizeOf(resources, 'memory');
  const reservation = sizeOf(resources, 'memoryReservation');
  let swap = sizeOf(resources, 'memorySwap');
  if (limit < 0 && limit != -1) refuse('NEGATIVE', 'memory', limit.toString());
  if (reservation < 0) refuse('NEGATIVE', 'memoryReservation', reservation.toString());
  if (swap < 0 && swap != -1) refuse('NEGATIVE', 'memorySwap', swap.toString());
  if (limit > 0 && limit < MINIMUM_MEMORY) refuse('MEMORY_MINIMUM', 'memory', limit.toString(), '6 MiB');
  if (reservation > 0 && reservation < MINIMUM_MEMORY)
    refuse('MEMORY_MINIMUM', 'memoryReservation', reservation.toString(), '6 MiB');
  if (limit > 0 && reservation > limit)
    refuse('RESERVATION_ABOVE_MEMORY', 'memoryReservation', reservation.toString(), limit.toString());
  if (swap > 0 && limit <= 0) refuse('SWAP_WITHOUT_MEMORY', 'memorySwap', swap.toString());
  if (swap > 0 && swap < limit) refuse('SWAP_BELOW_MEMORY', 'memorySwap', swap.toString(), limit.toString());
  if (limit > 0 && swap == 0) swap = limit > i64.MAX_VALUE / 2 ? -1 : limit * 2;
  if (limit != 0) result.set('limit', Json.int(limit));
  if (reservation != 0) result.set('reservation', Json.int(reservation));
  if (swap != 0) result.set('swap', Json.int(swap));
  if (resources.has('memorySwappiness') && resources.int('memorySwappiness') != -1) {
    const swappiness = resources.int('memorySwappiness');
    if (swappiness < 0 || swappiness > 100) refuse('SWAPPINESS_RANGE', 'memorySwappiness', swappiness.toString());
    if (unified) refuse('V1_ONLY', 'memorySwappiness', swappiness.toString());
    result.set('swappiness', Json.int(swappiness));
  }
  if (resources.flag('oomKillDisable')) {
    if (unified) refuse('V1_ONLY', 'oomKillDisable', 'true');
    result.set('disableOOMKiller', Json.bool(true));
  }
  return result;
}

function resolveCpu(resources: Json, facts: Json, unified: bool): Json {
  const result = Json.object();
  const shares = resources.int('cpuShares');
  const nano = resources.int('nanoCpus');
  let period = resources.int('cpuPeriod');
  let quota = resources.int('cpuQuota');
  // The kernel's own range; cpu.weight of v2 is computed for any number.
  if (shares < 0 || (!unified && (shares == 1 || shares > 262144)))
    refuse('SHARES_RANGE', 'cpuShares', shares.toString());
  if (nano != 0) {
    const cpus = facts.int('cpus');
    if (period != 0 || quota != 0) refuse('CPUS_WITH_QUOTA', 'nanoCpus', nano.toString());
    if (nano < 10000000 || nano > cpus * 1000000000)
      refuse('CPUS_RANGE', 'nanoCpus', (<f64>nano / 1e9).toString(), cpus.toString());
    period = 100000;
    quota = nano / 10000;
  }
  if (period != 0 && (period < 1000 || period > 1000000)) refuse('PERIOD_RANGE', 'cpuPeriod', period.toString());
  if (quota > 0 && quota < 1000) refuse('QUOTA_MINIMUM', 'cpuQuota', quota.toString());
  if (shares > 0) result.set('shares', Json.int(shares));
  if (quota != 0) result.set('quota', Json.int(quota));
  if (period != 0) result.set('period', Json.int(period));
  const rtPeriod = resources.int('cpuRealtimePeriod');
  const rtRuntime = resources.int('cpuRealtimeRuntime');
  if (unified && rtPeriod != 0) refuse('V1_ONLY', 'cpuRealtimePeriod', rtPeriod.toString());
  if (unified && rtRuntime != 0) refuse('V1_ONLY', 'cpuRealtimeRuntime', rtRuntime.toString());
  if (rtRuntime > 0 && rtPeriod > 0 && rtRuntime > rtPeriod)
    refuse('REALTIME_ABOVE_PERIOD', 'cpuRealtimeRuntime', rtRuntime.toString(), rtPeriod.toString());
  if (unified && rtRuntime != 0) refuse('V1_ONLY', 'cpuRealtimeRuntime', rtRuntime.toString());
  if (unified && rtPeriod != 0) refuse('V1_ONLY', 'cpuRealtimePeriod', rtPeriod.toString());
  if (rtPeriod > 0) result.set('realtimePeriod', Json.int(rtPeriod));
  if (rtRuntime > 0) result.set('realtimeRuntime', Json.int(rtRuntime));
  checkList(resources, facts, 'cpusetCpus');
  checkList(resources, facts, 'cpusetMems');
  if (resources.str('cpusetCpus') != '') result.set('cpus', Json.of(resources.str('cpusetCpus')));
  if (resources.str('cpusetMems') != '') result.set('mems', Json.of(resources.str('cpusetMems')));
  return result;
}

function checkList(resources: Json, facts: Json, name: string): void {
  const wanted = resources.str(name);
  if (wanted == '') return;
  const available = facts.str(name);
  const missing = missingFrom(wanted, available);
  if (missing == -2) refuse('LIST_SYNTAX', name, wanted);
  else if (missing >= 0) refuse('LIST_NOT_AVAILABLE', name, wanted, available);
}

const RATES: StaticArray<string> = [
  'blkioDeviceReadBps',
  'throttleReadBpsDevice',
  'blkioDeviceWriteBps',
  'throttleWriteBpsDevice',
  'blkioDeviceReadIOps',
  'throttleReadIOPSDevice',
  'blkioDeviceWriteIOps',
  'throttleWriteIOPSDevice',
];

function resolveBlockIO(resources: Json, facts: Json): Json {
  const result = Json.object();
  const weight = resources.int('blkioWeight');
  if (weight != 0) {
    if (weight < 10 || weight > 1000) refuse('WEIGHT_RANGE', 'blkioWeight', weight.toString());
    result.set('weight', Json.int(weight));
  }
  const weights = resources.list('blkioWeightDevice');
  if (weights.length > 0) {
    const list = Json.array();
    for (let i = 0; i < weights.length; i++) {
      const own = weights[i].int('weight');
      if (own < 10 || own > 1000) refuse('WEIGHT_RANGE', 'blkioWeightDevice', own.toString());
      list.push(deviceEntry(facts, weights[i].str('path'), 'blkioWeightDevice').set('weight', Json.int(own)));
    }
    result.set('weightDevice', list);
  }
  for (let i = 0; i < RATES.length; i += 2) {
    const rates = resources.list(RATES[i]);
    if (rates.length == 0) continue;
    const list = Json.array();
    for (let j = 0; j < rates.length; j++) {
      const rate = sizeOf(rates[j], 'rate');
      if (rate <= 0) refuse('RATE', RATES[i], rates[j].str('path'));
      list.push(deviceEntry(facts, rates[j].str('path'), RATES[i]).set('rate', Json.int(rate)));
    }
    result.set(RATES[i + 1], list);
  }
  return result;
}

function deviceEntry(facts: Json, path: string, field: string): Json {
  const found = facts.child('devices').list(path);
  if (found.length != 3) refuse('NO_DEVICE', field, path);
  else return Json.object().set('major', found[0]).set('minor', found[1]);
  return Json.object();
}

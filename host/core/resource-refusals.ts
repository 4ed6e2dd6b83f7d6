// Refusals of core-asm/resources and core-asm/devices as sentences.
import type { Refusal } from './refusal.ts';

const invalid = (message: Refusal['message'], hint?: Refusal['hint']): Refusal =>
  hint === undefined ? { error: 'INVALID_ARGUMENT', message } : { error: 'INVALID_ARGUMENT', message, hint };
const unsupported = (message: Refusal['message'], hint?: Refusal['hint']): Refusal =>
  hint === undefined ? { error: 'UNSUPPORTED', message } : { error: 'UNSUPPORTED', message, hint };

export const resourceRefusals: Record<string, Refusal> = {
  SIZE_SYNTAX: invalid(
    (field, value) => `Cannot read ${field} "${value}": not a size`,
    'Give a number with an optional suffix b, k, m, g, t or p, such as 512m',
  ),
  SIZE_TOO_LARGE: invalid((field, value) => `Cannot set ${field} to "${value}": more than the kernel can count`),
  CPUS_SYNTAX: invalid((field, value) => `Cannot read ${field} "${value}": not a number of CPUs`, 'Such as 0.5 or 2'),
  CPUS_TOO_PRECISE: invalid((field, value) => `Cannot set ${field} to "${value}": at most nine decimals count`),
  NEGATIVE: invalid((field, value) => `Cannot set ${field} to "${value}": it must not be negative`),
  MEMORY_MINIMUM: invalid((field, value, bound) => `Cannot set ${field} to "${value}": the minimum is ${bound}`),
  RESERVATION_ABOVE_MEMORY: invalid(
    (field, value, bound) => `Cannot set ${field} to "${value}": it must not exceed the memory limit ${bound}`,
    'Change both together: --memory and --memory-reservation',
  ),
  SWAP_WITHOUT_MEMORY: invalid(
    (field, value) => `Cannot set ${field} to "${value}": it needs a memory limit`,
    'memorySwap is memory plus swap: give --memory too',
  ),
  SWAP_BELOW_MEMORY: invalid(
    (field, value, bound) => `Cannot set ${field} to "${value}": it must be at least the memory limit ${bound}`,
    'memorySwap is memory plus swap',
  ),
  SWAPPINESS_RANGE: invalid((field, value) => `Cannot set ${field} to "${value}": the range is 0 to 100`),
  V1_ONLY: unsupported((field) => `Cannot set ${field}: cgroup v2 has no such control`),
  UNIFIED_ON_V1: unsupported((_field, value) => `Cannot write "${value}": this host has cgroup v1`),
  NO_CONTROLLER: unsupported((field, value) => `Cannot set ${field}: this kernel has no "${value}" controller`),
  SHARES_RANGE: invalid((field, value) => `Cannot set ${field} to "${value}": the range is 2 to 262144`),
  CPUS_WITH_QUOTA: invalid(() => 'Cannot set cpus: it conflicts with cpuPeriod and cpuQuota', 'Give one or the other'),
  CPUS_RANGE: invalid(
    (_field, value, cpus) =>
      `Cannot set cpus to "${value}": the range is from 0.01 to ${cpus}, as this host has ${cpus} CPUs`,
  ),
  PERIOD_RANGE: invalid(
    (field, value) => `Cannot set ${field} to "${value}": the range is 1000 to 1000000 microseconds`,
  ),
  QUOTA_MINIMUM: invalid((field, value) => `Cannot set ${field} to "${value}": the minimum is 1000 microseconds`),
  REALTIME_ABOVE_PERIOD: invalid(
    (field, value, bound) => `Cannot set ${field} to "${value}": it must not exceed the period ${bound}`,
  ),
  LIST_SYNTAX: invalid((field, value) => `Cannot read ${field} "${value}": not a list`, 'Such as 0-2,7'),
  LIST_NOT_AVAILABLE: invalid(
    (field, value, available) => `Cannot set ${field} to "${value}": this host has ${available}`,
  ),
  WEIGHT_RANGE: invalid((field, value) => `Cannot set ${field} to "${value}": the range is 10 to 1000`),
  RATE: invalid((field, value) => `Cannot limit ${field} of "${value}": the rate must be above zero`),
  NO_DEVICE: invalid((field, value) => `Cannot use "${value}" in ${field}: no such device on this host`),
  DEVICE_ACCESS: invalid((field, value) => `Cannot read ${field} access "${value}": only r, w and m may stand there`),
  DEVICE_RULE: invalid((_field, value) => `Cannot read the device rule "${value}"`, 'Such as "c 42:* rmw"'),
};

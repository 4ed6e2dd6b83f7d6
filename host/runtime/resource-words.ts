// update's flags, or the file of --resources → linux.resources.
import { GantryError } from '../errors.ts';
import { parsed, type Question } from './messages.ts';

/** Flag → where its number goes. */
const numbers: Record<string, [group: string, field: string]> = {
  memory: ['memory', 'limit'],
  'memory-reservation': ['memory', 'reservation'],
  'memory-swap': ['memory', 'swap'],
  'cpu-period': ['cpu', 'period'],
  'cpu-quota': ['cpu', 'quota'],
  'cpu-share': ['cpu', 'shares'],
  'cpu-rt-period': ['cpu', 'realtimePeriod'],
  'cpu-rt-runtime': ['cpu', 'realtimeRuntime'],
  'blkio-weight': ['blockIO', 'weight'],
  'pids-limit': ['pids', 'limit'],
};
const texts: Record<string, [group: string, field: string]> = {
  'cpuset-cpus': ['cpu', 'cpus'],
  'cpuset-mems': ['cpu', 'mems'],
};

export function resourcesOf(words: Question['words']): Record<string, unknown> {
  const file = words.get('resources')?.at(-1);
  if (file !== undefined) return parsed(file, 'the resources') as Record<string, unknown>;
  const resources: Record<string, Record<string, unknown>> = {};
  for (const [flag, [value = '']] of words) {
    const place = numbers[flag] ?? texts[flag];
    if (place === undefined) continue;
    const [group, field] = place;
    resources[group] = { ...resources[group], [field]: flag in texts ? value : amount(flag, value) };
  }
  if (Object.keys(resources).length === 0)
    throw new GantryError('INVALID_ARGUMENT', 'Cannot update the container: no limit is given', {
      hint: 'Give one, such as --memory, or a file with --resources',
    });
  return resources;
}

const units: Record<string, number> = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

function amount(flag: string, text: string): number {
  const [, digits, unit = ''] = /^(-?\d+)([bkmgt]?)b?$/i.exec(text) ?? [];
  if (digits === undefined)
    throw new GantryError('INVALID_ARGUMENT', `Cannot read --${flag} "${text}": not a number`, {
      hint: 'Bytes may be written with k, m, g or t',
    });
  return Number(digits) * units[unit.toLowerCase()]!;
}

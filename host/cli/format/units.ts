// Sizes and times, in and out, in docker's spelling.
import { readByteSize } from '../../byte-size.ts';
import { GantryError } from '../../errors.ts';
import { humanDuration } from '../../human-duration.ts';

/** "512m", "1.5g", "64" → bytes; base 1024. @throws {GantryError} INVALID_ARGUMENT naming the flag. */
export function parseBytes(text: string, flag: string): number {
  const bytes = readByteSize(text);
  if (bytes === undefined)
    throw new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--${flag}": invalid size`, {
      hint: 'Such as 512m or 1.5g',
      details: { flag },
    });
  return bytes;
}

/** As parseBytes, with -1 for "unlimited". */
export function parseBytesOrUnlimited(text: string, flag: string): number {
  return text === '-1' ? -1 : parseBytes(text, flag);
}

function scaled(value: number, base: number, names: string[], digits: number): string {
  let unit = 0;
  let left = value;
  while (left >= base && unit < names.length - 1) {
    left /= base;
    unit++;
  }
  return `${Number(left.toPrecision(digits))}${names[unit]}`;
}

/** "4.2MB": base 1000, as lists of images have it. */
export function decimalSize(bytes: number, digits = 3): string {
  return scaled(bytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB', 'PB'], digits);
}

/** "128MiB": base 1024, as stats have it. */
export function binarySize(bytes: number): string {
  return scaled(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'], 4);
}

const seconds: Record<string, number> = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };

/** Go's durations, "1m30s" → seconds. @throws {GantryError} INVALID_ARGUMENT naming the flag. */
export function parseDuration(text: string, flag: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (text === '0') return 0;
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text)
    throw new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--${flag}": invalid duration`, {
      hint: 'Such as 30s or 1m30s',
      details: { flag },
    });
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * seconds[unit!]!, 0);
}

/** What --since and --until take: a duration before now, seconds since 1970, or a date → seconds since 1970. */
export function parseMoment(text: string, flag: string, now = Date.now()): string {
  if (/^\d+(\.\d+)?$/.test(text)) return text;
  if (/^\d/.test(text) && !/^\d{4}-/.test(text)) return String(now / 1000 - parseDuration(text, flag));
  const date = Date.parse(/T|Z/.test(text) ? text : `${text}T00:00:00`);
  if (Number.isNaN(date))
    throw new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--${flag}": no time`, {
      hint: 'Such as 10m, 2026-01-31 or 2026-01-31T10:00:00Z',
    });
  // A date of this language ends at milliseconds; logs go on to nanoseconds.
  const [, fraction = '0'] = /:\d\d\.(\d{1,9})/.exec(text) ?? [];
  return `${Math.floor(date / 1000)}.${fraction}`;
}

/** "About an hour ago": the time since a moment, in seconds since 1970. */
export function since(moment: number, now = Date.now()): string {
  return `${humanDuration(now - moment * 1000)} ago`;
}

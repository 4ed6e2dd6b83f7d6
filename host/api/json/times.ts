// Times in queries: seconds since the epoch with a fraction, RFC 3339, or a duration before now.
import { GantryError } from '../../errors.ts';

/** RFC 3339; what stands without a zone is in the engine's. */
const DATE = /^(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?)?)?(Z|[+-]\d\d:\d\d)?$/i;

/** Nanoseconds since the epoch; undefined for "", "0" and absence. @throws {GantryError} INVALID_ARGUMENT. */
export function parseTime(text: string | null): bigint | undefined {
  if (text === null || text === '' || text === '0') return undefined;
  const [, sign, seconds, fraction = ''] = /^(-?)(\d+)(?:\.(\d{1,9})\d*)?$/.exec(text) ?? [];
  if (seconds !== undefined) {
    const time = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
    return sign === '-' ? -time : time;
  }
  const [, day, hour = '00', minute = '00', second = '00', rest = '', zone = ''] = DATE.exec(text) ?? [];
  const milliseconds = Date.parse(`${day}T${hour}:${minute}:${second}${zone}`);
  if (day === undefined || Number.isNaN(milliseconds))
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the time "${text}"`, {
      hint: 'Seconds since 1970, or 2026-01-31T10:00:00Z',
    });
  return BigInt(milliseconds) * 1_000_000n + BigInt(rest.padEnd(9, '0'));
}

const UNITS: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** As parseTime, and "1h30m" for so long ago. @throws {GantryError} INVALID_ARGUMENT. */
export function parseTimeOrDuration(text: string): bigint | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) return parseTime(text);
  const milliseconds = parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit!]!, 0);
  return BigInt(Math.round((Date.now() - milliseconds) * 1000)) * 1000n;
}

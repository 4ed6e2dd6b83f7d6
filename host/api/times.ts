// Times in queries: seconds since the epoch with a fraction, or RFC 3339.
import { GantryError } from '../errors.ts';

/** Nanoseconds since the epoch; undefined for "", "0" and absence. @throws {GantryError} INVALID_ARGUMENT. */
export function parseTime(text: string | null): bigint | undefined {
  if (text === null || text === '' || text === '0') return undefined;
  const [, seconds, fraction = ''] = /^(\d+)(?:\.(\d{1,9})\d*)?$/.exec(text) ?? [];
  if (seconds !== undefined) return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  const milliseconds = Date.parse(text);
  if (Number.isNaN(milliseconds))
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the time "${text}"`, {
      hint: 'Seconds since 1970, or 2026-01-31T10:00:00Z',
    });
  return BigInt(milliseconds) * 1_000_000n;
}

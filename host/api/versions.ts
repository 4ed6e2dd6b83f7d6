// The versions of Docker's API that are served, and which one a request speaks.
import { GantryError } from '../errors.ts';

export const API_VERSION = '1.51';
export const API_VERSION_MIN = '1.24';

/** "1.24" → [1, 24]; docker reads any number of parts, and so does this. */
function parts(version: string): number[] {
  return version.split('.').map(Number);
}

function compare(left: string, right: string): number {
  const [a, b] = [parts(left), parts(right)];
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** @throws {GantryError} INVALID_ARGUMENT in docker's words, for clients print them. */
export function checkVersion(version: string): void {
  const client = `client version ${version}`;
  if (compare(version, API_VERSION_MIN) < 0)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `${client} is too old. Minimum supported API version is ${API_VERSION_MIN}, please upgrade your client to a newer version`,
    );
  if (compare(version, API_VERSION) > 0)
    throw new GantryError('INVALID_ARGUMENT', `${client} is too new. Maximum supported API version is ${API_VERSION}`);
}

/** Whether a request speaks a version before `bound`. */
export function isBefore({ version }: { version: string }, bound: string): boolean {
  return compare(version, bound) < 0;
}

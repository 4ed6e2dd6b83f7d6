// Times of a container's life.

/** Nanoseconds since the epoch → ISO 8601 with all nine digits. */
export function isoTime(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(nanoseconds % 1_000_000_000n).padStart(9, '0')}Z`;
}

/** False where it takes longer; undefined: no limit. */
export async function within(promise: Promise<unknown>, limitMs: number | undefined): Promise<boolean> {
  if (limitMs === undefined) return promise.then(() => true);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.min(limitMs, LONGEST_TIMER_MS));
  });
  const done = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return done;
}

/** A longer one would be over at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

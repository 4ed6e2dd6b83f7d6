// Interleaved rounds: whatever the machine does meanwhile, it does to all.
export function median(values: number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/**
 * Milliseconds of each runner, in turn: with rest before each measurement one by one, without it in blocks back to back,
 * for what ran before decides how warm the next start is.
 */
export async function interleave(
  runners: (() => Promise<number>)[],
  rounds: number,
  idleMs: number,
): Promise<number[][]> {
  const found: number[][] = runners.map(() => []);
  const block = idleMs > 0 ? 1 : BLOCK;
  for (let round = 0; round < rounds; round += block)
    for (const [index, run] of runners.entries())
      for (let turn = 0; turn < block; turn++) {
        if (idleMs > 0) await new Promise((resolve) => setTimeout(resolve, idleMs));
        found[index]!.push(await run());
      }
  return found;
}

const BLOCK = 5;

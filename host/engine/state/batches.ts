// Work on files that can wait: collected, then done in batches behind the backs of those who wait for something else.
export interface Batches {
  add(path: string): void;
  /** Resolves when all of it is done. */
  finish(): Promise<void>;
}

/** Work waits so long for company: one program does a batch, and whoever starts next is not disturbed by it. */
const DELAY_MS = 100;
/** Paths of one program. */
const BATCH = 256;

/** @param work whose failures are its own affair. */
export function createBatches(work: (paths: string[]) => Promise<void>): Batches {
  const queue: string[] = [];
  let working: Promise<void> | undefined;
  let hurry = (): void => {};

  const run = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      hurry = resolve;
      setTimeout(resolve, DELAY_MS);
    });
    while (queue.length > 0) await work(queue.splice(0, BATCH)).catch(() => {});
    working = undefined;
  };

  return {
    add(path) {
      queue.push(path);
      working ??= run();
    },
    async finish() {
      hurry();
      while (working !== undefined) await working;
    },
  };
}

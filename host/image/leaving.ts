// What was renamed out of the way goes behind the back of who removed it: to free the blocks of a large file may take the disk long.

export interface Leaving {
  /** Begins to remove; a failure is nobody's: the next engine finds by its name what is left. */
  begin(remove: () => Promise<void>): void;
  /** All that has begun is done. */
  settled(): Promise<void>;
}

export function createLeaving(): Leaving {
  const underWay = new Set<Promise<void>>();
  return {
    begin(remove) {
      const done: Promise<void> = remove()
        .catch(() => {})
        .finally(() => underWay.delete(done));
      underWay.add(done);
    },
    async settled() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}

// Which cells run beside each other: first-fit decreasing over CPUs and memory, in whole nanoseconds of CPU time and bytes.

/** What a cell takes of a machine, or a machine has. */
export interface Room {
  /** 1e-9 CPUs. */
  nanoCpus: number;
  memory: number;
}

export interface Demanding {
  demand: Room;
}

const fits = (demand: Room, free: Room): boolean => demand.nanoCpus <= free.nanoCpus && demand.memory <= free.memory;

export function minus(room: Room, taken: Room): Room {
  return { nanoCpus: room.nanoCpus - taken.nanoCpus, memory: room.memory - taken.memory };
}

export function plus(room: Room, given: Room): Room {
  return { nanoCpus: room.nanoCpus + given.nanoCpus, memory: room.memory + given.memory };
}

/** Whether it could run with the machine to itself. */
export function isPossible(demand: Room, capacity: Room): boolean {
  return fits(demand, capacity);
}

/** The largest first, by the scarcer of both; in the order given where they are equal. */
export function decreasing<T extends Demanding>(items: T[], capacity: Room): T[] {
  const share = ({ demand }: T): number =>
    Math.max(demand.nanoCpus / capacity.nanoCpus, demand.memory / capacity.memory);
  return [...items].sort((a, b) => share(b) - share(a));
}

/** Those of an ordered list that start now: each that still fits, `slots` at most. */
export function fill<T extends Demanding>(waiting: T[], free: Room, slots: number): T[] {
  const chosen: T[] = [];
  let left = free;
  for (const item of waiting) {
    if (chosen.length >= slots) break;
    if (!fits(item.demand, left)) continue;
    chosen.push(item);
    left = minus(left, item.demand);
  }
  return chosen;
}

/** The loads of a machine that would be filled, emptied and filled again: what a dry run shows. All items must be possible. */
export function loads<T extends Demanding>(items: T[], capacity: Room, slots: number): T[][] {
  const found: T[][] = [];
  let waiting = decreasing(items, capacity);
  while (waiting.length > 0) {
    const load = fill(waiting, capacity, slots);
    if (load.length === 0) throw new RangeError('A cell is larger than the machine');
    found.push(load);
    waiting = waiting.filter((item) => !load.includes(item));
  }
  return found;
}

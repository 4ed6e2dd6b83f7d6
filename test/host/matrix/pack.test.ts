// Packing of cells: nothing is lost or overloaded, whatever comes; first-fit decreasing's bound holds.
import { describe, expect, it } from 'vitest';
import { decreasing, fill, loads, type Room } from '../../../host/cli/matrix/pack.ts';
import { createRandom } from '../../helpers/random.ts';

const item = (cpus: number, memory: number) => ({ demand: { nanoCpus: cpus * 1e9, memory } });
const capacity: Room = { nanoCpus: 4e9, memory: 1000 };
const total = (items: { demand: Room }[], of: keyof Room): number =>
  items.reduce((sum, { demand }) => sum + demand[of], 0);

describe('packing', () => {
  it('puts the largest first, by the scarcer resource', () => {
    const [cpu, memory, small] = [item(3, 10), item(0.5, 900), item(1, 100)];
    expect(decreasing([small, cpu, memory], capacity)).toEqual([memory, cpu, small]);
    expect(loads([small, cpu, memory], capacity, 10)).toEqual([[memory, cpu], [small]]);
  });

  it('passes over what does not fit, for what does', () => {
    const [large, larger, small] = [item(3, 1), item(2, 1), item(1, 1)];
    expect(fill([large, larger, small], capacity, 10)).toEqual([large, small]);
    expect(fill([large, larger, small], capacity, 1)).toEqual([large]);
    expect(fill([large], { nanoCpus: 2e9, memory: 1000 }, 10)).toEqual([]);
  });

  it('keeps order among equals', () => {
    const items = Array.from({ length: 6 }, () => item(1, 100));
    expect(loads(items, capacity, 2)).toEqual([items.slice(0, 2), items.slice(2, 4), items.slice(4)]);
  });

  it('never overloads, never loses a cell, and starts no load while the largest of the next has room in it', () => {
    const random = createRandom(1);
    for (let round = 0; round < 300; round++) {
      const items = Array.from({ length: 1 + random.below(40) }, () =>
        item((1 + random.below(400)) / 100, 1 + random.below(1000)),
      );
      const slots = 1 + random.below(12);
      const packed = loads(items, capacity, slots);
      expect(packed.flat()).toHaveLength(items.length);
      expect(new Set(packed.flat())).toEqual(new Set(items));
      for (const load of packed) {
        expect(total(load, 'nanoCpus')).toBeLessThanOrEqual(capacity.nanoCpus);
        expect(total(load, 'memory')).toBeLessThanOrEqual(capacity.memory);
        expect(load.length).toBeLessThanOrEqual(slots);
      }
      // Of two loads, the first is full or the second's largest did not fit into it.
      for (const [at, load] of packed.slice(0, -1).entries()) {
        const next = packed[at + 1]![0]!.demand;
        const full = load.length === slots;
        const cpus = total(load, 'nanoCpus') + next.nanoCpus > capacity.nanoCpus;
        const memory = total(load, 'memory') + next.memory > capacity.memory;
        expect(full || cpus || memory).toBe(true);
      }
    }
  });
});

// Places prepared ahead: cgroups with a launcher parked in them. Joining cgroups is what a start costs most, so it is done before.
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { FRAME_FAILED, FRAME_READY } from '../../core-asm/abi.ts';
import { planPool } from '../core/plans.ts';
import type { HostFacts } from '../plan-types.ts';
import type { Connection } from './connection.ts';
import type { Executor } from './executor.ts';
import { frames } from './frames.ts';

export interface Pool {
  /** Fills up; resolves when full, never rejects. */
  fill(): Promise<void>;
  /** Name of a ready slot, taken out of the pool. */
  reserve(): string | undefined;
  /** The connection to a reserved slot's supervisor. */
  connection(slot: string): Connection | undefined;
  /** Counts a start while it is under way, and fills up behind it. */
  serve<T>(start: Promise<T>): Promise<T>;
  /** Ends a reserved slot that is not used. */
  release(slot: string): void;
  /** Ends every slot. */
  close(): void;
}

const SMALLEST = 2;
const LARGEST = 24;
/** Without a miss for so long the pool shrinks to its smallest. */
const QUIET_MS = 10_000;
/** Slots that are made at once: more would only compete with the containers that start. */
const MAKERS = 2;
/** With as many starts under way no slot is made: all in all a slot costs more than the cgroups that a start makes itself. */
const BUSY = availableParallelism();

export function createPool(executor: Executor, facts: () => Promise<HostFacts>): Pool {
  const ready = new Map<string, Connection>();
  const reserved = new Map<string, Connection>();
  let wanted = SMALLEST;
  let makers = 0;
  let starting = 0;
  let closed = false;
  let quiet: NodeJS.Timeout | undefined;
  let failures = 0;

  const make = async (): Promise<void> => {
    const slot = `slot-${randomBytes(8).toString('hex')}`;
    const { program, teardown } = planPool(await facts(), slot, '');
    await new Promise<void>((resolve, reject) => {
      const listener = {
        frame({ type }: { type: number }) {
          if (type === FRAME_READY) {
            connection!.unref();
            ready.set(slot, connection!);
            resolve();
          } else if (type === FRAME_FAILED) reject(new Error('slot failed'));
        },
        closed() {
          ready.delete(slot);
          reject(new Error('slot ended'));
        },
      };
      let connection: Connection | undefined;
      executor.connect(listener).then((made) => {
        connection = made;
        made.send(frames.prepare(program, teardown));
      }, reject);
    });
  };

  const fill = async (): Promise<void> => {
    if (closed || makers >= MAKERS) return;
    makers++;
    try {
      // On v2 a container is cloned into its cgroup, which costs nothing, and a slot's cgroup could not be renamed.
      if ((await facts()).cgroup.layout === 'v2') return;
      while (!closed && starting < BUSY && ready.size + makers - 1 < wanted && failures < 3) await make();
      failures = 0;
    } catch {
      failures++; // A start without a slot says why, in the user's words.
    } finally {
      makers--;
    }
  };

  const calm = (): void => {
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      wanted = SMALLEST;
      for (const [slot, connection] of [...ready].slice(SMALLEST)) {
        ready.delete(slot);
        connection.close();
      }
    }, QUIET_MS);
    quiet.unref();
  };

  const fillUp = async (): Promise<void> => {
    await Promise.all([fill(), fill()]);
  };

  return {
    fill: fillUp,
    serve(start) {
      const settled = (): void => {
        starting--;
        void fillUp();
      };
      starting++;
      start.then(settled, settled);
      return start;
    },
    reserve() {
      const [slot] = ready.keys();
      calm();
      if (slot === undefined) {
        wanted = Math.min(LARGEST, wanted * 2);
        return undefined;
      }
      reserved.set(slot, ready.get(slot)!);
      ready.delete(slot);
      return slot;
    },
    connection(slot) {
      const found = reserved.get(slot);
      reserved.delete(slot);
      found?.ref();
      return found;
    },
    release(slot) {
      reserved.get(slot)?.close();
      reserved.delete(slot);
    },
    close() {
      closed = true;
      clearTimeout(quiet);
      for (const connection of [...ready.values(), ...reserved.values()]) connection.close();
      ready.clear();
      reserved.clear();
    },
  };
}

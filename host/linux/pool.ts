// Places prepared ahead: cgroups with a launcher parked in them, and a network namespace: what of a start can be done before it.
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { FRAME_FAILED, FRAME_READY } from '../../core-asm/abi.ts';
import { planPool } from '../core/plans.ts';
import type { HostFacts } from '../plan-types.ts';
import type { Connection } from './connection.ts';
import type { Executor } from './executor.ts';
import { frames } from '../frames.ts';

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
  /** Ends every slot; resolves when their cgroups are gone, or their supervisors are late. */
  close(): Promise<void>;
}

const SMALLEST = 2;
const LARGEST = 24;
/** Without a miss for so long the pool shrinks to its smallest. */
const QUIET_MS = 10_000;
/** Slots that are made at once: more would only compete with the containers that start. */
const MAKERS = 2;
/** So long an engine that ends waits for its slots to be undone: they are, with or without it. */
const CLOSING_MS = 2000;
/** With as many starts under way no slot is made: all in all a slot costs more than the cgroups that a start makes itself. */
const BUSY = availableParallelism();

/** @param sweep removes what supervisors left that are gone. */
export function createPool(
  executor: Pick<Executor, 'connect'>,
  facts: () => Promise<HostFacts>,
  sweep: () => Promise<void>,
): Pool {
  /** Those that no start has got. */
  const made = new Set<Connection>();
  const ending = new WeakSet<Connection>();
  const ready = new Map<string, Connection>();
  const reserved = new Map<string, Connection>();
  let wanted = SMALLEST;
  let makers = 0;
  let starting = 0;
  let closed = false;
  let quiet: NodeJS.Timeout | undefined;
  let failures = 0;

  const end = (connection: Connection): void => {
    ending.add(connection);
    connection.close();
  };

  const make = async (): Promise<void> => {
    const slot = `slot-${randomBytes(8).toString('hex')}`;
    const { program, teardown } = planPool(await facts(), slot, '');
    await new Promise<void>((resolve, reject) => {
      let undone = false;
      const listener = {
        frame({ type }: { type: number }) {
          if (type === FRAME_READY) {
            connection!.unref();
            ready.set(slot, connection!);
            resolve();
          } else if (type === FRAME_FAILED) {
            undone = true;
            reject(new Error('slot failed'));
          }
        },
        closed() {
          made.delete(connection!);
          // Nobody ended it: its supervisor was killed.
          if (!undone && !ending.has(connection!)) void sweep();
          ready.delete(slot);
          reserved.delete(slot);
          reject(new Error('slot ended'));
        },
      };
      let connection: Connection | undefined;
      executor.connect(listener).then((opened) => {
        connection = opened;
        made.add(opened);
        if (closed) end(opened);
        else opened.send(frames.prepare(program, teardown));
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
        end(connection);
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
      if (found === undefined) return undefined;
      made.delete(found);
      found.ref();
      return found;
    },
    release(slot) {
      const found = reserved.get(slot);
      if (found !== undefined) end(found);
      reserved.delete(slot);
    },
    async close() {
      closed = true;
      clearTimeout(quiet);
      ready.clear();
      reserved.clear();
      const ended = [...made].map((connection) => {
        ending.add(connection);
        connection.ref();
        return connection.ended();
      });
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, CLOSING_MS);
      });
      await Promise.race([Promise.all(ended), late]);
      clearTimeout(timer);
    },
  };
}

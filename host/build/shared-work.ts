// Steps that several builds need at the same time are done once: the others wait, and are told what it writes.
import type { CacheRecord } from '../image/build-cache.ts';

export type Output = (stream: 'stdout' | 'stderr', text: string) => void;

interface Work {
  done: Promise<CacheRecord>;
  signal: AbortSignal;
  past: Parameters<Output>[];
  listeners: Set<Output>;
}

export interface SharedWork {
  /** `signal` ends the work, or the waiting for another's. Where who did it has gone, one of those who wait does it. */
  once(
    key: string,
    signal: AbortSignal,
    output: Output,
    work: (output: Output) => Promise<CacheRecord>,
  ): Promise<CacheRecord>;
}

export function createSharedWork(): SharedWork {
  const working = new Map<string, Work>();
  return {
    async once(key, signal, output, work) {
      for (let other = working.get(key); other !== undefined; other = working.get(key)) {
        for (const [stream, text] of other.past) output(stream, text);
        other.listeners.add(output);
        try {
          return await Promise.race([other.done, aborted(signal)]);
        } catch (error) {
          if (signal.aborted || !other.signal.aborted) throw error;
        } finally {
          other.listeners.delete(output);
        }
      }
      const listeners = new Set([output]);
      const past: Work['past'] = [];
      const done = work((stream, text) => {
        past.push([stream, text]);
        if (past.length > PAST_MAX) past.shift();
        for (const listener of listeners) listener(stream, text);
      }).finally(() => working.delete(key));
      working.set(key, { done, signal, past, listeners });
      return done;
    },
  };
}

/** Pieces of output that are kept for those who come later. */
const PAST_MAX = 1000;

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const end = (): void => reject(signal.reason as Error);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

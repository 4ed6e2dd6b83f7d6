// What happened, for those who listen and, for a while, for those who ask later.
export interface EngineEvent {
  type: 'container' | 'image' | 'network' | 'volume' | 'daemon' | 'builder';
  action: string;
  id: string;
  attributes: Record<string, string>;
  /** Nanoseconds since the epoch. */
  at: bigint;
}

export interface Events {
  emit(type: EngineEvent['type'], action: string, id: string, attributes?: Record<string, string>): void;
  /** Returns the way to stop. */
  listen(listener: (event: EngineEvent) => void): () => void;
  /** How many listen. */
  readonly listeners: number;
  /** Those still remembered, oldest first. */
  recent(): EngineEvent[];
}

const REMEMBERED = 512;

export function createEvents(): Events {
  const listeners = new Set<(event: EngineEvent) => void>();
  const past: EngineEvent[] = [];
  let last = 0n;
  return {
    emit(type, action, id, attributes = {}) {
      last = later(last);
      const event = { type, action, id, attributes, at: last };
      past.push(event);
      if (past.length > REMEMBERED) past.shift();
      for (const listener of listeners) listener(event);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    get listeners() {
      return listeners.size;
    },
    recent: () => [...past],
  };
}

/** Now, but after what was before: whoever asks for what came since then misses nothing. */
function later(before: bigint): bigint {
  const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
  // The clock of the machine may have been set; performance's has not.
  const wall = BigInt(Date.now()) * 1_000_000n;
  const at = now - wall > 1_000_000_000n || wall - now > 1_000_000_000n ? wall : now;
  return at > before ? at : before + 1n;
}

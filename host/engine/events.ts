// What happened, for those who listen and, for a while, for those who ask later.
export interface EngineEvent {
  type: 'container' | 'image' | 'network' | 'volume' | 'daemon';
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
  /** Those still remembered, oldest first. */
  recent(): EngineEvent[];
}

const REMEMBERED = 512;

export function createEvents(): Events {
  const listeners = new Set<(event: EngineEvent) => void>();
  const past: EngineEvent[] = [];
  return {
    emit(type, action, id, attributes = {}) {
      const event = { type, action, id, attributes, at: BigInt(Date.now()) * 1_000_000n };
      past.push(event);
      if (past.length > REMEMBERED) past.shift();
      for (const listener of listeners) listener(event);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    recent: () => [...past],
  };
}

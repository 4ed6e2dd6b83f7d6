// AbortSignal over what the engine is asked: who aborts gets the signal's own reason, at once.

/** Options of whatever takes time. */
export interface Abortable {
  /** Ends the call; it throws the signal's reason, and nothing that it made is left. */
  signal?: AbortSignal | undefined;
}

/** What a request throws because it was aborted becomes the signal's reason. */
export async function under<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  signal?.throwIfAborted();
  try {
    return await work();
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** Waits for something that goes on by itself; an abort ends the waiting alone. */
export function race<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const aborted = (): void => reject(signal.reason);
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}

// Newline-delimited JSON of an answer, as it comes.
import { GantryError } from '../errors.ts';

/** @throws {GantryError} ENGINE_UNREACHABLE where the engine ends before its answer does. */
export async function* jsonLines<T>(source: AsyncIterable<unknown>): AsyncGenerator<T> {
  let held = '';
  const decoder = new TextDecoder();
  for await (const chunk of whole(source)) {
    held += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let at = held.indexOf('\n'); at >= 0; at = held.indexOf('\n')) {
      const line = held.slice(0, at).trim();
      held = held.slice(at + 1);
      if (line !== '') yield JSON.parse(line) as T;
    }
  }
  if (held.trim() !== '') yield JSON.parse(held) as T;
}

/** @throws {GantryError} ENGINE_UNREACHABLE where the engine ends before its answer does. */
export async function* whole<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* source;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ECONNRESET') throw cause;
    throw new GantryError('ENGINE_UNREACHABLE', 'Cannot read on: the engine ended in the middle of its answer', {
      hint: 'Run the command again; what was complete by then is kept',
      cause,
    });
  }
}

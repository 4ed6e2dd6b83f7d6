// Newline-delimited JSON of an answer, as it comes.
export async function* jsonLines<T>(source: AsyncIterable<unknown>): AsyncGenerator<T> {
  let held = '';
  const decoder = new TextDecoder();
  for await (const chunk of source) {
    held += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let at = held.indexOf('\n'); at >= 0; at = held.indexOf('\n')) {
      const line = held.slice(0, at).trim();
      held = held.slice(at + 1);
      if (line !== '') yield JSON.parse(line) as T;
    }
  }
  if (held.trim() !== '') yield JSON.parse(held) as T;
}

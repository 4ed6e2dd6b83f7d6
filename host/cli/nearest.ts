// The known word that a mistyped one was meant to be.

/** Undefined where none is near: at most a third of its letters differ. */
export function nearest(word: string, known: string[]): string | undefined {
  const [best] = known
    .map((name) => ({ name, far: name.startsWith(word) && word.length > 2 ? 0 : distance(word, name) }))
    .sort((a, b) => a.far - b.far);
  return best !== undefined && best.far <= Math.max(1, Math.floor(word.length / 3)) ? best.name : undefined;
}

/** Levenshtein's distance, for words of a few letters. */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}

// The known word that a mistyped one was meant to be.
import { editDistance } from '../edit-distance.ts';

/** Undefined where none is near: at most a third of its letters differ. */
export function nearest(word: string, known: string[]): string | undefined {
  const [best] = known
    .map((name) => ({ name, far: name.startsWith(word) && word.length > 2 ? 0 : editDistance(word, name) }))
    .sort((a, b) => a.far - b.far);
  return best !== undefined && best.far <= Math.max(1, Math.floor(word.length / 3)) ? best.name : undefined;
}

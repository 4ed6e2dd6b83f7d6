// Errors that name lines of the Dockerfile, in BuildKit's words where clients know them, and the excerpt that shows those lines.
import { editDistance } from '../../edit-distance.ts';
import { GantryError } from '../../errors.ts';
import type { SourceRange } from '../progress.ts';
import type { LineRange } from './ast.ts';

/** A reason without its place; whoever knows the place makes an error of it. */
export class Refusal extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** INVALID_ARGUMENT with the lines in its details ("start", "end"): `sourceRange` cuts the excerpt from them. */
export function parseFailure(range: LineRange, cause: unknown): GantryError {
  if (cause instanceof GantryError) return cause;
  const { message, hint } = cause as Refusal;
  return new GantryError('INVALID_ARGUMENT', `${`dockerfile parse error on line ${range.start}: `}${message}`, {
    hint,
    details: { start: range.start, end: range.end },
    cause,
  });
}

/** Excerpts of files that could not be parsed: nobody else has their lines. */
const excerpts = new WeakMap<GantryError, SourceRange>();

/** The same error, with the lines of the file that it is about. */
export function withExcerpt(error: GantryError, file: string, text: string): GantryError {
  const range = failureRange(error);
  if (range !== undefined) excerpts.set(error, sourceRange(file, text.split('\n'), range));
  return error;
}

/** The excerpt that belongs to an error of `parseDockerfile`. */
export function excerptOf(error: GantryError): SourceRange | undefined {
  return excerpts.get(error);
}

/** The lines that an error's details name; undefined where it names none. */
export function failureRange({ details }: GantryError): LineRange | undefined {
  const { start, end } = details ?? {};
  return typeof start === 'number' && typeof end === 'number' ? { start, end } : undefined;
}

/** The lines meant and two or more on each side, as BuildKit cuts them. @param lines the whole file. */
export function sourceRange(file: string, lines: string[], { start, end }: LineRange): SourceRange {
  const around = start === end ? 4 : 2;
  let first = start;
  let last = Math.min(end, lines.length);
  for (let added = 0; added < around; added++) {
    if (first > 1) {
      first--;
      added++;
    }
    if (last < lines.length) {
      last++;
      added++;
    }
  }
  return { file, start, end, first, lines: lines.slice(first - 1, last).map((line) => line.replace(/\r+$/, '')) };
}

/** "Did you mean", for words that differ by two letters at most; empty where none is near. */
export function suggestion(given: string, known: string[]): string {
  const word = given.toLowerCase();
  let [best, least] = ['', 3];
  for (const name of known) {
    const far = editDistance(word, name.toLowerCase());
    if (far === 0) return '';
    if (far < least) [best, least] = [name, far];
  }
  if (best === '') return '';
  return ` (did you mean ${given === word ? best.toLowerCase() : best}?)`;
}

// Shell patterns of ${NAME#PATTERN} and its like: "*" and "?" over code points, "\" in front of either; no classes.
import { Refusal } from './failure.ts';

type Token = { kind: 'any' | 'one'; char?: undefined } | { kind: 'text'; char: string };

function tokens(pattern: string): Token[] {
  const chars = [...pattern];
  const found: Token[] = [];
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at]!;
    if (char === '*') found.push({ kind: 'any' });
    else if (char === '?') found.push({ kind: 'one' });
    else if (char !== '\\') found.push({ kind: 'text', char });
    else {
      const next = chars[++at];
      // "}" and "/" are quoted for the sake of the braces, the others for the pattern's.
      if (next === undefined || !'*?\\}/'.includes(next))
        throw new Refusal(`invalid pattern (${pattern}) in substitution: invalid escape '\\${next ?? ''}'`);
      found.push({ kind: 'text', char: next });
    }
  }
  return found;
}

/** Where matches that begin at `from` end, ascending. Time is the product of both lengths: nothing is tried twice. */
function ends(pattern: Token[], chars: string[], from: number): number[] {
  const length = chars.length - from;
  let reached = new Uint8Array(length + 1);
  reached[0] = 1;
  for (const token of pattern) {
    const next = new Uint8Array(length + 1);
    for (let at = 0; at <= length; at++) {
      const char = chars[from + at];
      if (token.kind === 'any') {
        if (reached[at] || (at > 0 && next[at - 1] && chars[from + at - 1] !== '\n')) next[at] = 1;
      } else if (reached[at] && char !== undefined && (token.kind === 'one' ? char !== '\n' : char === token.char))
        next[at + 1] = 1;
    }
    reached = next;
  }
  return [...reached.keys()].filter((at) => reached[at]).map((at) => from + at);
}

/** Without the shortest or longest beginning that matches. */
export function trimStart(value: string, pattern: string, longest: boolean): string {
  const chars = [...value];
  const found = ends(tokens(pattern), chars, 0);
  const end = longest ? found.at(-1) : found[0];
  return end === undefined ? value : chars.slice(end).join('');
}

/** Without the shortest or longest end that matches. */
export function trimEnd(value: string, pattern: string, longest: boolean): string {
  const chars = [...value].reverse();
  const found = ends(tokens(pattern).reverse(), chars, 0);
  const end = longest ? found.at(-1) : found[0];
  return end === undefined ? value : chars.slice(end).reverse().join('');
}

/** The first match, or each, replaced; of several at one place the longest counts. */
export function replace(value: string, pattern: string, replacement: string, all: boolean): string {
  const chars = [...value];
  const wanted = tokens(pattern);
  let result = '';
  for (let at = 0; at <= chars.length; ) {
    const end = ends(wanted, chars, at).at(-1);
    if (end !== undefined) {
      result += replacement;
      if (!all) return result + chars.slice(end).join('');
    }
    if (end !== undefined && end > at) at = end;
    else result += chars[at++] ?? '';
    // What was replaced to the very end is not followed by one more, empty match.
    if (at === chars.length && end !== undefined && end === at) break;
  }
  return result;
}

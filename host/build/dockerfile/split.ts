// One instruction's text → its keyword, its flags and the rest; and the rest → words, pairs or a list in JSON.
import { Refusal } from './failure.ts';

export interface SplitInstruction {
  /** As written. */
  keyword: string;
  /** "--name=value", quotes and escapes taken off. */
  flags: string[];
  rest: string;
}

export function splitInstruction(text: string, escapeToken: string): SplitInstruction {
  const [, keyword = '', after = ''] = /^(\S+)\s*(.*)$/s.exec(text.trim()) ?? [];
  return { keyword, ...takeFlags(after, escapeToken) };
}

/** The words at the beginning that start with "--", up to the first other one, or "--" alone. */
function takeFlags(text: string, escapeToken: string): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (/\s/.test(text[at] ?? '')) at++;
    if (!text.startsWith('--', at)) break;
    let word = '';
    let quote = '';
    for (; at < text.length; at++) {
      const char = text[at]!;
      if (char === escapeToken) word += text[++at] ?? '';
      else if (quote !== '') {
        if (char === quote) quote = '';
        else word += char;
      } else if (char === '"' || char === "'") quote = char;
      else if (/\s/.test(char)) break;
      else word += char;
    }
    if (word === '--') break;
    flags.push(word);
  }
  return { flags, rest: text.slice(at).trim() };
}

/** Words at blanks; quotes and escapes hold blanks together and stay, for `readWords` to take off. */
export function quotedWords(text: string, escapeToken: string): string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  let open = false;
  const end = (): void => {
    if (open) words.push(word);
    word = '';
    open = false;
  };
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (quote === '' && /\s/.test(char)) {
      end();
      continue;
    }
    if (char === escapeToken && quote !== "'") {
      // The last character of all escapes nothing.
      if (at + 1 === text.length) break;
      word += char + text[++at]!;
    } else {
      if (quote === char) quote = '';
      else if (quote === '' && (char === '"' || char === "'")) quote = char;
      word += char;
    }
    open = true;
  }
  end();
  return words;
}

/** Words at blanks, whatever is quoted. */
export function plainWords(text: string): string[] {
  return text.split(/[\t\v\f\r ]+/).filter((word) => word !== '');
}

/** A list in JSON; undefined where it is none. @throws {Refusal} where its members are no texts. */
export function jsonList(text: string): string[] | undefined {
  if (!text.trimStart().startsWith('[')) return undefined;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(list)) return undefined;
  if (!list.every((member) => typeof member === 'string'))
    throw new Refusal('when using JSON array syntax, arrays must be comprised of strings only');
  return list;
}

/** "NAME=value NAME=value" or the older "NAME value". @returns `legacy`: it was the older one. */
export function readPairs(
  keyword: string,
  text: string,
  escapeToken: string,
): { pairs: { name: string; value: string }[]; legacy: boolean } {
  const words = quotedWords(text, escapeToken);
  const [first] = words;
  if (first === undefined) throw new Refusal(`${keyword} requires at least one argument`);
  if (!first.includes('=')) {
    const [, name = '', value] = /^([^\t\v\f\r ]+)[\t\v\f\r ]+(.*)$/s.exec(text) ?? [];
    if (value === undefined) throw new Refusal(`${keyword} must have two arguments`);
    return { pairs: [{ name, value }], legacy: true };
  }
  const pairs = words.map((word) => {
    const at = word.indexOf('=');
    if (at < 0)
      throw new Refusal(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    if (at === 0) throw new Refusal(`${keyword} names can not be blank`);
    return { name: word.slice(0, at), value: word.slice(at + 1) };
  });
  return { pairs, legacy: false };
}

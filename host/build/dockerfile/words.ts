// Quotes, escapes and variables of a Dockerfile's words, by BuildKit's rules: close to a shell's, but not a shell's.
import { Refusal } from './failure.ts';
import { replace, trimEnd, trimStart } from './pattern.ts';

/** Undefined: it is not set. */
export type Lookup = (name: string) => string | undefined;

export interface WordOptions {
  escapeToken: '\\' | '`';
  /** Quotes and escapes stay in the result. */
  raw?: boolean;
  /** Quotes mean nothing: the content of a heredoc. */
  noQuotes?: boolean;
  /** What is not set stays as it was written. */
  keepUnset?: boolean;
}

export interface Words {
  /** As one word, with its blanks. */
  text: string;
  /** Split at the blanks that were not quoted, those of values too. */
  words: string[];
}

const isSpace = (char: string): boolean => /\s/.test(char);

/** @throws {Refusal} where quotes or braces do not end, or a variable must be set and is not. */
export function readWords(source: string, lookup: Lookup, options: WordOptions): Words {
  try {
    return new Reader(source, lookup, options).until(undefined, options.raw === true);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal(`failed to process ${JSON.stringify(source)}: ${error.message}`);
  }
}

/** Collects words as their characters come. */
class Splitter {
  readonly words: string[] = [];
  private word = '';

  /** Blanks end the word. */
  split(text: string): void {
    for (const char of text) {
      if (isSpace(char)) this.end();
      else this.word += char;
    }
  }

  quoted(text: string): void {
    this.word += text;
  }

  end(): string[] {
    if (this.word !== '') this.words.push(this.word);
    this.word = '';
    return this.words;
  }
}

class Reader {
  private readonly chars: string[];
  private at = 0;
  private readonly lookup: Lookup;
  private readonly options: WordOptions;

  constructor(source: string, lookup: Lookup, options: WordOptions) {
    this.chars = [...source];
    this.lookup = lookup;
    this.options = options;
  }

  private get next(): string | undefined {
    return this.chars[this.at];
  }

  private take(): string | undefined {
    return this.chars[this.at++];
  }

  /** Up to the character `stop`, which is taken too; undefined: to the end. @param raw escapes stay. */
  until(stop: string | undefined, raw: boolean): Words {
    let text = '';
    const splitter = new Splitter();
    while (this.next !== undefined) {
      const char = this.next;
      if (char === stop) {
        this.at++;
        return { text, words: splitter.end() };
      }
      if (char === '$') {
        const value = this.dollar(raw);
        text += value;
        splitter.split(value);
      } else if (!this.options.noQuotes && (char === "'" || char === '"')) {
        const value = char === "'" ? this.single() : this.double(raw);
        text += value;
        splitter.quoted(value);
      } else if (char === '<' && this.chars[this.at + 1] === '<') {
        const value = this.heredocMark();
        text += value;
        splitter.quoted(value);
      } else if (char === this.options.escapeToken) {
        this.at++;
        const escaped = this.take();
        // At the end it is dropped.
        const value = (raw ? char : '') + (escaped ?? '');
        text += value;
        splitter.quoted(value);
      } else {
        this.at++;
        text += char;
        splitter.split(char);
      }
    }
    if (stop !== undefined) throw new Refusal(`unexpected end of statement while looking for matching ${stop}`);
    return { text, words: splitter.end() };
  }

  /** "<<" and the blanks behind it: "<< EOF" is one word. */
  private heredocMark(): string {
    let mark = '<<';
    this.at += 2;
    while (this.next !== undefined && '\t\r '.includes(this.next)) mark += this.take();
    return mark;
  }

  private single(): string {
    const end = this.chars.indexOf("'", this.at + 1);
    if (end < 0) throw new Refusal('unexpected end of statement while looking for matching single-quote');
    const inner = this.chars.slice(this.at + 1, end).join('');
    this.at = end + 1;
    return this.options.raw ? `'${inner}'` : inner;
  }

  private double(raw: boolean): string {
    const quote = this.options.raw ? '"' : '';
    let text = quote;
    this.at++;
    for (;;) {
      const char = this.next;
      if (char === undefined) throw new Refusal('unexpected end of statement while looking for matching double-quote');
      if (char === '"') {
        this.at++;
        return text + quote;
      }
      if (char === '$') {
        text += this.dollar(raw);
        continue;
      }
      this.at++;
      const after = this.next;
      if (char !== this.options.escapeToken) text += char;
      else if (after !== undefined && ['"', '$', this.options.escapeToken].includes(after))
        text += (raw ? char : '') + this.take();
      else if (after !== undefined) text += char;
    }
  }

  /** "$NAME" or "${NAME…}". */
  private dollar(raw: boolean): string {
    this.at++;
    if (this.next !== '{') {
      const name = this.name();
      if (name === '') return '$';
      return this.lookup(name) ?? (this.options.keepUnset ? `$${name}` : '');
    }
    const start = this.at - 1;
    this.at++;
    if (this.next === undefined) throw new Refusal("syntax error: missing '}'");
    if ('{}:'.includes(this.next)) throw new Refusal('syntax error: bad substitution');
    const name = this.name();
    const value = this.lookup(name);
    const result = this.modified(name, value, raw);
    return value === undefined && this.options.keepUnset ? this.chars.slice(start, this.at).join('') : result;
  }

  /** What stands between the name and "}", which is taken too. */
  private modified(name: string, value: string | undefined, raw: boolean): string {
    const first = this.take() ?? '';
    if (first === '}') return value ?? '';
    if (first === '/') return this.replaced(value ?? '');
    const colon = first === ':';
    const operator = colon ? (this.take() ?? '') : first;
    const pattern = operator === '#' || operator === '%';
    if (!'+-?#%'.includes(operator) || operator === '' || (colon && pattern)) {
      if (!this.chars.slice(this.at - 1).includes('}')) throw new Refusal("syntax error: missing '}'");
      throw new Refusal(`unsupported modifier (${colon ? ':' : ''}${operator}) in substitution`);
    }
    const word = this.operand('}', pattern || raw);
    const absent = value === undefined || (colon && value === '');
    if (operator === '-') return absent ? word : value;
    if (operator === '+') return absent ? '' : word;
    if (operator === '?') {
      if (!absent || (value === undefined && this.options.keepUnset)) return value ?? '';
      throw new Refusal(`${name}: ${word || `is not allowed to be ${value === undefined ? 'unset' : 'empty'}`}`);
    }
    const longest = word.startsWith(operator);
    const trim = operator === '#' ? trimStart : trimEnd;
    return trim(value ?? '', longest ? word.slice(1) : word, longest);
  }

  /** "${NAME/PATTERN/TEXT}", "${NAME//PATTERN/TEXT}". */
  private replaced(value: string): string {
    const all = this.next === '/';
    if (all) this.at++;
    const pattern = this.operand('/', true);
    const replacement = this.operand('}', true);
    return replace(value, pattern, replacement, all);
  }

  private operand(stop: string, raw: boolean): string {
    try {
      return this.until(stop, raw).text;
    } catch (error) {
      if (this.next !== undefined) throw error;
      throw new Refusal(`syntax error: missing '${stop}'`);
    }
  }

  /** Letters, digits and "_"; digits alone where it begins with one; one of the shell's special parameters. */
  private name(): string {
    const first = this.next ?? '';
    if (first !== '' && '@*#?-$!'.includes(first)) {
      this.at++;
      return first;
    }
    const allowed = /\p{Nd}/u.test(first) ? /\p{Nd}/u : /[\p{L}\p{Nd}_]/u;
    const start = this.at;
    while (this.next !== undefined && allowed.test(this.next)) this.at++;
    return this.chars.slice(start, this.at).join('');
  }
}

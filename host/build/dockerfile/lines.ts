// Text → instructions with their lines: continuations joined, comments left out, heredocs read. dockerfile-ast finds where
// instructions begin and end; what it takes for a heredoc or a continuation and BuildKit does not is hidden from it.
import { DockerfileParser } from 'dockerfile-ast';
import { GantryError } from '../../errors.ts';
import type { DockerfileWarning, LineRange } from './ast.ts';
import { parseFailure, Refusal } from './failure.ts';
import { readWords } from './words.ts';

export interface RawHeredoc {
  name: string;
  /** NAME was not quoted. */
  expand: boolean;
  /** "<<-": tabs at the beginnings of lines go. */
  chomp: boolean;
  /** With the ends of its lines as they are in the file, tabs too. */
  content: string;
}

export interface RawInstruction {
  range: LineRange;
  /** On one line, without heredocs' contents. */
  text: string;
  heredocs: RawHeredoc[];
}

export interface Source {
  /** Without their ends. */
  lines: string[];
  escapeToken: '\\' | '`';
  instructions: RawInstruction[];
  warnings: DockerfileWarning[];
  /** Of "# check=skip=A;error=true". */
  check: { skip: string[]; error: boolean };
}

/** What a line of a Dockerfile may be long, and the file large. */
const MAX_SIZE = 4 << 20;
const isComment = (line: string): boolean => /^\s*#/.test(line);
const isBlank = (line: string): boolean => line.trim() === '';

/** @throws {GantryError} INVALID_ARGUMENT with the line. */
export function readSource(text: string): Source {
  if (text.length > MAX_SIZE)
    throw new GantryError('TOO_LARGE', `Cannot read the Dockerfile: it is larger than ${MAX_SIZE >> 20} MiB`);
  const rows = text.replace(/^\ufeff/, '').split('\n');
  if (rows.at(-1) === '') rows.pop();
  const lines = rows.map((row) => row.replace(/\r+$/, ''));
  const directives = readDirectives(lines);
  const source: Source = { lines, ...directives, instructions: [] };
  const continued = new RegExp(`(^|[^\\${source.escapeToken}])\\${source.escapeToken}[ \\t]*$`);
  let done = 0;
  for (const instruction of DockerfileParser.parse(masked(lines, source.escapeToken)).getInstructions()) {
    const { start, end } = instruction.getRange();
    // Lines of a heredoc look like instructions.
    if (start.line < done) continue;
    const range = { start: start.line + 1, end: Math.min(end.line + 1, lines.length) };
    const joined = join(lines.slice(start.line, range.end), continued);
    if (joined.text.trim() === '') continue;
    if (joined.empty) source.warnings.push(emptyContinuation(range));
    try {
      const heredocs = readHeredocs(joined.text, rows, range.end);
      done = range.end = heredocs.end;
      source.instructions.push({ range, text: joined.text, heredocs: heredocs.found });
    } catch (error) {
      throw parseFailure(range, error);
    }
  }
  return source;
}

/** The file as dockerfile-ast shall see it, of the same lines: one directive at most, no heredoc, no quoted escape at an end. */
function masked(lines: string[], escapeToken: '\\' | '`'): string {
  const HIDDEN = '\u00b7';
  const first = lines.findIndex((line) => !isComment(line));
  return lines
    .map((line, index) => {
      if (index < first || first < 0) return index === 0 && escapeToken === '`' ? '# escape=`' : '#';
      return line.replaceAll('<<', HIDDEN.repeat(2)).replace(/([\\`])\1+[ \t]*$/, HIDDEN);
    })
    .join('\n');
}

/** "# name=value" at the top: known ones only, each once; any other comment ends them. */
function readDirectives(lines: string[]): Pick<Source, 'escapeToken' | 'warnings' | 'check'> {
  const seen = new Map<string, string>();
  const warnings: DockerfileWarning[] = [];
  for (const [index, line] of lines.entries()) {
    const [, name = '', value = ''] = /^\s*#\s*([a-z][a-z0-9]*)\s*=\s*(.+?)\s*$/i.exec(line) ?? [];
    const key = name.toLowerCase();
    if (!['syntax', 'escape', 'check'].includes(key)) break;
    const range = { start: index + 1, end: index + 1 };
    if (seen.has(key)) throw parseFailure(range, new Refusal(`only one ${key} parser directive can be used`));
    if (key === 'escape' && value !== '\\' && value !== '`')
      throw parseFailure(range, new Refusal(`invalid escape token '${value}' does not match \` or \\`));
    if (key === 'syntax' && !/^(docker\.io\/)?docker\/dockerfile:/.test(`${value}:`))
      warnings.push({
        rule: '',
        message: `Frontend "${value}" is not loaded: the Dockerfile is read as docker/dockerfile reads it`,
        range,
      });
    seen.set(key, value);
  }
  const check = Object.fromEntries((seen.get('check') ?? '').split(';').map((part) => part.trim().split('=', 2)));
  return {
    escapeToken: (seen.get('escape') ?? '\\') as '\\' | '`',
    warnings,
    check: { skip: (check.skip ?? '').split(',').filter(Boolean), error: check.error === 'true' },
  };
}

function join(lines: string[], continued: RegExp): { text: string; empty: boolean } {
  let text = '';
  let empty = false;
  for (const [index, line] of lines.entries()) {
    if (index > 0 && isComment(line)) continue;
    if (index > 0 && isBlank(line)) empty = true;
    else text += (index === 0 ? line.trimStart() : line).replace(continued, '$1');
  }
  return { text, empty };
}

function emptyContinuation(range: LineRange): DockerfileWarning {
  return { rule: 'NoEmptyContinuation', message: 'Empty continuation line', range };
}

/** @param after rows up to here are the instruction itself. @returns `end`: rows up to there are taken. */
function readHeredocs(text: string, rows: string[], after: number): { found: RawHeredoc[]; end: number } {
  let end = after;
  const found = heredocNames(text).map((heredoc) => {
    let content = '';
    for (;;) {
      const row = rows[end++];
      if (row === undefined) throw new Refusal('unterminated heredoc', `A line must be "${heredoc.name}" alone`);
      const line = row.replace(/\r+$/, '');
      if ((heredoc.chomp ? line.replace(/^\t+/, '') : line) === heredoc.name) return { ...heredoc, content };
      content += `${row}\n`;
    }
  });
  return { found, end };
}

function heredocNames(text: string): Omit<RawHeredoc, 'content'>[] {
  if (!text.includes('<<') || !/^\s*(onbuild\s+)?(run|copy|add)\s/i.test(text) || isJson(text)) return [];
  let words: string[];
  try {
    words = readWords(text, () => undefined, { escapeToken: '\\', raw: true, keepUnset: true }).words;
  } catch {
    return []; // A shell may make sense of it.
  }
  return words.flatMap((word) => parseHeredoc(word) ?? []);
}

/** The exec form has no heredocs: what is behind the flags is a list in JSON. */
function isJson(text: string): boolean {
  const list = /^\s*(?:onbuild\s+)?\w+(?:\s+--\S+)*\s*(\[.*)$/is.exec(text)?.[1];
  if (list === undefined) return false;
  try {
    return Array.isArray(JSON.parse(list));
  } catch {
    return false;
  }
}

/** "<<EOF", "3<<-'EOF'" → its parts; undefined for a word that is none. */
export function parseHeredoc(word: string): Omit<RawHeredoc, 'content'> | undefined {
  const [, dash, rest = ''] = /^\d*<<(-?)\s*([^<]*)$/.exec(word) ?? [];
  if (rest === '') return undefined;
  const none = () => undefined;
  const [name, ...more] = readWords(rest, none, { escapeToken: '\\', keepUnset: true }).words;
  if (name === undefined || more.length > 0) return undefined;
  const quotes = (value: string): number => value.match(/['"]/g)?.length ?? 0;
  const raw = readWords(rest, none, { escapeToken: '\\', keepUnset: true, raw: true }).text;
  return { name, expand: quotes(name) === quotes(raw), chomp: dash === '-' };
}

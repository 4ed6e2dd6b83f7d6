// .dockerignore: which paths of a context are left out. @balena/dockerignore matches; what it reads otherwise than docker is
// written for it in other words first.
import createIgnore from '@balena/dockerignore';
import { GantryError } from '../errors.ts';

export interface ContextFilter {
  /** @param path relative to the context, with "/" between its parts. */
  ignores(path: string): boolean;
  /** Whether a directory that is left out may hold something that is not, by a pattern with "!". */
  mayKeepBelow(directory: string): boolean;
}

/** Leaves nothing out. */
export const keepAll: ContextFilter = { ignores: () => false, mayKeepBelow: () => true };

/** @param name of the file, for messages. @throws {GantryError} INVALID_ARGUMENT for a pattern that is none. */
export function parseIgnoreFile(text: string, name: string): ContextFilter {
  const patterns = readPatterns(text, name);
  const ignore = createIgnore({ ignorecase: false });
  for (const { pattern, line, written } of patterns) {
    ignore.add(pattern);
    try {
      // It is compiled at its first use.
      ignore.ignores(`line ${line}`);
    } catch (cause) {
      throw invalid(name, line, `syntax error in pattern "${written}"`, cause);
    }
  }
  // Its memory is an object with a prototype: "constructor" would be known before it is asked for.
  Reflect.set(ignore, '_cache', Object.create(null));
  const kept = patterns.flatMap(({ pattern }) => (pattern.startsWith('!') ? [pattern.slice(1).split('/')] : []));
  return {
    ignores: (path) => ignore.ignores(path),
    mayKeepBelow: (directory) => kept.some((parts) => mayLead(directory.split('/'), parts)),
  };
}

interface Pattern {
  /** As the library shall read it. */
  pattern: string;
  line: number;
  written: string;
}

function readPatterns(text: string, name: string): Pattern[] {
  return text
    .replace(/^\ufeff/, '')
    .split('\n')
    .flatMap((row, index) => {
      const written = row.trim();
      if (row.startsWith('#') || written === '') return [];
      const keeps = written.startsWith('!');
      const path = clean(keeps ? written.slice(1).trim() : written);
      if (path === '') throw invalid(name, index + 1, 'illegal exclusion pattern: "!"');
      return [{ pattern: (keeps ? '!' : '') + worded(path), line: index + 1, written }];
    });
}

/** "./a//b/../c/" → "a/c"; "/a" → "a". */
function clean(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (part !== '' && part !== '.' && !(part === '..' && path.startsWith('/'))) parts.push(part);
  }
  return path === '' ? '' : parts.join('/') || '.';
}

/** Quotes what the library would take for its expression's or for a comment, and spells out that "**x" is whatever ends with x. */
function worded(pattern: string): string {
  const quoted = pattern.replace(/\\.|\[(?:\\.|[^\]\\])*\]|[+(){}|^]|^#/gs, (found) =>
    found.length === 1 ? `\\${found}` : found,
  );
  return /^\*\*[^/*?\\[\]][^*?\\[\]]*$/.test(pattern) ? quoted.replace(/^\*\*/, '**/*') : quoted;
}

/** Whether something below a directory can match: part after part, "**" stands for any number of them. */
function mayLead(directory: string[], pattern: string[]): boolean {
  for (const [index, part] of directory.entries()) {
    const wanted = pattern[index];
    if (wanted === undefined) return true; // What is below a kept directory is kept.
    if (wanted.includes('**')) return true;
    if (/[*?\\[]/.test(wanted)) continue; // It may; the match itself decides.
    if (wanted !== part) return false;
  }
  return true;
}

function invalid(name: string, line: number, reason: string, cause?: unknown): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Cannot read "${name}": line ${line}: ${reason}`, {
    hint: 'A line is a path with *, ?, [a-z] and **, or one with "!" in front to keep what matches',
    cause,
  });
}

// -e, --env-file, --label, --label-file: NAME=value pairs from the command line and from files.
import { readFileSync } from 'node:fs';
import { GantryError } from '../../errors.ts';

function linesOf(path: string, flag: string): string[] {
  try {
    const text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
    return text
      .split(/\r?\n/)
      .map((line) => line.trimStart())
      .filter((line) => line !== '' && !line.startsWith('#'));
  } catch (cause) {
    throw new GantryError(
      'PATH_NOT_FOUND',
      `Cannot read the file of --${flag} "${path}": ${(cause as NodeJS.ErrnoException).code}`,
      { cause },
    );
  }
}

/** NAME alone takes this process's value, and is left out where it has none. */
function fromHere(entries: string[], env: NodeJS.ProcessEnv): string[] {
  return entries.flatMap((entry) => {
    if (entry.includes('=')) return [entry];
    return env[entry] === undefined ? [] : [`${entry}=${env[entry]}`];
  });
}

/** Files first, so that single variables win. @throws {GantryError} INVALID_ARGUMENT. */
export function readEnvironment(files: string[], entries: string[], env: NodeJS.ProcessEnv = process.env): string[] {
  const lines = files.flatMap((path) => {
    const found = linesOf(path, 'env-file');
    const bad = found.find((line) => /^=|^[^=]*\s/.test(line));
    if (bad !== undefined)
      throw new GantryError(
        'INVALID_ARGUMENT',
        `Cannot read the file of --env-file "${path}": variable "${bad.split('=')[0]}" contains whitespaces`,
      );
    return found;
  });
  const empty = entries.find((entry) => entry === '' || entry.startsWith('='));
  if (empty !== undefined)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Invalid argument "${empty}" for "-e, --env": invalid environment variable`,
    );
  return fromHere([...lines, ...entries], env);
}

export function readLabels(files: string[], entries: string[]): Record<string, string> {
  return pairs([...files.flatMap((path) => linesOf(path, 'label-file')), ...entries]);
}

/** "a=b" → {a: "b"}; "a" → {a: ""}. */
export function pairs(entries: string[]): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf('=');
      return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

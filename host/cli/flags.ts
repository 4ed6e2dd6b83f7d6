// Flags as docker's command line takes them: "-it", "--name=x", "--name x", "-p8080:80"; declared in tables.
import { GantryError } from '../errors.ts';
import { nearest } from './nearest.ts';

export interface Flag {
  name: string;
  short?: string;
  /** A switch, one value, or as many as are given. */
  kind: 'switch' | 'value' | 'list';
  /** Name of the value in the help. */
  value?: string;
  help: string;
  /** Not listed in the help. */
  hidden?: boolean;
  /** Docker has it and gantry does not: why, in a sentence for the user. */
  refused?: string;
}

export interface Parsed {
  /** Positional arguments. */
  args: string[];
  has(name: string): boolean;
  switch(name: string): boolean;
  value(name: string): string | undefined;
  list(name: string): string[];
  /** @throws {GantryError} INVALID_ARGUMENT where it is no whole number. */
  number(name: string): number | undefined;
}

export const HELP: Flag = { name: 'help', short: 'h', kind: 'switch', help: 'Print usage', hidden: true };

/** @param interspersed false: flags end at the first positional argument, as for run and exec. @throws {GantryError} INVALID_ARGUMENT. */
export function parseFlags(table: Flag[], argv: string[], { interspersed = true, command = 'gantry' } = {}): Parsed {
  const found = new Map<string, string[]>();
  const args: string[] = [];
  const all = [...table, HELP];
  const put = (flag: Flag, value: string): void => {
    if (flag.refused !== undefined)
      throw new GantryError('UNSUPPORTED', `Cannot use --${flag.name}: ${flag.refused}`, {
        details: { flag: flag.name },
      });
    if (flag.kind === 'switch' && !/^(true|false|1|0|t|f)$/i.test(value))
      throw invalid(`Invalid argument "${value}" for "--${flag.name}": it is true or false`, command);
    found.set(flag.name, flag.kind === 'list' ? [...(found.get(flag.name) ?? []), value] : [value]);
  };
  const need = (shown: string, value: string | undefined): string => {
    if (value === undefined) throw missingValue(shown, command);
    return value;
  };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === '--') {
      args.push(...argv.slice(at + 1));
      break;
    }
    if (word === '-' || !word.startsWith('-')) {
      if (!interspersed) {
        args.push(...argv.slice(at));
        break;
      }
      args.push(word);
    } else if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
      const flag = all.find((candidate) => candidate.name === name);
      if (flag === undefined) {
        const near = nearest(
          name,
          all.filter(({ hidden, refused }) => !hidden && refused === undefined).map((known) => known.name),
        );
        throw invalid(`Unknown flag: --${name}`, command, near && `Did you mean --${near}? See "${command} --help"`);
      }
      if (equals >= 0) put(flag, word.slice(equals + 1));
      else put(flag, flag.kind === 'switch' ? 'true' : need(word, argv[++at]));
    } else {
      for (let letter = 1; letter < word.length; letter++) {
        const short = word[letter]!;
        const flag = all.find((candidate) => candidate.short === short);
        if (flag === undefined) throw unknownFlag(word, command, short);
        const rest = word.slice(letter + 1);
        if (flag.kind === 'switch' && !rest.startsWith('=')) {
          put(flag, 'true');
          continue;
        }
        put(flag, rest === '' ? need(`'${short}' in ${word}`, argv[++at]) : rest.replace(/^=/, ''));
        break;
      }
    }
  }
  const last = (name: string): string | undefined => found.get(name)?.at(-1);
  return {
    args,
    has: (name) => found.has(name),
    switch: (name) => /^(true|1|t)$/i.test(last(name) ?? 'false'),
    value: last,
    list: (name) => found.get(name) ?? [],
    number(name) {
      const text = last(name);
      if (text === undefined) return undefined;
      if (!/^-?\d+$/.test(text))
        throw invalid(`Invalid argument "${text}" for "--${name}": it must be a whole number`, command);
      return Number(text);
    },
  };
}

/** @param letter which of several in one word. */
export function unknownFlag(word: string, command: string, letter = word[1] ?? ''): GantryError {
  return invalid(
    word.startsWith('--') ? `Unknown flag: ${word}` : `Unknown shorthand flag: '${letter}' in ${word}`,
    command,
  );
}

export function missingValue(flag: string, command: string): GantryError {
  return invalid(`Flag needs an argument: ${flag}`, command);
}

function invalid(message: string, command: string, hint?: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', message, {
    hint: hint ?? `See "${command} --help"`,
    details: { flag: true },
  });
}

/** @throws {GantryError} INVALID_ARGUMENT where there are fewer or more. */
export function countArgs(parsed: Parsed, command: string, least: number, most = Number.POSITIVE_INFINITY): void {
  const count = parsed.args.length;
  if (count >= least && count <= most) return;
  const wanted = least === most ? `exactly ${least}` : count < least ? `at least ${least}` : `at most ${most}`;
  const message =
    most === 0
      ? `"${command}" accepts no arguments`
      : `"${command}" requires ${wanted} argument${wanted.endsWith(' 1') ? '' : 's'}`;
  throw new GantryError('INVALID_ARGUMENT', message, { hint: `See "${command} --help"`, details: { count } });
}

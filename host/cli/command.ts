// What a command is: its words for the help, its flags, and the code that is loaded only when it runs.
import type { Api } from '../client/api.ts';
import type { Target } from '../client/target.ts';
import type { Flag, Parsed } from './flags.ts';

/** All commands, for those that speak about the others. */
export interface CommandTable {
  names(): string[];
  load(name: string): Promise<Command>;
}

export interface Context {
  readonly commands: CommandTable;
  /** Connected on first use. */
  readonly api: Api;
  /** What stood before the command. */
  readonly target: Target;
}

export interface Command {
  /** "[OPTIONS] IMAGE [COMMAND] [ARG...]". */
  usage: string;
  summary: string;
  flags: Flag[];
  /** Flags end at the first positional argument. */
  ordered?: boolean;
  /** Numbers of arguments: least, most. */
  args: [number, number];
  /** Changes the words behind the command before they are read as flags. */
  rewrite?(argv: string[]): string[];
  /** Returns the exit status. */
  run(parsed: Parsed, context: Context): Promise<number>;
}

export const MANY = Number.POSITIVE_INFINITY;

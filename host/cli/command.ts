// What a command is: its words for the help, its flags, and the code that is loaded only when it runs.
import type { Api } from '../client/api.ts';
import type { Flag, Parsed } from './flags.ts';

export interface Context {
  /** Connected on first use. */
  readonly api: Api;
  /** What -H said. */
  host: string | undefined;
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
  /** Returns the exit status. */
  run(parsed: Parsed, context: Context): Promise<number>;
}

export const MANY = Number.POSITIVE_INFINITY;

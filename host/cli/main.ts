#!/usr/bin/env -S node --
// argv → command → exit status; the only place with process.exit and with the printing of errors.
import type { GantryError } from '../errors.ts';
import type { Command, Context } from './command.ts';
import { commandNames, findCommand, groupMembers, loadCommand } from './commands.ts';
import type { Target } from '../client/target.ts';
import { countArgs, parseFlags, unknownFlag } from './flags.ts';
import { printable } from './format/printable.ts';
import { splitGlobal } from './global-flags.ts';

const commands = { names: commandNames, load: loadCommand };

function createContext(target: Target, connect: () => Context['api']): Context {
  let api: Context['api'] | undefined;
  return {
    target,
    commands,
    get api() {
      api ??= connect();
      return api;
    },
  };
}

/** What "gantry", "gantry help COMMAND" and "gantry GROUP" print; undefined where a command is to run. */
async function helpText(words: string[]): Promise<string | undefined> {
  const asked = words[0] === 'help' ? words.slice(1) : words;
  const isHelp = (word: string | undefined): boolean => word === undefined || word === '--help' || word === '-h';
  if (isHelp(asked[0])) return (await import('./help.ts')).overview(commands);
  const group = groupMembers(asked[0]!);
  if (group !== undefined && isHelp(asked[1])) return (await import('./help.ts')).groupHelp(asked[0]!, group, commands);
  if (words[0] !== 'help') return undefined;
  const { name, command } = await findCommand(asked);
  return (await import('./help.ts')).commandHelp(name, command);
}

async function main(argv: string[]): Promise<number> {
  const { target, rest } = splitGlobal(argv);
  const [first] = rest;
  const help = await helpText(rest);
  if (help !== undefined) {
    process.stdout.write(help);
    return 0;
  }
  if (first === '--version' || first === '-v') {
    process.stdout.write(`gantry version ${(await import('./system/system.ts')).VERSION}\n`);
    return 0;
  }
  if (first?.startsWith('-')) throw unknownFlag(first, 'gantry');
  const found = await findCommand(rest);
  const [{ createApi }, { chooseEndpoint }] = await Promise.all([
    import('../client/api.ts'),
    import('../client/endpoint.ts'),
  ]);
  const start = async (): Promise<void> => (await import('../client/start-engine.ts')).startEngine(process.argv[1]!);
  const context = createContext(target, () => createApi(() => chooseEndpoint(target), start));
  return runCommand(found.name, found.command, found.args, context);
}

/** Docker's statuses: 125 for a flag, and for all that keeps `run` from starting; 126 and 127 for the program; else 1.
 *  `matrix` has 1 for cells that fail, and 125 for all else. */
function statusOf(error: GantryError | undefined, command: string | undefined): number {
  if (command === 'matrix') return 125;
  if (error === undefined) return 125;
  const ours = error.exitStatus === 125 && error.details?.flag === undefined && command !== 'run';
  return ours || error.details?.count !== undefined ? 1 : error.exitStatus;
}

/** Name of the command that runs, for its status. */
let running: string | undefined;

async function runCommand(name: string, command: Command, argv: string[], context: Context): Promise<number> {
  running = name;
  const title = `gantry ${name}`;
  const words = command.rewrite?.(argv) ?? argv;
  const parsed = parseFlags(command.flags, words, { interspersed: command.ordered !== true, command: title });
  if (parsed.switch('help')) {
    const { commandHelp } = await import('./help.ts');
    process.stdout.write(commandHelp(name, command));
    return 0;
  }
  countArgs(parsed, title, ...command.args);
  return command.run(parsed, context);
}

// A reader that left (`gantry logs | head`) is no failure.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
    // Nothing that is still open (a terminal, a kept connection) holds the process back once all is written.
    if (process.stdout.writableLength + process.stderr.writableLength === 0) process.exit(status);
  },
  (error: unknown) => {
    // By its name: the engine, which `serve` loads, has the class in a bundle of its own.
    const failure = error instanceof Error && error.name === 'GantryError' ? (error as GantryError) : undefined;
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(printable(`gantry: ${text}\n${failure?.hint ? `Hint: ${failure.hint}\n` : ''}`));
    if (failure === undefined && process.env.GANTRY_DEBUG) console.error(error);
    process.exitCode = statusOf(failure, running);
    if (process.stderr.writableLength === 0) process.exit(process.exitCode);
  },
);

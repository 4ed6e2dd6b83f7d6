// Usage texts in docker's layout.
import type { Command, CommandTable } from './command.ts';
import type { Flag } from './flags.ts';
import { globalFlags } from './global-flags.ts';

function flagLine({ name, short, kind, value }: Flag): string {
  return `  ${short ? `-${short}, ` : '    '}--${name}${kind === 'switch' ? '' : ` ${value ?? 'string'}`}`;
}

/** The help of one command. */
export function commandHelp(name: string, { usage, summary, flags }: Command): string {
  const shown = flags.filter(({ hidden }) => !hidden).sort((a, b) => (a.name < b.name ? -1 : 1));
  const lines = shown.map(flagLine);
  const width = Math.max(0, ...lines.map((line) => line.length)) + 3;
  const options = shown.map(({ help }, index) => `${lines[index]!.padEnd(width)}${help}`);
  return [
    '',
    `Usage:  gantry ${name} ${usage}`.trimEnd(),
    '',
    summary,
    ...(options.length > 0 ? ['', 'Options:', ...options] : []),
    '',
  ].join('\n');
}

async function summaries(table: CommandTable, names: [string, string][]): Promise<string[]> {
  const width = Math.max(...names.map(([shown]) => shown.length)) + 3;
  return Promise.all(names.map(async ([shown, name]) => `  ${shown.padEnd(width)}${(await table.load(name)).summary}`));
}

/** The commands of a group such as "volume": second word → command. */
export async function groupHelp(group: string, members: Record<string, string>, table: CommandTable): Promise<string> {
  // Of two words for one command, the first.
  const names = Object.entries(members).filter(
    ([, name], index, all) => all.findIndex(([, other]) => other === name) === index,
  );
  return [
    '',
    `Usage:  gantry ${group} COMMAND`,
    '',
    'Commands:',
    ...(await summaries(
      table,
      names.sort(([a], [b]) => (a < b ? -1 : 1)),
    )),
    '',
    `Run "gantry ${group} COMMAND --help" for more information on a command.`,
    '',
  ].join('\n');
}

/** All commands with their summaries. */
export async function overview(table: CommandTable): Promise<string> {
  const lines = globalFlags.map(flagLine);
  const width = Math.max(...lines.map((line) => line.length)) + 3;
  const options = globalFlags.map(({ help }, index) => `${lines[index]!.padEnd(width)}${help}`);
  return [
    '',
    'Usage:  gantry [OPTIONS] COMMAND',
    '',
    'Runs containers, and shows every system call before it makes it',
    '',
    'Commands:',
    ...(await summaries(
      table,
      table.names().map((name) => [name, name]),
    )),
    '',
    'Options:',
    ...options,
    '',
    'Without any of them: your own engine, started when needed.',
    '',
    'Run "gantry COMMAND --help" for more information on a command.',
    '',
  ].join('\n');
}

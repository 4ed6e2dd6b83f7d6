// Usage texts in docker's layout.
import type { Command, CommandTable } from './command.ts';
import type { Flag } from './flags.ts';

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

/** All commands with their summaries. */
export async function overview(table: CommandTable): Promise<string> {
  const rows = await Promise.all(table.names().map(async (name) => [name, (await table.load(name)).summary] as const));
  const width = Math.max(...rows.map(([name]) => name.length)) + 3;
  return [
    '',
    'Usage:  gantry [-H HOST] COMMAND',
    '',
    'Runs containers, and shows every system call before it makes it',
    '',
    'Commands:',
    ...rows.map(([name, summary]) => `  ${name.padEnd(width)}${summary}`),
    '',
    'Options:',
    '  -H, --host string   Engine to connect to (unix:///PATH); default: your own, started when needed',
    '',
    'Run "gantry COMMAND --help" for more information on a command.',
    '',
  ].join('\n');
}

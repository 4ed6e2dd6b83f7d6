// `history`: the steps that made an image, youngest first.
import type { Command } from '../command.ts';
import { formatRows } from '../format/format.ts';
import { onePlatform } from './images.ts';
import { decimalSize, since } from '../format/units.ts';

interface Step {
  Id: string;
  Created: number;
  CreatedBy: string;
  Size: number;
  Comment: string;
}

const columns: [string, string][] = [
  ['IMAGE', 'ID'],
  ['CREATED', 'CreatedSince'],
  ['CREATED BY', 'CreatedBy'],
  ['SIZE', 'Size'],
  ['COMMENT', 'Comment'],
];

/** As docker shows it, tabs as blanks; 45 letters unless the whole is asked for. */
function createdBy(text: string, whole: boolean): string {
  const line = text.replaceAll('\t', ' ');
  return whole || line.length <= 45 ? line : `${line.slice(0, 44)}…`;
}

export const history: Command = {
  usage: '[OPTIONS] IMAGE',
  summary: 'Show the history of an image',
  flags: [
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'table', 'json' or a Go template" },
    {
      name: 'human',
      short: 'H',
      kind: 'switch',
      help: 'Print sizes and dates in human readable format (default true)',
    },
    { name: 'no-trunc', kind: 'switch', help: "Don't truncate output" },
    { name: 'quiet', short: 'q', kind: 'switch', help: 'Only show image IDs' },
    onePlatform,
  ],
  args: [1, 1],
  async run(parsed, { api }) {
    const name = encodeURIComponent(parsed.args[0]!).replaceAll('%2F', '/');
    const steps = await api.send<Step[]>('GET', `/images/${name}/history`);
    const human = !parsed.has('human') || parsed.switch('human');
    const whole = parsed.switch('no-trunc');
    const rows = steps.map(({ Id, Created, CreatedBy, Size, Comment }) => {
      const CreatedAt = new Date(Created * 1000).toISOString().replace('.000', '');
      return {
        ID: whole || !Id.startsWith('sha256:') ? Id : Id.slice(7, 19),
        CreatedAt,
        CreatedSince: human ? since(Created) : CreatedAt,
        CreatedBy: createdBy(CreatedBy, whole),
        Size: human ? decimalSize(Size) : String(Size),
        Comment,
      };
    });
    if (parsed.switch('quiet')) process.stdout.write(rows.map(({ ID }) => `${ID}\n`).join(''));
    else process.stdout.write(formatRows(rows, parsed.value('format'), columns));
    return 0;
  },
};

// `search`: what a registry has for some words.
import type { Command } from '../command.ts';
import { filtersOf, formatRows } from '../format/format.ts';
import { loginHeader } from '../../login-header.ts';

interface Result {
  name: string;
  description: string;
  star_count: number;
  is_official: boolean;
}

/** Letters of a description in a table, as docker has them. */
const DESCRIPTION_MAX = 45;

function shortened(text: string): string {
  const letters = [...text];
  return letters.length > DESCRIPTION_MAX ? `${letters.slice(0, DESCRIPTION_MAX - 1).join('')}…` : text;
}

export const search: Command = {
  usage: '[OPTIONS] TERM',
  summary: 'Search Docker Hub, or a registry that has a search, for images',
  flags: [
    {
      name: 'filter',
      short: 'f',
      kind: 'list',
      value: 'filter',
      help: 'Filter output based on conditions provided',
    },
    {
      name: 'format',
      kind: 'value',
      value: 'string',
      help: "Format output: 'table', 'json' or a Go template",
    },
    {
      name: 'limit',
      kind: 'value',
      value: 'int',
      help: 'Max number of search results',
    },
    { name: 'no-trunc', kind: 'switch', help: "Don't truncate output" },
  ],
  args: [1, 1],
  async run(parsed, { api }) {
    const [term = ''] = parsed.args;
    const limit = parsed.number('limit') ?? 0;
    const found = await api.send<Result[]>('GET', '/images/search', {
      query: {
        term,
        limit: limit === 0 ? undefined : limit,
        filters: filtersOf(parsed.list('filter')),
      },
      headers: await loginHeader(term),
    });
    const rows = found.map(({ name, description, star_count, is_official }) => {
      const line = description.replace(/[\r\n]+/g, ' ');
      return {
        Name: name,
        Description: parsed.switch('no-trunc') ? line : shortened(line),
        StarCount: star_count,
        IsOfficial: is_official ? '[OK]' : '',
        IsAutomated: '',
      };
    });
    const columns: [string, string][] = [
      ['NAME', 'Name'],
      ['DESCRIPTION', 'Description'],
      ['STARS', 'StarCount'],
      ['OFFICIAL', 'IsOfficial'],
    ];
    process.stdout.write(formatRows(rows, parsed.value('format'), columns));
    return 0;
  },
};

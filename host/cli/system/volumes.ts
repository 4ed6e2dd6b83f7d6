// Commands on volumes.
import { type Command, MANY } from '../command.ts';
import { forEachName } from '../each.ts';
import { pairs } from '../run/environment.ts';
import { filtersOf, formatRows, labelText, type Row, withLabels } from '../format/format.ts';
import { compileTemplate } from '../format/template.ts';

interface Volume {
  Name: string;
  Driver: string;
  Mountpoint: string;
  Labels: Record<string, string> | null;
  Scope: string;
}

const columns: [string, string][] = [
  ['DRIVER', 'Driver'],
  ['VOLUME NAME', 'Name'],
];

const none = { Availability: 'N/A', Group: 'N/A', Links: 'N/A', Size: 'N/A', Status: 'N/A' };

const rowOf = ({ Driver, Labels, Mountpoint, Name, Scope }: Volume): Row =>
  withLabels({ ...none, Driver, Labels: labelText(Labels), Mountpoint, Name, Scope }, Labels);

const path = (name: string): string => `/volumes/${encodeURIComponent(name)}`;

const ls: Command = {
  usage: '[OPTIONS]',
  summary: 'List volumes',
  flags: [
    { name: 'filter', short: 'f', kind: 'list', value: 'filter', help: 'Provide filter values (e.g. "dangling=true")' },
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'table', 'json' or a Go template" },
    { name: 'quiet', short: 'q', kind: 'switch', help: 'Only display volume names' },
  ],
  args: [0, 0],
  async run(parsed, { api }) {
    const { Volumes } = await api.send<{ Volumes: Volume[] }>('GET', '/volumes', {
      query: { filters: filtersOf(parsed.list('filter')) },
    });
    if (parsed.switch('quiet')) process.stdout.write(Volumes.map(({ Name }) => `${Name}\n`).join(''));
    else
      process.stdout.write(
        formatRows(Volumes.sort((a, b) => (a.Name < b.Name ? -1 : 1)).map(rowOf), parsed.value('format'), columns),
      );
    return 0;
  },
};

const create: Command = {
  usage: '[OPTIONS] [VOLUME]',
  summary: 'Create a volume',
  flags: [
    { name: 'driver', short: 'd', kind: 'value', value: 'string', help: 'Specify volume driver name (only "local")' },
    { name: 'label', kind: 'list', value: 'list', help: 'Set metadata for a volume' },
    {
      name: 'opt',
      short: 'o',
      kind: 'list',
      value: 'map',
      help: 'Set driver specific options (type=, device=, o=: as mount(8) takes them)',
    },
  ],
  args: [0, 1],
  async run(parsed, { api }) {
    const { Name } = await api.send<Volume>('POST', '/volumes/create', {
      body: {
        Name: parsed.args[0] ?? '',
        Driver: parsed.value('driver') ?? 'local',
        DriverOpts: pairs(parsed.list('opt')),
        Labels: pairs(parsed.list('label')),
      },
    });
    process.stdout.write(`${Name}\n`);
    return 0;
  },
};

const inspect: Command = {
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  summary: 'Display detailed information on one or more volumes',
  flags: [{ name: 'format', short: 'f', kind: 'value', value: 'string', help: 'Format output using a Go template' }],
  args: [1, MANY],
  async run(parsed, { api }) {
    const found = await Promise.all(parsed.args.map((name) => api.send<Volume>('GET', path(name))));
    const format = parsed.value('format');
    const render = format === undefined ? undefined : compileTemplate(format);
    process.stdout.write(
      render === undefined
        ? `${JSON.stringify(found, null, 4)}\n`
        : found.map((volume) => `${render(volume)}\n`).join(''),
    );
    return 0;
  },
};

const rm: Command = {
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  summary: 'Remove one or more volumes',
  flags: [{ name: 'force', short: 'f', kind: 'switch', help: 'Force the removal of one or more volumes' }],
  args: [1, MANY],
  run: (parsed, { api }) =>
    forEachName(parsed.args, async (name) => {
      await api.send('DELETE', path(name), { query: { force: parsed.switch('force') } });
      return name;
    }),
};

export const commands: Record<string, Command> = { ls, create, inspect, rm };

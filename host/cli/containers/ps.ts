// `ps`: the list of containers.
import type { Command } from '../command.ts';
import { filtersOf, formatRows, labelText, withLabels } from '../format/format.ts';
import { goTime } from '../format/local-time.ts';
import { decimalSize, since } from '../format/units.ts';

interface Summary {
  Id: string;
  Names: string[];
  Image: string;
  Command: string;
  Created: number;
  Ports: { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[];
  Labels: Record<string, string>;
  State: string;
  Status: string;
  ImageID: string;
  SizeRw?: number;
  SizeRootFs?: number;
  Mounts: { Name?: string; Source: string }[];
  NetworkSettings: { Networks: Record<string, unknown> };
}

const columns: [string, string][] = [
  ['CONTAINER ID', 'ID'],
  ['IMAGE', 'Image'],
  ['COMMAND', 'Command'],
  ['CREATED', 'RunningFor'],
  ['STATUS', 'Status'],
  ['PORTS', 'Ports'],
  ['NAMES', 'Names'],
];

/** "0.0.0.0:8080->80/tcp, 90/udp". */
function portText(ports: Summary['Ports']): string {
  return ports
    .map(({ IP, PrivatePort, PublicPort, Type }) => {
      const address = IP?.includes(':') ? `[${IP}]` : IP;
      return PublicPort === undefined ? `${PrivatePort}/${Type}` : `${address}:${PublicPort}->${PrivatePort}/${Type}`;
    })
    .join(', ');
}

/** An ID, where the name means another image by now, is as short as the container's. */
function imageName({ Image, ImageID }: Summary, whole: boolean): string {
  return !whole && Image === ImageID ? Image.replace(/^sha256:/, '').slice(0, 12) : Image;
}

/** "2B (virtual 1.5MB)": its own files, and all that it sees of the image. */
function sizeText({ SizeRw = 0, SizeRootFs = 0 }: Summary): string {
  return SizeRootFs > 0 ? `${decimalSize(SizeRw)} (virtual ${decimalSize(SizeRootFs)})` : decimalSize(SizeRw);
}

export const ps: Command = {
  usage: '[OPTIONS]',
  summary: 'List containers',
  flags: [
    { name: 'all', short: 'a', kind: 'switch', help: 'Show all containers (default shows just running)' },
    { name: 'filter', short: 'f', kind: 'list', value: 'filter', help: 'Filter output based on conditions provided' },
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'table', 'json' or a Go template" },
    {
      name: 'last',
      short: 'n',
      kind: 'value',
      value: 'int',
      help: 'Show n last created containers (includes all states)',
    },
    { name: 'latest', short: 'l', kind: 'switch', help: 'Show the latest created container (includes all states)' },
    { name: 'no-trunc', kind: 'switch', help: "Don't truncate output" },
    { name: 'quiet', short: 'q', kind: 'switch', help: 'Only display container IDs' },
    { name: 'size', short: 's', kind: 'switch', help: 'Display total file sizes' },
  ],
  args: [0, 0],
  async run(parsed, { api }) {
    // As docker: a template that shows sizes asks for them.
    const size = parsed.switch('size') || /\{\{[^}]*\.Size\b/.test(parsed.value('format') ?? '');
    const limit = parsed.switch('latest') ? 1 : parsed.number('last');
    const found = await api.send<Summary[]>('GET', '/containers/json', {
      query: { all: parsed.switch('all'), limit, size, filters: filtersOf(parsed.list('filter')) },
    });
    const whole = parsed.switch('no-trunc');
    const short = (text: string, length: number): string =>
      whole || text.length <= length ? text : `${text.slice(0, length - 1)}…`;
    if (parsed.switch('quiet') && !parsed.has('format')) {
      process.stdout.write(found.map(({ Id }) => `${whole ? Id : Id.slice(0, 12)}\n`).join(''));
      return 0;
    }
    const rows = found.map((container) =>
      withLabels(
        {
          ID: whole ? container.Id : container.Id.slice(0, 12),
          Image: imageName(container, whole),
          Command: `"${short(container.Command, 20)}"`,
          CreatedAt: goTime(container.Created),
          RunningFor: since(container.Created),
          Ports: portText(container.Ports),
          State: container.State,
          Status: container.Status,
          Size: sizeText(container),
          Names: container.Names.map((name) => name.slice(1)).join(','),
          Labels: labelText(container.Labels),
          LocalVolumes: String(container.Mounts.filter(({ Name }) => Name).length),
          Platform: null,
          Mounts: container.Mounts.map(({ Name, Source }) => short(Name ?? Source, 15)).join(','),
          Networks: Object.keys(container.NetworkSettings.Networks).join(','),
        },
        container.Labels,
      ),
    );
    const shown: [string, string][] = parsed.switch('size') ? [...columns, ['SIZE', 'Size']] : columns;
    process.stdout.write(formatRows(rows, parsed.value('format'), shown));
    return 0;
  },
};

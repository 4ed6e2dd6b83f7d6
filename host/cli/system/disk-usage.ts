// `system df`: what images, containers, volumes and builds hold on the disk.
import type { Command } from '../command.ts';
import { formatRows } from '../format/format.ts';
import { decimalSize, since } from '../format/units.ts';

interface Usage {
  LayersSize: number;
  Images: { Id: string; RepoTags: string[]; Created: number; Size: number; SharedSize: number; Containers: number }[];
  Containers: {
    Id: string;
    Image: string;
    Names: string[];
    State: string;
    Status: string;
    SizeRw: number;
    Created: number;
  }[];
  Volumes: { Name: string; UsageData: { Size: number; RefCount: number } }[];
  BuildCache: {
    ID: string;
    Type: string;
    InUse: boolean;
    Shared: boolean;
    Size: number;
    CreatedAt: string;
    LastUsedAt: string | null;
    UsageCount: number;
  }[];
}

const sum = (numbers: number[]): number => numbers.reduce((total, one) => total + one, 0);

function rowsOf({ LayersSize, Images, Containers, Volumes, BuildCache }: Usage): Record<string, string>[] {
  const row = (Type: string, total: number, active: number, size: number, free: number): Record<string, string> => ({
    Type,
    TotalCount: String(total),
    Active: String(active),
    Size: decimalSize(size),
    Reclaimable: `${decimalSize(free)}${size > 0 ? ` (${Math.floor((100 * free) / size)}%)` : ''}`,
  });
  const used = Images.filter((image) => image.Containers > 0);
  // What the images in use do not need; layers that several share are counted once.
  const needed =
    sum(used.map(({ Size, SharedSize }) => Size - SharedSize)) + Math.max(0, ...used.map((one) => one.SharedSize));
  const live = Containers.filter(({ State }) => /running|paused|restarting/.test(State));
  const still = Containers.filter((container) => !live.includes(container));
  const unused = Volumes.filter(({ UsageData }) => UsageData.RefCount === 0);
  // What an image has, too, is counted there.
  const ownCache = BuildCache.filter(({ Shared }) => !Shared);
  const freeCache = ownCache.filter(({ InUse }) => !InUse);
  return [
    row('Images', Images.length, used.length, LayersSize, Math.max(0, LayersSize - needed)),
    row(
      'Containers',
      Containers.length,
      live.length,
      sum(Containers.map((one) => one.SizeRw)),
      sum(still.map((one) => one.SizeRw)),
    ),
    row(
      'Local Volumes',
      Volumes.length,
      Volumes.length - unused.length,
      sum(Volumes.map(({ UsageData }) => UsageData.Size)),
      sum(unused.map(({ UsageData }) => UsageData.Size)),
    ),
    row(
      'Build Cache',
      BuildCache.length,
      BuildCache.filter(({ InUse }) => InUse).length,
      sum(ownCache.map(({ Size }) => Size)),
      sum(freeCache.map(({ Size }) => Size)),
    ),
  ];
}

function verbose({ Images, Containers, Volumes, BuildCache }: Usage): string {
  const images = Images.flatMap(({ Id, RepoTags, Created, Size, SharedSize, Containers: users }) =>
    (RepoTags.length > 0 ? RepoTags : ['<none>:<none>']).map((tag) => ({
      Repository: tag.slice(0, tag.lastIndexOf(':')),
      Tag: tag.slice(tag.lastIndexOf(':') + 1),
      ID: Id.slice(7, 19),
      Created: since(Created),
      Size: decimalSize(Size),
      Shared: decimalSize(SharedSize),
      Unique: decimalSize(Size - SharedSize),
      Containers: String(users),
    })),
  );
  const containers = Containers.map(({ Id, Image, SizeRw, Created, Status, Names }) => ({
    ID: Id.slice(0, 12),
    Image,
    Size: decimalSize(SizeRw),
    Created: since(Created),
    Status,
    Names: Names.map((name) => name.slice(1)).join(','),
  }));
  const volumes = Volumes.map(({ Name, UsageData: { Size, RefCount } }) => ({
    Name,
    Links: String(RefCount),
    Size: decimalSize(Size),
  }));
  const cache = BuildCache.map((one) => ({
    'Cache ID': one.ID.slice(0, 12),
    'Cache Type': one.Type,
    Size: decimalSize(one.Size),
    Created: since(Date.parse(one.CreatedAt) / 1000),
    'Last Used': one.LastUsedAt === null ? '' : since(Date.parse(one.LastUsedAt) / 1000),
    Usage: String(one.UsageCount),
    Shared: String(one.Shared),
  }));
  const table = (title: string, rows: Record<string, string>[], names: string): string =>
    `${title} space usage:\n\n${formatRows(
      rows,
      undefined,
      names.split(', ').map((name) => [name.toUpperCase(), name]),
    )}`;
  return [
    table('Images', images, 'Repository, Tag, ID, Created, Size, Shared, Unique, Containers'),
    table('Containers', containers, 'ID, Image, Size, Created, Status, Names'),
    table('Local Volumes', volumes, 'Name, Links, Size'),
    table('Build cache', cache, 'Cache ID, Cache Type, Size, Created, Last Used, Usage, Shared'),
  ].join('\n');
}

export const systemDf: Command = {
  usage: '[OPTIONS]',
  summary: 'Show disk usage',
  flags: [
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'table', 'json' or a Go template" },
    { name: 'verbose', short: 'v', kind: 'switch', help: 'Show detailed information on space usage' },
  ],
  args: [0, 0],
  async run(parsed, { api }) {
    const usage = await api.send<Usage>('GET', '/system/df');
    const columns: [string, string][] = [
      ['TYPE', 'Type'],
      ['TOTAL', 'TotalCount'],
      ['ACTIVE', 'Active'],
      ['SIZE', 'Size'],
      ['RECLAIMABLE', 'Reclaimable'],
    ];
    const text = parsed.switch('verbose') ? verbose(usage) : formatRows(rowsOf(usage), parsed.value('format'), columns);
    process.stdout.write(text);
    return 0;
  },
};

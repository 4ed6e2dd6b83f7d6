// `container prune`, `image prune`, `network prune`, `volume prune`, and `system prune`, which is all of them: what nobody uses
// goes, once the user agrees.
import { createInterface } from 'node:readline';
import type { Query } from '../../client/api.ts';
import type { Command } from '../command.ts';
import type { Flag, Parsed } from '../flags.ts';
import { filtersOf } from '../format/format.ts';
import { decimalSize, parseBytes } from '../format/units.ts';

interface Pruned {
  ContainersDeleted?: string[];
  ImagesDeleted?: { Untagged?: string; Deleted?: string }[];
  VolumesDeleted?: string[];
  NetworksDeleted?: string[] | null;
  CachesDeleted?: string[] | null;
  /** Networks take none. */
  SpaceReclaimed?: number;
}

async function agreed(warning: string): Promise<boolean> {
  process.stdout.write(`WARNING! ${warning}\nAre you sure you want to continue? [y/N] `);
  for await (const line of createInterface({ input: process.stdin })) return /^y(es)?$/i.test(line.trim());
  process.stdout.write('\n');
  return false;
}

interface Kind {
  path: string;
  summary: string;
  warning: string;
  /** What -a does; absent: there is no -a. */
  all?: { help: string; warning: string; filter: string };
  /** Flags of its own, and the query that they make. */
  flags?: Flag[];
  query?(parsed: Parsed): Query;
  title: string;
  names(pruned: Pruned): string[];
}

function prune({ path, summary, warning, all, flags = [], query, title, names }: Kind): Command {
  return {
    usage: '[OPTIONS]',
    summary,
    flags: [
      ...(all === undefined ? [] : [{ name: 'all', short: 'a', kind: 'switch', help: all.help } as const]),
      { name: 'filter', kind: 'list', value: 'filter', help: 'Provide filter values (e.g. "label=<key>=<value>")' },
      { name: 'force', short: 'f', kind: 'switch', help: 'Do not prompt for confirmation' },
      ...flags,
    ],
    args: [0, 0],
    async run(parsed, { api }) {
      const everything = all !== undefined && parsed.switch('all');
      if (!parsed.switch('force') && !(await agreed(everything ? all.warning : warning))) {
        process.stderr.write('Nothing was removed\n');
        return 1;
      }
      const filters = filtersOf([...parsed.list('filter'), ...(everything && all.filter !== '' ? [all.filter] : [])]);
      const pruned = await api.send<Pruned>('POST', `${path}/prune`, { query: { filters, ...query?.(parsed) } });
      const gone = names(pruned);
      if (gone.length > 0) process.stdout.write(`${title}:\n${gone.join('\n')}\n\n`);
      if (pruned.SpaceReclaimed !== undefined)
        process.stdout.write(`Total reclaimed space: ${decimalSize(pruned.SpaceReclaimed)}\n`);
      return 0;
    },
  };
}

const kinds = {
  builder: {
    path: '/build',
    summary: 'Remove build cache',
    warning: 'This will remove what builds keep and no image needs.',
    all: {
      help: 'Remove all build cache, not just what nothing refers to',
      warning: 'This will remove all build cache.',
      filter: '',
    },
    flags: [
      { name: 'keep-storage', kind: 'value', value: 'bytes', help: 'Amount of disk space to keep for cache' },
      { name: 'reserved-space', kind: 'value', value: 'bytes', help: 'The same', hidden: true },
      { name: 'max-used-space', kind: 'value', value: 'bytes', help: 'Maximum amount of disk space allowed to keep' },
    ],
    query: (parsed) => ({
      all: parsed.switch('all'),
      'keep-storage': ['keep-storage', 'reserved-space']
        .map((name) => parsed.value(name) && String(parseBytes(parsed.value(name)!, name)))
        .find(Boolean),
      'max-used-space':
        parsed.value('max-used-space') && String(parseBytes(parsed.value('max-used-space')!, 'max-used-space')),
    }),
    title: 'Deleted build cache objects',
    names: ({ CachesDeleted }) => CachesDeleted ?? [],
  },
  container: {
    path: '/containers',
    summary: 'Remove all stopped containers',
    warning: 'This will remove all stopped containers.',
    title: 'Deleted Containers',
    names: ({ ContainersDeleted }) => ContainersDeleted ?? [],
  },
  image: {
    path: '/images',
    summary: 'Remove unused images',
    warning: 'This will remove all images without a name that no container uses.',
    all: {
      help: 'Remove all unused images, not just those without a name',
      warning: 'This will remove all images that no container uses.',
      filter: 'dangling=false',
    },
    title: 'Deleted Images',
    names: ({ ImagesDeleted }) =>
      (ImagesDeleted ?? []).map(({ Untagged, Deleted }) =>
        Untagged === undefined ? `deleted: ${Deleted}` : `untagged: ${Untagged}`,
      ),
  },
  network: {
    path: '/networks',
    summary: 'Remove all unused networks',
    warning: 'This will remove all networks of your own that no running container uses.',
    title: 'Deleted Networks',
    names: ({ NetworksDeleted }) => NetworksDeleted ?? [],
  },
  volume: {
    path: '/volumes',
    summary: 'Remove unused local volumes',
    warning: 'This will remove the anonymous volumes that no container uses.',
    all: {
      help: 'Remove all unused volumes, not just anonymous ones',
      warning: 'This will remove all volumes that no container uses.',
      filter: 'all=true',
    },
    title: 'Deleted Volumes',
    names: ({ VolumesDeleted }) => VolumesDeleted ?? [],
  },
} satisfies Record<string, Kind>;

/** Docker's order: what containers hold is free for the others to go. */
const system: Command = {
  usage: '[OPTIONS]',
  summary: 'Remove all that nobody uses: containers, networks, images, build cache',
  flags: [
    { name: 'all', short: 'a', kind: 'switch', help: 'Remove all unused images, not just those without a name' },
    { name: 'filter', kind: 'list', value: 'filter', help: 'Provide filter values (e.g. "label=<key>=<value>")' },
    { name: 'force', short: 'f', kind: 'switch', help: 'Do not prompt for confirmation' },
    { name: 'volumes', kind: 'switch', help: 'Remove anonymous volumes that no container uses, too' },
  ],
  args: [0, 0],
  async run(parsed, { api }) {
    const isAll = parsed.switch('all');
    const chosen: Kind[] = [
      kinds.container,
      kinds.network,
      ...(parsed.switch('volumes') ? [kinds.volume] : []),
      kinds.image,
      kinds.builder,
    ];
    const warnings = chosen.map((kind) => `  - ${(isAll && kind.all?.warning) || kind.warning}`);
    if (!parsed.switch('force') && !(await agreed(`Of each kind what nobody uses goes:\n${warnings.join('\n')}`))) {
      process.stderr.write('Nothing was removed\n');
      return 1;
    }
    let reclaimed = 0;
    for (const kind of chosen) {
      // As docker: volumes go by the flag alone, -a is for images and what builds keep.
      const ofAll = isAll && kind !== kinds.volume ? kind.all?.filter : undefined;
      const filters = filtersOf([...parsed.list('filter'), ...(ofAll ? [ofAll] : [])]);
      const query = kind === kinds.builder ? { filters, all: isAll } : { filters };
      const pruned = await api.send<Pruned>('POST', `${kind.path}/prune`, { query });
      const gone = kind.names(pruned);
      if (gone.length > 0) process.stdout.write(`${kind.title}:\n${gone.join('\n')}\n\n`);
      reclaimed += pruned.SpaceReclaimed ?? 0;
    }
    process.stdout.write(`Total reclaimed space: ${decimalSize(reclaimed)}\n`);
    return 0;
  },
};

export const commands: Record<string, Command> = {
  ...Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, prune(kind)])),
  system,
};

// Commands on images.
import { createReadStream, createWriteStream, existsSync, rmSync, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { GantryError } from '../../errors.ts';
import { type Command, MANY } from '../command.ts';
import { forEachName } from '../each.ts';
import type { Flag } from '../flags.ts';
import { filtersOf, formatRows } from '../format/format.ts';
import { goTime } from '../format/local-time.ts';
import { showProgress } from './progress.ts';
import { pull } from './pull.ts';
import { decimalSize, since } from '../format/units.ts';

interface Summary {
  Id: string;
  RepoTags: string[];
  RepoDigests: string[];
  Created: number;
  Size: number;
  Containers: number;
}

const quiet: Flag = { name: 'quiet', short: 'q', kind: 'switch', help: 'Suppress verbose output' };
export const onePlatform: Flag = {
  name: 'platform',
  kind: 'value',
  help: '',
  hidden: true,
  refused: 'an image here is of one platform; choose it with "gantry pull --platform"',
};
const path = (name: string): string => `/images/${encodeURIComponent(name).replaceAll('%2F', '/')}`;

const columns: [string, string][] = [
  ['REPOSITORY', 'Repository'],
  ['TAG', 'Tag'],
  ['IMAGE ID', 'ID'],
  ['CREATED', 'CreatedSince'],
  ['SIZE', 'Size'],
];

function rowsOf(image: Summary, whole: boolean): Record<string, unknown>[] {
  // Pulled by digest it has a repository but no tag.
  const untagged = image.RepoDigests.length > 0 ? image.RepoDigests.map((name) => name.split('@')[0]) : ['<none>'];
  const names = image.RepoTags.length > 0 ? image.RepoTags : untagged.map((name) => `${name}:<none>`);
  return names.map((name) => {
    const colon = name.lastIndexOf(':');
    const Repository = name.slice(0, colon);
    const digest = image.RepoDigests.find((entry) => entry.startsWith(`${Repository}@`));
    return {
      Repository,
      Tag: name.slice(colon + 1),
      Digest: digest?.split('@')[1] ?? '<none>',
      ID: whole ? image.Id : image.Id.slice(7, 19),
      CreatedSince: since(image.Created),
      CreatedAt: goTime(image.Created),
      Size: decimalSize(image.Size),
      Containers: image.Containers < 0 ? 'N/A' : String(image.Containers),
      SharedSize: 'N/A',
      UniqueSize: 'N/A',
      VirtualSize: decimalSize(image.Size, 4),
    };
  });
}

const images: Command = {
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  summary: 'List images',
  flags: [
    { name: 'all', short: 'a', kind: 'switch', help: 'Show all images' },
    { name: 'digests', kind: 'switch', help: 'Show digests' },
    { name: 'filter', short: 'f', kind: 'list', value: 'filter', help: 'Filter output based on conditions provided' },
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'table', 'json' or a Go template" },
    { name: 'no-trunc', kind: 'switch', help: "Don't truncate output" },
    { ...quiet, help: 'Only show image IDs' },
    { name: 'tree', kind: 'switch', help: '', hidden: true, refused: 'images are listed one a line' },
  ],
  args: [0, 1],
  async run(parsed, { api }) {
    const [reference] = parsed.args;
    const filters = filtersOf([
      ...parsed.list('filter'),
      ...(reference === undefined ? [] : [`reference=${reference}`]),
    ]);
    const found = await api.send<Summary[]>('GET', '/images/json', { query: { all: parsed.switch('all'), filters } });
    const rows = found.flatMap((image) => rowsOf(image, parsed.switch('no-trunc')));
    if (parsed.switch('quiet')) process.stdout.write([...new Set(rows.map(({ ID }) => `${ID}\n`))].join(''));
    else {
      const shown: [string, string][] = parsed.switch('digests')
        ? [...columns.slice(0, 2), ['DIGEST', 'Digest'], ...columns.slice(2)]
        : columns;
      process.stdout.write(formatRows(rows, parsed.value('format'), shown));
    }
    return 0;
  },
};

const load: Command = {
  usage: '[OPTIONS]',
  summary: 'Load an image from a tar archive or STDIN',
  flags: [
    { name: 'input', short: 'i', kind: 'value', value: 'string', help: 'Read from tar archive file, instead of STDIN' },
    quiet,
    onePlatform,
  ],
  args: [0, 0],
  async run(parsed, { api }) {
    const file = parsed.value('input');
    if (file === undefined && process.stdin.isTTY)
      throw new GantryError('INVALID_ARGUMENT', 'Requested load from stdin, but stdin is empty', {
        hint: 'gantry load -i FILE',
      });
    if (file !== undefined && !existsSync(file))
      throw new GantryError('PATH_NOT_FOUND', `Cannot open "${file}": no such file or directory`);
    const stream = file === undefined ? process.stdin : createReadStream(file, { highWaterMark: 1 << 20 });
    const answer = await api.open('POST', '/images/load', {
      stream,
      headers: { 'content-type': 'application/x-tar' },
      query: { quiet: parsed.switch('quiet') },
    });
    await showProgress(answer, process.stdout, false);
    return 0;
  },
};

const save: Command = {
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Save one or more images to a tar archive (streamed to STDOUT by default)',
  flags: [
    { name: 'output', short: 'o', kind: 'value', value: 'string', help: 'Write to a file, instead of STDOUT' },
    onePlatform,
  ],
  args: [1, MANY],
  async run(parsed, { api }) {
    const file = parsed.value('output');
    if (file === undefined && process.stdout.isTTY)
      throw new GantryError('INVALID_ARGUMENT', 'Cowardly refusing to save to a terminal', {
        hint: 'Use the -o flag or redirect',
      });
    const names = parsed.args.map((name) => `names=${encodeURIComponent(name)}`).join('&');
    const answer = await api.open('GET', `/images/get?${names}`);
    const output = file === undefined ? process.stdout : createWriteStream(file, { mode: 0o600 });
    await pipeline(answer, output).catch((cause: Error) => {
      // Half an archive goes; a device or pipe is not ours to remove.
      if (file !== undefined && statSync(file, { throwIfNoEntry: false })?.isFile()) rmSync(file, { force: true });
      throw new GantryError('INTERNAL', `Cannot save the images: ${cause.message}`, {
        hint: 'Check the path and the free space there',
        cause,
      });
    });
    return 0;
  },
};

const tag: Command = {
  usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  summary: 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE',
  flags: [],
  args: [2, 2],
  async run({ args }, { api }) {
    const [source = '', target = ''] = args;
    const [, repo = target, tagName] = /^(.*?)(?::([^:/]+))?$/.exec(target) ?? [];
    await api.send('POST', `${path(source)}/tag`, { query: { repo, tag: tagName } });
    return 0;
  },
};

const rmi: Command = {
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Remove one or more images',
  flags: [
    { name: 'force', short: 'f', kind: 'switch', help: 'Force removal of the image' },
    { name: 'no-prune', kind: 'switch', help: 'Do not delete untagged parents (there are none)', hidden: true },
    onePlatform,
  ],
  args: [1, MANY],
  run: (parsed, { api }) =>
    forEachName(parsed.args, async (name) => {
      const lines = await api.send<{ Untagged?: string; Deleted?: string }[]>('DELETE', path(name), {
        query: { force: parsed.switch('force') },
      });
      return lines
        .map(({ Untagged, Deleted }) => (Untagged === undefined ? `Deleted: ${Deleted}` : `Untagged: ${Untagged}`))
        .join('\n');
    }),
};

export const commands: Record<string, Command> = { images, pull, load, save, tag, rmi };

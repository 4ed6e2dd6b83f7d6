// `cp`: files between a container and here, with docker's rules.
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Api } from '../../client/api.ts';
import { GantryError } from '../../errors.ts';
import type { Command } from '../command.ts';
import {
  type CopyInfo,
  checkLocalDestination,
  linkedPath,
  localDestination,
  localSource,
  type Placement,
  placeArchive,
  rebase,
  renamed,
  resolveLocal,
  splitArgument,
  splitPath,
} from './copy-rules.ts';
import { decimalSize } from '../format/units.ts';

/** What X-Docker-Container-Path-Stat says. */
interface PathStat {
  mode: number;
  linkTarget: string;
}

const GO_DIRECTORY = 2 ** 31;
const GO_LINK = 2 ** 27;
const GO_DEVICE = 2 ** 26;
const has = ({ mode }: PathStat, bit: number): boolean => Math.floor(mode / bit) % 2 === 1;

interface Copy {
  api: Api;
  container: string;
  /** Of the local side and of the container's. */
  local: string;
  path: string;
  followLink: boolean;
  archive: boolean;
  quiet: boolean;
}

const archivePath = (container: string): string => `/containers/${encodeURIComponent(container)}/archive`;

function readStat(header: string | string[] | undefined): PathStat {
  return JSON.parse(Buffer.from(String(header ?? ''), 'base64').toString()) as PathStat;
}

async function statPath({ api, container }: Copy, path: string): Promise<PathStat | undefined> {
  try {
    const answer = await api.open('HEAD', archivePath(container), { query: { path } });
    answer.resume();
    return readStat(answer.headers['x-docker-container-path-stat']);
  } catch (error) {
    if (error instanceof GantryError && error.code === 'ENGINE_UNREACHABLE') throw error;
    // An answer to HEAD has no body: ask for the container by itself.
    await api.send('GET', `/containers/${encodeURIComponent(container)}/json`);
    return undefined; // Missing, as far as the rules go; what is wrong is told when it is used.
  }
}

/** Counts what passes and shows it where a person looks on. */
function meter(text: string, quiet: boolean): { stream: Transform; done(target: string): void } {
  let bytes = 0;
  let shown = 0;
  const show = (): void => void process.stderr.write(`\r\x1b[2K${text} - ${decimalSize(bytes)}`);
  if (!quiet) show();
  return {
    stream: new Transform({
      transform(chunk: Buffer, _encoding, next) {
        bytes += chunk.length;
        if (!quiet && Date.now() - shown > 100) {
          shown = Date.now();
          show();
        }
        next(null, chunk);
      },
    }),
    done(target) {
      if (!quiet) process.stderr.write(`\r\x1b[2KSuccessfully copied ${decimalSize(bytes)} to ${target}\n`);
    },
  };
}

async function fromContainer(copy: Copy): Promise<number> {
  const { api, container, quiet } = copy;
  const local = copy.local === '-' ? '-' : resolveLocal(copy.local);
  if (local !== '-') await checkLocalDestination(local);
  let [path, rebaseName] = [copy.path, ''];
  if (copy.followLink) {
    const found = await statPath(copy, path);
    if (found !== undefined && has(found, GO_LINK))
      ({ path, rebaseName } = rebase(path, linkedPath(path, found.linkTarget)));
  }
  const answer = await api.open('GET', archivePath(container), { query: { path } });
  if (local === '-') {
    await pipeline(answer, process.stdout, { end: false });
    return 0;
  }
  const isDirectory = has(readStat(answer.headers['x-docker-container-path-stat']), GO_DIRECTORY);
  const source: CopyInfo = { path, exists: true, isDirectory, rebaseName };
  let placement: Placement;
  try {
    placement = placeArchive(source, await localDestination(local));
  } catch (error) {
    answer.destroy();
    throw error;
  }
  // A followed link keeps the name that was asked for.
  if (rebaseName !== '' && placement.rename === undefined)
    placement.rename = [splitPath(path)[1].replace('/', ''), rebaseName];
  else if (rebaseName !== '') placement.rename = [splitPath(path)[1].replace('/', ''), placement.rename![1]];
  const { unpackLocal } = await import('./local-archive.ts');
  const { stream, done } = meter('Copying from container', quiet);
  answer.once('error', (error) => stream.destroy(error));
  const owners = copy.archive && process.getuid?.() === 0;
  const leftOut = await unpackLocal(answer.pipe(stream), { ...placement, owners });
  done(local);
  if (leftOut.length > 0)
    process.stderr.write(`WARNING: ${leftOut.length} device files were left out, such as "${leftOut[0]}"\n`);
  return 0;
}

/** The destination in the container; a link there is followed once, as its stat tells where it ends. */
async function containerDestination(copy: Copy): Promise<CopyInfo> {
  let { path } = copy;
  let found = await statPath(copy, path);
  if (found !== undefined && has(found, GO_LINK)) {
    path = linkedPath(path, found.linkTarget);
    found = await statPath(copy, path);
  }
  if (found !== undefined && has(found, GO_DEVICE))
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Destination "${copy.container}:${copy.path}" must be a directory or a regular file: got a device`,
    );
  const isDirectory = found !== undefined && has(found, GO_DIRECTORY);
  return { path, exists: found !== undefined, isDirectory, rebaseName: '' };
}

async function toContainer(copy: Copy): Promise<number> {
  const { api, container, quiet } = copy;
  const local = copy.local === '-' ? '-' : resolveLocal(copy.local);
  const destination = await containerDestination(copy);
  let content: NodeJS.ReadableStream = process.stdin;
  let { path: directory } = destination;
  if (local === '-') {
    if (!destination.isDirectory)
      throw new GantryError('INVALID_ARGUMENT', `Destination "${container}:${copy.path}" must be a directory`);
  } else {
    const source = await localSource(local, copy.followLink);
    const placement = placeArchive(source, destination);
    ({ directory } = placement);
    const [parent, name] = splitPath(source.path);
    const { packLocal } = await import('./local-archive.ts');
    content = await packLocal(parent, name, renamed(source.rebaseName || name, placement.rename));
  }
  const { stream, done } = meter('Copying to container', quiet);
  content.once('error', (error) => stream.destroy(error));
  const query = { path: directory, noOverwriteDirNonDir: 'true', copyUIDGID: copy.archive ? 'true' : undefined };
  const headers = { 'content-type': 'application/x-tar' };
  await api.send('PUT', archivePath(container), { query, headers, stream: content.pipe(stream) });
  done(`${container}:${destination.path}`);
  return 0;
}

export const cp: Command = {
  usage: 'CONTAINER:SRC_PATH DEST_PATH|-\n        gantry cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH',
  summary: 'Copy files/folders between a container and the local filesystem',
  flags: [
    { name: 'archive', short: 'a', kind: 'switch', help: 'Archive mode (copy all uid/gid information)' },
    { name: 'follow-link', short: 'L', kind: 'switch', help: 'Always follow symbol link in SRC_PATH' },
    {
      name: 'quiet',
      short: 'q',
      kind: 'switch',
      help: 'Suppress progress output during copy; it is suppressed where no terminal is attached, too',
    },
  ],
  args: [2, 2],
  async run(parsed, { api }) {
    const [from = '', to = ''] = parsed.args;
    const invalid = (message: string, hint?: string): GantryError =>
      new GantryError('INVALID_ARGUMENT', message, { hint });
    if (from === '') throw invalid('Source can not be empty');
    if (to === '') throw invalid('Destination can not be empty');
    const [source, destination] = [splitArgument(from), splitArgument(to)];
    if (source.container !== '' && destination.container !== '')
      throw invalid('Copying between containers is not supported', `gantry cp ${from} - | gantry cp - ${to}`);
    if (source.container === '' && destination.container === '')
      throw invalid('Must specify at least one container source', 'Such as gantry cp CONTAINER:/etc/hosts .');
    const outwards = source.container !== '';
    const [inside, local] = outwards ? [source, destination] : [destination, source];
    const copy: Copy = {
      api,
      container: inside.container,
      path: inside.path,
      local: local.path,
      followLink: parsed.switch('follow-link'),
      archive: parsed.switch('archive'),
      quiet: parsed.switch('quiet') || process.stderr.isTTY !== true,
    };
    return outwards ? fromContainer(copy) : toContainer(copy);
  },
};

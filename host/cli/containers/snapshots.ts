// `diff`, `export`, `commit`, `import`: a container's own files, and images made of files.
import { createReadStream, createWriteStream, existsSync, rmSync, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { GantryError } from '../../errors.ts';
import { jsonLines } from '../../client/lines.ts';
import { engineError, queryOf } from '../../client/api.ts';
import type { Command } from '../command.ts';
import type { Flag } from '../flags.ts';

const change: Flag = {
  name: 'change',
  short: 'c',
  kind: 'list',
  value: 'list',
  help: 'Apply Dockerfile instruction to the created image',
};
const message: Flag = { name: 'message', short: 'm', kind: 'value', value: 'string', help: 'Commit message' };

/** "repo:5000/name:tag" → its name and its tag. */
function splitTarget(target = ''): { repo: string; tag: string } {
  const [, repo = target, tag = ''] = /^(.*?)(?::([^:/]+))?$/.exec(target) ?? [];
  return { repo, tag };
}

const diff: Command = {
  usage: 'CONTAINER',
  summary: "Inspect changes to files or directories on a container's filesystem",
  flags: [],
  args: [1, 1],
  async run({ args: [name = ''] }, { api }) {
    const path = `/containers/${encodeURIComponent(name)}/changes`;
    const found = (await api.send<{ Kind: number; Path: string }[] | null>('GET', path)) ?? [];
    process.stdout.write(found.map(({ Kind, Path }) => `${'CAD'[Kind]} ${Path}\n`).join(''));
    return 0;
  },
};

const exportFiles: Command = {
  usage: '[OPTIONS] CONTAINER',
  summary: "Export a container's filesystem as a tar archive",
  flags: [{ name: 'output', short: 'o', kind: 'value', value: 'string', help: 'Write to a file, instead of STDOUT' }],
  args: [1, 1],
  async run(parsed, { api }) {
    const file = parsed.value('output');
    if (file === undefined && process.stdout.isTTY)
      throw new GantryError('INVALID_ARGUMENT', 'Cowardly refusing to export to a terminal', {
        hint: 'Use the -o flag or redirect',
      });
    const answer = await api.open('GET', `/containers/${encodeURIComponent(parsed.args[0] ?? '')}/export`);
    const output = file === undefined ? process.stdout : createWriteStream(file, { mode: 0o600 });
    await pipeline(answer, output).catch((cause: Error) => {
      // Half an archive goes; a device or pipe is not ours to remove.
      if (file !== undefined && statSync(file, { throwIfNoEntry: false })?.isFile()) rmSync(file, { force: true });
      throw new GantryError('INTERNAL', `Cannot export the container: ${cause.message}`, {
        hint: 'Check the path and the free space there',
        cause,
      });
    });
    return 0;
  },
};

const commit: Command = {
  usage: '[OPTIONS] CONTAINER [REPOSITORY[:TAG]]',
  summary: "Create a new image from a container's changes",
  flags: [
    { name: 'author', short: 'a', kind: 'value', value: 'string', help: 'Author (e.g., "John Hannibal <j@h.org>")' },
    change,
    message,
    { name: 'pause', short: 'p', kind: 'switch', help: 'Pause container during commit (default true)' },
    { name: 'no-pause', kind: 'switch', help: 'Do not pause the container during commit' },
  ],
  args: [1, 2],
  async run(parsed, { api }) {
    const [container = '', target] = parsed.args;
    const pause = !parsed.switch('no-pause') && (!parsed.has('pause') || parsed.switch('pause'));
    const query = queryOf({
      container,
      ...splitTarget(target),
      author: parsed.value('author'),
      comment: parsed.value('message'),
      pause: pause ? '1' : '0',
      changes: parsed.list('change'),
    });
    const { Id } = await api.send<{ Id: string }>('POST', `/commit${query}`);
    process.stdout.write(`${Id}\n`);
    return 0;
  },
};

const importFiles: Command = {
  usage: '[OPTIONS] file|URL|- [REPOSITORY[:TAG]]',
  summary: 'Import the contents from a tarball to create a filesystem image',
  flags: [
    change,
    { ...message, help: 'Set commit message for imported image' },
    { name: 'platform', kind: 'value', value: 'string', help: 'Set platform if server is multi-platform capable' },
  ],
  args: [1, 2],
  async run(parsed, { api }) {
    const [source = '', target] = parsed.args;
    const remote = /^https?:\/\//.test(source);
    if (!remote && source !== '-' && !existsSync(source))
      throw new GantryError('PATH_NOT_FOUND', `Cannot open "${source}": no such file or directory`, {
        hint: 'A file, an address beginning with http:// or https://, or "-" for standard input',
      });
    const query = queryOf({
      fromSrc: remote ? source : '-',
      ...splitTarget(target),
      message: parsed.value('message'),
      platform: parsed.value('platform'),
      changes: parsed.list('change'),
    });
    const stream = (): NodeJS.ReadableStream =>
      source === '-' ? process.stdin : createReadStream(source, { highWaterMark: 1 << 20 });
    const sent = remote ? {} : { headers: { 'content-type': 'application/x-tar' }, stream: stream() };
    const answer = await api.open('POST', `/images/create${query}`, sent);
    for await (const line of jsonLines<{ status?: string; error?: string }>(answer)) {
      if (line.error !== undefined) throw engineError(500, JSON.stringify({ ...line, message: line.error }));
      process.stdout.write(`${line.status ?? ''}\n`);
    }
    return 0;
  },
};

export const commands: Record<string, Command> = { diff, export: exportFiles, commit, import: importFiles };

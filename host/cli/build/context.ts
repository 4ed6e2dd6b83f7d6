// What "PATH | URL | -" and -f mean: a directory, an archive, an address that the engine fetches, a Dockerfile alone.
import { closeSync, openSync, readFileSync, readSync, realpathSync, statSync } from 'node:fs';
import { basename, join, relative, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { type ContextFilter, keepAll, parseIgnoreFile } from '../../build/ignore.ts';
import { GantryError } from '../../errors.ts';

/** What is sent, and what the engine is told of it. */
export interface BuildContext {
  /** Undefined: there are no files. */
  tar?: AsyncIterable<Uint8Array> | undefined;
  /** Path of the Dockerfile in it. */
  dockerfile?: string;
  /** A Dockerfile that is not in it. */
  outside?: { name: string; text: string };
  /** The engine fetches it. */
  remote?: string;
}

/** Told how many bytes have gone by. */
export type Progress = (bytes: number) => void;

/** @param given the argument. @param file of -f. @throws {GantryError} PATH_NOT_FOUND, INVALID_ARGUMENT, UNSUPPORTED. */
export async function openContext(
  given: string,
  file: string | undefined,
  stdin: Readable,
  progress: Progress,
): Promise<BuildContext> {
  if (given === '-' && file === '-')
    throw new GantryError(
      'INVALID_ARGUMENT',
      "Invalid argument: can't use stdin for both build context and dockerfile",
    );
  if (given === '-') return fromStdin(file, stdin, progress);
  if (isGit(given))
    throw new GantryError('UNSUPPORTED', `Cannot build from "${given}": git repositories are not fetched`, {
      hint: 'Clone it, and build from the directory',
    });
  if (/^https?:\/\//.test(given)) {
    if (file === '-') return { remote: given, outside: { name: '-', text: await readAll(stdin) } };
    return { remote: given, ...(file === undefined ? {} : { dockerfile: file }) };
  }
  return fromDirectory(given, file, stdin, progress);
}

function isGit(text: string): boolean {
  return /^(git:\/\/|git@|ssh:\/\/|github\.com\/)|^https?:\/\/[^#]*\.git(#.*)?$/.test(text);
}

/** Names the Dockerfile, and what is left out of the directory. */
async function fromDirectory(
  path: string,
  file: string | undefined,
  stdin: Readable,
  progress: Progress,
): Promise<BuildContext> {
  const directory = directoryOf(path);
  const { packContext } = await import('./context-archive.ts');
  const pack = (filter: ContextFilter): AsyncIterable<Uint8Array> => packContext(directory, filter, progress);
  if (file === '-')
    return { tar: pack(filterOf(directory, undefined)), outside: { name: '-', text: await readAll(stdin) } };
  const place = resolve(file ?? defaultDockerfile(directory));
  const text = readDockerfile(place, file ?? 'Dockerfile');
  const filter = filterOf(directory, place);
  const inside = relative(directory, realpathSync(place)).split(sep).join('/');
  // Not there for COPY either: it travels beside the files.
  if (inside.startsWith('../') || filter.ignores(inside))
    return { tar: pack(filter), outside: { name: basename(place), text } };
  return { tar: pack(filter), dockerfile: inside };
}

function directoryOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined)
    throw new GantryError('PATH_NOT_FOUND', `Cannot prepare the build context: path "${path}" not found`, {
      hint: 'Name a directory, or "-" for stdin',
    });
  if (!stats.isDirectory())
    throw new GantryError('INVALID_ARGUMENT', `Cannot prepare the build context: "${path}" is not a directory`, {
      hint: `gantry build -f ${path} DIRECTORY, or gantry build - < ${path}`,
    });
  return realpathSync(path);
}

function defaultDockerfile(directory: string): string {
  const usual = join(directory, 'Dockerfile');
  const lower = join(directory, 'dockerfile');
  return statSync(usual, { throwIfNoEntry: false }) === undefined && statSync(lower, { throwIfNoEntry: false })
    ? lower
    : usual;
}

function readDockerfile(path: string, given: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new GantryError(
      'PATH_NOT_FOUND',
      `Failed to read dockerfile: open ${given}: ${code === 'ENOENT' ? 'no such file or directory' : code}`,
      { hint: 'Name it with -f; a relative path begins at the working directory', cause },
    );
  }
}

/** "Dockerfile.dockerignore" beside the Dockerfile comes before ".dockerignore" of the directory. */
function filterOf(directory: string, dockerfile: string | undefined): ContextFilter {
  const names = [...(dockerfile === undefined ? [] : [`${dockerfile}.dockerignore`]), join(directory, '.dockerignore')];
  for (const name of names)
    try {
      return parseIgnoreFile(readFileSync(name, 'utf8'), basename(name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  return keepAll;
}

/** An archive, compressed or not, or the text of a Dockerfile. */
async function fromStdin(file: string | undefined, stdin: Readable, progress: Progress): Promise<BuildContext> {
  const [head, rest] = await peek(stdin, 512);
  if (head.length === 0)
    throw new GantryError('INVALID_ARGUMENT', 'Cannot build from stdin: it is empty', {
      hint: 'gantry build - < Dockerfile, or tar c . | gantry build -',
    });
  if (isArchive(head)) return { tar: counted(rest, progress), ...(file === undefined ? {} : { dockerfile: file }) };
  if (file !== undefined)
    throw new GantryError('INVALID_ARGUMENT', `Cannot take "${file}" from stdin: it is no archive`, {
      hint: 'Leave -f away to build the Dockerfile that stdin is',
    });
  return { outside: { name: '-', text: await readAll(rest) } };
}

/** By what they begin with: gzip, bzip2, xz, zstd; tar has its mark at 257, and the oldest a sum that is right. */
function isArchive(head: Buffer): boolean {
  const marks = ['1f8b', '425a68', 'fd377a585a00', '28b52ffd'];
  if (marks.some((mark) => head.toString('hex').startsWith(mark))) return true;
  if (head.toString('latin1', 257, 262) === 'ustar') return true;
  if (head.length < 512) return false;
  const sum = head.subarray(0, 512).reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  return sum === Number.parseInt(head.toString('latin1', 148, 156), 8);
}

/** The first bytes, and all of them. */
async function peek(stream: Readable, size: number): Promise<[Buffer, AsyncIterable<Uint8Array>]> {
  const chunks = stream[Symbol.asyncIterator]();
  const first: Buffer[] = [];
  for (let length = 0; length < size; ) {
    const { done, value } = (await chunks.next()) as IteratorResult<Buffer>;
    if (done) break;
    first.push(value);
    length += value.length;
  }
  const head = Buffer.concat(first);
  const whole = (async function* () {
    if (head.length > 0) yield head;
    yield* { [Symbol.asyncIterator]: () => chunks };
  })();
  return [head, whole];
}

async function* counted(source: AsyncIterable<Uint8Array>, progress: Progress): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    progress(bytes);
    yield chunk;
  }
}

async function readAll(source: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString();
}

/** A secret's bytes; no more than `most` are read. */
export function readBounded(path: string, most: number): Buffer {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(most);
    let size = 0;
    for (let read = -1; read !== 0 && size < most; size += read) read = readSync(file, buffer, size, most - size, null);
    return buffer.subarray(0, size);
  } finally {
    closeSync(file);
  }
}

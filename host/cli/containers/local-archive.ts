// Local files → tar and tar → local files, for cp. What an archive makes never lands outside its directory.
import { constants, createReadStream, type Stats } from 'node:fs';
import { chmod, lchown, link, lstat, lutimes, mkdir, open, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { Header, Pack } from 'tar-stream';
import { GantryError } from '../../errors.ts';
import { type Placement, renamed } from './copy-rules.ts';

type NewHeader = Partial<Header> & Pick<Header, 'name'>;
type Entry = AsyncIterable<Uint8Array> & { header: Header; resume(): unknown };

/** The entry `name` of a directory and what is below it, called `as`. Links are not followed. */
export async function packLocal(directory: string, name: string, as: string): Promise<Readable> {
  const { pack } = await import('tar-stream');
  const archive = pack();
  const seen = new Map<string, string>();
  const walk = async (path: string, shown: string): Promise<void> => {
    const stats = await lstat(path);
    const header = headerOf(stats, shown);
    if (stats.isDirectory()) {
      await put(archive, { ...header, name: `${shown.replace(/\/$/, '')}/`, type: 'directory' });
      for (const child of (await readdir(path)).sort()) await walk(join(path, child), posix.join(shown, child));
    } else if (stats.isSymbolicLink())
      await put(archive, { ...header, type: 'symlink', linkname: await readlink(path) });
    else if (stats.isFIFO()) await put(archive, { ...header, type: 'fifo' });
    else if (stats.isFile()) {
      const inode = `${stats.dev}:${stats.ino}`;
      const first = stats.nlink > 1 ? seen.get(inode) : undefined;
      if (first !== undefined) return put(archive, { ...header, type: 'link', linkname: first });
      seen.set(inode, shown);
      await putFile(archive, path, { ...header, type: 'file', size: stats.size });
    } else if (!stats.isSocket())
      throw new GantryError('UNSUPPORTED', `Cannot copy "${path}": devices are not copied`, {
        hint: 'Give the device to a container with --device',
      });
  };
  walk(join(directory, name), as).then(
    () => archive.finalize(),
    (error: Error) => archive.destroy(error),
  );
  return Readable.from(archive as AsyncIterable<Uint8Array>, { objectMode: false });
}

function headerOf({ mode, uid, gid, mtime }: Stats, name: string): NewHeader {
  return { name, mode: mode & 0o7777, uid, gid, mtime };
}

function put(archive: Pack, header: NewHeader): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, (error) => (error ? reject(error) : resolve()));
  });
}

/** No more than the header says: the file may grow meanwhile. */
async function putFile(archive: Pack, path: string, header: NewHeader): Promise<void> {
  const size = header.size ?? 0;
  if (size === 0) return put(archive, header);
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
  const content = createReadStream(path, { flags: flags as unknown as string, end: size - 1 });
  await pipeline(content, archive.entry(header) as unknown as NodeJS.WritableStream);
}

export interface UnpackOptions extends Placement {
  /** The owners of the archive; else whoever runs this. */
  owners: boolean;
}

/** Lays an archive down. @returns names that were left out: devices. @throws {GantryError} where an entry leads outside. */
export async function unpackLocal(archive: NodeJS.ReadableStream, options: UnpackOptions): Promise<string[]> {
  const { extract } = await import('tar-stream');
  const reader = extract();
  const leftOut: string[] = [];
  const times: [string, Date][] = [];
  const links = new Set<string>();
  archive.on('error', (error) => reader.destroy(error));
  // An answer that was cut short ends without an error of its own.
  archive.on('close', () => {
    if (!(archive as unknown as { readableEnded: boolean }).readableEnded)
      reader.destroy(new Error('the engine ended it early'));
  });
  archive.pipe(reader as unknown as NodeJS.WritableStream);
  try {
    for await (const entry of reader as unknown as AsyncIterable<Entry>) {
      const path = await lay(entry, options, links, leftOut);
      if (path !== undefined && entry.header.type === 'directory') times.push([path, entry.header.mtime ?? new Date()]);
      entry.resume();
    }
  } catch (cause) {
    if (cause instanceof GantryError) throw cause;
    throw new GantryError('INVALID_ARCHIVE', `Cannot copy: ${(cause as Error).message}`, { cause });
  }
  // What is made in a directory changes its time: last of all.
  for (const [path, time] of times.reverse()) await lutimes(path, time, time).catch(() => {});
  return leftOut;
}

/** Path of an entry below the directory, none of whose parents is a link of the same archive. */
function safePath(directory: string, name: string, links: Set<string>): string {
  const clean = posix.normalize(`./${name}`).replace(/\/$/, '');
  if (clean === '..' || clean.startsWith('../'))
    throw new GantryError('INVALID_ARCHIVE', `Cannot copy "${name}": it leads out of "${directory}"`);
  const path = join(directory, clean);
  for (let parent = posix.dirname(path); parent.length >= directory.length; parent = posix.dirname(parent)) {
    if (links.has(parent))
      throw new GantryError('INVALID_ARCHIVE', `Cannot copy "${name}": it goes through the link "${parent}"`);
    if (parent === posix.dirname(parent)) break;
  }
  return path;
}

async function lay(
  entry: Entry,
  { directory, rename, owners }: UnpackOptions,
  links: Set<string>,
  leftOut: string[],
): Promise<string | undefined> {
  const { header } = entry;
  const name = renamed(header.name, rename);
  const path = safePath(directory, name, links);
  const there = await lstat(path).catch(() => undefined);
  const isDirectory = header.type === 'directory';
  if (there !== undefined && there.isDirectory() !== isDirectory)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot overwrite ${isDirectory ? 'non-directory' : 'directory'} "${path}" with ${isDirectory ? 'directory' : 'non-directory'} "${name}"`,
    );
  if (isDirectory) {
    if (posix.normalize(name).replace(/\/$/, '') === '.') return undefined;
    await mkdir(path, { recursive: true, mode: 0o700 });
  } else {
    await mkdir(posix.dirname(path), { recursive: true });
    if (there !== undefined) await rm(path);
    links.delete(path);
    if (!(await makeOther(entry, path, { directory, rename }, links))) {
      leftOut.push(name);
      return undefined;
    }
    if (header.type === 'link') return path;
  }
  await setMetadata(header, path, owners);
  return path;
}

/** False for what cannot be made here. */
async function makeOther(entry: Entry, path: string, place: Placement, links: Set<string>): Promise<boolean> {
  const { type, linkname = '' } = entry.header;
  if (type === 'symlink') {
    await symlink(linkname, path);
    links.add(path);
  } else if (type === 'link') await link(safePath(place.directory, renamed(linkname, place.rename), links), path);
  else if (type === 'fifo') {
    const { spawnSync } = await import('node:child_process');
    return spawnSync('mkfifo', ['--', path]).status === 0;
  } else if (type === 'file' || type === 'contiguous-file') {
    const file = await open(path, 'wx', 0o600);
    await pipeline(entry, file.createWriteStream());
  } else return false;
  return true;
}

/** Owner first: a change of owner takes setuid bits away. */
async function setMetadata(header: NewHeader, path: string, owners: boolean): Promise<void> {
  if (owners) await lchown(path, header.uid ?? 0, header.gid ?? 0);
  if (header.type !== 'symlink') await chmod(path, header.mode ?? 0o644);
  const time = header.mtime ?? new Date();
  if (header.type !== 'directory') await lutimes(path, time, time);
}

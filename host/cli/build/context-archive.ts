// A context's directory → tar, while it is walked: owners 0:0, modes and times kept, links as links, what is ignored left out.
import { constants, createReadStream, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { finished, pipeline } from 'node:stream/promises';
import { type Header, type Pack, pack } from 'tar-stream';
import type { ContextFilter } from '../../build/ignore.ts';
import { GantryError } from '../../errors.ts';

/** Files up to this size are read at once. */
const SMALL = 1 << 20;

type NewHeader = Partial<Header> & Pick<Header, 'name'>;

/** @param progress told the bytes so far. */
export async function* packContext(
  directory: string,
  filter: ContextFilter,
  progress: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const archive = pack();
  const walker = new Walker(directory, filter, archive);
  walker.walk('').then(
    () => archive.finalize(),
    (error: Error) => archive.destroy(error),
  );
  let bytes = 0;
  for await (const chunk of archive as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    progress(bytes);
    yield chunk;
  }
}

class Walker {
  private readonly root: string;
  private readonly filter: ContextFilter;
  private readonly archive: Pack;
  /** Directories that are in the archive by now. */
  private readonly made = new Set<string>(['']);

  constructor(root: string, filter: ContextFilter, archive: Pack) {
    this.root = root;
    this.filter = filter;
    this.archive = archive;
  }

  async walk(directory: string): Promise<void> {
    const entries = await this.reading(directory, () => readdir(join(this.root, directory), { withFileTypes: true }));
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      const ignored = this.filter.ignores(path);
      if (entry.isDirectory()) {
        if (!ignored) await this.directory(path);
        if (!ignored || this.filter.mayKeepBelow(path)) await this.walk(path);
      } else if (!ignored && !entry.isSocket()) {
        if (directory !== '') await this.directory(directory);
        await this.entry(path);
      }
    }
  }

  /** Once, and its parents before it: one that is left out is still there for what is kept below. */
  private async directory(path: string): Promise<void> {
    if (this.made.has(path)) return;
    this.made.add(path);
    const slash = path.lastIndexOf('/');
    if (slash > 0) await this.directory(path.slice(0, slash));
    const stats = await this.reading(path, () => lstat(join(this.root, path)));
    await this.put({ ...headerOf(stats, `${path}/`), type: 'directory' });
  }

  private async entry(path: string): Promise<void> {
    const place = join(this.root, path);
    const stats = await this.reading(path, () => lstat(place));
    const header = headerOf(stats, path);
    if (stats.isSymbolicLink()) {
      const linkname = await this.reading(path, () => readlink(place));
      await this.put({ ...header, type: 'symlink', linkname });
    } else if (stats.isFIFO()) await this.put({ ...header, type: 'fifo' });
    else if (stats.isFile()) await this.file(path, { ...header, type: 'file', size: stats.size });
    else
      throw new GantryError('UNSUPPORTED', `Cannot send "${path}" of the build context: it is a device`, {
        hint: 'Name it in .dockerignore',
      });
  }

  /** As many bytes as the header says, whatever happens to the file meanwhile. */
  private async file(path: string, header: NewHeader & { size: number }): Promise<void> {
    const place = join(this.root, path);
    const { size } = header;
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    if (size > SMALL) {
      const content = createReadStream(place, {
        flags: flags as unknown as string,
        end: size - 1,
        highWaterMark: SMALL,
      });
      return this.reading(path, () =>
        pipeline(content, this.archive.entry(header) as unknown as NodeJS.WritableStream),
      );
    }
    const bytes = await this.reading(path, async () => {
      const file = await open(place, flags);
      try {
        const buffer = Buffer.allocUnsafe(size);
        let read = 0;
        while (read < size) {
          const { bytesRead } = await file.read(buffer, read, size - read, read);
          if (bytesRead === 0) throw new Error('it has become shorter while it was read');
          read += bytesRead;
        }
        return buffer;
      } finally {
        await file.close();
      }
    });
    await this.put(header, bytes);
  }

  private async put(header: NewHeader, content?: Buffer): Promise<void> {
    const entry = this.archive.entry(header, () => {});
    if (header.type !== 'file') return;
    entry.end(content);
    await finished(entry as unknown as NodeJS.WritableStream);
  }

  private async reading<T>(path: string, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      throw new GantryError(
        code === 'EACCES' || code === 'EPERM' ? 'PERMISSION_DENIED' : 'INVALID_ARGUMENT',
        `Cannot read "${path || '.'}" of the build context: ${code ?? message}`,
        { hint: 'Name it in .dockerignore where the build does not need it', cause },
      );
    }
  }
}

function headerOf({ mode, mtime }: Stats, name: string): NewHeader {
  return { name, mode: mode & 0o7777, uid: 0, gid: 0, mtime };
}

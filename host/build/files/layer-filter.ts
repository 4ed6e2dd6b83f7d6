// What RUN has left in its layer → what is kept of it: no directory that was made only to mount something on, no time that is too late.
import { readTar, type TarEntry } from './read-tar.ts';
import { TAR_END, tarHeader, tarPadding } from './write-tar.ts';

export interface LayerFilter {
  /** Paths that were mounted on, and are in no layer below, with the directories above them that are not, either. */
  stubs: ReadonlySet<string>;
  /** Seconds since the epoch. */
  latest?: number | undefined;
}

export async function* filterLayer(
  tar: AsyncIterable<Uint8Array>,
  { stubs, latest = Number.POSITIVE_INFINITY }: LayerFilter,
): AsyncGenerator<Uint8Array> {
  /** Directories above a stub: they stay where something else is in them. */
  let held: TarEntry[] = [];
  for await (const { entry, content } of readTar(tar, 'Cannot read the changes of a build')) {
    const path = `/${entry.name.replace(/\/$/, '')}`;
    held = held.filter(({ name }) => path.startsWith(`/${name.replace(/\/$/, '')}/`));
    const kept = { ...entry, mtime: Math.min(entry.mtime, latest) };
    if (stubs.has(path)) {
      if (entry.type === 'directory') held.push(kept);
      continue;
    }
    for (const directory of held.splice(0)) yield tarHeader(directory);
    yield tarHeader(kept);
    if (entry.type !== 'file') continue;
    yield* content();
    yield tarPadding(entry.size);
  }
  yield TAR_END;
}

// What the volumes of a pod begin with, as one archive: laid down by the engine, in the container's own view of its files.
import { Readable } from 'node:stream';
import type { PlannedVolume } from '../../kube/volumes.ts';

export async function volumeArchive(volumes: PlannedVolume[]): Promise<Readable> {
  const { pack } = await import('tar-stream');
  const archive = pack();
  const mtime = new Date();
  for (const { name, files } of volumes) {
    // An emptyDir is everybody's; the others are mounted for reading alone.
    archive.entry({ name: `${name}/`, type: 'directory', mode: files.length === 0 ? 0o777 : 0o755, mtime });
    const parents = new Set<string>();
    for (const file of files) {
      const parts = file.name.split('/');
      for (let depth = 1; depth < parts.length; depth++) parents.add(parts.slice(0, depth).join('/'));
    }
    for (const parent of [...parents].sort())
      archive.entry({ name: `${name}/${parent}/`, type: 'directory', mode: 0o755, mtime });
    for (const file of files) archive.entry({ name: `${name}/${file.name}`, mode: file.mode, mtime }, file.content);
  }
  archive.finalize();
  return Readable.from(archive as AsyncIterable<Uint8Array>, { objectMode: false });
}

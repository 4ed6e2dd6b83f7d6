// The types of hostPath: looked at before anything is made, where the engine is on this machine.
import { closeSync, mkdirSync, openSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Endpoint } from '../../client/target.ts';
import { GantryError } from '../../errors.ts';
import { invalidField } from '../../kube/fields.ts';
import type { HostPath } from '../../kube/volumes.ts';

const kinds: Record<string, [string, (stats: Stats) => boolean]> = {
  Directory: ['a directory', (stats) => stats.isDirectory()],
  DirectoryOrCreate: ['a directory', (stats) => stats.isDirectory()],
  File: ['a file', (stats) => stats.isFile()],
  FileOrCreate: ['a file', (stats) => stats.isFile()],
  Socket: ['a socket', (stats) => stats.isSocket()],
  CharDevice: ['a character device', (stats) => stats.isCharacterDevice()],
  BlockDevice: ['a block device', (stats) => stats.isBlockDevice()],
};

export async function prepareHostPaths({ remote, name }: Endpoint, paths: HostPath[]): Promise<void> {
  for (const { path, type, at } of paths) {
    const kind = kinds[type];
    if (kind === undefined) continue;
    if (remote !== undefined) {
      if (type === 'DirectoryOrCreate') continue;
      throw new GantryError('UNSUPPORTED', `${at}: type ${type} is not looked at on "${name}", which is elsewhere`, {
        hint: 'Leave the type out, or use DirectoryOrCreate',
      });
    }
    const [wanted, fits] = kind;
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined && type === 'DirectoryOrCreate') mkdirSync(path, { recursive: true, mode: 0o755 });
    else if (stats === undefined && type === 'FileOrCreate') makeFile(path, at);
    else if (stats === undefined) throw invalidField(at, `"${path}" is not there`);
    else if (!fits(stats)) throw invalidField(at, `"${path}" is not ${wanted}`);
  }
}

function makeFile(path: string, at: string): void {
  if (statSync(dirname(path), { throwIfNoEntry: false }) === undefined)
    throw invalidField(at, `the directory of "${path}" is not there`);
  try {
    // Never through a link: "wx" is O_EXCL, which follows none.
    closeSync(openSync(path, 'wx', 0o644));
  } catch (cause) {
    throw invalidField(at, `"${path}" cannot be made: ${(cause as NodeJS.ErrnoException).code}`);
  }
}

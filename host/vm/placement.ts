// What containers need of this host's files, brought to the guest's disk under the same paths; and taken away when it is gone here.
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { PlanFiles } from '../backend.ts';
import type { Machine } from '../machine.ts';
import type { Channel } from './channel/channel.ts';
import { askGuest, runInGuest } from './guest-machine.ts';

export interface Placement {
  /** All but the shares. */
  place(files: PlanFiles): Promise<void>;
  /** Removes from the guest what has no counterpart here any more. */
  sweep(): Promise<void>;
}

export interface PlacementOptions {
  machine: Machine;
  channel(): Promise<Channel>;
  /** A directory's tree as a layer's tar. */
  pack(directory: string): AsyncIterable<Uint8Array>;
  /** Directories whose entries exist on both sides or on none. */
  mirrored: string[];
}

/** Beside a tree that is whole. */
const MARK = '.whole';

export function createPlacement({ machine, channel, pack, mirrored }: PlacementOptions): Placement {
  /** Trees that are there, or on their way, by the channel of the guest. */
  const trees = new WeakMap<Channel, Map<string, Promise<void>>>();

  const bring = async (to: Channel, path: string): Promise<void> => {
    const mark = `${path}${MARK}`;
    if ((await machine.exists(mark)) && (await machine.exists(path))) return;
    // A part of it may be there, of a machine that ended meanwhile.
    await runInGuest(to, ['remove', path]);
    await askGuest(to, ['mkdir', '755', path]);
    await runInGuest(to, ['unpack', path], pack(path));
    await askGuest(to, ['write', mark, '600'], new Uint8Array(0));
  };

  const bringOnce = (to: Channel, path: string): Promise<void> => {
    const known = trees.get(to) ?? new Map<string, Promise<void>>();
    trees.set(to, known);
    const found = known.get(path) ?? bring(to, path);
    known.set(path, found);
    found.catch(() => known.delete(path));
    return found;
  };

  return {
    async place({ trees: wanted, directories, files }) {
      const to = await channel();
      const modes = new Map<number, string[]>();
      for (const { path, mode } of directories) modes.set(mode, [...(modes.get(mode) ?? []), path]);
      await Promise.all([
        ...wanted.map((path) => bringOnce(to, path)),
        ...[...modes].map(([mode, paths]) => askGuest(to, ['mkdir', mode.toString(8), ...paths])),
      ]);
      // Behind their directories.
      await Promise.all(
        files.map(async (path) => {
          const content = await readFile(path).catch(() => undefined);
          if (content !== undefined) await askGuest(to, ['write', path, '644'], content);
        }),
      );
    },
    async sweep() {
      const to = await channel();
      for (const directory of mirrored) {
        const there = await machine.list(directory);
        const here = new Set(namesIn(directory));
        for (const { name } of there) {
          if (here.has(name)) continue;
          const path = `${directory}/${name}`;
          for (const known of trees.get(to)?.keys() ?? [])
            if (known.startsWith(`${path}/`)) trees.get(to)?.delete(known);
          // Marks first: a removal may be cut short, and what is left of it is not whole.
          for (const { name: inside } of await machine.list(path))
            if (inside.endsWith(MARK)) await runInGuest(to, ['remove', `${path}/${inside}`]);
          await runInGuest(to, ['remove', path]);
        }
      }
    },
  };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

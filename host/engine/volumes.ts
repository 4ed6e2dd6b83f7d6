// Named directories that outlive containers.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { GantryError } from '../errors.ts';
import { newId } from './names.ts';
import { readRecords, writeRecord } from './state-store.ts';

export interface Volume {
  name: string;
  /** Directory with the content. */
  path: string;
  labels: Record<string, string>;
  /** ISO 8601. */
  created: string;
  /** Made without a name, for one container. */
  anonymous: boolean;
  /** A container has been started with it. */
  filled: boolean;
}

export interface Volumes {
  list(): Volume[];
  /** @throws {GantryError} VOLUME_NOT_FOUND. */
  find(name: string): Volume;
  /** @throws {GantryError} INVALID_ARGUMENT where no volume can have this name; "" is for anonymous ones. */
  check(name: string): void;
  /** The volume of this name, made where missing; a new anonymous one for "". `fresh`: nothing was ever mounted from it. */
  ensure(name: string, labels?: Record<string, string>): Promise<Volume & { fresh: boolean }>;
  markFilled(name: string): void;
  /** @throws {GantryError} VOLUME_NOT_FOUND. */
  remove(name: string, discard: (path: string) => void): void;
}

export function openVolumes(directory: string): Volumes {
  const volumes = new Map(readRecords<Volume>(directory, 'volume.json').records.map((volume) => [volume.name, volume]));
  const save = (volume: Volume): void => {
    volumes.set(volume.name, volume);
    writeRecord(join(directory, volume.name, 'volume.json'), volume);
  };
  const find = (name: string): Volume => {
    const volume = volumes.get(name);
    if (volume === undefined)
      throw new GantryError('VOLUME_NOT_FOUND', `Get ${name}: no such volume`, {
        hint: '"gantry volume ls" lists them',
      });
    return volume;
  };
  const check = (name: string): void => {
    if (name === '' || /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) return;
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed`,
      { hint: 'To mount a directory of the host, give its absolute path' },
    );
  };
  return {
    check,
    list: () => [...volumes.values()],
    find,
    async ensure(name, labels = {}) {
      const known = volumes.get(name);
      if (known !== undefined) return { ...known, fresh: !known.filled };
      const chosen = name === '' ? newId() : name;
      check(chosen);
      const path = join(directory, chosen, '_data');
      mkdirSync(path, { recursive: true, mode: 0o755 });
      const volume = {
        name: chosen,
        path,
        labels,
        created: new Date().toISOString(),
        anonymous: name === '',
        filled: false,
      };
      save(volume);
      return { ...volume, fresh: true };
    },
    markFilled(name) {
      const volume = volumes.get(name);
      if (volume !== undefined && !volume.filled) save({ ...volume, filled: true });
    },
    remove(name, discard) {
      find(name);
      volumes.delete(name);
      const path = join(directory, name);
      if (!existsSync(path)) return;
      discard(path);
    },
  };
}

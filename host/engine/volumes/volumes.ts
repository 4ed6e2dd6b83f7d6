// Named directories that outlive containers, and file systems that are mounted on such a directory while they are used.
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { GantryError } from '../../errors.ts';
import { newId } from '../names.ts';
import { readRecords, writeRecord } from '../state/state-store.ts';
import { checkVolumeOptions } from './volume-options.ts';

export interface Volume {
  name: string;
  /** Directory with the content. */
  path: string;
  labels: Record<string, string>;
  /** Of the driver: type, o, device. Absent: a plain directory. */
  options?: Record<string, string>;
  /** ISO 8601. */
  created: string;
  /** Made without a name, for one container. */
  anonymous: boolean;
  /** ID of the container that an anonymous one was made for; absent: a user asked for it. */
  madeFor?: string;
  /** A container has been started with it. */
  filled: boolean;
}

/** What a volume is to be, where it has to be made. */
export interface VolumeSpec {
  /** "" or "local". */
  driver?: string;
  labels?: Record<string, string>;
  options?: Record<string, string>;
}

export interface Volumes {
  list(): Volume[];
  /** @throws {GantryError} VOLUME_NOT_FOUND. */
  find(name: string): Volume;
  /** @throws {GantryError} INVALID_ARGUMENT, VOLUME_NOT_FOUND where no volume can be so; "" is for anonymous ones. */
  check(name: string, spec?: VolumeSpec): void;
  /**
   * The volume of this name, as it is; made where missing; a new anonymous one for "". `fresh`: nothing was ever mounted from
   * it; `made`: by this call.
   */
  ensure(name: string, spec?: VolumeSpec, owner?: string): Volume & { fresh: boolean; made: boolean };
  markFilled(name: string): void;
  /** @throws {GantryError} VOLUME_NOT_FOUND. */
  remove(name: string): void;
  /** Removes what was made for containers whose creation an engine did not live to finish. */
  removeOrphans(isContainer: (id: string) => boolean, isMounted: (name: string) => boolean): void;
  /** Sentences about records that could not be read. */
  readonly damaged: readonly string[];
}

/** Docker's: what tells an anonymous volume in lists and filters. */
const ANONYMOUS = 'com.docker.volume.anonymous';

const RECORD = 'volume.json';

/** @param discard takes a volume's directory away, at once. */
export function openVolumes(directory: string, discard: (path: string) => void): Volumes {
  const { records, damaged } = readRecords<Volume>(directory, RECORD);
  const volumes = new Map(records.map((volume) => [volume.name, volume]));
  // Made, but not recorded, when an engine died: nobody has seen them.
  for (const name of readdirSync(directory))
    if (!existsSync(join(directory, name, RECORD))) discard(join(directory, name));
  const save = (volume: Volume): void => {
    volumes.set(volume.name, volume);
    writeRecord(join(directory, volume.name, RECORD), volume);
  };
  const find = (name: string): Volume => {
    const volume = volumes.get(name);
    if (volume === undefined)
      throw new GantryError('VOLUME_NOT_FOUND', `Get ${name}: no such volume`, {
        hint: '"gantry volume ls" lists them',
      });
    return volume;
  };
  const check = (name: string, { driver = '', options = {} }: VolumeSpec = {}): void => {
    if (!['', 'local'].includes(driver))
      throw new GantryError(
        'VOLUME_NOT_FOUND',
        `Create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`,
        { hint: 'The only driver is "local"' },
      );
    if (name !== '') checkVolumeName(name);
    checkVolumeOptions(name, options);
  };
  const remove = (name: string): void => {
    find(name);
    const path = join(directory, name);
    if (existsSync(path)) discard(path);
    volumes.delete(name);
  };
  return {
    check,
    damaged,
    list: () => [...volumes.values()],
    find,
    ensure(name, spec = {}, owner) {
      const known = volumes.get(name);
      if (known !== undefined) return { ...known, fresh: !known.filled, made: false };
      check(name, spec);
      const chosen = name === '' ? newId() : name;
      const path = join(directory, chosen, '_data');
      const { labels = {}, options = {} } = spec;
      const volume: Volume = {
        name: chosen,
        path,
        labels: name === '' ? { ...labels, [ANONYMOUS]: '' } : labels,
        ...(Object.keys(options).length > 0 ? { options } : {}),
        created: new Date().toISOString(),
        anonymous: name === '',
        ...(name === '' && owner !== undefined ? { madeFor: owner } : {}),
        filled: false,
      };
      mkdirSync(path, { recursive: true, mode: 0o755 });
      try {
        save(volume);
      } catch (error) {
        volumes.delete(chosen);
        discard(join(directory, chosen));
        throw error;
      }
      return { ...volume, fresh: true, made: true };
    },
    markFilled(name) {
      const volume = volumes.get(name);
      if (volume !== undefined && !volume.filled) save({ ...volume, filled: true });
    },
    remove,
    removeOrphans(isContainer, isMounted) {
      for (const { name, path, madeFor, filled } of [...volumes.values()]) {
        if (filled || madeFor === undefined || isContainer(madeFor) || isMounted(name)) continue;
        if (!existsSync(path) || readdirSync(path).length === 0) remove(name); // `rm` without -v leaves its volumes, too.
      }
    },
  };
}

function checkVolumeName(name: string): void {
  if (name.length === 1)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Create ${name}: volume name is too short, names should be at least two alphanumeric characters`,
    );
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name))
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  // The longest name of a file (NAME_MAX of limits.h).
  if (name.length > 255) throw new GantryError('INVALID_ARGUMENT', `Create ${name}: file name too long`);
}

// Records in files that are replaced whole: after a kill at any moment a file holds the old or the new, never half.
import { mkdirSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GantryError } from '../../errors.ts';

/** Writes beside and renames. @throws {GantryError} DISK_FULL; the old file is still there then. */
export function writeRecord(path: string, record: unknown): void {
  try {
    writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new GantryError('DISK_FULL', `Cannot write "${path}": no space left on the device`, {
        hint: 'Free space on the file system that holds the data root',
        cause,
      });
    throw new GantryError('STATE_DAMAGED', `Cannot write "${path}": ${message}`, { cause });
  }
}

/** Removes a record that may be there. */
export function removeRecord(path: string): void {
  try {
    unlinkSync(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
  }
}

/** The record of a file; undefined where there is none. @throws {GantryError} STATE_DAMAGED where it is no JSON. */
export function readRecord<T>(path: string): T | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new GantryError('STATE_DAMAGED', `Cannot read "${path}": ${(cause as Error).message}`, { cause });
  }
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new GantryError('STATE_DAMAGED', `Cannot read "${path}": it is not whole`, { cause });
  }
}

export interface DirectoryRecords<T> {
  records: T[];
  /** Sentences about what could not be read; those directories are left as they are. */
  damaged: string[];
}

/** Every DIRECTORY/NAME/FILE record. A damaged one does not keep the others from being read. */
export function readRecords<T>(directory: string, file: string): DirectoryRecords<T> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const records: T[] = [];
  const damaged: string[] = [];
  for (const name of readdirSync(directory)) {
    try {
      const record = readRecord<T>(join(directory, name, file));
      if (record !== undefined) records.push(record);
    } catch (error) {
      damaged.push((error as Error).message);
    }
  }
  return { records, damaged };
}

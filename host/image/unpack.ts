// The confined child that makes a layer's files: tar on its stdin, a directory that it cannot leave.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { GantryError } from '../errors.ts';

export interface Unpacked {
  entries: number;
  /** Bytes of all regular files. */
  bytes: number;
}

export interface Unpacker {
  /** Makes the tree of a plain tar in an empty directory. @throws {GantryError} INVALID_ARCHIVE, DISK_FULL. */
  unpack(directory: string, tar: AsyncIterable<Uint8Array>): Promise<Unpacked>;
  /** Removes a tree with all that is in it. */
  remove(directory: string): Promise<void>;
  /** What an overlay's upper directory changes of the layers below, uppermost first; directories before what is in them. */
  changes(upper: string, lower: string[]): Promise<Change[]>;
  /** The upper directory as a layer's plain tar: the same content makes the same bytes. */
  pack(upper: string): AsyncGenerator<Uint8Array>;
}

export interface Change {
  kind: 'added' | 'changed' | 'deleted';
  path: string;
}

const STDERR_KEPT = 4096;

export function createUnpacker(binary: string): Unpacker {
  return {
    async unpack(directory, tar) {
      const child = spawn(binary, ['unpack', directory], { stdio: ['pipe', 'pipe', 'pipe'], env: {}, cwd: '/' });
      const exit = once(child, 'close') as Promise<[number | null, string | null]>;
      let said = '';
      let complaint = '';
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk;
      });
      child.stderr.on('data', (chunk: Buffer) => {
        complaint = (complaint + chunk).slice(-STDERR_KEPT);
      });
      // A child that ends early closes its stdin; its own words tell why.
      child.stdin.on('error', () => {});
      try {
        for await (const chunk of tar) {
          if (child.stdin.destroyed) break;
          if (!child.stdin.write(chunk)) await Promise.race([once(child.stdin, 'drain').catch(() => {}), exit]);
        }
      } catch (error) {
        child.kill('SIGKILL');
        await exit.catch(() => {});
        throw error;
      }
      child.stdin.end();
      const [code, signal] = await exit;
      if (code !== 0) throw unpackError(complaint.trim().split('\n').at(-1) || `it ended with ${signal ?? code}`);
      return JSON.parse(said) as Unpacked;
    },
    async changes(upper, lower) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of output(binary, ['changes', upper, ...lower])) chunks.push(chunk);
      return Buffer.concat(chunks)
        .toString()
        .split('\0')
        .filter(Boolean)
        .map((record) => ({ kind: kinds[record[0]!]!, path: record.slice(1) }));
    },
    pack: (upper) => output(binary, ['layer', upper]),
    async remove(directory) {
      const child = spawn(binary, ['remove', directory], { stdio: ['ignore', 'ignore', 'pipe'], env: {}, cwd: '/' });
      let complaint = '';
      child.stderr.on('data', (chunk: Buffer) => {
        complaint = (complaint + chunk).slice(-STDERR_KEPT);
      });
      const [code] = (await once(child, 'close')) as [number | null];
      if (code !== 0) throw new GantryError('INTERNAL', `Cannot remove "${directory}": ${complaint.trim() || code}`);
    },
  };
}

const kinds: Record<string, Change['kind']> = { A: 'added', C: 'changed', D: 'deleted' };

/** Standard output of the confined child as it comes. @throws {GantryError} INTERNAL with what it complained of. */
async function* output(binary: string, words: string[]): AsyncGenerator<Uint8Array> {
  const child = spawn(binary, words, { stdio: ['ignore', 'pipe', 'pipe'], env: {}, cwd: '/' });
  const exit = once(child, 'close') as Promise<[number | null, string | null]>;
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk).slice(-STDERR_KEPT);
  });
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array;
    const [code, signal] = await exit;
    if (code !== 0)
      throw new GantryError('INTERNAL', `Cannot read the container's changes: ${complaint.trim() || (signal ?? code)}`);
  } finally {
    child.kill('SIGKILL');
  }
}

function unpackError(reason: string): GantryError {
  if (/no space left|quota exceeded/i.test(reason))
    return new GantryError('DISK_FULL', `Cannot unpack the layer: ${reason}`, {
      hint: 'Free space on the file system that holds the data root',
    });
  return new GantryError('INVALID_ARCHIVE', `Cannot unpack the layer: ${reason}`);
}

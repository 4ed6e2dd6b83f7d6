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

function unpackError(reason: string): GantryError {
  if (/no space left|quota exceeded/i.test(reason))
    return new GantryError('DISK_FULL', `Cannot unpack the layer: ${reason}`, {
      hint: 'Free space on the file system that holds the data root',
    });
  return new GantryError('INVALID_ARCHIVE', `Cannot unpack the layer: ${reason}`);
}

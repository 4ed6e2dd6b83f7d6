// Makes gzip of a log that was rotated away, beside whoever writes on: names are changed in one step, by the number it has then.
import {
  closeSync,
  createReadStream,
  createWriteStream,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { LOG_ORIGIN, LOG_ORIGIN_END } from '../core-asm/abi.ts';

/** By the log's path: the file is PATH.index. */
const underWay = new Map<string, Set<{ index: number }>>();

/** Before its files get their next numbers. */
export function countRotation(path: string): void {
  for (const log of underWay.get(path) ?? []) log.index++;
}

/** PATH.1 becomes PATH.1.gz, or what it is called by then. Never fails: what cannot be compressed stays as it is. */
export async function compressLog(path: string, maxFiles: number): Promise<void> {
  const log = { index: 1 };
  const logs = underWay.get(path) ?? new Set();
  underWay.set(path, logs.add(log));
  try {
    await compress(path, maxFiles, log);
  } catch {
    // A full disk, or a container that is removed.
  } finally {
    logs.delete(log);
    if (logs.size === 0) underWay.delete(path);
  }
}

async function compress(path: string, maxFiles: number, log: { index: number }): Promise<void> {
  const file = openSync(`${path}.1`, 'r');
  const { ino } = fstatSync(file);
  const temporary = `${path}.${ino}.new`;
  try {
    const target = createWriteStream(temporary, { mode: 0o600 });
    target.write(originMember(file, ino));
    await pipeline(createReadStream('', { fd: file, autoClose: false, start: 0 }), createGzip(), target);
    if (log.index >= maxFiles) return;
    renameSync(temporary, `${path}.${log.index}.gz`);
    rmSync(`${path}.${log.index}`, { force: true });
  } finally {
    rmSync(temporary, { force: true });
    closeSync(file);
  }
}

/** A member without content (RFC 1952, 2.2): zlib itself writes no extra field. */
function originMember(file: number, ino: number): Buffer {
  const head = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 20, 0, 0x47, 0x4c, 16, 0]);
  const origin = Buffer.alloc(LOG_ORIGIN_END - LOG_ORIGIN);
  origin.writeBigUInt64LE(BigInt(ino), 0);
  readSync(file, origin, 8, 8, 0);
  const empty = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, origin, empty]);
}

// A container's log, written on this side as the supervisor writes it where it can: frames of core-asm/abi.ts, rotated by size.
import { closeSync, constants, fstatSync, openSync, renameSync, rmSync, writevSync } from 'node:fs';
import { LOG_HEADER, LOG_PARTIAL, STREAM_STDERR, STREAM_STDOUT } from '../core-asm/abi.ts';
import type { LogTarget } from './backend.ts';
import { compressLog, countRotation } from './compressed-log.ts';

export interface LogFile {
  /** Never throws: a container does not end because its log cannot be written. */
  write(stream: 'stdout' | 'stderr', data: Uint8Array): void;
  close(): void;
}

const NEWLINE = 10;

/** The file is made with its first frame. */
export function openLog({ path, maxSize, maxFiles = 1, compress = false }: LogTarget): LogFile {
  let file: number | undefined;
  let size = 0;

  const open = (): number => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | (constants.O_NOFOLLOW ?? 0);
    const opened = openSync(path, flags, 0o600);
    size = fstatSync(opened).size;
    return opened;
  };
  // path → path.1 → path.2 …; the oldest goes.
  const rotate = (): void => {
    countRotation(path);
    for (let index = maxFiles - 1; index > 0; index--)
      for (const suffix of compress ? ['', '.gz'] : ['']) {
        rmSync(`${path}.${index}${suffix}`, { force: true });
        try {
          renameSync(index > 1 ? `${path}.${index - 1}${suffix}` : `${path}${suffix}`, `${path}.${index}${suffix}`);
        } catch {
          // There is none yet.
        }
      }
    if (maxFiles <= 1) rmSync(path, { force: true });
    close();
    file = open();
    if (compress) void compressLog(path, maxFiles);
  };
  const close = (): void => {
    if (file !== undefined) closeSync(file);
    file = undefined;
  };

  return {
    write(stream, data) {
      if (data.length === 0) return;
      const header = Buffer.alloc(LOG_HEADER);
      header.writeBigUInt64LE(BigInt(Date.now()) * 1_000_000n, 0);
      header.writeUInt32LE(data.length, 8);
      header.writeUInt8(stream === 'stderr' ? STREAM_STDERR : STREAM_STDOUT, 12);
      header.writeUInt8(data[data.length - 1] === NEWLINE ? 0 : LOG_PARTIAL, 13);
      try {
        file ??= open();
        const length = LOG_HEADER + data.length;
        if (maxSize !== undefined && size > 0 && size + length > maxSize) rotate();
        size += writevSync(file, [header, data]);
      } catch {
        // A full disk: as with the supervisor's own, what does not fit is lost.
      }
    },
    close,
  };
}

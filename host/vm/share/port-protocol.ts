// The port of the shares: u32 share, then one message, which begins with its own length (u32). vm-images/init/share.c has the same numbers.
import { IN_HEADER, REQUEST_MAX } from './fuse-protocol.ts';

export const PORT_MAGIC = 'gantrysh';
export const PORT_VERSION = 1;
export const SHARE_HEADER = 4;
/** Messages about shares; all others are FUSE's. */
export const CONTROL = 0;

/** To the guest first of all: magic, u32 version. It answers with the same and the pid of its agent (u32). */
export const HELLO = 1;
/** To the guest: u32 share, u32 flags, the mode of the source (u32), the path to mount at, a NUL. Answered. */
export const MOUNT = 2;
/** To the guest: u32 share. Answered. */
export const UNMOUNT = 3;
/** From the guest: u32 share, u32 errno. */
export const DONE = 4;

/** To the guest: u32 share, u32 what its agent is to do (`replays`), the path in the share, a NUL. Not answered. */
export const REPLAY = 5;

export const MOUNT_READ_ONLY = 1;
/** The guest's kernel checks owners and modes. */
export const MOUNT_PERMISSIONS = 2;

export class PortViolation extends Error {
  override readonly name = 'PortViolation';
}

/** Length and kind, then the payload. */
export function encodeControl(kind: number, ...payload: (number | string | Buffer)[]): Buffer {
  const parts = payload.map((part) => {
    if (typeof part !== 'number') return Buffer.concat([Buffer.from(part), Buffer.alloc(1)]);
    const number = Buffer.alloc(4);
    number.writeUInt32LE(part);
    return number;
  });
  const header = Buffer.alloc(SHARE_HEADER + 8);
  header.writeUInt32LE(CONTROL, 0);
  header.writeUInt32LE(8 + parts.reduce((sum, part) => sum + part.length, 0), SHARE_HEADER);
  header.writeUInt32LE(kind, SHARE_HEADER + 4);
  return Buffer.concat([header, ...parts]);
}

export function encodeHello(): Buffer {
  const hello = encodeControl(HELLO, 0, 0, PORT_VERSION);
  hello.write(PORT_MAGIC, SHARE_HEADER + 8, 'latin1');
  return hello;
}

export interface PortDecoder {
  /** @throws {PortViolation}; the decoder is then useless. */
  push(chunk: Buffer): void;
}

const CONTROL_MAX = 64;

/** @param take gets a message without its share; its bytes are the decoder's again when it returns. */
export function createPortDecoder(take: (share: number, message: Buffer) => void): PortDecoder {
  const held = Buffer.allocUnsafeSlow(SHARE_HEADER + REQUEST_MAX);
  let filled = 0;

  /** Bytes of the message that begins there, with its share; undefined where that is not known yet. */
  const wanted = (bytes: Buffer, at: number, end: number): number | undefined => {
    if (end - at < SHARE_HEADER + 4) return undefined;
    const length = bytes.readUInt32LE(at + SHARE_HEADER);
    const control = bytes.readUInt32LE(at) === CONTROL;
    if (length < (control ? 8 : IN_HEADER) || length > (control ? CONTROL_MAX : REQUEST_MAX))
      throw new PortViolation(`a message of ${length} bytes`);
    return SHARE_HEADER + length;
  };
  const give = (bytes: Buffer, from: number, to: number): void =>
    take(bytes.readUInt32LE(from), bytes.subarray(from + SHARE_HEADER, to));

  return {
    push(chunk) {
      let at = 0;
      while (at < chunk.length) {
        if (filled === 0) {
          const length = wanted(chunk, at, chunk.length);
          if (length !== undefined && at + length <= chunk.length) {
            give(chunk, at, at + length);
            at += length;
            continue;
          }
        }
        const goal = wanted(held, 0, filled) ?? SHARE_HEADER + 4;
        const taken = Math.min(goal - filled, chunk.length - at);
        chunk.copy(held, filled, at, at + taken);
        filled += taken;
        at += taken;
        if (filled < goal || goal !== wanted(held, 0, filled)) continue;
        filled = 0;
        give(held, 0, goal);
      }
    },
  };
}

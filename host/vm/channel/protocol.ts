// Frames of the guest channel: u32 stream, u32 length, u8 type, u8 lane, two zero bytes, payload; little-endian. vm-images/init/guest.h has the same numbers.

export const CHANNEL_VERSION = 2;
export const CHANNEL_MAGIC = 'gantryvm';
export const FRAME_HEADER = 12;
/** Small enough that a frame of one stream never keeps another waiting for long. */
export const PAYLOAD_MAX = 32768;
/** What a side may send of one stream before the other has taken some of it. */
export const WINDOW_BYTES = 262144;

/** To the guest: from here on another host speaks; zeros and the magic follow. */
export const PAD = 0;
/**
 * Both ways, first of all. From the host: magic, u64 nonce, u64 nanoseconds since the epoch, 32 random bytes.
 * From the guest: magic, u32 version, the nonce.
 */
export const HELLO = 1;
/** To the guest: the name of a service and its arguments, each ended by a NUL. */
export const OPEN = 2;
export const DATA = 3;
/** u32: so many more bytes may be sent. The guest's first one says that the stream is open. */
export const WINDOW = 4;
/** Whoever sends it sends no more data. */
export const END = 5;
/** The stream is over. From the guest: u32 status, an errno or a program's exit status. */
export const CLOSE = 6;
/** To the guest: u64 nanoseconds since the epoch. */
export const CLOCK = 7;

export const LANE_MAIN = 0;
/** What a program says on stderr. */
export const LANE_ERROR = 1;

export interface ChannelFrame {
  stream: number;
  type: number;
  lane: number;
  payload: Uint8Array;
}

export function encodeChannelFrame(stream: number, type: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER + payload.length);
  bytes.writeUInt32LE(stream, 0);
  bytes.writeUInt32LE(payload.length, 4);
  bytes.writeUInt32LE(type, 8);
  bytes.set(payload, FRAME_HEADER);
  return bytes;
}

/** What a host says first. With `takeover`, to a guest to which another host has spoken, who knows how far. */
export function encodeGreeting(nonce: Uint8Array, seed: Uint8Array, nanoseconds: bigint, takeover = false): Uint8Array {
  const magic = Buffer.from(CHANNEL_MAGIC, 'latin1');
  const frame = encodeChannelFrame(0, HELLO, Buffer.concat([magic, nonce, encodeTime(nanoseconds), seed]));
  return takeover ? Buffer.concat([Buffer.alloc(FRAME_HEADER + PAYLOAD_MAX), magic, frame]) : frame;
}

export function encodeTime(nanoseconds: bigint): Uint8Array {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64LE(nanoseconds);
  return bytes;
}

export function encodeNumber(stream: number, type: number, value: number): Uint8Array {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32LE(value);
  return encodeChannelFrame(stream, type, payload);
}

/** The guest sent what no guest of ours sends: whatever else it says counts no more. */
export class ChannelViolation extends Error {
  override readonly name = 'ChannelViolation';
}

/** Gets bytes as they come, calls back for each whole frame. Holds one frame at most. */
export interface ChannelDecoder {
  /** @throws {ChannelViolation}; the decoder is then useless. */
  push(chunk: Uint8Array): void;
}

const GREETING_BYTES = CHANNEL_MAGIC.length + 4 + 8;
const fixedLengths: Record<number, number> = { [HELLO]: GREETING_BYTES, [WINDOW]: 4, [END]: 0, [CLOSE]: 4 };
/** What a guest may have said to a host before this one, and nobody has read. */
const STALE_MAX = 4 * 1024 ** 2;

/** @param takeover the nonce of our greeting: what comes before its answer was for another host, and is left out. */
export function createChannelDecoder(take: (frame: ChannelFrame) => void, takeover?: Uint8Array): ChannelDecoder {
  let held: Buffer = Buffer.alloc(0);
  let stale = 0;
  let answer = takeover === undefined ? undefined : expectedAnswer(takeover);
  return {
    push(chunk) {
      let bytes =
        held.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([held, chunk]);
      if (answer !== undefined) {
        const from = bytes.indexOf(answer);
        const left = from >= 0 ? from : Math.max(0, bytes.length - answer.length + 1);
        stale += left;
        if (stale > STALE_MAX) throw new ChannelViolation('the guest does not answer the greeting');
        bytes = bytes.subarray(left);
        held = bytes;
        if (from < 0) return;
        answer = undefined;
      }
      let at = 0;
      while (bytes.length - at >= FRAME_HEADER) {
        const length = checkedLength(bytes, at);
        if (bytes.length - at < FRAME_HEADER + length) break;
        const from = at + FRAME_HEADER;
        at = from + length;
        take({
          stream: bytes.readUInt32LE(from - FRAME_HEADER),
          type: bytes.readUInt8(from - 4),
          lane: bytes.readUInt8(from - 3),
          payload: bytes.subarray(from, at),
        });
      }
      held = bytes.subarray(at);
    },
  };
}

/** Whole, so that its version is known to be ours: a machine of another version is not taken over. */
function expectedAnswer(nonce: Uint8Array): Buffer {
  const payload = Buffer.alloc(GREETING_BYTES, CHANNEL_MAGIC, 'latin1');
  payload.writeUInt32LE(CHANNEL_VERSION, CHANNEL_MAGIC.length);
  payload.set(nonce, CHANNEL_MAGIC.length + 4);
  return Buffer.from(encodeChannelFrame(0, HELLO, payload));
}

/** Before the payload is there: a frame that is wrong is not waited for. */
function checkedLength(bytes: Buffer, at: number): number {
  const stream = bytes.readUInt32LE(at);
  const length = bytes.readUInt32LE(at + 4);
  const type = bytes.readUInt8(at + 8);
  const lane = bytes.readUInt8(at + 9);
  if (length > PAYLOAD_MAX) throw new ChannelViolation(`a frame of ${length} bytes exceeds ${PAYLOAD_MAX}`);
  if (bytes.readUInt16LE(at + 10) !== 0) throw new ChannelViolation('reserved bytes are not zero');
  if (![HELLO, DATA, WINDOW, END, CLOSE].includes(type))
    throw new ChannelViolation(`"${type}" is no type of a guest's frame`);
  if (lane > LANE_ERROR || (lane === LANE_ERROR && type !== DATA))
    throw new ChannelViolation(`"${lane}" is no lane here`);
  if ((type === HELLO) !== (stream === 0)) throw new ChannelViolation(`a frame of type ${type} for stream ${stream}`);
  const fixed = fixedLengths[type];
  if (fixed !== undefined && length !== fixed)
    throw new ChannelViolation(`a frame of type ${type} has ${length} bytes`);
  if (type === DATA && length === 0) throw new ChannelViolation('a frame of data is empty');
  return length;
}

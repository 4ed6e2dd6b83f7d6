// Frames of the executor's socket (layout in core-asm/abi.ts): encoding, incremental decoding, payloads.
import {
  FRAME_ANSWER,
  FRAME_ATTACH,
  FRAME_HEADER,
  FRAME_HELLO,
  FRAME_MAX,
  FRAME_EXEC,
  FRAME_PREPARE,
  FRAME_QUESTION,
  FRAME_RESIZE,
  FRAME_RUN,
  FRAME_SIGNAL,
} from '../core-asm/abi.ts';
import { GantryError } from './errors.ts';

export interface Frame {
  /** FRAME_*. */
  type: number;
  /** STREAM_* for output; otherwise 0. */
  stream: number;
  payload: Uint8Array;
}

const nothing = new Uint8Array(0);

/** One frame as bytes. @throws {GantryError} INVALID_ARGUMENT where the payload exceeds what an executor takes. */
export function encodeFrame(type: number, payload: Uint8Array = nothing, stream = 0): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER + payload.length);
  writeHeader(bytes, type, payload.length, stream);
  bytes.set(payload, FRAME_HEADER);
  return bytes;
}

function writeHeader(bytes: Uint8Array, type: number, length: number, stream = 0): void {
  if (length > FRAME_MAX - FRAME_HEADER)
    throw new GantryError('INVALID_ARGUMENT', `Cannot send a frame of ${length} bytes: ${FRAME_MAX} is the limit`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER);
  view.setUint32(0, length, true);
  view.setUint8(4, type);
  view.setUint8(5, stream);
  view.setUint16(6, 0);
}

/** Gets bytes as they come and gives the frames that they complete, in order. */
export interface FrameReader {
  /** @throws {GantryError} INTERNAL on bytes that are no frames; the reader is then useless. */
  push(chunk: Uint8Array): Frame[];
  /** Bytes of an incomplete frame that are held. */
  readonly held: number;
}

/** Payloads of complete frames share memory with the chunks; they are not copied unless a frame spans chunks. */
export function createFrameReader(): FrameReader {
  let chunks: Uint8Array[] = [];
  let held = 0;
  let needed = FRAME_HEADER;

  return {
    push(chunk) {
      chunks.push(chunk);
      held += chunk.length;
      if (held < needed) return [];
      const bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks, held);
      const frames: Frame[] = [];
      let at = 0;
      needed = FRAME_HEADER;
      while (held - at >= FRAME_HEADER) {
        const header = readHeader(bytes, at);
        needed = FRAME_HEADER + header.length;
        if (held - at < needed) break;
        frames.push({ ...header.frame, payload: bytes.subarray(at + FRAME_HEADER, at + needed) });
        at += needed;
        needed = FRAME_HEADER;
      }
      chunks = at < held ? [bytes.subarray(at)] : [];
      held -= at;
      return frames;
    },
    get held() {
      return held;
    },
  };
}

function readHeader(bytes: Uint8Array, at: number): { length: number; frame: { type: number; stream: number } } {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, FRAME_HEADER);
  const length = view.getUint32(0, true);
  const type = view.getUint8(4);
  const stream = view.getUint8(5);
  if (length > FRAME_MAX - FRAME_HEADER)
    throw malformed(`a frame of ${length} bytes exceeds the limit of ${FRAME_MAX}`);
  if (view.getUint16(6, true) !== 0) throw malformed('the reserved bytes of a frame are not zero');
  if (stream > 2) throw malformed(`"${stream}" is no stream`);
  const known = (type >= FRAME_PREPARE && type <= FRAME_ANSWER) || (type >= FRAME_HELLO && type <= FRAME_QUESTION);
  if (!known) throw malformed(`"${type}" is no type of frame`);
  return { length, frame: { type, stream } };
}

function malformed(reason: string): GantryError {
  return new GantryError('INTERNAL', `Cannot read from the executor: ${reason}`);
}

function payloadView(frame: Frame, length: number): DataView {
  const { payload, type } = frame;
  if (payload.length !== length)
    throw malformed(`a frame of type ${type} has ${payload.length} bytes where ${length} are expected`);
  return new DataView(payload.buffer, payload.byteOffset, payload.length);
}

export interface Hello {
  planVersion: number;
  supervisorPid: number;
}

/** A later version may say more in it. */
export function readHello(frame: Frame): Hello {
  const view = payloadView({ ...frame, payload: frame.payload.subarray(0, 8) }, 8);
  return { planVersion: view.getUint32(0, true), supervisorPid: view.getUint32(4, true) };
}

export interface Started {
  pid: number;
  /** Nanoseconds since the epoch. */
  startedAt: bigint;
}

export function readStarted(frame: Frame): Started {
  const view = payloadView(frame, 16);
  return { pid: view.getUint32(0, true), startedAt: view.getBigUint64(8, true) };
}

/** What FAILED and WARN say. */
export interface Failure {
  /** Index of the op. */
  op: number;
  errno: number;
  /** PHASE_*. */
  phase: number;
}

export function readFailure(frame: Frame): Failure {
  const view = payloadView(frame, 12);
  return { op: view.getUint32(0, true), errno: view.getUint32(4, true), phase: view.getUint32(8, true) };
}

export interface Exited {
  exitCode: number;
  /** EXIT_*. */
  flags: number;
  /** Nanoseconds since the epoch. */
  finishedAt: bigint;
}

export function readExited(frame: Frame): Exited {
  const view = payloadView(frame, 16);
  return {
    exitCode: view.getUint32(0, true),
    flags: view.getUint32(4, true),
    finishedAt: view.getBigUint64(8, true),
  };
}

function numbers(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) view.setUint32(index * 4, value, true);
  return bytes;
}

/** Written in place: programs are large, and this is what a start sends. */
function programs(type: number, setup: Uint8Array, teardown: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER + 8 + setup.length + teardown.length);
  writeHeader(bytes, type, bytes.length - FRAME_HEADER);
  bytes.writeUInt32LE(setup.length, FRAME_HEADER);
  bytes.writeUInt32LE(teardown.length, FRAME_HEADER + 4);
  bytes.set(setup, FRAME_HEADER + 8);
  bytes.set(teardown, FRAME_HEADER + 8 + setup.length);
  return bytes;
}

/** The frames that the host sends. */
export const frames = {
  run: (setup: Uint8Array, teardown: Uint8Array = nothing) => programs(FRAME_RUN, setup, teardown),
  prepare: (setup: Uint8Array, teardown: Uint8Array) => programs(FRAME_PREPARE, setup, teardown),
  attach: (flags: number) => encodeFrame(FRAME_ATTACH, numbers(flags)),
  exec: () => encodeFrame(FRAME_EXEC),
  signal: (signal: number) => encodeFrame(FRAME_SIGNAL, numbers(signal)),
  resize(rows: number, columns: number) {
    const payload = new Uint8Array(4);
    const view = new DataView(payload.buffer);
    view.setUint16(0, rows, true);
    view.setUint16(2, columns, true);
    return encodeFrame(FRAME_RESIZE, payload);
  },
} as const;

// Frames of the executor's socket: round trips, every split, and hostile bytes.
import { describe, expect, it } from 'vitest';
import {
  FRAME_ATTACH,
  FRAME_EXITED,
  FRAME_FAILED,
  FRAME_HEADER,
  FRAME_HELLO,
  FRAME_MAX,
  FRAME_OUTPUT,
  FRAME_RESIZE,
  FRAME_RUN,
  FRAME_STARTED,
  FRAME_STDIN,
  STREAM_STDERR,
  STREAM_STDOUT,
} from '../../core-asm/abi.ts';
import {
  createFrameReader,
  encodeFrame,
  type Frame,
  frames,
  readExited,
  readFailure,
  readHello,
  readStarted,
} from '../../host/frames.ts';

const text = (value: string) => new TextEncoder().encode(value);

function stream(): Uint8Array {
  return Buffer.concat([
    encodeFrame(FRAME_OUTPUT, text('one'), STREAM_STDOUT),
    encodeFrame(FRAME_OUTPUT, new Uint8Array(0), STREAM_STDERR),
    encodeFrame(FRAME_OUTPUT, text('three, longer than a header'), STREAM_STDERR),
  ]);
}

function summary(found: Frame[]) {
  return found.map(({ type, stream, payload }) => [type, stream, Buffer.from(payload).toString()]);
}

const expected = [
  [FRAME_OUTPUT, STREAM_STDOUT, 'one'],
  [FRAME_OUTPUT, STREAM_STDERR, ''],
  [FRAME_OUTPUT, STREAM_STDERR, 'three, longer than a header'],
];

function header(length: number, type: number, streamNumber = 0, reserved = 0): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  bytes[4] = type;
  bytes[5] = streamNumber;
  view.setUint16(6, reserved, true);
  return bytes;
}

describe('reading frames', () => {
  it('gives whole frames of one chunk in order', () => {
    const reader = createFrameReader();
    expect(summary(reader.push(stream()))).toEqual(expected);
    expect(reader.held).toBe(0);
  });

  it('gives the same frames wherever the bytes are split', () => {
    const bytes = stream();
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second += 7) {
        const reader = createFrameReader();
        const found = [
          ...reader.push(bytes.subarray(0, first)),
          ...reader.push(bytes.subarray(first, second)),
          ...reader.push(bytes.subarray(second)),
        ];
        expect(summary(found)).toEqual(expected);
      }
    }
  });

  it('gives the same frames byte by byte', () => {
    const reader = createFrameReader();
    const found: Frame[] = [];
    for (const byte of stream()) found.push(...reader.push(Uint8Array.of(byte)));
    expect(summary(found)).toEqual(expected);
  });

  it('takes a frame of the largest size in many chunks', () => {
    const bytes = encodeFrame(FRAME_OUTPUT, new Uint8Array(FRAME_MAX - FRAME_HEADER).fill(7), STREAM_STDOUT);
    const reader = createFrameReader();
    const found: Frame[] = [];
    for (let at = 0; at < bytes.length; at += 65536) found.push(...reader.push(bytes.subarray(at, at + 65536)));
    expect(found).toHaveLength(1);
    expect(found[0]?.payload.length).toBe(FRAME_MAX - FRAME_HEADER);
  });

  it.each([
    ['a length beyond the limit', header(FRAME_MAX, FRAME_OUTPUT), /exceeds the limit/],
    ['a length of 4 GiB', header(0xffffffff, FRAME_OUTPUT), /exceeds the limit/],
    ['an unknown type', header(0, 99), /no type of frame/],
    ['type 0', header(0, 0), /no type of frame/],
    ['an unknown stream', header(0, FRAME_OUTPUT, 9), /no stream/],
    ['reserved bytes that are set', header(0, FRAME_OUTPUT, 1, 5), /reserved/],
  ])('refuses %s', (_name, bytes, reason) => {
    expect(() => createFrameReader().push(bytes)).toThrow(reason);
  });

  it('never does anything but give frames or refuse, whatever the bytes', () => {
    let seed = 12345;
    const random = () => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed >>> 16;
    };
    for (let round = 0; round < 2000; round++) {
      const bytes = new Uint8Array(stream());
      for (let flips = 0; flips < 3; flips++) bytes[random() % bytes.length] = random() & 255;
      try {
        const found = createFrameReader().push(bytes);
        expect(found.length).toBeLessThanOrEqual(8);
      } catch (error) {
        expect(String(error)).toMatch(/Cannot read from the executor/);
      }
    }
  });
});

describe('payloads', () => {
  const frame = (type: number, payload: Uint8Array): Frame => ({ type, stream: 0, payload });

  it('of HELLO, STARTED, FAILED and EXITED are read as laid out', () => {
    const view = new DataView(new ArrayBuffer(16));
    view.setUint32(0, 137, true);
    view.setUint32(4, 1, true);
    view.setBigUint64(8, 1_700_000_000_123_456_789n, true);
    const bytes = new Uint8Array(view.buffer);
    expect(readExited(frame(FRAME_EXITED, bytes))).toEqual({
      exitCode: 137,
      flags: 1,
      finishedAt: 1_700_000_000_123_456_789n,
    });
    expect(readStarted(frame(FRAME_STARTED, bytes))).toEqual({ pid: 137, startedAt: 1_700_000_000_123_456_789n });
    expect(readHello(frame(FRAME_HELLO, bytes.subarray(0, 8)))).toEqual({ planVersion: 137, supervisorPid: 1 });
    expect(readFailure(frame(FRAME_FAILED, bytes.subarray(0, 12)))).toMatchObject({ op: 137, errno: 1 });
  });

  it('are read from any alignment', () => {
    const bytes = new Uint8Array(11);
    bytes.set([1, 0, 0, 0, 9, 0, 0, 0], 3);
    expect(readHello(frame(FRAME_HELLO, bytes.subarray(3)))).toEqual({ planVersion: 1, supervisorPid: 9 });
  });

  it('of another length are refused', () => {
    for (const read of [readHello, readStarted, readFailure, readExited])
      expect(() => read(frame(FRAME_FAILED, new Uint8Array(5)))).toThrow(/has 5 bytes/);
  });
});

describe('writing frames', () => {
  const decode = (bytes: Uint8Array): Frame => createFrameReader().push(bytes)[0]!;

  it('lays two programs behind their lengths', () => {
    const { type, payload } = decode(frames.run(Uint8Array.of(1, 2, 3), Uint8Array.of(9)));
    expect(type).toBe(FRAME_RUN);
    expect([...payload]).toEqual([3, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 9]);
    expect([...decode(frames.run(Uint8Array.of(5))).payload]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 5]);
  });

  it('writes sizes and flags', () => {
    expect(decode(frames.resize(24, 80))).toMatchObject({ type: FRAME_RESIZE });
    expect([...decode(frames.resize(24, 80)).payload]).toEqual([24, 0, 80, 0]);
    expect(decode(frames.attach(3))).toMatchObject({ type: FRAME_ATTACH });
    expect([...decode(frames.signal(15)).payload]).toEqual([15, 0, 0, 0]);
  });

  it('refuses a payload beyond the limit', () => {
    expect(() => encodeFrame(FRAME_STDIN, new Uint8Array(FRAME_MAX))).toThrow(/is the limit/);
  });
});

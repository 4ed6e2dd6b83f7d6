// What a guest that lies can do to the host's end of the channel: end it, and nothing else.
import { randomBytes, randomInt } from 'node:crypto';
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createChannel } from '../../../host/vm/channel/channel.ts';
import {
  CHANNEL_MAGIC,
  CHANNEL_VERSION,
  type ChannelFrame,
  ChannelViolation,
  CLOSE,
  createChannelDecoder,
  DATA,
  encodeChannelFrame,
  encodeNumber,
  END,
  FRAME_HEADER,
  HELLO,
  PAYLOAD_MAX,
  WINDOW,
  WINDOW_BYTES,
} from '../../../host/vm/channel/protocol.ts';
import { READ_AHEAD } from '../../../host/vm/channel/stream.ts';

const greeting = (version = CHANNEL_VERSION, nonce: Uint8Array = Buffer.alloc(8)): Uint8Array => {
  const payload = Buffer.alloc(20, CHANNEL_MAGIC, 'latin1');
  payload.writeUInt32LE(version, 8);
  payload.set(nonce, 12);
  return encodeChannelFrame(0, HELLO, payload);
};
const data = (stream: number, bytes: number): Uint8Array => encodeChannelFrame(stream, DATA, Buffer.alloc(bytes));

/** A port whose other end is the test. What it says of its greeting has the nonce of ours. */
function openPort(): { port: Socket; say(...frames: Uint8Array[]): void } {
  let nonce: Uint8Array = Buffer.alloc(8);
  const port = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const at = chunk.indexOf(CHANNEL_MAGIC);
      if (at === FRAME_HEADER) nonce = chunk.subarray(at + 8, at + 16);
      done();
    },
  });
  const answered = (frame: Uint8Array): Uint8Array =>
    Buffer.from(frame).equals(Buffer.from(greeting())) ? greeting(CHANNEL_VERSION, nonce) : frame;
  return { port: port as Socket, say: (...frames) => frames.forEach((frame) => void port.push(answered(frame))) };
}

describe('a guest that lies', () => {
  const lies: [string, Uint8Array[]][] = [
    ['greets with other words', [encodeChannelFrame(0, HELLO, Buffer.alloc(20))]],
    ['speaks another version', [greeting(CHANNEL_VERSION + 1)]],
    ['answers another greeting', [greeting(CHANNEL_VERSION, Buffer.alloc(8, 7))]],
    ['greets twice', [greeting(), greeting()]],
    ['speaks before it greets', [encodeNumber(1, WINDOW, 1)]],
    ['sends for a stream that was never opened', [greeting(), data(77, 1)]],
    ['sends before it has opened the stream', [greeting(), data(1, 1)]],
    ['grants more than there is', [greeting(), encodeNumber(1, WINDOW, 0xffffffff)]],
    ['sends a frame that is too long', [greeting(), Buffer.from('01000000ffffff7f03000000', 'hex')]],
    ['sends an unknown type', [greeting(), encodeChannelFrame(1, 9)]],
    ['asks the host for a service', [greeting(), encodeChannelFrame(1, 2, Buffer.from('read\0/etc/shadow\0'))]],
    ['sends a number of three bytes', [greeting(), encodeChannelFrame(1, CLOSE, Buffer.alloc(3))]],
    [
      'sends more than was granted to it',
      [greeting(), encodeNumber(1, WINDOW, WINDOW_BYTES), ...Array.from({ length: 13 }, () => data(1, PAYLOAD_MAX))],
    ],
  ];

  it.each(lies)('and %s ends its channel', async (_name, frames) => {
    const { port, say } = openPort();
    const channel = createChannel(port);
    const stream = channel.open(['read', '/x']);
    say(...frames);
    expect(await channel.closed).toBeInstanceOf(ChannelViolation);
    expect((await stream.over).status).toBeUndefined();
    const late = channel.open(['read', '/y']);
    await expect(late.opened).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('is not believed twice about the end of a stream', async () => {
    const { port, say } = openPort();
    const channel = createChannel(port);
    const stream = channel.open(['read', '/x']);
    say(greeting(), encodeNumber(1, WINDOW, 1), encodeChannelFrame(1, END), encodeNumber(1, CLOSE, 5));
    expect(await stream.resume().over).toMatchObject({ status: 5 });
    say(encodeNumber(1, CLOSE, 5));
    expect(await channel.closed).toBeInstanceOf(ChannelViolation);
  });

  it('makes no stream hold more than its window', async () => {
    const { port, say } = openPort();
    const channel = createChannel(port);
    const stream = channel.open(['read', '/x']);
    say(greeting(), encodeNumber(1, WINDOW, WINDOW_BYTES));
    for (let frames = 0; frames < 20 && !port.destroyed; frames++) say(data(1, PAYLOAD_MAX));
    expect(await channel.closed).toBeInstanceOf(ChannelViolation);
    expect(stream.readableLength).toBeLessThanOrEqual(WINDOW_BYTES + READ_AHEAD);
  });

  it('is decoded the same however its bytes are cut', () => {
    const bytes = Buffer.concat([
      greeting(),
      encodeNumber(3, WINDOW, 9),
      data(3, 1000),
      encodeChannelFrame(3, END),
      encodeNumber(3, CLOSE, 0),
    ]);
    const whole: ChannelFrame[] = [];
    createChannelDecoder((frame) => whole.push(frame)).push(bytes);
    expect(whole).toHaveLength(5);
    for (let round = 0; round < 200; round++) {
      const cut: ChannelFrame[] = [];
      const decoder = createChannelDecoder((frame) => cut.push({ ...frame, payload: Buffer.from(frame.payload) }));
      for (let at = 0; at < bytes.length; ) {
        const size = randomInt(1, 40);
        decoder.push(bytes.subarray(at, at + size));
        at += size;
      }
      expect(cut).toEqual(whole);
    }
  });

  it('gets frames or a violation for any bytes, never anything else', () => {
    const seeds = [
      greeting(),
      encodeNumber(1, WINDOW, 5),
      data(2, 64),
      encodeChannelFrame(2, END),
      encodeNumber(2, CLOSE, 1),
    ];
    for (let round = 0; round < 5000; round++) {
      const bytes = Buffer.concat(Array.from({ length: 6 }, () => seeds[randomInt(seeds.length)]!));
      for (let changes = randomInt(4); changes > 0; changes--) bytes[randomInt(bytes.length)] = randomInt(256);
      const input = round % 10 === 0 ? randomBytes(200) : bytes;
      let payloads = 0;
      try {
        createChannelDecoder(({ payload }) => {
          payloads += payload.length;
        }).push(input);
      } catch (error) {
        expect(error).toBeInstanceOf(ChannelViolation);
      }
      expect(payloads).toBeLessThanOrEqual(input.length);
    }
  });
});

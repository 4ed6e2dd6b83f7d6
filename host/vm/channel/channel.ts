// The guest channel: many streams over one serial port. No stream waits for another: each has credit of its own, and turns are taken.
import type { Socket } from 'node:net';
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
  HELLO,
  LANE_ERROR,
  OPEN,
  PAYLOAD_MAX,
  WINDOW,
  WINDOW_BYTES,
} from './protocol.ts';
import { errnoCode } from './errno.ts';
import { ChannelStream } from './stream.ts';

export interface Channel {
  /** Resolves at the guest's greeting; rejects where another comes, or none. */
  readonly ready: Promise<void>;
  /** Resolves when the channel is closed: with what the guest did wrong, if that was why. */
  readonly closed: Promise<ChannelViolation | undefined>;
  /** Asks for a service: its name and arguments. Use `opened` of the stream to know whether it worked. */
  open(words: string[], options?: { allowHalfOpen?: boolean }): ChannelStream;
  close(): void;
}

/** What may wait in this process for the port: more would only let urgent frames queue behind it. */
const PORT_BUFFER = 2 * PAYLOAD_MAX;
const CREDIT_MAX = 2 ** 31;

interface Entry {
  stream: ChannelStream;
  /** What the guest takes. */
  credit: number;
  /** What the guest may still send. */
  granted: number;
  opened: boolean;
  /** What was asked for, for the words of a failure. */
  words: string;
  /** We have said that it is over; the guest answers. */
  closing: boolean;
}

export function createChannel(port: Socket): Channel {
  const entries = new Map<number, Entry>();
  /** Streams that want to send, in the order of their turns. */
  const turns = new Set<number>();
  /** Frames that carry no data, sent before all that do. */
  const urgent: Uint8Array[] = [];
  let last = 0;
  let greeted = false;
  let violation: ChannelViolation | undefined;
  let settleReady: { resolve(): void; reject(error: Error): void };
  const ready = new Promise<void>((resolve, reject) => {
    settleReady = { resolve, reject };
  });
  ready.catch(() => {});

  const pump = (): void => {
    if (!port.writable) return;
    for (const frame of urgent.splice(0)) port.write(frame);
    for (const id of turns) {
      if (port.writableLength >= PORT_BUFFER) return;
      const entry = entries.get(id)!;
      turns.delete(id);
      const most = Math.min(entry.credit, PAYLOAD_MAX, entry.stream.wanting);
      if (most === 0) continue; // Woken by the guest's next WINDOW, or by the next write.
      entry.credit -= most;
      port.write(encodeChannelFrame(id, DATA, entry.stream.takeOut(most)));
      if (entry.stream.wanting > 0) turns.add(id); // Behind all others.
    }
  };

  const sendUrgently = (frame: Uint8Array): void => {
    urgent.push(frame);
    pump();
  };

  const forget = (id: number, entry: Entry, status: number | undefined, failure?: Error): void => {
    entries.delete(id);
    turns.delete(id);
    entry.stream.closedByGuest(status, failure);
  };

  const refuse = (words: string, status: number): Error =>
    Object.assign(new Error(`the guest does not open "${words}": ${errnoCode(status)}`), { code: errnoCode(status) });

  const take = ({ stream: id, type, lane, payload }: ChannelFrame): void => {
    if (type === HELLO) {
      greet(payload);
      return;
    }
    if (!greeted) throw new ChannelViolation('a frame came before the greeting');
    const entry = entries.get(id);
    if (entry === undefined) throw new ChannelViolation(`a frame for stream ${id}, which is not open`);
    if (type === DATA) {
      if (payload.length > entry.granted) throw new ChannelViolation(`stream ${id} sends more than was granted`);
      if (!entry.opened) throw new ChannelViolation(`stream ${id} sends before it is open`);
      entry.granted -= payload.length;
      if (entry.closing) return; // Sent before it heard of that.
      if (lane === LANE_ERROR) entry.stream.complained(payload);
      else entry.stream.arrived(payload);
    } else if (type === WINDOW) {
      entry.credit += readNumber(payload);
      if (entry.credit >= CREDIT_MAX) throw new ChannelViolation(`stream ${id} grants more than there is`);
      if (!entry.opened) entry.stream.openedByGuest();
      entry.opened = true;
      if (entry.stream.wanting > 0) turns.add(id);
      pump();
    } else if (type === END) {
      if (!entry.closing) entry.stream.endedByGuest();
    } else {
      const status = readNumber(payload);
      forget(id, entry, status, entry.opened ? undefined : refuse(entry.words, status));
    }
  };

  const greet = (payload: Uint8Array): void => {
    const text = Buffer.from(payload);
    const version = text.readUInt32LE(CHANNEL_MAGIC.length);
    if (greeted || text.toString('latin1', 0, CHANNEL_MAGIC.length) !== CHANNEL_MAGIC)
      throw new ChannelViolation('the greeting is another one');
    if (version !== CHANNEL_VERSION)
      throw new ChannelViolation(`the guest speaks version ${version} of the channel, not ${CHANNEL_VERSION}`);
    greeted = true;
    const now = Buffer.alloc(8);
    now.writeBigUInt64LE(BigInt(Date.now()) * 1_000_000n);
    sendUrgently(encodeChannelFrame(0, HELLO, now));
    settleReady.resolve();
  };

  const decoder = createChannelDecoder(take);
  port.on('data', (chunk: Buffer) => {
    if (violation !== undefined) return;
    try {
      decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof ChannelViolation)) throw error;
      violation = error;
      port.destroy();
    }
  });
  port.on('drain', pump);
  port.on('error', () => {});
  const closed = new Promise<ChannelViolation | undefined>((resolve) => {
    port.once('close', () => {
      const gone = (): Error =>
        Object.assign(new Error('the machine is gone', { cause: violation }), { code: 'ECONNRESET' });
      settleReady.reject(violation ?? gone());
      for (const [id, entry] of [...entries]) forget(id, entry, undefined, entry.opened ? undefined : gone());
      resolve(violation);
    });
  });

  return {
    ready,
    closed,
    open(given, options) {
      const id = ++last;
      const stream = new ChannelStream(
        {
          wake() {
            turns.add(id);
            pump();
          },
          grant(bytes) {
            const entry = entries.get(id);
            if (entry === undefined || entry.closing) return;
            entry.granted += bytes;
            sendUrgently(encodeNumber(id, WINDOW, bytes));
          },
          end: () => sendUrgently(encodeChannelFrame(id, END)),
          close() {
            const entry = entries.get(id);
            if (entry === undefined || entry.closing) return;
            entry.closing = true;
            turns.delete(id);
            sendUrgently(encodeChannelFrame(id, CLOSE));
          },
        },
        options,
      );
      const words = given.slice(0, 2).join(' ');
      const entry: Entry = { stream, words, credit: 0, granted: WINDOW_BYTES, opened: false, closing: false };
      if (port.writable) {
        entries.set(id, entry);
        sendUrgently(encodeChannelFrame(id, OPEN, Buffer.from(given.map((word) => `${word}\0`).join(''))));
      } else {
        const gone = Object.assign(new Error('the machine is gone'), { code: 'ECONNRESET' });
        process.nextTick(() => stream.closedByGuest(undefined, gone));
      }
      return stream;
    },
    close: () => void port.destroy(),
  };
}

function readNumber(payload: Uint8Array): number {
  return Buffer.from(payload.buffer, payload.byteOffset, 4).readUInt32LE();
}

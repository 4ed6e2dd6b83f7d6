// The guest channel: many streams over one serial port. No stream waits for another: each has credit of its own, and turns are taken.
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  CHANNEL_MAGIC,
  CHANNEL_VERSION,
  type ChannelFrame,
  ChannelViolation,
  CLOCK,
  CLOSE,
  createChannelDecoder,
  DATA,
  encodeChannelFrame,
  encodeGreeting,
  encodeNumber,
  encodeTime,
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

export interface StreamOptions {
  allowHalfOpen?: boolean;
  /** Open as long as the channel: nobody's use of it. */
  standing?: boolean;
}

export interface Channel {
  /** Resolves at the guest's greeting; rejects where another comes, or none. */
  readonly ready: Promise<void>;
  /** Resolves when the channel is closed: with what the guest did wrong, if that was why. */
  readonly closed: Promise<ChannelViolation | undefined>;
  /** Asks for a service: its name and arguments. Use `opened` of the stream to know whether it worked. */
  open(words: string[], options?: StreamOptions): ChannelStream;
  /** Tells the guest what time it is. */
  tellTime(): void;
  /** Streams that are open, and that were opened so far: whether anybody uses it. */
  readonly traffic: { streams: number; opened: number };
  close(): void;
}

const now = (): bigint => BigInt(Date.now()) * 1_000_000n;

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

/** @param takeover another host has spoken with this guest before. */
export function createChannel(port: Socket, { takeover = false } = {}): Channel {
  const nonce = randomBytes(8);
  const entries = new Map<number, Entry>();
  /** Streams that want to send, in the order of their turns. */
  const turns = new Set<number>();
  /** Frames that carry no data, sent before all that do. */
  const urgent: Uint8Array[] = [];
  let last = 0;
  /** Streams that are nobody's use of the channel. */
  let standing = 0;
  let greeted = false;
  let violation: ChannelViolation | undefined;
  let settleReady: { resolve(): void; reject(error: Error): void };
  const ready = new Promise<void>((resolve, reject) => {
    settleReady = { resolve, reject };
  });
  ready.catch(() => {});

  const pump = (): void => {
    if (!port.writable || !greeted) return; // What is asked for before the greeting is sent with it.
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
    if (!text.subarray(CHANNEL_MAGIC.length + 4).equals(nonce))
      throw new ChannelViolation('the greeting answers another one');
    greeted = true;
    pump();
    settleReady.resolve();
  };

  port.write(encodeGreeting(nonce, randomBytes(32), now(), takeover));
  const decoder = createChannelDecoder(take, takeover ? nonce : undefined);
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
      if (options?.standing === true && port.writable) standing++;
      if (port.writable) {
        entries.set(id, entry);
        sendUrgently(encodeChannelFrame(id, OPEN, Buffer.from(given.map((word) => `${word}\0`).join(''))));
      } else {
        const gone = Object.assign(new Error('the machine is gone'), { code: 'ECONNRESET' });
        process.nextTick(() => stream.closedByGuest(undefined, gone));
      }
      return stream;
    },
    tellTime() {
      if (greeted) sendUrgently(encodeChannelFrame(0, CLOCK, encodeTime(now())));
    },
    get traffic() {
      return { streams: entries.size - standing, opened: last };
    },
    close: () => void port.destroy(),
  };
}

function readNumber(payload: Uint8Array): number {
  return Buffer.from(payload.buffer, payload.byteOffset, 4).readUInt32LE();
}

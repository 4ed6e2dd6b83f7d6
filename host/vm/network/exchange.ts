// Datagrams to a container and back: a stream of the channel for each client of a published UDP port.
import type { DatagramLink } from '../../machine.ts';
import type { Channel } from '../channel/channel.ts';
import type { ChannelStream } from '../channel/stream.ts';
import { createSplitter } from './records.ts';

/** Datagrams have their length in front, as the guest's "udp" has it. */
const LENGTH_BYTES = 2;
/** Datagrams that wait for the guest: later ones are dropped, as any network does. */
const WAITING_BYTES = 1 << 20;
const EARLY_MAX = 64;

export function exchangeDatagrams(
  channel: () => Promise<Channel>,
  place: string[],
  received: (data: Uint8Array) => void,
): DatagramLink {
  let stream: ChannelStream | undefined;
  let closed = false;
  const early: Uint8Array[] = [];
  const split = createSplitter(
    (bytes) => (bytes.length < LENGTH_BYTES ? undefined : LENGTH_BYTES + bytes.readUInt16LE(0)),
    (record) => received(Buffer.from(record.subarray(LENGTH_BYTES))),
  );
  const open = async (): Promise<void> => {
    const opened = (await channel()).open(['udp', ...place]);
    opened.on('error', () => {});
    opened.on('data', split);
    stream = opened;
    if (closed) opened.destroy();
    else for (const data of early.splice(0)) send(data);
  };
  const send = (data: Uint8Array): void => {
    if (stream === undefined && early.length < EARLY_MAX) early.push(data);
    else if (stream?.destroyed === false && stream.writableLength < WAITING_BYTES) {
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt16LE(data.length);
      stream.write(Buffer.concat([length, data]));
    }
  };
  open().catch(() => {});
  return {
    send,
    close() {
      closed = true;
      stream?.destroy();
    },
  };
}

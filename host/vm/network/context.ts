// What the carriers of connections and of datagrams share.
import type { Channel } from '../channel/channel.ts';
import type { ChannelStream } from '../channel/stream.ts';
import type { Destinations } from './destinations.ts';

export interface Uplink {
  /** Whether the guest has IPv6. */
  ipv6: boolean;
  /** Whether the guest reaches services of this host, by the address that stands for it. */
  reachesHost: boolean;
  /** Answers a question for names as this host's own programs have it answered; undefined: nobody knows. */
  resolve(question: Uint8Array, tcp: boolean): Promise<Uint8Array | undefined>;
}

export interface RelayContext {
  channel: Channel;
  uplink: Uplink;
  destinations: Destinations;
}

/** Hands what comes to `take`; what no guest of ours sends ends its machine. */
export function takeRecords({ channel }: RelayContext, stream: ChannelStream, take: (chunk: Buffer) => void): void {
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => {
    try {
      take(chunk);
    } catch {
      channel.close();
    }
  });
}

// Datagrams that leave the guest: a connected socket for each pair of ends, as long as it is used. Connected, it takes answers of
// that one peer alone, and hears that nobody listens there.
import { createSocket, type Socket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import type { ChannelStream } from '../channel/stream.ts';
import { type Destination, errnoOf, isOwn } from './destinations.ts';
import { createSplitter, DATAGRAM_HEAD, type Datagram, encodeDatagram, readDatagram } from './records.ts';
import { type RelayContext, takeRecords } from './context.ts';

const IDLE_MS = 60_000;
/** At the same time; the one that was used the longest time ago goes first. */
const SOCKETS_MAX = 2048;
/** Datagrams that wait for their socket: later ones are dropped. */
const EARLY_MAX = 64;
/** What may wait for the guest: what comes beyond it is dropped, as any network does. */
const WAITING_BYTES = 1 << 20;

interface Conversation {
  socket: Socket | undefined;
  early: Uint8Array[];
  timer: NodeJS.Timeout;
  failed(error: NodeJS.ErrnoException): void;
}

export function carryDatagrams(context: RelayContext, stream: ChannelStream): void {
  const { channel, uplink, destinations } = context;
  const conversations = new Map<string, Conversation>();

  const reply = (head: Uint8Array, payload: Uint8Array, errno = 0): void => {
    if (!stream.destroyed && stream.writableLength < WAITING_BYTES) stream.write(encodeDatagram(head, payload, errno));
  };
  const end = (key: string): void => {
    const found = conversations.get(key);
    conversations.delete(key);
    clearTimeout(found?.timer);
    found?.socket?.close();
  };

  const begin = async (key: string, { head, target }: Datagram, conversation: Conversation): Promise<void> => {
    const destination = await destinations.of(target);
    if (destination.kind === 'names') return; // Never begun.
    const code = refusal(destination, uplink.reachesHost);
    if (code !== undefined) {
      reply(head, new Uint8Array(0), errnoOf(code));
      return end(key);
    }
    const host = destination.kind === 'host' ? '127.0.0.1' : target.address;
    const socket = createSocket(isIPv4(host) ? 'udp4' : 'udp6');
    const { failed } = conversation;
    socket.on('error', failed);
    socket.on('message', (data) => {
      conversation.timer.refresh();
      reply(head, data);
    });
    socket.connect(target.port, host, (error?: NodeJS.ErrnoException | null) => {
      if (error) {
        socket.close();
        return failed(error);
      }
      if (conversations.get(key) !== conversation) return socket.close();
      conversation.socket = socket;
      if (destination.kind === 'outside' && isOwn(host, socket.address().address))
        return failed(Object.assign(new Error('this host'), { code: 'EACCES' }));
      for (const payload of conversation.early.splice(0)) send(conversation, payload);
    });
  };

  const take = async (datagram: Datagram): Promise<void> => {
    const { head, target, payload } = datagram;
    if ((await destinations.of(target)).kind === 'names') {
      const found = await uplink.resolve(payload, false);
      if (found !== undefined) reply(head, found);
      return;
    }
    const key = Buffer.from(head.subarray(2)).toString('latin1');
    const known = conversations.get(key);
    if (known !== undefined) {
      conversations.delete(key);
      conversations.set(key, known); // The last in the order.
      known.timer.refresh();
      if (known.socket !== undefined) send(known, payload);
      else if (known.early.length < EARLY_MAX) known.early.push(payload);
      return;
    }
    for (const oldest of conversations.size >= SOCKETS_MAX ? conversations.keys() : []) {
      end(oldest);
      break;
    }
    const conversation: Conversation = {
      socket: undefined,
      early: [payload],
      timer: setTimeout(() => end(key), IDLE_MS).unref(),
      failed({ code }) {
        if (conversations.get(key) !== conversation) return;
        end(key);
        reply(head, new Uint8Array(0), errnoOf(code));
      },
    };
    conversations.set(key, conversation);
    await begin(key, datagram, conversation);
  };

  const split = createSplitter(
    (bytes) => (bytes.length < DATAGRAM_HEAD ? undefined : DATAGRAM_HEAD + bytes.readUInt16LE(0)),
    (record) => void take(readDatagram(record)!).catch(() => {}),
  );
  takeRecords(context, stream, split);
  void channel.closed.then(() => {
    for (const key of [...conversations.keys()]) end(key);
  });
}

function refusal(destination: Destination, reachesHost: boolean): string | undefined {
  if (destination.kind === 'refused') return destination.code;
  return destination.kind === 'host' && !reachesHost ? 'EACCES' : undefined;
}

/** That the peer refused an earlier datagram is told by the next one, or by the socket's "error". */
function send({ socket, failed }: Conversation, payload: Uint8Array): void {
  socket?.send(payload, (error) => error && failed(error));
}

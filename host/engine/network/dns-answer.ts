// A DNS question of a container → the answer from what its networks know, or whom to ask else.
import { type Answer, decode, encode, type Packet, type Question } from 'dns-packet';
import { addressOfPointer, lookUp, nameOfAddress } from './names.ts';
import type { Segment } from './segment.ts';

/** Seconds. Addresses of containers change when they are made anew. */
const TTL = 10;
const UDP_LEAST = 512;

const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4 } as const;
type Rcode = keyof typeof RCODE;

const RECURSION_DESIRED = 1 << 8;
const RECURSION_AVAILABLE = 1 << 7;
const TRUNCATED = 1 << 9;

export interface Asked {
  packet: Packet;
  question: Question;
}

/** Undefined where it is no question that could be answered; `refuse` then gives what is to be said. */
export function readQuestion(bytes: Uint8Array): Asked | undefined {
  try {
    const packet = decode(Buffer.from(bytes));
    const [question, ...more] = packet.questions ?? [];
    const opcode = (packet as { opcode?: string }).opcode ?? 'QUERY';
    if (packet.type !== 'query' || question === undefined || more.length > 0 || opcode !== 'QUERY') return undefined;
    return { packet, question };
  } catch {
    return undefined;
  }
}

/** To bytes that are no question: "format error" under their ID; nothing to answers and to what is no message. */
export function refuse(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 12 || (bytes[2]! & 0x80) !== 0) return new Uint8Array(0);
  const opcode = (bytes[2]! >> 3) & 15;
  return encodeReply({ packet: { id: (bytes[0]! << 8) | bytes[1]! } }, opcode === 0 ? 'FORMERR' : 'NOTIMP', []);
}

/** Who asks, and how. */
export interface Asker {
  /** The container's ID, and its networks. */
  id: string;
  visible: Segment[];
  tcp: boolean;
}

/** What the container's networks say; undefined: they do not know the name. */
export function answerLocally(asked: Asked, { id, visible, tcp }: Asker, turn: number): Uint8Array | undefined {
  const { name, type } = asked.question;
  if (type === 'PTR') {
    const address = addressOfPointer(name);
    if (address === undefined) return undefined;
    const { name: found, within } = nameOfAddress(address, visible);
    if (found !== undefined) return fit(asked, [{ name, type: 'PTR', ttl: TTL, data: found }], tcp);
    return within ? encodeReply(asked, 'NXDOMAIN', []) : undefined;
  }
  const found = lookUp(name, visible, id);
  if (found === undefined) return undefined;
  const addresses = type === 'A' ? found.ipv4 : type === 'AAAA' ? found.ipv6 : [];
  return fit(
    asked,
    rotate(addresses, turn).map((data): Answer => ({ name, type: type as 'A' | 'AAAA', ttl: TTL, data })),
    tcp,
  );
}

export function fail(asked: Asked): Uint8Array {
  return encodeReply(asked, 'SERVFAIL', []);
}

/** Every one is the first in its turn. */
function rotate<T>(list: T[], turn: number): T[] {
  const at = list.length === 0 ? 0 : turn % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

/** By UDP no more than the client takes; it asks by TCP then. */
function fit(asked: Asked, answers: Answer[], tcp: boolean): Uint8Array {
  const whole = encodeReply(asked, 'NOERROR', answers);
  const edns = asked.packet.additionals?.find(({ type }) => type === 'OPT') as { udpPayloadSize?: number } | undefined;
  if (tcp || whole.length <= Math.max(UDP_LEAST, edns?.udpPayloadSize ?? 0)) return whole;
  return encodeReply(asked, 'NOERROR', [], TRUNCATED);
}

function encodeReply(
  { packet, question }: { packet: Packet; question?: Question },
  rcode: Rcode,
  answers: Answer[],
  more = 0,
): Uint8Array {
  const edns = packet.additionals?.some(({ type }) => type === 'OPT') === true;
  return encode({
    type: 'response',
    id: packet.id ?? 0,
    flags: ((packet.flags ?? 0) & RECURSION_DESIRED) | RECURSION_AVAILABLE | more | RCODE[rcode],
    ...(question === undefined ? {} : { questions: [question] }),
    answers,
    ...(edns
      ? {
          additionals: [
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: 1232,
              extendedRcode: 0,
              ednsVersion: 0,
              flags: 0,
              flag_do: false,
              options: [],
            },
          ],
        }
      : {}),
  });
}

// Records between this process and the guest's relay; little-endian. vm-images/init/relay.c has the same ones.
import { isIPv4, SocketAddress } from 'node:net';
import { ChannelViolation } from '../channel/protocol.ts';

/** u32 flow, u8 family (4 or 6), three zeros, u16 port of the source and of the target, 16 bytes of address each. */
export const REQUEST_BYTES = 44;
/** u16 length, u8 family, u8 error (an errno), ports and addresses as above; then the payload. */
export const DATAGRAM_HEAD = 40;

export interface Place {
  address: string;
  port: number;
}

/** A connection that the guest wants. */
export interface FlowRequest {
  flow: number;
  target: Place;
}

/** A datagram from the guest; answers to it have the same head, but for length and error. */
export interface Datagram {
  head: Uint8Array;
  target: Place;
  payload: Uint8Array;
}

/** @throws {ChannelViolation} */
export function readRequest(bytes: Buffer): FlowRequest {
  const family = bytes.readUInt8(4);
  return {
    flow: bytes.readUInt32LE(0),
    target: { address: readAddress(bytes, family, 28), port: bytes.readUInt16LE(10) },
  };
}

/** Linux's number of the error. */
export function encodeRefusal(flow: number, errno: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(flow, 0);
  bytes.writeUInt32LE(errno, 4);
  return bytes;
}

/** Undefined where it is not whole yet. @throws {ChannelViolation} */
export function readDatagram(bytes: Buffer): Datagram | undefined {
  if (bytes.length < DATAGRAM_HEAD) return undefined;
  const end = DATAGRAM_HEAD + bytes.readUInt16LE(0);
  if (bytes.length < end) return undefined;
  const target = { address: readAddress(bytes, bytes.readUInt8(2), 24), port: bytes.readUInt16LE(6) };
  return {
    head: Buffer.from(bytes.subarray(0, DATAGRAM_HEAD)),
    target,
    payload: Buffer.from(bytes.subarray(DATAGRAM_HEAD, end)),
  };
}

export function encodeDatagram(head: Uint8Array, payload: Uint8Array, errno = 0): Uint8Array {
  const bytes = Buffer.allocUnsafe(DATAGRAM_HEAD + payload.length);
  bytes.set(head);
  bytes.writeUInt16LE(payload.length, 0);
  bytes.writeUInt8(errno, 3);
  bytes.set(payload, DATAGRAM_HEAD);
  return bytes;
}

function readAddress(bytes: Buffer, family: number, at: number): string {
  if (family === 4) return [...bytes.subarray(at, at + 4)].join('.');
  if (family !== 6) throw new ChannelViolation(`"${family}" is no family of addresses`);
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(at + 2 * index).toString(16));
  return canonical(groups.join(':'));
}

/** One spelling for each address: "::1", not "0:0:0:0:0:0:0:1". */
export function canonical(address: string): string {
  return new SocketAddress({ address, family: isIPv4(address) ? 'ipv4' : 'ipv6' }).address;
}

/** Calls back for each whole record of a stream. @param size of the record that begins there; undefined where that is not known yet. */
export function createSplitter(
  size: (bytes: Buffer) => number | undefined,
  take: (record: Buffer) => void,
): (chunk: Buffer) => void {
  let held: Buffer = Buffer.alloc(0);
  return (chunk) => {
    let bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    for (;;) {
      const length = size(bytes);
      if (length === undefined || bytes.length < length) break;
      take(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
    held = bytes;
  };
}

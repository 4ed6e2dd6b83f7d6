// Where the guest may go, and what it says of it.
import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { ChannelViolation } from '../../../host/vm/channel/protocol.ts';
import { createDestinations, errnoOf, HOST_ADDRESS } from '../../../host/vm/network/destinations.ts';
import {
  createSplitter,
  DATAGRAM_HEAD,
  encodeDatagram,
  encodeRefusal,
  readDatagram,
  readRequest,
  REQUEST_BYTES,
} from '../../../host/vm/network/records.ts';

describe('the guest', () => {
  const destinations = createDestinations();
  const kind = async (address: string, port = 80) => (await destinations.of({ address, port })).kind;

  it.each([
    '127.0.0.1',
    '127.8.8.8',
    '0.0.0.0',
    '169.254.169.254',
    '224.0.0.251',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    'fe80::1',
    'ff02::1',
    'fd67:616e:7472:794d::2',
  ])('does not reach %s', async (address) => {
    expect(await destinations.of({ address, port: 80 })).toEqual({ kind: 'refused', code: 'EACCES' });
  });

  it('does not reach any address of this host', async () => {
    for (const { address, scopeid } of Object.values(networkInterfaces()).flatMap((list) => list ?? []))
      if (!scopeid) expect([address, await kind(address)]).toEqual([address, 'refused']);
  });

  it('has names from this host, and is told of the host itself', async () => {
    expect(await kind(HOST_ADDRESS, 53)).toBe('names');
    expect(await kind('fd67:616e:7472:794d::1', 53)).toBe('names');
    expect(await kind(HOST_ADDRESS, 8080)).toBe('host');
  });

  it('is told what it can tell a program', () => {
    expect(['EACCES', 'ECONNREFUSED', 'ENETUNREACH', 'ETIMEDOUT', undefined].map(errnoOf)).toEqual([
      13, 111, 101, 113, 113,
    ]);
  });
});

describe('records of the relay', () => {
  const target = Buffer.from('20010db8000000000000000000000001', 'hex');

  it('name a connection that the guest wants', () => {
    const record = Buffer.alloc(REQUEST_BYTES);
    record.writeUInt32LE(7, 0);
    record.writeUInt8(6, 4);
    record.writeUInt16LE(40000, 8);
    record.writeUInt16LE(443, 10);
    record.set(target, 28);
    expect(readRequest(record)).toEqual({ flow: 7, target: { address: '2001:db8::1', port: 443 } });
    record.writeUInt8(5, 4);
    expect(() => readRequest(record)).toThrow(ChannelViolation);
    expect([...encodeRefusal(7, 111)]).toEqual([7, 0, 0, 0, 111, 0, 0, 0]);
  });

  it('carry datagrams, whose answers have the same head', () => {
    const record = Buffer.alloc(DATAGRAM_HEAD + 3);
    record.writeUInt16LE(3, 0);
    record.writeUInt8(4, 2);
    record.writeUInt16LE(53, 6);
    record.set([192, 0, 2, 1], 24);
    record.write('abc', DATAGRAM_HEAD);
    expect(readDatagram(record.subarray(0, -1))).toBeUndefined();
    const { head, target: to, payload } = readDatagram(record)!;
    expect([to, Buffer.from(payload).toString()]).toEqual([{ address: '192.0.2.1', port: 53 }, 'abc']);
    const answer = Buffer.from(encodeDatagram(head, Buffer.from('longer'), 111));
    expect([answer.readUInt16LE(0), answer.readUInt8(3), answer.toString('latin1', DATAGRAM_HEAD)]).toEqual([
      6,
      111,
      'longer',
    ]);
    expect(answer.subarray(4, DATAGRAM_HEAD)).toEqual(record.subarray(4, DATAGRAM_HEAD));
  });

  it('are taken whole, however they come', () => {
    const text = Buffer.from('\x02ab\x00\x03xyz');
    for (let size = 1; size <= text.length; size++) {
      const taken: string[] = [];
      const split = createSplitter(
        (bytes) => (bytes.length < 1 ? undefined : 1 + bytes[0]!),
        (record) => taken.push(record.toString('latin1', 1)),
      );
      for (let at = 0; at < text.length; at += size) split(text.subarray(at, at + size));
      expect(taken).toEqual(['ab', '', 'xyz']);
    }
  });
});

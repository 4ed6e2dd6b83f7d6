// Where the guest may go: everywhere that is not this host itself.
import { createSocket } from 'node:dgram';
import { BlockList, isIPv4 } from 'node:net';
import { canonical, type Place } from './records.ts';

/** Where the guest meets this host; on its own end of the uplink nobody else is. */
export const HOST_ADDRESS = '169.254.77.1';
const HOST_ADDRESS_6 = 'fd67:616e:7472:794d::1';
const DNS_PORT = 53;

export type Destination =
  /** Elsewhere. */
  | { kind: 'outside' }
  /** Questions for names, answered here. */
  | { kind: 'names' }
  /** This host, by the address that stands for it. */
  | { kind: 'host' }
  /** `code` of the error to be told: EACCES where it is this host by another name, or what the system says. */
  | { kind: 'refused'; code: string };

/** Never leads beyond this host or its links. A list for each family: BlockList takes IPv4 addresses for mapped IPv6 ones. */
const closed4 = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  closed4.addSubnet(network, prefix, 'ipv4');
const closed6 = new BlockList();
for (const [network, prefix] of [
  ['::', 96],
  ['::ffff:0:0', 96],
  ['fe80::', 10],
  ['ff00::', 8],
  ['fd67:616e:7472:794d::', 64],
] as const)
  closed6.addSubnet(network, prefix, 'ipv6');

/** How long it is believed what the host's routes said. */
const KNOWN_MS = 1000;
const KNOWN_MAX = 4096;

export interface Destinations {
  of(place: Place): Promise<Destination>;
}

export function createDestinations(): Destinations {
  const known = new Map<string, { until: number; found: Promise<Destination> }>();
  return {
    async of({ address, port }) {
      if (address === HOST_ADDRESS || address === HOST_ADDRESS_6)
        return port === DNS_PORT ? { kind: 'names' } : { kind: 'host' };
      if (isIPv4(address) ? closed4.check(address, 'ipv4') : closed6.check(address, 'ipv6'))
        return { kind: 'refused', code: 'EACCES' };
      const now = performance.now();
      const before = known.get(address);
      if (before !== undefined && before.until > now) return before.found;
      if (known.size >= KNOWN_MAX) known.clear();
      const found = askRoutes(address);
      known.set(address, { until: now + KNOWN_MS, found });
      return found;
    },
  };
}

/**
 * The address from which this host would speak to another: its own where that other is itself, whatever interface has it and
 * whether or not that is up. Connecting a UDP socket asks the routes and sends nothing.
 */
async function askRoutes(address: string): Promise<Destination> {
  const socket = createSocket(isIPv4(address) ? 'udp4' : 'udp6');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      // The types do not say that an address that cannot be reached is told to the callback.
      socket.connect(9, address, (error?: Error | null) => (error ? reject(error) : resolve()));
    });
    return isOwn(address, socket.address().address) ? { kind: 'refused', code: 'EACCES' } : { kind: 'outside' };
  } catch (error) {
    return { kind: 'refused', code: (error as NodeJS.ErrnoException).code ?? 'EHOSTUNREACH' };
  } finally {
    socket.close();
  }
}

/** @param from the address of our own end. */
export function isOwn(address: string, from: string): boolean {
  const own = canonical(from.replace(/%.*$/, ''));
  return own === address || own === '::1' || own.startsWith('127.');
}

/** Linux's numbers of what a connection may fail with; the guest makes of all others that the host cannot be reached. */
const numbers: Record<string, number> = { EACCES: 13, EPERM: 13, ENETUNREACH: 101, ECONNREFUSED: 111 };
const EHOSTUNREACH = 113;

export function errnoOf(code: string | undefined): number {
  return numbers[code ?? ''] ?? EHOSTUNREACH;
}

// Whether containers get IPv6, and what forwarding it must not take from the host.
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { GantryError } from '../../errors.ts';

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/**
 * GANTRY_IPV6 "on" or "off" decides; else it is on where the host itself has IPv6: an address beyond its own link, on an
 * interface that is no bridge of gantry's.
 */
export function wantsIPv6(setting = process.env.GANTRY_IPV6 ?? ''): boolean {
  if (!['', 'auto', 'on', 'off'].includes(setting))
    throw new GantryError('INVALID_ARGUMENT', `Cannot read GANTRY_IPV6 "${setting}"`, { hint: 'on, off or auto' });
  if (setting === 'off' || readOr('/proc/sys/net/ipv6/conf/default/disable_ipv6').trim() !== '0') return false;
  if (setting === 'on') return true;
  return Object.entries(networkInterfaces())
    .filter(([name]) => !name.startsWith('gantry'))
    .flatMap(([, list]) => list ?? [])
    .some(({ family, internal, scopeid }) => family === 'IPv6' && !internal && scopeid === 0);
}

const RTF_ADDRCONF = 0x40000;

/** Interfaces whose default route a router announced (proc(5), net/ipv6_route) and that would lose it by forwarding. */
export function announcedInterfaces(routes = readOr('/proc/net/ipv6_route')): string[] {
  const names = routes
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([network, length, , , , , , , flags]) =>
        /^0+$/.test(network ?? '') && length === '00' && (Number.parseInt(flags ?? '0', 16) & RTF_ADDRCONF) !== 0,
    )
    .map((columns) => columns[9]!);
  return [...new Set(names)].filter((name) => readOr(`/proc/sys/net/ipv6/conf/${name}/accept_ra`).trim() === '1');
}

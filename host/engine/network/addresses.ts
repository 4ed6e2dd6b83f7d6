// Arithmetic of bridge networks: a free subnet of this host, a free address of a subnet, the IPv6 twin of an address.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';

/** Docker's pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 on. */
const pools: [string, number][] = [
  ...Array.from({ length: 15 }, (_, index): [string, number] => [`172.${17 + index}.0.0`, 16]),
  ...Array.from({ length: 16 }, (_, index): [string, number] => [`192.168.${index * 16}.0`, 20]),
];

export interface Subnet {
  /** Network address. */
  base: number;
  prefixLength: number;
}

export function toNumber(address: string): number {
  return address.split('.').reduce((value, part) => value * 256 + Number(part), 0);
}

export function toText(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

export function parseSubnet(text: string): Subnet {
  const [address = '', length = '32'] = text.split('/');
  const prefixLength = Number(length);
  const size = 2 ** (32 - prefixLength);
  return { base: Math.floor(toNumber(address) / size) * size, prefixLength };
}

function sizeOf({ prefixLength }: Subnet): number {
  return 2 ** (32 - prefixLength);
}

function overlaps(a: Subnet, b: Subnet): boolean {
  return a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);
}

/** Networks that this host has a route to, the default route left out: /proc/net/route, numbers in network order. */
export function readRoutes(text: string): Subnet[] {
  const swap = (hex: string): number => Number.parseInt(hex.match(/../g)?.reverse().join('') ?? '0', 16);
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/))
    .filter((columns) => columns.length > 7)
    .map((columns) => ({
      base: swap(columns[1]!),
      prefixLength: swap(columns[7]!).toString(2).replace(/0/g, '').length,
    }))
    .filter(({ prefixLength }) => prefixLength > 0);
}

function usedSubnets(): Subnet[] {
  const own = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family, cidr }) => family === 'IPv4' && cidr !== null)
    .map(({ cidr }) => parseSubnet(cidr!));
  try {
    return [...own, ...readRoutes(readFileSync('/proc/net/route', 'utf8'))];
  } catch {
    return own;
  }
}

/** The first pool that no interface and no route of this host overlaps, and none of `taken`. */
export function freeSubnet(taken: Subnet[] = []): Subnet | undefined {
  const used = [...taken, ...usedSubnets()];
  const found = pools.find(
    ([address, prefixLength]) => !used.some((other) => overlaps({ base: toNumber(address), prefixLength }, other)),
  );
  return found === undefined ? undefined : { base: toNumber(found[0]), prefixLength: found[1] };
}

/** The first address behind the gateway (.1) that is not taken; the broadcast address is left out. */
export function freeAddress(subnet: Subnet, taken: Set<number>, from = subnet.base + 2): number | undefined {
  const last = subnet.base + sizeOf(subnet) - 2;
  for (let address = Math.max(from, subnet.base + 2); address <= last; address++)
    if (!taken.has(address)) return address;
  for (let address = subnet.base + 2; address < from; address++) if (!taken.has(address)) return address;
  return undefined;
}

/** An address that a container can have: not the network's own, its gateway's or its broadcast address. */
export function isUsable(subnet: Subnet, address: number): boolean {
  return address > subnet.base + 1 && address < subnet.base + sizeOf(subnet) - 1;
}

/** A unique local network of 64 bits (RFC 4193): "fd12:3456:789a::". */
export function newPrefix6(): string {
  const [first, ...rest] = randomBytes(6).toString('hex').match(/..../g)!;
  return `fd${first!.slice(2)}:${rest.map((group) => group.replace(/^0{1,3}/, '')).join(':')}::`;
}

/** The address of a container in the IPv6 network: the same number in it as in the IPv4 one. */
export function twin6(prefix6: string, subnet: Subnet, address: number): string {
  return canonical6(`${prefix6}${(address - subnet.base).toString(16)}`);
}

/** The number in the IPv4 network whose twin this address is; undefined where it is none. */
export function numberOfTwin(prefix6: string, subnet: Subnet, address6: string): number | undefined {
  const rest = address6.startsWith(prefix6) ? address6.slice(prefix6.length) : '';
  return /^[0-9a-f]{1,4}$/.test(rest) ? subnet.base + Number.parseInt(rest, 16) : undefined;
}

/** RFC 5952; the text itself where it is no IPv6 address. */
export function canonical6(address: string): string {
  return isIPv6(address) && !address.includes('%') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

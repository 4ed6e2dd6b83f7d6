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

export function overlaps(a: Subnet, b: Subnet): boolean {
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

/** Addresses of a range that containers can have: inside the subnet, not its own nor the one for all in it. */
function bounds(subnet: Subnet, range: Subnet): [number, number] {
  return [
    Math.max(range.base, subnet.base + 1),
    Math.min(range.base + sizeOf(range) - 1, subnet.base + sizeOf(subnet) - 2),
  ];
}

/** The next address of the range that is not taken, from `from` on and around. */
export function freeAddress(subnet: Subnet, taken: Set<number>, from = 0, range = subnet): number | undefined {
  const [first, last] = bounds(subnet, range);
  const start = from < first || from > last ? first : from;
  for (let address = start; address <= last; address++) if (!taken.has(address)) return address;
  for (let address = first; address < start; address++) if (!taken.has(address)) return address;
  return undefined;
}

export function contains(subnet: Subnet, address: number): boolean {
  return address >= subnet.base && address < subnet.base + sizeOf(subnet);
}

/** An address that a container can have: not the network's own or its broadcast address. */
export function isUsable(subnet: Subnet, address: number): boolean {
  const [first, last] = bounds(subnet, subnet);
  return address >= first && address <= last;
}

export interface Subnet6 {
  base: bigint;
  prefixLength: number;
}

/** A unique local network of 64 bits (RFC 4193): "fd12:3456:789a::/64". */
export function newSubnet6(): string {
  const [first, ...rest] = randomBytes(6).toString('hex').match(/..../g)!;
  return `${canonical6(`fd${first!.slice(2)}:${rest.join(':')}::`)}/64`;
}

export function toNumber6(address: string): bigint {
  const [head = '', tail] = canonical6(address).split('::');
  const groups = (text = ''): string[] => (text === '' ? [] : text.split(':'));
  const missing = 8 - groups(head).length - groups(tail).length;
  const all = [
    ...groups(head),
    ...Array.from({ length: tail === undefined ? 0 : missing }, () => '0'),
    ...groups(tail),
  ];
  return all.reduce((value, group) => (value << 16n) | BigInt(Number.parseInt(group, 16)), 0n);
}

export function toText6(value: bigint): string {
  const hex = value.toString(16).padStart(32, '0').match(/..../g)!;
  return canonical6(hex.join(':'));
}

export function parseSubnet6(text: string): Subnet6 {
  const [address = '', length = '128'] = text.split('/');
  const size = 1n << BigInt(128 - Number(length));
  return { base: (toNumber6(address) / size) * size, prefixLength: Number(length) };
}

export function contains6({ base, prefixLength }: Subnet6, address: bigint): boolean {
  return address >= base && address < base + (1n << BigInt(128 - prefixLength));
}

export function overlaps6(a: Subnet6, b: Subnet6): boolean {
  return contains6(a, b.base) || contains6(b, a.base);
}

/** RFC 5952; the text itself where it is no IPv6 address. */
export function canonical6(address: string): string {
  return isIPv6(address) && !address.includes('%') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

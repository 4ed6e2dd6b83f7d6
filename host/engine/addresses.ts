// IPv4 arithmetic of bridge networks: a free subnet of this host, a free address of a subnet.
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

function overlaps(a: Subnet, b: Subnet): boolean {
  const size = (subnet: Subnet): number => 2 ** (32 - subnet.prefixLength);
  return a.base < b.base + size(b) && b.base < a.base + size(a);
}

/** The first pool that no interface of this host and no `taken` subnet overlaps. */
export function freeSubnet(taken: Subnet[]): Subnet | undefined {
  const own = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family, cidr }) => family === 'IPv4' && cidr !== null);
  const used = [...taken, ...own.map(({ cidr }) => parseSubnet(cidr!))];
  const found = pools.find(
    ([address, prefixLength]) => !used.some((other) => overlaps({ base: toNumber(address), prefixLength }, other)),
  );
  return found === undefined ? undefined : { base: toNumber(found[0]), prefixLength: found[1] };
}

/** The first address behind the gateway (.1) that is not taken; the broadcast address is left out. */
export function freeAddress({ base, prefixLength }: Subnet, taken: Set<number>, from = base + 2): number | undefined {
  const last = base + 2 ** (32 - prefixLength) - 2;
  for (let address = Math.max(from, base + 2); address <= last; address++) if (!taken.has(address)) return address;
  for (let address = base + 2; address < from; address++) if (!taken.has(address)) return address;
  return undefined;
}

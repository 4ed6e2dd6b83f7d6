// Names of containers as others in their user-defined networks see them. Pure.
import { isIPv4, isIPv6 } from 'node:net';
import type { ContainerRecord } from '../record.ts';
import { canonical6, contains, contains6, parseSubnet, parseSubnet6, toNumber, toNumber6 } from './addresses.ts';
import { linkTarget } from './links.ts';
import type { Segment } from './segment.ts';

/** Docker's: the container's name, its aliases there, the beginning of its ID, its host name. */
export function dnsNames({ name, id, config }: ContainerRecord, network: string): string[] {
  const aliases = config.host.networks?.[network]?.aliases ?? [];
  return [...new Set([name, ...aliases, id.slice(0, 12), config.hostname || id.slice(0, 12)])];
}

/** The user-defined networks that a container is in: what it may know. */
export function visibleTo(id: string, segments: Segment[]): Segment[] {
  return segments.filter(({ record, members }) => record !== undefined && members.has(id));
}

export interface Found {
  ipv4: string[];
  ipv6: string[];
}

/**
 * "db", or "db.backend" with the network's name, in any case; of several networks the first that knows it. What `asker`, a
 * container's ID, is linked to comes first.
 */
export function lookUp(name: string, visible: Segment[], asker = ''): Found | undefined {
  for (const segment of visible) {
    const own = segment.members.get(asker)?.record;
    const target = own && linkTarget(own, segment.name, shortName(name, segment));
    const found = target && lookUp(target, [segment]);
    if (found) return found;
  }
  const wanted = name.toLowerCase();
  for (const segment of visible) {
    const short = shortName(wanted, segment);
    const endpoints = [...segment.members.values()]
      .filter(({ record }) =>
        dnsNames(record, segment.name).some((known) => [wanted, short].includes(known.toLowerCase())),
      )
      .map(({ endpoint }) => endpoint);
    if (endpoints.length > 0)
      return {
        ipv4: endpoints.map(({ ipv4 }) => ipv4),
        ipv6: endpoints.map(({ ipv6 }) => ipv6).filter(Boolean),
      };
  }
  return undefined;
}

/** Without the network's name at its end. */
function shortName(name: string, { name: network }: Segment): string {
  const suffix = `.${network}`.toLowerCase();
  return name.toLowerCase().endsWith(suffix) ? name.slice(0, -suffix.length) : name;
}

/** The address that a name below in-addr.arpa or ip6.arpa stands for. */
export function addressOfPointer(name: string): string | undefined {
  const [, four] = /^((?:\d{1,3}\.){4})in-addr\.arpa$/i.exec(name) ?? [];
  if (four !== undefined) {
    const address = four.split('.').slice(0, 4).reverse().join('.');
    return isIPv4(address) ? address : undefined;
  }
  const [, six] = /^((?:[0-9a-f]\.){32})ip6\.arpa$/i.exec(name) ?? [];
  const groups = six?.split('.').slice(0, 32).reverse().join('').match(/..../g);
  return groups ? canonical6(groups.join(':')) : undefined;
}

/** Whose address it is: "db.backend"; "none" where it is one of these networks', and nobody has it. */
export function nameOfAddress(address: string, visible: Segment[]): { name?: string; within: boolean } {
  for (const segment of visible)
    for (const { record, endpoint } of segment.members.values())
      if (endpoint.ipv4 === address || endpoint.ipv6 === address)
        return { name: `${record.name}.${segment.name}`, within: true };
  const within = visible.some(({ record }) =>
    isIPv6(address)
      ? record?.six !== undefined && contains6(parseSubnet6(record.six.subnet), toNumber6(address))
      : record !== undefined && contains(parseSubnet(record.four.subnet), toNumber(address)),
  );
  return { within };
}

// Which published ports the kernel carries, and to where: pure.
import { isIPv4 } from 'node:net';
import type { PlanFirewall, PlanPort } from '../../plan-types.ts';
import type { PortBinding } from '../../types.ts';
import type { ContainerRecord, Endpoint } from '../record.ts';

type Target = Pick<Endpoint, 'ipv4' | 'ipv6'>;

/** Every address of a family is written as none. */
function wildcard(hostIp: string): boolean {
  return hostIp === '' || hostIp === '0.0.0.0' || hostIp === '::';
}

/**
 * Elements for these bindings. Left to the engine: ::1, which cannot leave lo; link-local addresses; IPv6 where the container
 * has none.
 */
export function carriedPorts(bindings: PortBinding[], { ipv4, ipv6 }: Target, owner: string): PlanPort[] {
  return bindings.flatMap(({ hostIp, hostPort, protocol, containerPort }) => {
    if (protocol === 'sctp') return [];
    const port = {
      owner: owner.slice(0, 12),
      hostIp: wildcard(hostIp) ? '' : hostIp,
      hostPort,
      protocol,
      containerPort,
    };
    const four = hostIp === '' || isIPv4(hostIp) ? [{ ...port, address: ipv4 }] : [];
    const six = hostIp === '' || (!isIPv4(hostIp) && !/^(::1$|fe[89ab])/i.test(hostIp));
    return [...four, ...(six && ipv6 !== '' ? [{ ...port, address: ipv6 }] : [])];
  });
}

/** What tear-down removes for a container as it is recorded; undefined where it is in no bridge. */
export function firewallOf(
  { id, endpoints, ports, publishedBy }: ContainerRecord,
  table: string,
): PlanFirewall | undefined {
  const endpoint = endpoints[publishedBy ?? ''];
  if (endpoint === undefined || ports.length === 0) return undefined;
  return { table, ports: carriedPorts(ports, endpoint, id) };
}

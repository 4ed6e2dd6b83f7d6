// What of a container's network options can be carried out together: refused at creation, in docker's words.
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { GantryError } from '../../errors.ts';
import type { ContainerConfig } from '../../types.ts';
import { readExtraHost } from './network-files.ts';

/** @param hostname as it was asked for: the engine gives one where there is none. @throws {GantryError} INVALID_ARGUMENT. */
export function checkNetworkOptions({ host, domainname }: ContainerConfig, hostname: string): void {
  const { networkMode, dns, extraHosts, macAddress, ipv4Address, ipv6Address } = host;
  for (const entry of extraHosts) readExtraHost(entry);
  const notServer = dns.find((server) => isIP(server) === 0);
  if (notServer !== undefined) refuse(notServer, '--dns takes IP addresses');
  const unbound = host.ports.find(({ hostIp }) => hostIp !== '' && isIP(hostIp) === 0);
  if (unbound !== undefined) refuse(unbound.hostIp, 'Publish on an IP address of this host: -p 127.0.0.1:8080:80');
  if (networkMode.startsWith('container:')) {
    if (hostname !== '' || domainname !== '') conflict('hostname and the network mode');
    if (dns.length > 0) conflict('dns and the network mode');
    if (extraHosts.length > 0) conflict('custom host-to-IP mapping and the network mode');
    if (host.ports.length > 0 || host.publishAllPorts) conflict('port publishing and the container type network mode');
  }
  if (networkMode !== 'bridge') {
    if (macAddress) conflict('mac-address and the network mode');
    if (ipv4Address || ipv6Address) conflict('ip and the network mode');
    return;
  }
  if (ipv4Address && !isIPv4(ipv4Address)) refuse(ipv4Address, '--ip takes an IPv4 address');
  if (ipv6Address && !isIPv6(ipv6Address)) refuse(ipv6Address, '--ip6 takes an IPv6 address');
  if (macAddress) checkMac(macAddress);
}

function conflict(what: string): never {
  throw new GantryError('INVALID_ARGUMENT', `Conflicting options: ${what}`);
}

function refuse(address: string, hint: string): never {
  throw new GantryError('INVALID_ARGUMENT', `Invalid IP address: ${address}`, { hint });
}

/** Six bytes, not the address of a group: the first byte's lowest bit. */
function checkMac(text: string): void {
  const valid = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text);
  if (!valid || (Number.parseInt(text.slice(0, 2), 16) & 1) !== 0 || /^(00:){5}00$/.test(text))
    throw new GantryError('INVALID_ARGUMENT', `Invalid MAC address: ${text}`, {
      hint: 'Six bytes such as 02:42:ac:11:00:02, the first one even',
    });
}

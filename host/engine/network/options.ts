// What of a container's network options can be carried out together: refused at creation, in docker's words.
import { isIP, isIPv4, isIPv6 } from 'node:net';
import type { HostPlace } from '../../backend.ts';
import { GantryError } from '../../errors.ts';
import type { ContainerConfig, EndpointConfig, HostConfig } from '../../types.ts';
import { readLink } from './links.ts';
import { HOST_GATEWAY, readExtraHost } from './network-files.ts';
import type { NetworkEntry } from './registry.ts';

/** Containers in a virtual machine whose user has not let them reach the host. @throws {GantryError} UNSUPPORTED. */
export function checkHostPlace({ host }: ContainerConfig, place: HostPlace | undefined): void {
  if (place === undefined || place.gateway !== undefined) return;
  const entry = host.extraHosts.find((text) => readExtraHost(text).address === HOST_GATEWAY);
  if (entry === undefined) return;
  throw new GantryError(
    'UNSUPPORTED',
    `Cannot add the host "${entry}": containers in the virtual machine do not reach services of this host`,
    {
      hint: 'Start the engine with GANTRY_VM_HOST_GATEWAY=on: every container can then reach what listens on localhost',
    },
  );
}

/** @param hostname as it was asked for: the engine gives one where there is none. @throws {GantryError} INVALID_ARGUMENT. */
export function checkNetworkOptions({ host, domainname }: ContainerConfig, hostname: string): void {
  const { networkMode, dns, extraHosts, networks = {} } = host;
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
  for (const [name, endpoint] of Object.entries(networks)) checkEndpoint(name, endpoint, sharesOrNone(networkMode));
}

function sharesOrNone(mode: string): boolean {
  return mode === 'host' || mode === 'none' || mode.startsWith('container:');
}

/** @param modeAlone the container is in no bridge network: nothing can be asked of one. */
export function checkEndpoint(name: string, endpoint: EndpointConfig, modeAlone = false): void {
  const { aliases, macAddress, ipv4Address, ipv6Address } = endpoint;
  if (modeAlone) {
    if (macAddress) conflict('mac-address and the network mode');
    if (ipv4Address || ipv6Address) conflict('ip and the network mode');
  }
  if (aliases.length > 0 && (modeAlone || name === 'bridge' || name === 'default'))
    throw new GantryError('INVALID_ARGUMENT', 'Network-scoped aliases are only supported for user-defined networks', {
      hint: 'Make one: gantry network create',
    });
  const bad = aliases.find((alias) => alias === '' || /\s/.test(alias));
  if (bad !== undefined) throw new GantryError('INVALID_ARGUMENT', `Invalid network alias: "${bad}"`);
  for (const link of endpoint.links ?? []) readLink(link);
  if (ipv4Address && !isIPv4(ipv4Address)) refuse(ipv4Address, '--ip takes an IPv4 address');
  if (ipv6Address && !isIPv6(ipv6Address)) refuse(ipv6Address, '--ip6 takes an IPv6 address');
  if (macAddress) checkMac(macAddress);
}

/**
 * Names of networks as the engine keeps them, and every network that the container is to be in. One that is not there is
 * refused at the start, as by docker: its client takes what is not found at the creation for the image.
 * @param known a network by name, ID or beginning of an ID. @throws {GantryError} INVALID_ARGUMENT.
 */
export function settleNetworks(host: HostConfig, known: (name: string) => NetworkEntry): void {
  const find = (name: string): Pick<NetworkEntry, 'name'> => {
    try {
      return known(name);
    } catch (error) {
      if (error instanceof GantryError && error.code === 'NETWORK_NOT_FOUND') return { name };
      throw error;
    }
  };
  const asked = Object.entries(host.networks ?? {}).map(([name, endpoint]): [string, EndpointConfig] => [
    name === 'default' ? 'bridge' : name,
    endpoint,
  ]);
  const shares = host.networkMode.startsWith('container:');
  const mode = shares ? host.networkMode : find(host.networkMode).name;
  host.networkMode = mode;
  host.networks = {};
  const networks = shares ? [] : asked.map(([name, endpoint]): [string, EndpointConfig] => [find(name).name, endpoint]);
  if (sharesOrNone(mode)) {
    const other = (shares ? asked : networks).find(([name]) => name !== mode);
    if (other === undefined) return;
    throw new GantryError('INVALID_ARGUMENT', SHARED[mode] ?? SHARED.container!);
  }
  for (const [name] of networks) if (sharesOrNone(name)) throw new GantryError('INVALID_ARGUMENT', SHARED[name]!);
  // "default" with networks of its own means those, as docker has it.
  const alone = mode === 'bridge' && networks.length > 0;
  host.networks = Object.fromEntries([...(alone ? [] : [[mode, { aliases: [] }] as const]), ...networks]);
}

/** Why a container cannot be in another network beside. */
export const SHARED: Record<string, string> = {
  none: 'Container cannot be connected to multiple networks with one of the networks in private (none) mode',
  host: 'Cannot connect container to host network - container must be created in host network mode',
  container:
    'Container sharing network namespace with another container or host cannot be connected to any other network',
};

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

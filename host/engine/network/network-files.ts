// /etc/hosts, /etc/hostname and /etc/resolv.conf of a container, as resolv.conf(5) and hosts(5) want them.
import { Resolver } from 'node:dns';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { HostPlace } from '../../backend.ts';
import { GantryError } from '../../errors.ts';
import type { ContainerConfig } from '../../types.ts';
import type { ContainerFiles } from '../state/layout.ts';
import type { Endpoint } from '../record.ts';

const LOCALHOST = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

const PUBLIC_SERVERS = ['8.8.8.8', '8.8.4.4'];

/** Writes the three files in place: they may be mounted already. @param linked lines for containers by other names. */
export function writeNetworkFiles(
  files: ContainerFiles,
  config: ContainerConfig,
  hostname: string,
  endpoints: Endpoint[],
  linked: string[] = [],
  nameserver?: string,
  hostPlace?: HostPlace,
): void {
  writeFileSync(files.hostname, `${hostname}\n`);
  writeFileSync(files.hosts, hostsText(config, hostname, endpoints, linked, hostPlace));
  writeResolvConf(files, config, endpoints, nameserver, hostPlace);
}

/** @param nameserver in user-defined networks: the resolver that knows names of containers. */
export function writeResolvConf(
  files: ContainerFiles,
  config: ContainerConfig,
  endpoints: Endpoint[],
  nameserver?: string,
  hostPlace?: HostPlace,
): void {
  const sharesHost = config.host.networkMode === 'host';
  const ipv6 = endpoints.some(({ ipv6: address }) => address !== '');
  const text = resolvConfText(config, { text: hostResolvConf(sharesHost, hostPlace), sharesHost, ipv6 }, nameserver);
  writeFileSync(files.resolvConf, text);
}

/** The container's own lines, when it comes into a network or leaves one; what it has written itself stays. */
export function changeHosts(files: ContainerFiles, config: ContainerConfig, came: Endpoint[], left: Endpoint[]): void {
  const gone = left.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6].filter(Boolean));
  const kept = readOr(files.hosts)
    .split(/(?<=\n)/)
    .filter((line) => !gone.includes(line.split(/\s/)[0]!));
  writeFileSync(files.hosts, [...kept, ...ownLines(config, config.hostname, came)].join(''));
}

/** New addresses behind names that are linked already. */
export function changeLinkedHosts(files: ContainerFiles, lines: string[]): void {
  const namesOf = (line: string): string => line.slice(line.indexOf('\t') + 1);
  const names = lines.map(namesOf);
  const kept = readOr(files.hosts)
    .split(/(?<=\n)/)
    .filter((line) => !names.includes(namesOf(line)));
  writeFileSync(files.hosts, [...kept, ...lines].join(''));
}

/** Whom the host asks, or --dns: for a resolver that runs on the host itself. */
export function nameServers({ host }: ContainerConfig): string[] {
  return host.dns.length > 0 ? host.dns : hostNameServers();
}

/** Whom this host asks now; without resolv.conf(5) whom its system names. */
export function hostNameServers(): string[] {
  const text = readOr('/etc/resolv.conf');
  const servers =
    text === '' ? new Resolver().getServers().filter((server) => isIP(server) !== 0) : valuesOf(text, 'nameserver');
  return servers.length > 0 ? servers : PUBLIC_SERVERS;
}

/** The same three files for a container that shares another's network: links, which outlive the other. */
export function shareNetworkFiles(files: ContainerFiles, owner: ContainerFiles): void {
  for (const name of ['hosts', 'hostname', 'resolvConf'] as const) {
    rmSync(files[name], { force: true });
    linkSync(owner[name], files[name]);
  }
}

const STUB = '127.0.0.53';

/** systemd-resolved(8) listens on a loopback address, and writes down beside it whom it asks itself. */
function hostResolvConf(sharesHost: boolean, hostPlace: HostPlace | undefined): string {
  const text = readOr('/etc/resolv.conf');
  // What the host asks may be on its loopback, or known to it alone: it is asked itself.
  if (hostPlace !== undefined)
    return `${text.replace(/^\s*nameserver\b.*\n?/gm, '')}\nnameserver ${hostPlace.nameServer}\n`.replace(/^\n/, '');
  const servers = valuesOf(text, 'nameserver');
  if (sharesHost || servers.length === 0 || !servers.every((server) => server === STUB)) return text;
  return readOr('/run/systemd/resolve/resolv.conf') || text;
}

/** What stands behind a keyword, over all lines. */
function valuesOf(text: string, keyword: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([word]) => word === keyword)
    .flatMap(([, ...rest]) => rest);
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function hostsText(
  config: ContainerConfig,
  hostname: string,
  endpoints: Endpoint[],
  linked: string[],
  hostPlace: HostPlace | undefined,
): string {
  const base = config.host.networkMode === 'host' ? readOr('/etc/hosts') : LOCALHOST;
  const gateways =
    hostPlace === undefined
      ? endpoints.flatMap(({ gateway, ipv6Gateway }) => [gateway, ipv6Gateway].filter(Boolean))
      : [hostPlace.gateway ?? []].flat();
  const extra = config.host.extraHosts.flatMap((entry) => {
    const { name, address } = readExtraHost(entry);
    const addresses = address === HOST_GATEWAY ? (gateways.length > 0 ? gateways : ['127.0.0.1']) : [address];
    return addresses.map((text) => `${text}\t${name}\n`);
  });
  return [base, ...extra, ...linked, ...ownLines(config, hostname, endpoints)].join('');
}

function ownLines({ domainname }: ContainerConfig, hostname: string, endpoints: Endpoint[]): string[] {
  const names = domainname === '' ? hostname : `${hostname}.${domainname} ${hostname}`;
  return endpoints.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6].filter(Boolean).map((address) => `${address}\t${names}\n`));
}

export const HOST_GATEWAY = 'host-gateway';

/** "NAME:ADDRESS", "NAME=ADDRESS", an IPv6 address in brackets or not. @throws {GantryError} INVALID_ARGUMENT. */
export function readExtraHost(entry: string): { name: string; address: string } {
  const at = entry.search(/[:=]/);
  const [name, address] = [entry.slice(0, Math.max(at, 0)), entry.slice(at + 1).replace(/^\[(.*)\]$/, '$1')];
  if (name === '' || /\s/.test(name) || address === '')
    throw new GantryError('INVALID_ARGUMENT', `Bad format for add-host: "${entry}"`, { hint: 'NAME:ADDRESS' });
  if (address !== HOST_GATEWAY && isIP(address) === 0)
    throw new GantryError('INVALID_ARGUMENT', `Invalid IP address in add-host: "${address}"`, {
      hint: `An IPv4 or IPv6 address, or ${HOST_GATEWAY}`,
    });
  return { name, address };
}

/** What the host says of name servers, and how the container sees its network. */
export interface HostResolver {
  text: string;
  sharesHost: boolean;
  ipv6: boolean;
}

/**
 * The host's own file where its network is shared. Elsewhere without what cannot be reached from there: servers on the
 * host's loopback or on a link of its own, and those with IPv6 addresses where the container has none.
 */
export function resolvConfText(
  { host }: ContainerConfig,
  { text, sharesHost, ipv6 }: HostResolver,
  nameserver?: string,
): string {
  if (sharesHost && host.dns.length + host.dnsSearch.length + host.dnsOptions.length === 0) return text;
  const reachable = valuesOf(text, 'nameserver').filter(
    (server) => sharesHost || (!/^(127\.|::1$)|%/.test(server) && (ipv6 || !server.includes(':'))),
  );
  const found = reachable.length > 0 ? reachable : PUBLIC_SERVERS;
  const servers = nameserver !== undefined ? [nameserver] : host.dns.length > 0 ? host.dns : found;
  const search =
    host.dnsSearch.length > 0 ? host.dnsSearch.filter((domain) => domain !== '.') : valuesOf(text, 'search');
  const asked = host.dnsOptions.length > 0 ? host.dnsOptions : valuesOf(text, 'options');
  // Names of containers have no dot: they are asked for as they are.
  const plain = nameserver !== undefined && !asked.some((option) => option.startsWith('ndots:'));
  const options = plain ? [...asked, 'ndots:0'] : asked;
  return [
    ...servers.map((server) => `nameserver ${server}\n`),
    search.length > 0 ? `search ${search.join(' ')}\n` : '',
    options.length > 0 ? `options ${options.join(' ')}\n` : '',
  ].join('');
}

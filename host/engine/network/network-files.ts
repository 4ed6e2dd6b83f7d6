// /etc/hosts, /etc/hostname and /etc/resolv.conf of a container, as resolv.conf(5) and hosts(5) want them.
import { readFileSync, writeFileSync } from 'node:fs';
import { GantryError } from '../../errors.ts';
import type { ContainerConfig } from '../../types.ts';
import type { ContainerFiles } from '../layout.ts';
import type { Endpoint } from '../record.ts';

const LOCALHOST = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

const PUBLIC_SERVERS = ['8.8.8.8', '8.8.4.4'];

/** Writes the three files in place: they may be mounted already. */
export function writeNetworkFiles(
  files: ContainerFiles,
  config: ContainerConfig,
  hostname: string,
  endpoints: Endpoint[],
  nameserver?: string,
): void {
  const sharesHost = config.host.networkMode === 'host';
  writeFileSync(files.hostname, `${hostname}\n`);
  writeFileSync(files.hosts, hostsText(config, hostname, endpoints, sharesHost));
  writeFileSync(files.resolvConf, resolvConfText(config, readOr('/etc/resolv.conf'), sharesHost, nameserver));
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function hostsText(config: ContainerConfig, hostname: string, endpoints: Endpoint[], sharesHost: boolean): string {
  const base = sharesHost ? readOr('/etc/hosts') : LOCALHOST;
  const gateway = endpoints[0]?.gateway ?? '';
  const extra = config.host.extraHosts.map((entry) => {
    const at = entry.search(/[:=]/);
    const [name, address] = [entry.slice(0, at), entry.slice(at + 1).replace(/^\[|\]$/g, '')];
    if (at <= 0 || address === '')
      throw new GantryError('INVALID_ARGUMENT', `Bad format for add-host: "${entry}"`, { hint: 'NAME:ADDRESS' });
    return `${address === 'host-gateway' ? gateway || '127.0.0.1' : address}\t${name}\n`;
  });
  const names = config.domainname === '' ? hostname : `${hostname}.${config.domainname} ${hostname}`;
  const own = endpoints.flatMap(({ ipv4, ipv6 }) =>
    [ipv4, ipv6].filter(Boolean).map((address) => `${address}\t${names}\n`),
  );
  return [base, ...extra, ...own].join('');
}

/** Loopback servers of the host cannot be reached from a network namespace of its own. */
export function resolvConfText(
  { host }: ContainerConfig,
  hostText: string,
  sharesHost: boolean,
  nameserver?: string,
): string {
  const lines = hostText.split('\n').map((line) => line.trim().split(/\s+/));
  const values = (key: string): string[] => lines.filter(([word]) => word === key).flatMap(([, ...rest]) => rest);
  const reachable = values('nameserver').filter((server) => sharesHost || !/^(127\.|::1$)/.test(server));
  const found = reachable.length > 0 ? reachable : PUBLIC_SERVERS;
  const servers = nameserver !== undefined ? [nameserver] : host.dns.length > 0 ? host.dns : found;
  const search = host.dnsSearch.length > 0 ? host.dnsSearch.filter((domain) => domain !== '.') : values('search');
  const options = host.dnsOptions.length > 0 ? host.dnsOptions : values('options');
  return [
    ...servers.map((server) => `nameserver ${server}\n`),
    search.length > 0 ? `search ${search.join(' ')}\n` : '',
    options.length > 0 ? `options ${options.join(' ')}\n` : '',
  ].join('');
}

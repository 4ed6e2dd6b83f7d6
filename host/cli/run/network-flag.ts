// --network of run and create, with --ip, --ip6, --mac-address and --network-alias → docker's NetworkingConfig.
import { GantryError } from '../../errors.ts';
import type { Parsed } from '../flags.ts';

interface Endpoint {
  name: string;
  aliases: string[];
  links: string[];
  ip: string;
  ip6: string;
  mac: string;
  gatewayPriority: number;
  driverOptions: Record<string, string>;
}

/** The name of the first network, which is the mode, and what is asked of each. */
export function networking(parsed: Parsed): { mode: string; config: object } {
  const given = [...parsed.list('network'), ...parsed.list('net')].map(parseNetwork);
  const endpoints = given.length > 0 ? given : [endpointOf('default')];
  const [first] = endpoints as [Endpoint, ...Endpoint[]];
  const aliases = parsed.list('network-alias');
  const [ip, ip6, mac] = ['ip', 'ip6', 'mac-address'].map((name) => parsed.value(name) ?? '') as [
    string,
    string,
    string,
  ];
  const twice = [
    ['ip', ip, first.ip],
    ['ip6', ip6, first.ip6],
    ['mac-address', mac, first.mac],
    ['network-alias', aliases[0] ?? '', first.aliases[0] ?? ''],
  ].find(([, flag, field]) => flag !== '' && field !== '');
  if (twice !== undefined)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Conflicting options: cannot specify both --${twice[0]} and per-network ${twice[0]}`,
    );
  const names = endpoints.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined)
    throw new GantryError('INVALID_ARGUMENT', `Network "${repeated}" is specified multiple times`);
  const links = isUserDefined(first.name) ? parsed.list('link') : [];
  const asked = ip || ip6 || mac || aliases.length > 0 || links.length > 0;
  Object.assign(first, {
    ip: ip || first.ip,
    ip6: ip6 || first.ip6,
    mac: mac || first.mac,
    aliases: [...first.aliases, ...aliases],
    links,
  });
  const plain = given.length <= 1 && !asked && !(parsed.list('network')[0] ?? '').includes('=');
  if (plain) return { mode: first.name, config: {} };
  return {
    mode: first.name,
    config: {
      NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints.map((each) => [each.name, json(each)])) },
    },
  };
}

/** Elsewhere a link is the container's, not the network's. */
function isUserDefined(network: string): boolean {
  return !/^(default|bridge|host|none|container:.*)$/.test(network);
}

function endpointOf(name: string): Endpoint {
  return { name, aliases: [], links: [], ip: '', ip6: '', mac: '', gatewayPriority: 0, driverOptions: {} };
}

function json({ aliases, links, ip, ip6, mac, gatewayPriority, driverOptions }: Endpoint): object {
  return {
    Aliases: aliases,
    Links: links,
    MacAddress: mac,
    GwPriority: gatewayPriority,
    DriverOpts: driverOptions,
    IPAMConfig: { IPv4Address: ip, IPv6Address: ip6 },
  };
}

function invalid(text: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--network": ${reason}`, {
    hint: 'NAME, or name=NAME,alias=ALIAS,ip=ADDRESS,ip6=ADDRESS,mac-address=MAC,gw-priority=NUMBER',
    details: { flag: 'network' },
  });
}

/** "NAME", or fields of docker's long form. */
function parseNetwork(text: string): Endpoint {
  if (!text.includes('=')) return endpointOf(text);
  const endpoint = endpointOf('');
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    const [key, value] = [part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim()];
    if (at <= 0) throw invalid(text, `invalid field ${part}`);
    if (key === 'name') endpoint.name = value;
    else if (key === 'alias') endpoint.aliases.push(value);
    else if (key === 'ip') endpoint.ip = value;
    else if (key === 'ip6') endpoint.ip6 = value;
    else if (key === 'mac-address') endpoint.mac = value;
    else if (key === 'gw-priority') {
      if (!/^-?\d+$/.test(value)) throw invalid(text, `invalid gw-priority: ${value}`);
      endpoint.gatewayPriority = Number(value);
    } else if (key === 'driver-opt') {
      const [name = '', option = ''] = value.split('=');
      endpoint.driverOptions[name] = option;
    } else if (key === 'link-local-ip') throw invalid(text, 'networks have no link-local addresses to choose');
    else throw invalid(text, `unknown field ${key}`);
  }
  if (endpoint.name === '') throw invalid(text, 'network name is not specified');
  return endpoint;
}

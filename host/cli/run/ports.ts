// -p and --expose: "8080:80", "127.0.0.1::80/udp", "8000-8010:80-90", "[::1]:80:80".
import { GantryError } from '../../errors.ts';

export interface Published {
  /** "80/tcp". */
  port: string;
  hostIp: string;
  /** Empty: chosen at start. */
  hostPort: string;
}

function invalid(text: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "-p, --publish": ${reason}`, {
    hint: '[[HOST_IP:]HOST_PORT:]CONTAINER_PORT[/tcp|udp|sctp]',
    details: { flag: 'publish' },
  });
}

function range(text: string, whole: string): [number, number] {
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === undefined || from < 1 || to > 65535 || from > to) throw invalid(whole, `invalid port: ${text}`);
  return [from, to];
}

/** @throws {GantryError} INVALID_ARGUMENT. */
export function parsePublished(text: string): Published[] {
  const [spec = '', protocol = 'tcp', ...more] = text.split('/');
  if (more.length > 0 || !['tcp', 'udp', 'sctp'].includes(protocol))
    throw invalid(text, `invalid protocol: ${protocol}`);
  const [, bracketed, rest = spec] = /^\[([^\]]+)\]:(.*)$/.exec(spec) ?? [];
  const parts = rest.split(':');
  const container = parts.pop() ?? '';
  const host = parts.pop() ?? '';
  const hostIp = bracketed ?? parts.join(':');
  if (parts.length > 1 || (bracketed !== undefined && parts.length > 0))
    throw invalid(text, 'too many colons; put an IPv6 address in brackets');
  if (hostIp !== '' && !/^\d+\.\d+\.\d+\.\d+$|:/.test(hostIp)) throw invalid(text, `invalid IP address: ${hostIp}`);
  const [from, to] = range(container, text);
  // Docker takes 0, too, for "choose one".
  const hosts = host === '' || host === '0' ? undefined : range(host, text);
  const count = to - from + 1;
  if (hosts !== undefined && hosts[1] - hosts[0] + 1 !== count && count !== 1)
    throw invalid(text, 'the ranges have different lengths');
  // One container port and many host ports: the first free one of them, chosen at start.
  if (hosts !== undefined && count === 1 && hosts[1] > hosts[0])
    return [{ port: `${from}/${protocol}`, hostIp, hostPort: `${hosts[0]}-${hosts[1]}` }];
  return Array.from({ length: count }, (_, index) => ({
    port: `${from + index}/${protocol}`,
    hostIp,
    hostPort: hosts === undefined ? '' : String(hosts[0] + index),
  }));
}

/** "80", "80/udp", "8000-8010". */
export function parseExposed(text: string): string[] {
  const [ports = '', protocol = 'tcp'] = text.split('/');
  const [from, to] = range(ports, text);
  return Array.from({ length: to - from + 1 }, (_, index) => `${from + index}/${protocol}`);
}

// Published ports: how they are asked for.
import { GantryError } from '../errors.ts';
import type { PortOptions } from './container-options.ts';

interface ReadPort {
  /** `"80/tcp"`. */
  key: string;
  hostIp: string;
  /** Empty: one that is free. */
  hostPort: string;
}

/** @throws {GantryError} INVALID_ARGUMENT. */
export function readPort(port: number | string | PortOptions): ReadPort {
  if (typeof port === 'number') return readPort({ containerPort: port });
  if (typeof port === 'string') return readText(port);
  const { containerPort, hostPort, hostIp = '', protocol = 'tcp' } = port;
  return { key: portKey(containerPort, protocol), hostIp, hostPort: hostPort === undefined ? '' : String(hostPort) };
}

/** `80`, `"80"`, `"53/udp"` → `"80/tcp"`. */
export function portKey(port: number | string, protocol = 'tcp'): string {
  return String(port).includes('/') ? String(port) : `${port}/${protocol}`;
}

/** `"[[ADDRESS:][PORT]:]PORT[/PROTOCOL]"`; an IPv6 address stands in brackets. */
function readText(text: string): ReadPort {
  const [, bracketed, plain, hostPort = '', port, protocol] =
    /^(?:(?:\[([\da-f:.]+)\]|(\d+(?:\.\d+){3})):)?(?:(\d*):)?(\d+)(?:\/(tcp|udp))?$/i.exec(text) ?? [];
  if (port === undefined)
    throw new GantryError('INVALID_ARGUMENT', `Cannot publish "${text}": invalid port`, {
      hint: 'Such as "80", "8080:80", "127.0.0.1:8080:80" or "53:53/udp"',
    });
  return { key: portKey(port, protocol?.toLowerCase()), hostIp: bracketed ?? plain ?? '', hostPort };
}

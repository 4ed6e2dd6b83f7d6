// Text → bytes of MAC, IPv4 and IPv6 addresses.
import { refuse } from '../status';

/** 4 or 16 bytes; empty (and refused) where malformed. */
export function parseAddress(text: string, field: string): u8[] {
  const bytes = text.includes(':') ? parseIPv6(text) : parseIPv4(text);
  if (bytes.length == 0) refuse('ADDRESS', field, text);
  return bytes;
}

function parseIPv4(text: string): u8[] {
  const parts = text.split('.');
  const bytes: u8[] = [];
  if (parts.length != 4) return bytes;
  for (let i = 0; i < 4; i++) {
    const value = parseInt(parts[i]);
    if (isNaN(value) || value < 0 || value > 255 || parts[i].length > 3) return [];
    bytes.push(<u8>value);
  }
  return bytes;
}

function groups(text: string): u8[] | null {
  const bytes: u8[] = [];
  if (text == '') return bytes;
  const parts = text.split(':');
  for (let i = 0; i < parts.length; i++) {
    if (parts[i].length == 0 || parts[i].length > 4) return null;
    const value = parseInt(parts[i], 16);
    if (isNaN(value)) return null;
    bytes.push(<u8>(<i32>value >> 8));
    bytes.push(<u8>(<i32>value & 0xff));
  }
  return bytes;
}

function parseIPv6(text: string): u8[] {
  const halves = text.split('::');
  if (halves.length > 2) return [];
  const head = groups(halves[0]);
  const tail = halves.length == 2 ? groups(halves[1]) : [];
  if (!head || !tail) return [];
  const missing = 16 - head.length - tail.length;
  if (missing < 0 || (halves.length == 1 && missing != 0)) return [];
  const bytes = head.slice(0);
  for (let i = 0; i < missing; i++) bytes.push(0);
  return bytes.concat(tail);
}

/** "172.17.0.1/16" → the address as it is, and the length of its network's prefix. */
export class Prefix {
  constructor(
    public address: u8[],
    public length: i32,
  ) {}

  /** The address of the network itself. */
  network(): u8[] {
    const bytes = this.address.slice(0);
    for (let i = 0; i < bytes.length; i++) {
      const bits = max(0, min(8, this.length - i * 8));
      bytes[i] = <u8>(<u32>bytes[i] & (0xff00 >> bits));
    }
    return bytes;
  }
}

export function parsePrefix(text: string, field: string): Prefix {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.substring(0, slash), field);
  const length = slash < 0 ? NaN : parseInt(text.substring(slash + 1));
  const valid = length >= 0 && length <= <f64>(address.length * 8);
  if (!valid) refuse('ADDRESS', field, text);
  return new Prefix(address, valid ? <i32>length : 0);
}

/** Six bytes of "02:42:ac:11:00:02". */
export function parseMac(text: string, field: string): u8[] {
  const parts = text.split(':');
  const bytes: u8[] = [];
  for (let i = 0; i < parts.length; i++) {
    const value = parseInt(parts[i], 16);
    if (isNaN(value) || parts[i].length != 2) break;
    bytes.push(<u8>value);
  }
  if (bytes.length != 6) refuse('MAC_ADDRESS', field, text);
  return bytes;
}

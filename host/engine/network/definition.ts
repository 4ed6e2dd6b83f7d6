// User-defined networks as they are asked for and kept: what docker's options mean, which subnets are valid. Pure.
import { isIP } from 'node:net';
import { GantryError } from '../../errors.ts';
import {
  canonical6,
  contains,
  contains6,
  isUsable,
  parseSubnet,
  parseSubnet6,
  toNumber,
  toNumber6,
  toText,
  toText6,
} from './addresses.ts';
import type { BridgeNetwork } from './bridge.ts';

/** One subnet of a network, as it is asked for; empty: chosen. */
export interface Pool {
  /** "172.28.0.0/16". */
  subnet: string;
  /** Where addresses are given from. */
  range: string;
  gateway: string;
  /** Name → address that is kept for somebody else. */
  auxiliary: Record<string, string>;
}

export interface NetworkInput {
  name: string;
  internal: boolean;
  attachable: boolean;
  ipv6: boolean;
  options: Record<string, string>;
  labels: Record<string, string>;
  ipamOptions: Record<string, string>;
  /** At most one of each family. */
  pools: Pool[];
}

/** network.json. */
export interface NetworkRecord extends Omit<NetworkInput, 'pools'> {
  version: 1;
  id: string;
  /** ISO 8601. */
  created: string;
  /** Settled. */
  four: Pool;
  six?: Pool;
  /** Being made, or removed: an engine that finds it so removes it. */
  changing?: true;
}

const OPTION = 'com.docker.network.';
const switches = { icc: `${OPTION}bridge.enable_icc`, masquerade: `${OPTION}bridge.enable_ip_masquerade` };
const NAME = `${OPTION}bridge.name`;
const HOST_IP = `${OPTION}bridge.host_binding_ipv4`;
const MTU = `${OPTION}driver.mtu`;

function invalid(message: string, hint?: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', message, { hint });
}

function isOn(options: Record<string, string>, name: string): boolean {
  return /^(1|t|true)$/i.test(options[name] ?? 'true');
}

/** The interface of a network, its tables' name too. */
export function interfaceOf({ id, options }: Pick<NetworkRecord, 'id' | 'options'>): string {
  return options[NAME] || `br-${id.slice(0, 12)}`;
}

/** @throws {GantryError} INVALID_ARGUMENT, UNSUPPORTED: names, options and pools that nobody could carry out. */
export function checkNetworkInput({ name, options, pools, ipv6 }: NetworkInput): void {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name))
    throw invalid(`Invalid network name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  if (['bridge', 'host', 'none', 'default'].includes(name))
    throw new GantryError('PERMISSION_DENIED', `Operation is not permitted on predefined ${name} network`, {
      hint: 'Choose another name',
    });
  for (const [key, value] of Object.entries(options)) checkOption(key, value);
  for (const pool of pools) checkPool(pool);
  const families = pools.map(({ subnet }) => (subnet === '' ? 4 : familyOf(subnet)));
  if (families.filter((family) => family === 4).length > 1 || families.filter((family) => family === 6).length > 1)
    throw invalid('Bridge driver does not support more than one subnet of a family');
  if (families.includes(6) && !ipv6)
    throw invalid('Invalid network config: IPv6 is not enabled, and there is an IPv6 subnet', 'Add --ipv6');
}

function checkOption(key: string, value: string): void {
  if (Object.values(switches).includes(key)) {
    if (!/^(1|0|t|f|true|false)$/i.test(value)) throw invalid(`Invalid value for ${key}: "${value}"`, 'true or false');
  } else if (key === NAME) {
    if (!/^[^\s/:]{1,15}$/.test(value) || value === '.' || value === '..')
      throw invalid(`Invalid interface name: "${value}"`, 'At most 15 characters, no blank, slash or colon');
  } else if (key === HOST_IP) {
    if (isIP(value) !== 4) throw invalid(`Invalid IPv4 address for ${key}: "${value}"`);
  } else if (key === MTU) {
    if (!/^\d+$/.test(value) || Number(value) < 68 || Number(value) > 65535)
      throw invalid(`Invalid value for ${key}: "${value}"`, '68 to 65535');
  } else
    throw new GantryError('UNSUPPORTED', `Cannot carry out the network option "${key}": not supported`, {
      hint: `${[NAME, ...Object.values(switches), HOST_IP, MTU].join(', ')} are`,
    });
}

function familyOf(subnet: string): 4 | 6 {
  return subnet.includes(':') ? 6 : 4;
}

function checkPrefix(text: string, what: string): void {
  const [address = '', length = ''] = text.split('/');
  const family = isIP(address);
  if (family === 0 || !/^\d{1,3}$/.test(length) || Number(length) > (family === 4 ? 32 : 128))
    throw invalid(`Invalid ${what} ${text}: invalid CIDR block notation`, 'Such as 172.28.0.0/16');
  const base =
    family === 4 ? `${toText(parseSubnet(text).base)}/${length}` : `${toText6(parseSubnet6(text).base)}/${length}`;
  if (base !== `${canonical6(address)}/${length}`)
    throw invalid(`Invalid network config: invalid ${what} ${text}: it should be ${base}`);
}

function checkPool({ subnet, range, gateway, auxiliary }: Pool): void {
  if (subnet === '') {
    if (range !== '' || gateway !== '' || Object.keys(auxiliary).length > 0)
      throw invalid('Invalid network config: an address or range needs its subnet', 'Add --subnet');
    return;
  }
  checkPrefix(subnet, 'subnet');
  const six = familyOf(subnet) === 6;
  const length = Number(subnet.split('/')[1]);
  if (length > (six ? 126 : 30) || (!six && length < 8) || (six && length < 16))
    throw invalid(`Invalid network config: subnet ${subnet} has no room for containers`, 'Such as 172.28.0.0/16');
  const inside = (address: string): boolean =>
    six
      ? isIP(address) === 6 && contains6(parseSubnet6(subnet), toNumber6(address))
      : isIP(address) === 4 && contains(parseSubnet(subnet), toNumber(address));
  if (range !== '') {
    checkPrefix(range, 'ip-range');
    if (!inside(range.split('/')[0]!) || Number(range.split('/')[1]) < length)
      throw invalid(
        `Invalid network config: invalid ip-range ${range}: parent subnet ${subnet} does not contain ip-range`,
      );
  }
  for (const [name, address] of [['gateway', gateway], ...Object.entries(auxiliary)] as [string, string][]) {
    const what = name === 'gateway' ? `gateway ${address}` : `auxiliary address ${name}`;
    if (address !== '' && !inside(address))
      throw invalid(`Invalid network config: invalid ${what}: parent subnet ${subnet} does not contain this address`);
  }
  if (!six && gateway !== '' && !isUsable(parseSubnet(subnet), toNumber(gateway)))
    throw invalid(
      `Invalid network config: invalid gateway ${gateway}: it is the address of the network or of all in it`,
    );
}

/** A pool of which the subnet is known: the gateway is the first address unless it is given. */
export function settlePool(pool: Pool, subnet = pool.subnet): Pool {
  const first = familyOf(subnet) === 6 ? toText6(parseSubnet6(subnet).base + 1n) : toText(parseSubnet(subnet).base + 1);
  return { ...pool, subnet, gateway: canonical6(pool.gateway || first) };
}

/** What the record says, for the bridge. */
export function networkOf(record: NetworkRecord): Omit<BridgeNetwork, 'index'> {
  const { four, six, options, name, internal } = record;
  const auxiliary = [four, six].flatMap((pool) => Object.values(pool?.auxiliary ?? {}).map(canonical6));
  return {
    label: name,
    name: interfaceOf(record),
    subnet: parseSubnet(four.subnet),
    range: parseSubnet(four.range || four.subnet),
    gateway: four.gateway,
    ...(six === undefined
      ? {}
      : {
          six: {
            subnet: parseSubnet6(six.subnet),
            range: parseSubnet6(six.range || six.subnet),
            gateway: six.gateway,
          },
        }),
    reserved: new Set([four.gateway, ...(six === undefined ? [] : [six.gateway]), ...auxiliary]),
    mtu: Number(options[MTU] ?? 0),
    internal,
    isolated: !isOn(options, switches.icc),
    direct: !isOn(options, switches.masquerade),
    hostIp: options[HOST_IP] ?? '',
  };
}

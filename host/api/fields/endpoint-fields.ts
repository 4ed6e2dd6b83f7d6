// Docker's EndpointSettings → what a container asks of a network.
import { GantryError } from '../../errors.ts';
import type { EndpointConfig } from '../../types.ts';
import { type Fields, readFields } from './fields.ts';

/** Since this version a container can be created in several networks. */
const SEVERAL_SINCE = 44;

/** EndpointsConfig, by network. @throws {GantryError} INVALID_ARGUMENT, UNSUPPORTED. */
export function readEndpoints(endpoints: Record<string, unknown>, version: string): Record<string, EndpointConfig> {
  const names = Object.keys(endpoints);
  if (names.length > 1 && Number(version.split('.')[1]) < SEVERAL_SINCE)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Container cannot be created with multiple network endpoints: ${names.join(', ')}`,
      { hint: `API 1.${SEVERAL_SINCE} can; before, connect it to the others afterwards` },
    );
  return Object.fromEntries(
    names.map((name) => {
      const key = name === 'default' ? 'bridge' : name;
      return [key, readEndpoint(readFields(endpoints[name], `NetworkingConfig.EndpointsConfig.${name}`))];
    }),
  );
}

export function readEndpoint(fields: Fields): EndpointConfig {
  const ipam = fields.child('IPAMConfig');
  const [ipv4Address, ipv6Address] = [ipam.text('IPv4Address'), ipam.text('IPv6Address')];
  ipam.finish();
  const aliases = fields.texts('Aliases') ?? [];
  const links = fields.texts('Links') ?? [];
  const macAddress = fields.text('MacAddress');
  const gatewayPriority = fields.number('GwPriority') ?? 0;
  // What inspect tells and clients send back.
  fields.ignore(
    'NetworkID',
    'EndpointID',
    'Gateway',
    'IPAddress',
    'IPPrefixLen',
    'IPv6Gateway',
    'GlobalIPv6Address',
    'GlobalIPv6PrefixLen',
    'DNSNames',
  );
  fields.finish();
  return {
    aliases: [...new Set(aliases)],
    ...(links.length > 0 ? { links } : {}),
    ...(ipv4Address ? { ipv4Address } : {}),
    ...(ipv6Address ? { ipv6Address } : {}),
    ...(macAddress ? { macAddress } : {}),
    ...(gatewayPriority === 0 ? {} : { gatewayPriority }),
  };
}

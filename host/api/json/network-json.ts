// Networks in docker's spelling: the summary of lists and the whole of inspect.
import { addressIn, type BridgeNetwork } from '../../engine/network/bridge.ts';
import { toText, toText6 } from '../../engine/network/addresses.ts';
import type { NetworkRecord, Pool } from '../../engine/network/definition.ts';
import type { NetworkEntry } from '../../engine/network/registry.ts';
import type { Member } from '../../engine/network/segment.ts';

/** What there is to show of a network. */
export interface Network extends Pick<NetworkEntry, 'id' | 'name' | 'driver'> {
  record: NetworkRecord | undefined;
  /** The default bridge, where its addresses are not written down. */
  bridge: BridgeNetwork | undefined;
  members: Member[];
}

export async function readNetwork({ id, name, driver, segment }: NetworkEntry): Promise<Network> {
  const bridge = segment !== undefined && segment.record === undefined ? await segment.preview() : undefined;
  return { id, name, driver, record: segment?.record, bridge, members: [...(segment?.members.values() ?? [])] };
}

const NEVER = '0001-01-01T00:00:00Z';

/** @param whole with the containers in it. */
export function networkJson({ id, name, driver, record, bridge, members }: Network, whole: boolean): object {
  return {
    Name: name,
    Id: id,
    Created: record?.created ?? NEVER,
    Scope: 'local',
    Driver: driver,
    EnableIPv4: true,
    EnableIPv6: record?.ipv6 ?? bridge?.six !== undefined,
    IPAM: {
      Driver: 'default',
      Options: record !== undefined && Object.keys(record.ipamOptions).length > 0 ? record.ipamOptions : null,
      Config: record !== undefined ? poolsJson([record.four, record.six]) : bridgeJson(bridge),
    },
    Internal: record?.internal ?? false,
    Attachable: record?.attachable ?? false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: whole ? Object.fromEntries(members.map((member) => [member.record.id, memberJson(member)])) : {},
    Options: record?.options ?? defaultOptions(bridge),
    Labels: record?.labels ?? {},
  };
}

function poolsJson(pools: (Pool | undefined)[]): object[] {
  return pools.flatMap((pool) => {
    if (pool === undefined) return [];
    return {
      Subnet: pool.subnet,
      ...(pool.range === '' ? {} : { IPRange: pool.range }),
      Gateway: pool.gateway,
      ...(Object.keys(pool.auxiliary).length === 0 ? {} : { AuxiliaryAddresses: pool.auxiliary }),
    };
  });
}

function bridgeJson(bridge: BridgeNetwork | undefined): object[] {
  if (bridge === undefined) return [];
  const { subnet, six } = bridge;
  const [gateway] = addressIn(subnet).split('/');
  const four = { Subnet: `${toText(subnet.base)}/${subnet.prefixLength}`, Gateway: gateway };
  if (six === undefined) return [four];
  return [four, { Subnet: `${toText6(six.subnet.base)}/${six.subnet.prefixLength}`, Gateway: six.gateway }];
}

/** What docker's default bridge has. */
function defaultOptions(bridge: BridgeNetwork | undefined): Record<string, string> {
  if (bridge === undefined) return {};
  return {
    'com.docker.network.bridge.default_bridge': 'true',
    'com.docker.network.bridge.enable_icc': 'true',
    'com.docker.network.bridge.enable_ip_masquerade': 'true',
    'com.docker.network.bridge.host_binding_ipv4': '0.0.0.0',
    'com.docker.network.bridge.name': bridge.name,
  };
}

function memberJson({ record, endpoint }: Member): object {
  const { endpointId, mac, ipv4, ipv4PrefixLength, ipv6, ipv6PrefixLength } = endpoint;
  return {
    Name: record.name,
    EndpointID: endpointId,
    MacAddress: mac,
    IPv4Address: `${ipv4}/${ipv4PrefixLength}`,
    IPv6Address: ipv6 === '' ? '' : `${ipv6}/${ipv6PrefixLength}`,
  };
}

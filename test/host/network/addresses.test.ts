// Arithmetic of bridge networks: subnets, addresses, their IPv6 twins, and who carries which published port.
import { describe, expect, it } from 'vitest';
import {
  canonical6,
  freeAddress,
  isUsable,
  newSubnet6,
  parseSubnet,
  parseSubnet6,
  readRoutes,
  toNumber,
  toNumber6,
  toText,
  toText6,
} from '../../../host/engine/network/addresses.ts';
import { createAllocation } from '../../../host/engine/network/allocation.ts';
import { carriedPorts } from '../../../host/engine/network/carried-ports.ts';
import { announcedInterfaces, wantsIPv6 } from '../../../host/engine/network/ipv6.ts';
import type { PortBinding } from '../../../host/types.ts';

const subnet = parseSubnet('172.17.0.1/16');

describe('addresses', () => {
  it('are handed out behind the gateway, and from the beginning again at the end', () => {
    expect(toText(freeAddress(subnet, new Set([toNumber('172.17.0.1')]))!)).toBe('172.17.0.2');
    expect(toText(freeAddress(subnet, new Set(['172.17.0.1', '172.17.0.2'].map(toNumber)))!)).toBe('172.17.0.3');
    expect(toText(freeAddress(subnet, new Set([toNumber('172.17.0.1')]), toNumber('172.17.255.255'))!)).toBe(
      '172.17.0.2',
    );
    const small = parseSubnet('10.0.0.1/30');
    expect(freeAddress(small, new Set(['10.0.0.1', '10.0.0.2'].map(toNumber)))).toBeUndefined();
  });

  it.each([
    ['172.17.0.0', false],
    ['172.17.0.1', true],
    ['172.17.0.2', true],
    ['172.17.255.254', true],
    ['172.17.255.255', false],
    ['172.18.0.2', false],
  ])('%s can be a container: %s', (address, usable) => {
    expect(isUsable(subnet, toNumber(address))).toBe(usable);
  });

  it('have a twin in the IPv6 network, and are found again by it', () => {
    const own = newSubnet6();
    expect(own).toMatch(/^fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}::\/64$/);
    expect(newSubnet6()).not.toBe(own);
    const six = parseSubnet6('fd12:3:4::/64');
    const network = {
      ...{ label: 'lab', name: 'lab', index: 1, subnet, range: subnet, gateway: '172.17.0.1', mtu: 0, hostIp: '' },
      six: { subnet: six, range: six, gateway: 'fd12:3:4::1' },
      reserved: new Set(['172.17.0.1', 'fd12:3:4::1']),
      ...{ internal: false, isolated: false, direct: false },
    };
    const addresses = createAllocation();
    const take = (id: string, wanted: object = {}) =>
      addresses.take(id, { aliases: [], ...wanted }, undefined, network);
    expect(take('a')).toEqual({ ipv4: '172.17.0.2', ipv6: 'fd12:3:4::2' });
    expect(take('b', { ipv4Address: '172.17.1.2' })).toEqual({ ipv4: '172.17.1.2', ipv6: 'fd12:3:4::102' });
    expect(take('c', { ipv6Address: 'fd12:3:4::3' })).toEqual({ ipv4: '172.17.0.3', ipv6: 'fd12:3:4::3' });
    expect(take('d', { ipv6Address: 'fd12:3:4::5' })).toEqual({ ipv4: '172.17.0.4', ipv6: 'fd12:3:4::5' });
    expect(take('e')).toEqual({ ipv4: '172.17.0.5', ipv6: 'fd12:3:4::1:0:0' });
    expect(() => take('f', { ipv4Address: '172.17.1.2' })).toThrow('Address already in use');
    expect(() => take('f', { ipv4Address: '172.17.0.1' })).toThrow('Address already in use');
    addresses.free('b');
    expect(take('f', { ipv4Address: '172.17.1.2' }).ipv4).toBe('172.17.1.2');
    expect(toText6(toNumber6('2001:db8::ff:0:1'))).toBe('2001:db8::ff:0:1');
    expect(canonical6('FD12:0003:4:0:0:0:0:0102')).toBe('fd12:3:4::102');
  });
});

describe('what the host has', () => {
  it('is read from its routes, the default route left out', () => {
    const text = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
vpn\t000010AC\t00000000\t0001\t0\t0\t0\t0000F0FF\t0\t0\t0
`;
    expect(readRoutes(text)).toEqual([parseSubnet('192.0.2.0/24'), parseSubnet('172.16.0.0/12')]);
  });

  it('names routers that announce only where there is such a route', () => {
    const zero = '0'.repeat(32);
    const route = (flags: string): string =>
      `${zero} 00 ${zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 ${flags} absent0\n`;
    // Announced, but the interface's accept_ra cannot be read here: nothing is to be changed.
    expect(announcedInterfaces(route('00450003'))).toEqual([]);
    expect(announcedInterfaces(route('00000003'))).toEqual([]);
  });

  it('is overruled by GANTRY_IPV6, which takes three words', () => {
    expect(wantsIPv6('off')).toBe(false);
    expect(() => wantsIPv6('maybe')).toThrow('Cannot read GANTRY_IPV6 "maybe"');
  });
});

describe('a published port', () => {
  const target = { ipv4: '172.17.0.2', ipv6: 'fd00::2' };
  const binding = (hostIp: string): PortBinding => ({ hostIp, hostPort: 8080, containerPort: 80, protocol: 'tcp' });
  const carried = (hostIp: string, ipv6 = target.ipv6): string[] =>
    carriedPorts([binding(hostIp)], { ...target, ipv6 }, 'a'.repeat(64)).map(
      (port) => `${port.owner} ${port.hostIp || '*'} ${port.address}`,
    );
  const owner = 'a'.repeat(12);

  it.each([
    ['', [`${owner} * 172.17.0.2`, `${owner} * fd00::2`]],
    ['0.0.0.0', [`${owner} * 172.17.0.2`]],
    ['::', [`${owner} * fd00::2`]],
    ['127.0.0.1', [`${owner} 127.0.0.1 172.17.0.2`]],
    ['2001:db8::1', [`${owner} 2001:db8::1 fd00::2`]],
    ['::1', []],
    ['fe80::1', []],
  ])('of "%s" is carried by the kernel to %j', (hostIp, expected) => {
    expect(carried(hostIp)).toEqual(expected);
  });

  it('leads nowhere by IPv6 where the container has none', () => {
    expect(carried('', '')).toEqual([`${owner} * 172.17.0.2`]);
    expect(carried('2001:db8::1', '')).toEqual([]);
  });
});

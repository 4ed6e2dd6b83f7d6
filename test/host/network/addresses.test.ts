// Arithmetic of bridge networks: subnets, addresses, their IPv6 twins, and who carries which published port.
import { describe, expect, it } from 'vitest';
import {
  canonical6,
  freeAddress,
  isUsable,
  newPrefix6,
  numberOfTwin,
  parseSubnet,
  readRoutes,
  toNumber,
  toText,
  twin6,
} from '../../../host/engine/network/addresses.ts';
import { carriedPorts } from '../../../host/engine/network/carried-ports.ts';
import { announcedInterfaces, wantsIPv6 } from '../../../host/engine/network/ipv6.ts';
import type { PortBinding } from '../../../host/types.ts';

const subnet = parseSubnet('172.17.0.1/16');

describe('addresses', () => {
  it('are handed out behind the gateway, and from the beginning again at the end', () => {
    expect(toText(freeAddress(subnet, new Set())!)).toBe('172.17.0.2');
    expect(toText(freeAddress(subnet, new Set([toNumber('172.17.0.2')]))!)).toBe('172.17.0.3');
    expect(toText(freeAddress(subnet, new Set(), toNumber('172.17.255.255'))!)).toBe('172.17.0.2');
    const small = parseSubnet('10.0.0.1/30');
    expect(freeAddress(small, new Set([toNumber('10.0.0.2')]))).toBeUndefined();
  });

  it.each([
    ['172.17.0.0', false],
    ['172.17.0.1', false],
    ['172.17.0.2', true],
    ['172.17.255.254', true],
    ['172.17.255.255', false],
    ['172.18.0.2', false],
  ])('%s can be a container: %s', (address, usable) => {
    expect(isUsable(subnet, toNumber(address))).toBe(usable);
  });

  it('have a twin in the IPv6 network, and are found again by it', () => {
    const prefix = newPrefix6();
    expect(prefix).toMatch(/^fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}::$/);
    expect(newPrefix6()).not.toBe(prefix);
    expect(twin6('fd12:3:4::', subnet, toNumber('172.17.1.2'))).toBe('fd12:3:4::102');
    expect(numberOfTwin('fd12:3:4::', subnet, 'fd12:3:4::102')).toBe(toNumber('172.17.1.2'));
    expect(numberOfTwin('fd12:3:4::', subnet, 'fd12:3:4::1:102')).toBeUndefined();
    expect(numberOfTwin('fd12:3:4::', subnet, '')).toBeUndefined();
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

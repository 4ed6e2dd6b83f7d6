// resolv.conf and extra hosts of a container, from what the host has and what the user asks for.
import { describe, expect, it } from 'vitest';
import { readExtraHost, resolvConfText } from '../../../host/engine/network/network-files.ts';
import type { ContainerConfig, HostConfig } from '../../../host/types.ts';
import { hostFacts, planRequest } from '../../helpers/plan-requests.ts';

function config(host: Partial<HostConfig> = {}): ContainerConfig {
  const { container } = planRequest(hostFacts('v2', 'x86_64'));
  return { ...container, host: { ...container.host, ...host } };
}

const bridge = { sharesHost: false, ipv6: false };

describe('resolv.conf', () => {
  const text =
    '# of the host\nnameserver 127.0.0.1\nnameserver 192.0.2.53\nsearch example.org lan\noptions edns0 trust-ad\n';

  it('leaves out servers that cannot be reached from another namespace', () => {
    expect(resolvConfText(config(), { ...bridge, text })).toBe(
      'nameserver 192.0.2.53\nsearch example.org lan\noptions edns0 trust-ad\n',
    );
    const six = 'nameserver fe80::1%eth0\nnameserver 2001:db8::53\nnameserver ::1\n';
    expect(resolvConfText(config(), { ...bridge, ipv6: true, text: six })).toBe('nameserver 2001:db8::53\n');
    expect(resolvConfText(config(), { ...bridge, text: six })).toBe('nameserver 8.8.8.8\nnameserver 8.8.4.4\n');
  });

  it('is the file of the host where its network is', () => {
    expect(resolvConfText(config(), { sharesHost: true, ipv6: false, text })).toBe(text);
    expect(resolvConfText(config({ dns: ['192.0.2.1'] }), { sharesHost: true, ipv6: false, text })).toBe(
      'nameserver 192.0.2.1\nsearch example.org lan\noptions edns0 trust-ad\n',
    );
  });

  it('takes what the user gives instead, part by part', () => {
    expect(resolvConfText(config({ dns: ['192.0.2.1', '2001:db8::1'] }), { ...bridge, text })).toBe(
      'nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch example.org lan\noptions edns0 trust-ad\n',
    );
    expect(resolvConfText(config({ dnsSearch: ['.'], dnsOptions: ['ndots:1'] }), { ...bridge, text })).toBe(
      'nameserver 192.0.2.53\noptions ndots:1\n',
    );
  });
});

describe('--add-host', () => {
  it.each([
    ['db:192.0.2.7', 'db', '192.0.2.7'],
    ['db=192.0.2.7', 'db', '192.0.2.7'],
    ['six:2001:db8::7', 'six', '2001:db8::7'],
    ['six=[2001:db8::7]', 'six', '2001:db8::7'],
    ['me:host-gateway', 'me', 'host-gateway'],
  ])('reads %s', (entry, name, address) => {
    expect(readExtraHost(entry)).toEqual({ name, address });
  });

  it.each(['db', ':192.0.2.7', 'db:', 'a b:192.0.2.7', 'db:192.0.2', 'db:host'])('refuses "%s"', (entry) => {
    expect(() => readExtraHost(entry)).toThrow(/add-host/);
  });
});

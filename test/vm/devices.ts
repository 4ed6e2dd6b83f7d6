// The device program of a container on cgroup v2, felt: what may be made, read and written.
import { expect, it } from 'vitest';
import type { PlanRequest } from '../../host/plan-types.ts';
import { type Containers, sh } from './containers.ts';

const read = 'dd if=$disk of=/dev/null bs=512 count=1 2>&1 | grep -o "not permitted" || echo read';
const write = 'dd if=/dev/zero of=$disk bs=512 count=1 2>&1 | grep -o "not permitted" || echo written';

export function deviceScenarios(containers: () => Containers): void {
  const numbers = (): string => containers().facts.devices['/dev/vda']!.slice(0, 2).join(' ');

  async function attempt(change: (request: PlanRequest) => void): Promise<string> {
    const script = `disk=/dev/vda; test -e $disk || { disk=/made; mknod $disk b ${numbers()} || echo not made; }; ${read}; ${write}`;
    return (await containers().run(sh(script), change)).output.trimEnd().replaceAll('\n', ', ');
  }

  const device =
    (cgroupPermissions: string) =>
    (request: PlanRequest): void => {
      request.container.host.devices = [{ pathOnHost: '/dev/vda', pathInContainer: '/dev/vda', cgroupPermissions }];
    };

  it('may make a node of any device but use none', async () => {
    expect(await attempt(() => {})).toBe('not permitted, not permitted');
  });

  it('may do with a device what --device says', async () => {
    expect(await attempt(device('rwm'))).toBe('read, written');
    expect(await attempt(device('r'))).toBe('read, not permitted');
    expect(await attempt(device('w'))).toBe('not permitted, written');
    expect(await attempt(device('m'))).toBe('not permitted, not permitted');
  });

  it('may do what a rule says with a node of its own', async () => {
    const rule = (text: string) => (request: PlanRequest) => {
      request.container.host.resources = { deviceCgroupRules: [text] };
    };
    const [major] = numbers().split(' ');
    expect(await attempt(rule(`b ${major}:* rw`))).toBe('read, written');
    expect(await attempt(rule(`b ${major}:0 r`))).toBe('read, not permitted');
    expect(await attempt(rule(`b ${Number(major) + 1}:* rw`))).toBe('not permitted, not permitted');
    expect(await attempt(rule('c *:* rwm'))).toBe('not permitted, not permitted');
    expect(await attempt(rule('a *:* rwm'))).toBe('read, written');
  });

  it('may do everything when privileged', async () => {
    const privileged = (request: PlanRequest) => {
      request.container.host.privileged = true;
    };
    expect(await attempt(privileged)).toBe('read, written');
  });

  it('uses the devices that every container has', async () => {
    const script =
      'cd /dev; head -c 4 zero urandom random | wc -c; echo x > null; echo x > full; ls -l null zero full random urandom tty | cut -c1-10 | sort -u; ls -l ptmx fd stdin | wc -l';
    const { output } = await containers().run(sh(script));
    expect(output).toContain('No space left on device');
    expect(output).toContain('crw-rw-rw-\n3\n');
  });
}

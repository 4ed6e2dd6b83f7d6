// One guest for one architecture, and every scenario in it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apparmorScenarios } from './apparmor.ts';
import { type Containers, containersIn } from './containers.ts';
import type { Architecture } from './debian.ts';
import { deviceScenarios } from './devices.ts';
import { type Guest, startGuest, whyNoGuest } from './guest.ts';
import { isolationScenarios } from './isolation.ts';
import { limitScenarios } from './limits.ts';
import { processScenarios } from './processes.ts';
import { userNamespaceScenarios } from './user-namespaces.ts';

export function testInGuest(architecture: Architecture): void {
  describe.skipIf(whyNoGuest(architecture))(`a container on cgroup v2, ${architecture}`, () => {
    let guest: Guest;
    let containers: Containers;

    beforeAll(async () => {
      guest = await startGuest(architecture);
      containers = await containersIn(guest);
    });

    afterAll(() => guest?.close());

    it('is planned for a unified hierarchy whose root has nothing enabled', async () => {
      expect(containers.facts.cgroup).toMatchObject({ layout: 'v2', mounts: { '': '/sys/fs/cgroup' } });
      expect(containers.facts.cgroup.controllers).toEqual(
        expect.arrayContaining(['cpu', 'cpuset', 'io', 'memory', 'pids']),
      );
      expect(await guest.ok('cat /sys/fs/cgroup/cgroup.subtree_control')).toBe('');
    });

    isolationScenarios(() => containers, architecture);
    processScenarios(() => containers);
    limitScenarios(() => containers);
    deviceScenarios(() => containers);
    userNamespaceScenarios(() => containers);
    if (architecture === 'x86_64') apparmorScenarios(() => containers);

    it('leaves no cgroup, no mount and no process behind', async () => {
      expect(await guest.ok('find /sys/fs/cgroup/gantry -mindepth 1 -type d; grep -c overlay /proc/mounts; true')).toBe(
        '0',
      );
      expect(await guest.ok('ps | grep -c "[g]antry-super"; true')).toBe('0');
      expect(await guest.ok('ls /run')).toBe('executor.sock');
    });
  });
}

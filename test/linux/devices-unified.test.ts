// Device rules as the program of a v2 cgroup, felt through the kernel: works on a hybrid host too, in its v2 tree.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cgroupLayout } from '../../host/linux/cgroup-layout.ts';
import type { PlanRequest } from '../../host/plan-types.ts';
import { createPlanned, type Planned } from '../helpers/planned.ts';
import { addProbe, whyNoProbe } from '../helpers/probe.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const unified = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((path) =>
  existsSync(join(path, 'cgroup.controllers')),
);
if (unified === undefined) console.log('Device programs are not tested: this host has no v2 tree');

describe.skipIf(whyNoContainers() || whyNoProbe() || unified === undefined)('a device program', () => {
  let planned: Planned;
  const tree = mkdtempSync(join(tmpdir(), 'gantry-devices-'));

  beforeAll(async () => {
    chmodSync(tree, 0o755);
    addProbe(tree);
    for (const name of ['proc', 'sys', 'dev', 'tmp']) mkdirSync(join(tree, name));
    const cgroup = cgroupLayout(`1 1 0:1 / ${unified} rw - cgroup2 cgroup2 rw\n`, '');
    planned = await createPlanned(tree, ['/dev/fuse'], cgroup);
  });
  afterAll(async () => {
    await planned.close();
    rmSync(tree, { recursive: true });
  });

  type Host = Partial<PlanRequest['container']['host']>;
  async function felt(host: Host, ...args: string[]): Promise<string> {
    const { plan } = planned.plan(['/bin/probe', ...args], (request) => {
      // Without CAP_SYSLOG /dev/kmsg is not read, whatever the rules say.
      Object.assign(request.container.host, { capAdd: ['SYSLOG'] }, host);
    });
    const { output, failure } = await planned.run(plan);
    expect(failure).toBeUndefined();
    return output.trim();
  }
  const open = (path: string) => ['r', 'w', 'rw'].flatMap((mode) => ['open', path, mode]);
  const answers = (...words: string[]): string => words.map((word) => `open ${word}`).join('\n');
  const kmsg = ['mknod', '/tmp/kmsg', 'c', '1', '11'];

  it('allows the default devices, lets nodes be made, and no other be opened', async () => {
    expect(await felt({}, ...open('/dev/null'), ...open('/dev/urandom'))).toBe(answers(...Array(6).fill('ok')));
    expect(await felt({}, ...kmsg, ...open('/tmp/kmsg'))).toBe(`mknod ok\n${answers('EPERM', 'EPERM', 'EPERM')}`);
    expect(await felt({}, 'mknod', '/tmp/disk', 'b', '7', '0', 'open', '/tmp/disk', 'r')).toBe('mknod ok\nopen EPERM');
  });

  it.each([
    ['rwm', ['ok', 'ok', 'ok']],
    ['r', ['ok', 'EPERM', 'EPERM']],
    ['w', ['EPERM', 'ok', 'EPERM']],
    ['m', ['EPERM', 'EPERM', 'EPERM']],
  ])('gives a device of the host with %s', async (cgroupPermissions, words) => {
    const device = { pathOnHost: '/dev/fuse', pathInContainer: '/dev/lift', cgroupPermissions };
    expect(await felt({ devices: [device] }, 'open', '/dev/lift', 'rw')).toBe(`open ${words[2]}`);
    const rule = { resources: { deviceCgroupRules: [`c 1:11 ${cgroupPermissions}`] } };
    expect(await felt(rule, ...kmsg, ...open('/tmp/kmsg'))).toBe(`mknod ok\n${answers(...words)}`);
  });

  it.each([
    ['c 1:* r', 'ok'],
    ['c *:11 r', 'ok'],
    ['c *:* rwm', 'ok'],
    ['a *:* rwm', 'ok'],
    ['a 1:11 r', 'ok'],
    ['c 1:12 rwm', 'EPERM'],
    ['c 2:11 rwm', 'EPERM'],
    ['b 1:11 rwm', 'EPERM'],
  ])('reads the rule "%s"', async (rule, word) => {
    expect(await felt({ resources: { deviceCgroupRules: [rule] } }, ...kmsg, 'open', '/tmp/kmsg', 'r')).toBe(
      `mknod ok\nopen ${word}`,
    );
  });

  it('is none for a privileged container', async () => {
    expect(await felt({ privileged: true }, ...kmsg, 'open', '/tmp/kmsg', 'r')).toBe('mknod ok\nopen ok');
  });
});

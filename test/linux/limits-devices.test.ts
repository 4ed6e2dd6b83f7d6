// Which devices a container may use and how fast: rules felt by mknod(2) and open(2), rates felt by a direct write.
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enginePaths } from '../../host/paths.ts';
import { createLoopDevice, type LoopDevice } from '../helpers/loop-device.ts';
import { whyNoProbe } from '../helpers/probe.ts';
import { createProbeInstallation, type ProbeInstallation } from '../helpers/probe-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers() || whyNoProbe())('devices', () => {
  let here: ProbeInstallation;
  let loop: LoopDevice | string;
  beforeAll(async () => {
    here = await createProbeInstallation();
    loop = createLoopDevice(64);
    if (typeof loop === 'string') console.log(`Rates of block devices are not tested: ${loop}`);
  });
  afterAll(async () => {
    await here?.close();
    if (typeof loop === 'object') loop.close();
  });

  /** The device, or nothing where the test cannot run. */
  const device = (): LoopDevice | undefined => (typeof loop === 'object' ? loop : undefined);

  it('that are not allowed can be made but not opened', async () => {
    // fuse, 10:229, needs no capability, and is none of the default devices.
    const fuse = ['box', 'probe', 'mknod', '/tmp/fuse', 'c', '10', '229', 'open', '/tmp/fuse', 'rw'];
    expect(await here.box(...fuse)).toBe('mknod ok\nopen EPERM');
    if (existsSync('/dev/fuse'))
      expect(await here.box('--device-cgroup-rule', 'c 10:229 rwm', ...fuse)).toBe('mknod ok\nopen ok');
    expect(await here.box('box', 'probe', 'mknod', '/tmp/null', 'c', '1', '3', 'open', '/tmp/null', 'rw')).toBe(
      'mknod ok\nopen ok',
    );
    expect(await here.box('--cap-drop', 'MKNOD', 'box', 'probe', 'mknod', '/tmp/x', 'c', '1', '3')).toBe('mknod EPERM');
  });

  it('of the host are there with the access that --device gives', async () => {
    const found = device();
    if (found === undefined) return;
    const tries = ['r', 'w', 'rw'].flatMap((mode) => ['open', '/dev/scratch', mode]);
    const open = (access: string) =>
      here.box('--device', `${found.path}:/dev/scratch${access}`, 'box', 'probe', ...tries);
    expect(await open('')).toBe('open ok\nopen ok\nopen ok');
    expect(await open(':r')).toBe('open ok\nopen EPERM\nopen EPERM');
    expect(await open(':w')).toBe('open EPERM\nopen ok\nopen EPERM');
    expect(await open(':m')).toBe('open EPERM\nopen EPERM\nopen EPERM');
    expect(await here.box('box', 'probe', 'open', '/dev/scratch', 'r')).toBe('open ENOENT');
  });

  it('by --device-cgroup-rule may be made by the container itself', async () => {
    const found = device();
    if (found === undefined) return;
    const { major, minor } = found;
    const own = ['box', 'probe', 'mknod', '/tmp/own', 'b', String(major), String(minor), 'open', '/tmp/own', 'r'];
    expect(await here.box(...own)).toBe('mknod ok\nopen EPERM');
    expect(await here.box('--device-cgroup-rule', `b ${major}:${minor} r`, ...own)).toBe('mknod ok\nopen ok');
    expect(await here.box('--device-cgroup-rule', `b ${major}:* rm`, ...own)).toBe('mknod ok\nopen ok');
    expect(await here.box('--device-cgroup-rule', `c ${major}:* rwm`, ...own)).toBe('mknod ok\nopen EPERM');
    expect(await here.box('--privileged', ...own)).toBe('mknod ok\nopen ok');
  });

  it('that are not there, or asked for in another language, are refused', async () => {
    const missing = await here.run('--device', '/dev/nothing-of-the-kind', 'box', 'true');
    expect(missing.status).toBe(125);
    expect(missing.stderr).toContain('Cannot add the device "/dev/nothing-of-the-kind": no such file');
    const rule = await here.run('--device-cgroup-rule', 'everything', 'box', 'true');
    expect(rule.status).toBe(125);
    expect(rule.stderr).toContain('Cannot read the device rule "everything"');
  });

  it('are written as slowly as --device-write-bps says', async () => {
    const found = device();
    if (found === undefined) return;
    const written = async (...flags: string[]): Promise<number> => {
      const output = await here.box(
        ...flags,
        '-v',
        `${found.mounted}:/disk`,
        'box',
        'probe',
        'write',
        '/disk/file',
        '1024',
      );
      return Number(/^wrote 1024 in (\d+)$/.exec(output)?.[1]);
    };
    const free = await written();
    const throttled = await written('--device-write-bps', `${found.path}:512k`);
    const counted = await written('--device-write-iops', `${found.path}:10`);
    // A megabyte at half a megabyte a second, and sixteen writes at ten a second: the kernel holds them back that long.
    expect(throttled).toBeGreaterThan(1000);
    expect(counted).toBeGreaterThan(1000);
    expect(free * 2).toBeLessThan(throttled);
  });

  it('have a weight where the scheduler knows one', async () => {
    const weight = '/sys/fs/cgroup/blkio/blkio.bfq.weight';
    const { status, stdout, stderr } = await here.run('--blkio-weight', '300', 'box', 'cat', weight);
    if (status !== 0) console.log(`The blkio weight is not tested: ${stderr}`);
    else expect(stdout).toBe('300\n');
  });

  it.each([
    ['huge pages', 'hugetlb', { hugetlb: [{ pageSize: '2MB', limit: 4194304 }] }],
    ['network classes', 'net_cls', { netClsClassId: 1 }],
  ])('of %s are refused where this host has no such controller', async (_name, controller, own) => {
    if (existsSync(`/sys/fs/cgroup/${controller}`)) {
      console.log(`The refusal of ${controller} is not tested: this host has it`);
      return;
    }
    const body = JSON.stringify({ Image: 'box', HostConfig: { NetworkMode: 'none', Gantry: own } });
    const { status, answer } = await post(enginePaths(here.dataRoot).socket, '/containers/create', body);
    expect(status).toBe(501);
    expect(answer).toContain(`this kernel has no \\"${controller}\\" controller`);
  });
});

function post(socketPath: string, path: string, body: string): Promise<{ status: number; answer: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const call = request({ socketPath, path, method: 'POST', headers }, (response) => {
      let answer = '';
      response.on('data', (chunk) => {
        answer += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, answer }));
    });
    call.on('error', reject);
    call.end(body);
  });
}

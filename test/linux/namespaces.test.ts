// Every namespace mode as --pid, --network, … take it: the inode behind /proc/self/ns tells whose namespace it is.
import { readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, processesOf } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

/** Flag, name below /proc/PID/ns. */
const kinds = [
  ['pid', 'pid'],
  ['network', 'net'],
  ['ipc', 'ipc'],
  ['uts', 'uts'],
  ['userns', 'user'],
  ['cgroupns', 'cgroup'],
  ['time', 'time'],
] as const;

describe.skipIf(whyNoContainers())('a namespace', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const host = (name: string): string => readlinkSync(`/proc/self/ns/${name}`);
  const inside = async (name: string, ...flags: string[]): Promise<string> =>
    ok('run', '--rm', ...flags, 'box', 'readlink', `/proc/self/ns/${name}`);
  /** All namespaces of a container's first process, asked once. */
  const known = new Map<string, Promise<Record<string, string>>>();
  const all = async (container: string, pid = '1'): Promise<Record<string, string>> => {
    const script = kinds.map(([, name]) => `readlink /proc/${pid}/ns/${name}`).join('; ');
    const lines = (await ok('exec', container, 'sh', '-c', script)).split('\n');
    return Object.fromEntries(kinds.map(([, name], index) => [name, lines[index]!]));
  };
  const of = async (container: string, name: string): Promise<string> => {
    if (!known.has(container)) known.set(container, all(container));
    return (await known.get(container)!)[name]!;
  };

  beforeAll(async () => {
    const tree = busyboxTree();
    symlinkSync('busybox', join(tree, 'bin/readlink'));
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    rmSync(tree, { recursive: true });
    rmSync(archive);
    await ok('run', '-d', '--name', 'plain', '--hostname', 'plain', '--network', 'none', 'box', 'sleep', '1000');
    await ok(
      'run',
      '-d',
      '--name',
      'mapped',
      '--hostname',
      'mapped',
      '--userns',
      'auto',
      '--network',
      'none',
      'box',
      'sleep',
      '1000',
    );
  });

  afterAll(async () => {
    await here.close();
    expect(processesOf(here.dataRoot)).toEqual([]);
  });

  it.each(kinds)('of --%s is the own of each container where nothing is said, but for the user', async (flag, name) => {
    const found = await inside(name, ...(flag === 'network' ? ['--network', 'none'] : []));
    if (flag === 'userns') expect(found).toBe(host(name));
    else expect([host(name), await of('plain', name), await of('mapped', name)]).not.toContain(found);
  });

  it.each(kinds)('of --%s host is that of the host, with and without mapped ids', async (flag, name) => {
    const flags = [`--${flag}`, 'host'];
    expect(await inside(name, ...flags, ...(flag === 'network' ? [] : ['--network', 'none']))).toBe(host(name));
    if (flag !== 'userns')
      expect(
        await inside(name, ...flags, '--userns', 'auto', ...(flag === 'network' ? [] : ['--network', 'none'])),
      ).toBe(host(name));
  });

  it.each(kinds)('of --%s container:NAME is that of the container', async (flag, name) => {
    const network = flag === 'network' ? [] : ['--network', 'none'];
    for (const container of ['plain', 'mapped'])
      expect(await inside(name, `--${flag}`, `container:${container}`, ...network), container).toBe(
        await of(container, name),
      );
  });

  it('of every kind is shared at once, and an exec enters the same', async () => {
    for (const container of ['plain', 'mapped']) {
      const flags = kinds.flatMap(([flag]) => [`--${flag}`, `container:${container}`]);
      await ok('run', '-d', '--name', 'guest', ...flags, 'box', 'sleep', '1000');
      expect(await all('guest', 'self')).toEqual(await all(container));
      expect(await ok('exec', 'guest', 'hostname')).toBe(container);
      const pid = await ok('inspect', '-f', '{{.State.Pid}}', 'guest');
      expect(readlinkSync(`/proc/${pid}/ns/mnt`)).not.toBe(
        await ok('exec', container, 'readlink', '/proc/self/ns/mnt'),
      );
      await ok('rm', '-f', 'guest');
    }
  });

  it('of PIDs shows the processes that are in it, and no others', async () => {
    const shown = (...flags: string[]): Promise<string> =>
      ok('run', '--rm', '--network', 'none', ...flags, 'box', 'sh', '-c', 'ls /proc | grep "^[0-9]" | wc -l');
    expect(Number(await shown())).toBeLessThan(6);
    expect(Number(await shown('--pid', 'container:plain'))).toBeLessThan(7);
    expect(Number(await shown('--pid', 'container:mapped', '--userns', 'container:mapped'))).toBeLessThan(7);
    expect(Number(await shown('--pid', 'host', '--userns', 'auto'))).toBeGreaterThan(10);
    const foreign = await gantry('run', '--rm', '--pid', 'container:plain', '--userns', 'auto', 'box', 'true');
    expect(foreign.status).toBe(125);
    expect(foreign.stderr).toContain('it belongs to another user namespace');
  });

  it('of the network shows its interfaces in /sys, whoever owns it', async () => {
    await ok('run', '-d', '--name', 'bridged', 'box', 'sleep', '1000');
    const list = ['box', 'ls', '/sys/class/net'];
    expect(await ok('run', '--rm', '--userns', 'auto', '--network', 'container:bridged', ...list)).toBe('eth0\nlo');
    expect(await ok('run', '--rm', '--userns', 'auto', '--network', 'none', ...list)).toBe('lo');
    await ok('rm', '-f', 'bridged');
  });

  it('of IPC comes with the memory in /dev/shm', async () => {
    await ok('exec', 'plain', 'sh', '-c', 'echo shared > /dev/shm/segment');
    const read = ['box', 'cat', '/dev/shm/segment'];
    expect(await ok('run', '--rm', '--network', 'none', '--ipc', 'container:plain', ...read)).toBe('shared');
    // The nodes belong to root of the host, who is somebody else in there; the file is open to all.
    expect(await ok('run', '--rm', '--network', 'none', '--ipc', 'container:plain', '--userns', 'auto', ...read)).toBe(
      'shared',
    );
    await ok('exec', 'mapped', 'sh', '-c', 'echo its own > /dev/shm/segment');
    const same = ['--ipc', 'container:mapped', '--userns', 'container:mapped'];
    expect(await ok('run', '--rm', '--network', 'none', ...same, ...read)).toBe('its own');
    expect((await gantry('run', '--rm', '--network', 'none', ...read)).status).not.toBe(0);
  });

  it('of a container that does not run, or does not exist, is refused', async () => {
    await ok('create', '--name', 'idle', 'box');
    for (const [flag] of kinds) {
      const run = (of: string) =>
        gantry('run', '--rm', ...(flag === 'network' ? [] : ['--network', 'none']), `--${flag}`, of, 'box', 'true');
      const idle = await run('container:idle');
      expect(idle.status, flag).toBe(125);
      expect(idle.stderr, flag).toMatch(/not running/);
      const nobody = await run('container:nobody');
      expect(nobody.stderr, flag).toMatch(/No such container: nobody/);
    }
    await ok('rm', 'idle');
  });

  it('of the time counts from where it is told to', async () => {
    const uptime = async (...flags: string[]): Promise<number> =>
      Number((await ok('run', '--rm', '--network', 'none', ...flags, 'box', 'cat', '/proc/uptime')).split('.')[0]);
    const plain = await uptime();
    expect(await uptime('--time-offset', 'boottime=500000')).toBeGreaterThanOrEqual(plain + 500000);
    await ok(
      'run',
      '-d',
      '--name',
      'later',
      '--network',
      'none',
      '--time-offset',
      'boottime=900000',
      'box',
      'sleep',
      '1000',
    );
    expect(await uptime('--time', 'container:later')).toBeGreaterThanOrEqual(plain + 900000);
    expect(await uptime('--time', 'host')).toBeLessThan(plain + 100000);
    await ok('rm', '-f', 'later');
  });
});

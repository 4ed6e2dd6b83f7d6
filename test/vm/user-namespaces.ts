// Mapped ids in a guest: on cgroup v2, and on a kernel that takes neither detached layers nor one layer an option.
import { expect, it } from 'vitest';
import { type Containers, sh } from './containers.ts';
import { mappedOnDisk } from './mapped.ts';

export function userNamespaceScenarios(containers: () => Containers): void {
  it('is told where the file system of its layers cannot map ids', async () => {
    const start = containers().start(['true'], (request) => {
      request.container.host.uidMaps = ['0:300000:65536'];
    });
    await expect(start).rejects.toMatchObject({ hint: expect.stringContaining('cannot map ids') });
  });

  it('has ids of its own, and its files too', async () => {
    const container = await containers().start(
      sh(
        'id -u; cat /proc/self/uid_map; stat -c %u /bin/busybox /etc/layer /dev/null; echo x > /made; cat /etc/hosts; echo out > /dev/stdout',
      ),
      await mappedOnDisk(containers().guest),
    );
    const { output, exitCode } = await container.ended();
    expect(output.replace(/ +/g, ' ')).toBe('0\n 0 300000 65536\n0\n0\n0\nhosts\nout\n');
    expect(exitCode).toBe(0);
    const { upper } = container.request.rootfs;
    expect(await containers().guest.ok(`stat -c %u ${upper}/made`)).toBe('0');
  });

  it('has a cgroup and system settings of its own in there, and takes execs', async () => {
    const mapped = await mappedOnDisk(containers().guest);
    const container = await containers().start(['sleep', '1000'], (request) => {
      mapped(request);
      request.container.host.resources = { memory: '32m', pidsLimit: 30 };
      request.container.host.sysctls = { 'kernel.msgmax': '4321' };
    });
    const exec = (script: string, more = {}) => containers().exec(container, sh(script), more);
    expect((await exec('cat /proc/self/cgroup /sys/fs/cgroup/memory.max /proc/sys/kernel/msgmax')).output).toBe(
      '0::/\n33554432\n4321\n',
    );
    expect((await exec('id -u; readlink /proc/self/ns/user; readlink /proc/1/ns/user')).output).toMatch(
      /^0\n(.+)\n\1\n$/,
    );
    const user = { uid: 1000, gid: 1000, additionalGids: [], home: '/' };
    expect((await exec('id -u; echo named > /dev/stdout', { user })).output).toBe('1000\nnamed\n');
    expect((await exec('echo 1 > /sys/fs/cgroup/memory.max; echo 1 > /proc/sys/kernel/panic; true')).output).not.toBe(
      '',
    );
    await containers().control(container, 'freeze');
    await containers().control(container, 'thaw');
    await containers().control(container, 'kill', 9);
    expect((await container.ended()).exitCode).toBe(137);
  });
}

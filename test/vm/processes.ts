// Processes of a container in a guest: exit, signals, terminal, stdin, exec, and what stays behind.
import { expect, it } from 'vitest';
import { until } from '../helpers/cli.ts';
import { type Containers, sh } from './containers.ts';

const SIGTERM = 15;
const SIGKILL = 9;

export function processScenarios(containers: () => Containers): void {
  it('exits with the status of its process, and the record says so', async () => {
    const container = await containers().start(sh('exit 42'));
    expect(await container.ended()).toMatchObject({ exitCode: 42, oomKilled: false });
    const record = await containers().guest.ok(`cat /data/${container.id}/exit.json`);
    expect(JSON.parse(record)).toMatchObject({ exitCode: 42, oomKilled: false });
  });

  it('gets a signal', async () => {
    const container = await containers().start(
      sh('trap "echo caught; exit 7" TERM; echo ready; while :; do sleep 1; done'),
    );
    await until(() => container.output() === 'ready\n', 'the trap');
    container.process.signal(SIGTERM);
    expect(await container.ended()).toMatchObject({ exitCode: 7, output: 'ready\ncaught\n' });
  });

  it('says which program does not exist', async () => {
    await expect(containers().run(['nothing-of-the-kind'])).rejects.toMatchObject({ code: 'COMMAND_NOT_FOUND' });
  });

  it('has a terminal of the size that was asked for', async () => {
    const container = await containers().start(
      sh('tty; read line; stty size; test -c /dev/console && echo console'),
      (request) => {
        request.container.tty = true;
        request.container.openStdin = true;
      },
    );
    await until(() => container.output().includes('/dev/pts/0'), 'the terminal');
    container.process.resize(40, 132);
    await container.process.write(Buffer.from('go\n'));
    expect((await container.ended()).output.replaceAll('\r', '')).toBe('/dev/pts/0\ngo\n40 132\nconsole\n');
  });

  it('reads stdin to its end', async () => {
    const container = await containers().start(['wc', '-c'], (request) => {
      request.container.openStdin = true;
    });
    await container.process.write(Buffer.alloc(300_000, 'x'));
    container.process.closeStdin();
    expect((await container.ended()).output.trim()).toBe('300000');
  });

  it('gives all of a large output', async () => {
    const { output } = await containers().run(sh('dd if=/dev/zero bs=64k count=32 2>/dev/null | tr "\\0" x'));
    expect(output.length).toBe(32 * 65536);
  });

  it('is entered by exec: same namespaces, same cgroup, same confinement', async () => {
    const container = await containers().start(sh('sleep 1000'));
    const look = 'for n in cgroup ipc mnt net pid time user uts; do readlink /proc/$1/ns/$n; done; cat /proc/$1/cgroup';
    const script = `look() { ${look}; }; look 1 > /tmp/1; look self > /tmp/self; cmp /tmp/1 /tmp/self && cat /proc/self/cgroup; grep -E "^(CapEff|Seccomp):" /proc/self/status`;
    const { output, exitCode } = await containers().exec(container, sh(script));
    expect(output).toBe('0::/\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n');
    expect(exitCode).toBe(0);
    const inCgroup = containers().exec(container, ['sleep', '1000']);
    const members = async (): Promise<number> =>
      (await containers().guest.ok(`cat ${container.cgroup}/cgroup.procs`)).split('\n').length;
    await until(async () => (await members()) === 2, 'the second process in the cgroup');
    container.process.signal(SIGKILL);
    expect((await container.ended()).exitCode).toBe(137);
    expect((await inCgroup).exitCode).toBe(137);
  });

  it('loses nothing of the terminal of an exec, however short', async () => {
    const container = await containers().start(['sleep', '1000']);
    const asUser = { user: { uid: 65534, gid: 65534, additionalGids: [], home: '/' }, tty: true };
    for (let round = 0; round < 12; round++) {
      const { output, exitCode } = await containers().exec(container, sh('id -u; tty; exit 5'), asUser);
      expect(output).toMatch(/^65534\r\n\/dev\/pts\/\d+\r\n$/);
      expect(exitCode).toBe(5);
    }
    container.process.signal(SIGKILL);
    await container.ended();
  });

  // As systemd and docker-in-docker do: cgroup v2 lets no process stay in a cgroup that hands controllers on.
  it('is entered where it has moved itself into a cgroup below its own', async () => {
    const own = '/sys/fs/cgroup';
    const move = `mkdir ${own}/init && echo 1 > ${own}/init/cgroup.procs && echo +pids > ${own}/cgroup.subtree_control`;
    const container = await containers().start(sh(`${move} && echo ready; sleep 1000`), (request) => {
      request.container.host.privileged = true;
    });
    await until(() => container.output() === 'ready\n', 'the move');
    expect((await containers().exec(container, ['cat', '/proc/self/cgroup'])).output).toBe('0::/init\n');
    container.process.signal(SIGKILL);
    await container.ended();
    expect(await containers().guest.ok(`test -e ${container.cgroup} || echo gone`)).toBe('gone');
  });
}

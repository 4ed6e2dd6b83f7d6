// cgroup v2 on a real kernel: each limit of a container has the value that was asked for, and is felt.
import { expect, it } from 'vitest';
import { readProgram } from '../../host/core/program.ts';
import type { Resources } from '../../host/types.ts';
import { until } from '../helpers/cli.ts';
import { type Container, type Containers, sh } from './containers.ts';

const SIGBUS = 7;
const SIGKILL = 9;
const SIGTERM = 15;
const MIB = 1024 ** 2;

export function limitScenarios(containers: () => Containers): void {
  const guest = (script: string): Promise<string> => containers().guest.ok(script);

  /** Files of the container's cgroup as the guest sees them while it runs. */
  async function files(resources: Resources, ...names: string[]): Promise<Record<string, string>> {
    const container = await start(['sleep', '1000'], resources);
    const found = await Promise.all(names.map(async (name) => [name, await guest(`cat ${container.cgroup}/${name}`)]));
    container.process.signal(SIGKILL);
    await container.ended();
    return Object.fromEntries(found);
  }

  const start = (command: string[], resources: Resources): Promise<Container> =>
    containers().start(command, (request) => {
      request.container.host.resources = resources;
    });

  it('is born in its cgroup, alone, and leaves none behind', async () => {
    const container = await containers().start(['sleep', '1000']);
    expect(await guest(`cat ${container.cgroup}/cgroup.procs`)).toBe(String(container.process.pid));
    const written = readProgram(container.plan.setup).ops.flatMap(({ operands }) =>
      operands.map((operand) => ('text' in operand ? operand.text : '')),
    );
    expect(written.filter((text) => text.endsWith('cgroup.procs'))).toEqual([]);
    container.process.signal(SIGKILL);
    await container.ended();
    expect(await guest(`test -e ${container.cgroup} || echo gone`)).toBe('gone');
  });

  it('sees its cgroup as the root, read-only', async () => {
    const { output } = await containers().run(
      sh(
        'cat /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs | head -1; mkdir /sys/fs/cgroup/x; echo 1 > /sys/fs/cgroup/memory.max',
      ),
    );
    expect(output).toMatch(/^0::\/\n1\n/);
    expect(output.match(/Read-only file system/g)).toHaveLength(2);
  });

  it('sees the cgroup of the host with --cgroupns host', async () => {
    const { output } = await containers().run(['cat', '/proc/self/cgroup'], (request) => {
      request.container.host.cgroupMode = 'host';
    });
    expect(output).toMatch(/^0::\/gantry\/container-\d+\n$/);
  });

  it('lies below the parent that was asked for, with every controller', async () => {
    const container = await containers().start(['sleep', '1000'], (request) => {
      request.container.host.cgroupParent = 'team/a';
      request.container.host.resources = { pidsLimit: 33 };
    });
    expect(await guest(`cat ${container.cgroup}/pids.max; cat ${container.cgroup}/cgroup.controllers`)).toBe(
      `33\n${containers().facts.cgroup.controllers.join(' ')}`,
    );
    container.process.signal(SIGKILL);
    await container.ended();
    await guest('rmdir /sys/fs/cgroup/team/a /sys/fs/cgroup/team');
  });

  it('writes every limit in the words of cgroup v2', async () => {
    const resources: Resources = {
      memory: '64m',
      memorySwap: '96m',
      memoryReservation: '32m',
      nanoCpus: 5e8,
      cpuShares: 1024,
      cpusetCpus: '1',
      cpusetMems: '0',
      pidsLimit: 20,
      blkioWeight: 500,
      blkioDeviceReadBps: [{ path: '/dev/vda', rate: '1m' }],
      blkioDeviceWriteIOps: [{ path: '/dev/vda', rate: 100 }],
      unified: { 'memory.high': String(48 * MIB) },
    };
    const expected = {
      'memory.max': String(64 * MIB),
      'memory.swap.max': String(32 * MIB),
      'memory.low': String(32 * MIB),
      'memory.high': String(48 * MIB),
      'cpu.max': '50000 100000',
      'cpu.weight': '100',
      'cpuset.cpus': '1',
      'cpuset.mems': '0',
      'pids.max': '20',
      'io.weight': 'default 4950',
      'io.max': `${containers().facts.devices['/dev/vda']!.slice(0, 2).join(':')} rbps=1048576 wbps=max riops=max wiops=100`,
    };
    expect(await files(resources, ...Object.keys(expected))).toEqual(expected);
  });

  it('tells what the devices here cannot weigh', async () => {
    const container = await start(['true'], { blkioWeightDevice: [{ path: '/dev/vda', weight: 500 }] });
    await container.ended();
    expect(container.process.warnings).toEqual([
      expect.stringMatching(/^Left out: write "254:0 4950" to ".*io.weight"/),
    ]);
  });

  it('knows "without limit"', async () => {
    expect(await files({ memory: '64m', memorySwap: -1, pidsLimit: -1 }, 'memory.swap.max', 'pids.max')).toEqual({
      'memory.swap.max': 'max',
      'pids.max': 'max',
    });
    expect(await files({ cpuQuota: -1, cpuPeriod: 50000 }, 'cpu.max', 'memory.max')).toEqual({
      'cpu.max': 'max 50000',
      'memory.max': 'max',
    });
  });

  it('says why where the cgroup above cannot hand a controller on', async () => {
    await guest('mkdir /sys/fs/cgroup/busy; sleep 1000 > /dev/null 2>&1 & echo $! > /sys/fs/cgroup/busy/cgroup.procs');
    const started = containers().start(['true'], (request) => {
      request.container.host.cgroupParent = 'busy';
      request.container.host.resources = { memory: '64m' };
    });
    await expect(started).rejects.toMatchObject({
      code: 'PLAN_FAILED',
      hint: expect.stringContaining('hands this controller on to nobody'),
    });
    await guest(
      'echo 1 > /sys/fs/cgroup/busy/cgroup.kill; until rmdir /sys/fs/cgroup/busy 2> /dev/null; do sleep 0.05; done',
    );
  });

  it('refuses what cgroup v2 has no control for', () => {
    const refused: Resources[] = [
      { memory: '64m', oomKillDisable: true },
      { memory: '64m', memorySwappiness: 10 },
      { cpuRealtimeRuntime: 1000 },
      { cpuRealtimePeriod: 10000 },
      { netClsClassId: 5 },
    ];
    for (const resources of refused)
      expect(() =>
        containers().plan(['true'], (request) => {
          request.container.host.resources = resources;
        }),
      ).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
  });

  it('is killed at its memory limit, and the record says so', async () => {
    const container = await start(['probe', 'memory', String(64 * MIB)], { memory: '16m', memorySwap: '16m' });
    expect(await container.ended()).toMatchObject({ exitCode: 137, oomKilled: true, output: '' });
    const record = JSON.parse(await guest(`cat /data/${container.id}/exit.json`));
    expect(record).toMatchObject({ exitCode: 137, oomKilled: true });
    const enough = await start(['probe', 'memory', String(64 * MIB)], { memory: '128m' });
    expect(await enough.ended()).toMatchObject({ exitCode: 0, oomKilled: false, output: 'used\n' });
  });

  it('gets huge pages up to its limit', async () => {
    await guest('echo 3 > /proc/sys/vm/nr_hugepages; grep -q "HugePages_Free: *3" /proc/meminfo');
    const container = await start(['probe', 'huge-pages', '3'], { hugetlb: [{ pageSize: '2MB', limit: 4 * MIB }] });
    expect(await container.ended()).toMatchObject({ exitCode: 128 + SIGBUS, output: 'page 1\npage 2\n' });
    expect((await containers().run(['probe', 'huge-pages', '3'])).output).toBe('page 1\npage 2\npage 3\n');
    await guest('echo 0 > /proc/sys/vm/nr_hugepages');
  });

  it('cannot fork beyond its pids limit', async () => {
    const container = await start(sh('for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all'), { pidsLimit: 4 });
    expect((await container.ended()).output).toMatch(/fork/);
  });

  it('is throttled at its CPU limit', async () => {
    const loop = 'while ! grep -q "nr_throttled [1-9]" /sys/fs/cgroup/cpu.stat; do :; done; echo throttled';
    expect((await (await start(sh(loop), { nanoCpus: 1e8 })).ended()).output).toBe('throttled\n');
  });

  it('runs on the CPUs of its set only', async () => {
    const script =
      'nproc; grep Cpus_allowed_list /proc/self/status; taskset_free=$(cat /sys/fs/cgroup/cpuset.cpus.effective); echo $taskset_free';
    expect((await (await start(sh(script), { cpusetCpus: '1' })).ended()).output).toBe('1\nCpus_allowed_list:\t1\n1\n');
  });

  it('waits at its rate of reading until the limit is lifted, while another reads on', async () => {
    const read = sh('dd if=/dev/vda of=/dev/null bs=64k count=4 iflag=direct 2>/dev/null && echo read');
    const change = (resources: Resources) => (request: { container: Container['request']['container'] }) => {
      const device = { pathOnHost: '/dev/vda', pathInContainer: '/dev/vda', cgroupPermissions: 'r' };
      Object.assign(request.container.host, { devices: [device], resources });
    };
    const slow = await containers().start(read, change({ blkioDeviceReadBps: [{ path: '/dev/vda', rate: 1024 }] }));
    expect((await containers().run(read, change({}))).output).toBe('read\n');
    expect(slow.output()).toBe('');
    const [major, minor] = containers().facts.devices['/dev/vda']!;
    await guest(`echo "${major}:${minor} rbps=max" > ${slow.cgroup}/io.max`);
    expect((await slow.ended()).output).toBe('read\n');
  });

  it('stands still while frozen, goes on when thawed, and is killed frozen', async () => {
    const container = await containers().start(sh('while :; do echo x >> /tmp/count; done'));
    const count = async (): Promise<number> => Number(await guest(`wc -c < /data/${container.id}/upper/tmp/count`));
    await until(
      () =>
        count().then(
          (bytes) => bytes > 0,
          () => false,
        ),
      'the first line',
    );
    await containers().control(container, 'freeze');
    expect(await guest(`cat ${container.cgroup}/cgroup.events`)).toContain('frozen 1');
    const frozen = await count();
    await guest('sleep 0.2');
    expect(await count()).toBe(frozen);
    await containers().control(container, 'thaw');
    await until(async () => (await count()) > frozen, 'a line after the thaw');
    await containers().control(container, 'freeze');
    await containers().control(container, 'kill', SIGKILL);
    expect((await container.ended()).exitCode).toBe(137);
  });

  it('is killed with all that it started', async () => {
    const container = await containers().start(sh('trap "" TERM; (trap "" TERM; sleep 1000) & echo ready; wait'));
    await until(() => container.output() === 'ready\n', 'the container');
    await containers().control(container, 'kill', SIGKILL);
    expect((await container.ended()).exitCode).toBe(137);
    expect(await guest(`test -e ${container.cgroup} || echo gone`)).toBe('gone');
  });

  it('gets a signal in each of its processes, in cgroups of its own too', async () => {
    const below =
      'mkdir /sys/fs/cgroup/below; (trap "echo below; exit" TERM; echo 0 > /sys/fs/cgroup/below/cgroup.procs;';
    const script = `trap "wait; echo first; exit 3" TERM; ${below} echo ready; while :; do :; done) & wait`;
    const container = await containers().start(sh(script), (request) => {
      request.container.host.privileged = true;
    });
    await until(() => container.output() === 'ready\n', 'the container');
    await containers().control(container, 'kill', SIGTERM);
    expect(await container.ended()).toMatchObject({ exitCode: 3, output: 'ready\nbelow\nfirst\n' });
  });

  it('may make cgroups of its own when privileged, and they go with it', async () => {
    const script = 'mkdir -p /sys/fs/cgroup/a/b && echo 1 > /sys/fs/cgroup/a/b/cgroup.procs && cat /proc/self/cgroup';
    const container = await containers().start(sh(script), (request) => {
      request.container.host.privileged = true;
    });
    expect(await container.ended()).toMatchObject({ exitCode: 0, output: '0::/a/b\n' });
    expect(await guest(`test -e ${container.cgroup} || echo gone`)).toBe('gone');
  });
}

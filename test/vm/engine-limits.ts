// Limits changed under a running container, counters, and the end by memory, through the engine on cgroup v2.
import { describe, expect, it } from 'vitest';
import { until } from '../helpers/cli.ts';
import type { EngineGuest } from './engine-guest.ts';

const MIB = 1024 ** 2;
const FILES =
  'memory.max memory.swap.max memory.low memory.high pids.max cpu.max cpu.weight cpuset.cpus.effective'.split(' ');

/** Of memory_stats.stats, as moby's engine has them on v2. */
const COUNTERS =
  'active_anon active_file anon anon_thp file file_dirty file_mapped file_writeback inactive_anon inactive_file kernel_stack pgactivate pgdeactivate pgfault pglazyfree pglazyfreed pgmajfault pgrefill pgscan pgsteal shmem slab slab_reclaimable slab_unreclaimable sock thp_collapse_alloc thp_fault_alloc unevictable workingset_activate workingset_nodereclaim workingset_refault';

export function engineLimitScenarios(of: () => EngineGuest): void {
  describe('limits of a container that runs', () => {
    const files = async (): Promise<Record<string, string>> => {
      const directory = await of().cgroup('live');
      const values = await of().guest.ok(`cd ${directory}; for f in ${FILES.join(' ')}; do echo $(cat $f); done`);
      return Object.fromEntries(values.split('\n').map((value, index) => [FILES[index]!, value]));
    };
    const update = (...flags: string[]): Promise<string> => of().ok('update', ...flags, 'live');

    it('are changed one by one, and what was set by hand stays', async () => {
      const limits = ['-m', '64m', '--pids-limit', '4', '--cpu-quota', '50000', '--shm-size', '40m'];
      await of().ok('run', '-d', '--name', 'live', '--network', 'none', ...limits, 'box', 'sleep', '1000');
      const high = 50 * MIB;
      await of().guest.ok(`echo ${high} > ${await of().cgroup('live')}/memory.high`);
      const fork = ['exec', 'live', 'sh', '-c', 'for i in 1 2 3 4 5 6; do true & done; wait; echo all'];
      expect((await of().gantry(...fork)).output).toContain("can't fork");
      await update('-m', '96m', '--memory-swap', '96m', '--memory-reservation', '32m', '--pids-limit', '20');
      expect((await of().gantry(...fork)).output).toBe('all');
      await update('--cpu-period', '50000', '--cpu-quota', '20000', '-c', '512', '--cpuset-cpus', '1');
      expect(await files()).toEqual({
        'memory.max': String(96 * MIB),
        'memory.swap.max': '0',
        'memory.low': String(32 * MIB),
        'memory.high': String(high),
        'pids.max': '20',
        'cpu.max': '20000 50000',
        'cpu.weight': '59',
        'cpuset.cpus.effective': '1',
      });
      expect(await of().ok('exec', 'live', 'grep', 'Cpus_allowed_list', '/proc/self/status')).toMatch(/\t1$/);
      await update('-m', '48m', '--memory-swap', '-1', '--pids-limit', '-1', '--cpu-quota', '-1');
      expect(await files()).toMatchObject({
        'memory.max': String(48 * MIB),
        'memory.swap.max': 'max',
        'memory.high': String(high),
        'pids.max': 'max',
        'cpu.max': 'max 50000',
      });
      await of().guest.ok(`echo max > ${await of().cgroup('live')}/memory.high`);
    });

    it('are all as they were where one write fails, also those that were not set', async () => {
      await of().ok('rm', '-f', 'live');
      await of().ok('run', '-d', '--name', 'live', '--network', 'none', '--shm-size', '40m', 'box', 'sleep', '1000');
      const before = await files();
      const file = `${await of().cgroup('live')}/pids.max`;
      await of().guest.ok(`mount --bind /dev/full ${file}`);
      const flags = ['-m', '64m', '--memory-reservation', '32m', '--cpus', '0.5', '-c', '300', '--cpuset-cpus', '0'];
      const { status, output } = await of().gantry('update', ...flags, '--pids-limit', '9', 'live');
      expect([status, output]).toEqual([1, expect.stringContaining('Cannot write "9" to "/sys/fs/cgroup/gantry/')]);
      await of().guest.ok(`umount ${file}`);
      expect(await files()).toEqual(before);
      expect((await of().inspect('live')).HostConfig).toMatchObject({ Memory: 0, CpuShares: 0 });
    });

    it('are counted with docker’s names of v2, once and as a stream', async () => {
      const once = JSON.parse(await of().get('/containers/live/stats?stream=0&one-shot=1'));
      expect(once.memory_stats.stats && Object.keys(once.memory_stats.stats).toSorted().join(' ')).toBe(COUNTERS);
      expect(Object.keys(once.memory_stats).toSorted()).toEqual(['limit', 'stats', 'usage']);
      expect(Object.keys(once.cpu_stats.cpu_usage)).not.toContain('percpu_usage');
      expect(once.cpu_stats.online_cpus).toBe(2);
      expect(once.blkio_stats).toMatchObject({ io_serviced_recursive: null, sectors_recursive: null });
      const both = JSON.parse(await of().get('/containers/live/stats?stream=0'));
      expect(Date.parse(both.read)).toBeGreaterThan(Date.parse(both.preread));
      const machine = Number(/MemTotal: +(\d+)/.exec(await of().guest.ok('cat /proc/meminfo'))![1]) * 1024;
      expect(both.memory_stats.limit).toBe(machine);
    });

    // Where v1 refuses the value, v2 takes it: it frees what it can, then it kills.
    it('below what it uses end it, as docker’s do on v2: its state, an event and its next start tell', async () => {
      await of().ok('exec', 'live', 'dd', 'if=/dev/zero', 'of=/dev/shm/much', 'bs=1M', 'count=30');
      await update('--restart', 'on-failure:1');
      const pid = (await of().inspect('live')).State.Pid;
      await update('-m', '16m', '--memory-swap', '16m');
      await until(async () => {
        const { RestartCount, State } = await of().inspect('live');
        return RestartCount === 1 && State.Pid !== 0 && State.Pid !== pid;
      }, 'the restart');
      expect(await files()).toMatchObject({ 'memory.max': String(16 * MIB), 'memory.swap.max': '0' });
      const grow = ['sh', '-c', 'a=x; while true; do a=$a$a; done'];
      expect((await of().gantry('exec', 'live', ...grow)).status).toBe(137);
      const greedy = ['run', '--name', 'greedy', '--network', 'none', '-m', '16m', 'box', ...grow];
      expect((await of().gantry(...greedy)).status).toBe(137);
      expect((await of().inspect('greedy')).State.OOMKilled).toBe(true);
      const told = ['events', '--since', '10m', '--until', '0s', '--filter', 'event=oom', '--format'];
      const names = (await of().ok(...told, '{{.Actor.Attributes.name}}')).split('\n');
      expect([...new Set(names)]).toEqual(['live', 'greedy']);
      await of().ok('rm', '-f', 'live', 'greedy');
    });
  });
}

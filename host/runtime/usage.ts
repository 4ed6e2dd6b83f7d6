// What `events --stats` tells of a container's cgroup, in runc's words (the format that callers of either know).
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OciSpec } from '../core/bundle-plans.ts';
import { flatKeyed } from '../linux/stats.ts';
import type { HostFacts } from '../plan-types.ts';

type Read = (controller: string, file: string) => Promise<string>;

export async function usageEvent(facts: HostFacts, id: string, spec: OciSpec): Promise<string> {
  const path = spec.linux?.cgroupsPath || id;
  const unified = facts.cgroup.layout === 'v2';
  const read: Read = async (controller, file) => {
    const mount = facts.cgroup.mounts[unified ? '' : controller];
    return mount === undefined ? '' : readFile(join(mount, path, file), 'utf8').catch(() => '');
  };
  const data = unified ? await usageV2(read) : await usageV1(read);
  return `${JSON.stringify({ type: 'stats', id, data })}\n`;
}

/** "max" is the largest number that it can be. */
const count = (text: string): number => (/^max/.test(text) ? 0 : Number(text.trim() || 0));
const counts = (text: string): number[] => text.trim().split(/\s+/).filter(Boolean).map(Number);

async function usageV1(read: Read): Promise<object> {
  const number = async (controller: string, file: string): Promise<number> => count(await read(controller, file));
  const memory = async (kind: string): Promise<object> => ({
    limit: await number('memory', `memory.${kind}limit_in_bytes`),
    usage: await number('memory', `memory.${kind}usage_in_bytes`),
    max: await number('memory', `memory.${kind}max_usage_in_bytes`),
    failcnt: await number('memory', `memory.${kind}failcnt`),
  });
  const raw = flatKeyed(await read('memory', 'memory.stat'));
  const throttling = flatKeyed(await read('cpu', 'cpu.stat'));
  return {
    cpu: {
      usage: {
        total: await number('cpuacct', 'cpuacct.usage'),
        percpu: counts(await read('cpuacct', 'cpuacct.usage_percpu')),
        kernel: await number('cpuacct', 'cpuacct.usage_sys'),
        user: await number('cpuacct', 'cpuacct.usage_user'),
      },
      throttling: {
        periods: throttling.nr_periods ?? 0,
        throttledPeriods: throttling.nr_throttled ?? 0,
        throttledTime: throttling.throttled_time ?? 0,
      },
    },
    memory: { cache: raw.cache ?? 0, usage: await memory(''), swap: await memory('memsw.'), raw },
    pids: { current: await number('pids', 'pids.current'), limit: await number('pids', 'pids.max') },
    blkio: {
      ioServiceBytesRecursive: blocks(await read('blkio', 'blkio.throttle.io_service_bytes')),
      ioServicedRecursive: blocks(await read('blkio', 'blkio.throttle.io_serviced')),
    },
  };
}

/** "8:0 Read 4096" lines. */
function blocks(text: string): object[] {
  return [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, op, value]) => ({
    major: Number(major),
    minor: Number(minor),
    op,
    value: Number(value),
  }));
}

async function usageV2(read: Read): Promise<object> {
  const number = async (file: string): Promise<number> => count(await read('', file));
  const cpu = flatKeyed(await read('', 'cpu.stat'));
  const raw = flatKeyed(await read('', 'memory.stat'));
  const event = flatKeyed(await read('', 'memory.events'));
  return {
    cpu: {
      usage: {
        total: (cpu.usage_usec ?? 0) * 1000,
        kernel: (cpu.system_usec ?? 0) * 1000,
        user: (cpu.user_usec ?? 0) * 1000,
      },
      throttling: {
        periods: cpu.nr_periods ?? 0,
        throttledPeriods: cpu.nr_throttled ?? 0,
        throttledTime: (cpu.throttled_usec ?? 0) * 1000,
      },
    },
    memory: {
      cache: raw.file ?? 0,
      usage: {
        limit: await number('memory.max'),
        usage: await number('memory.current'),
        max: await number('memory.peak'),
        failcnt: event.max ?? 0,
      },
      swap: { limit: await number('memory.swap.max'), usage: await number('memory.swap.current'), failcnt: 0 },
      raw,
    },
    pids: { current: await number('pids.current'), limit: await number('pids.max') },
  };
}

// Plans through the wasm: what a request becomes, and what is refused with which words.
import { describe, expect, it } from 'vitest';
import { lintPlan, lintRules } from '../../host/core/lint.ts';
import { explainPlan, planDigest } from '../../host/core/plan-text.ts';
import { planContainer, planPool } from '../../host/core/plans.ts';
import { readProgram } from '../../host/core/program.ts';
import type { PlanRequest } from '../../host/plan-types.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';

const v1 = hostFacts('v1', 'x86_64');
const v2 = hostFacts('v2', 'x86_64');
const plan = (change?: (request: PlanRequest) => void, facts = v1) => planContainer(planRequest(facts, change));
const writes = (change: (request: PlanRequest) => void, facts = v1) =>
  plan(change, facts)
    .cgroupWrites.filter((write) => write.controller !== 'devices')
    .map((write) => `${write.file}=${write.value}`);

describe('a plan', () => {
  it('is the same bytes for the same request', () => {
    expect(planDigest(plan())).toBe(planDigest(plan()));
    expect(planDigest(plan())).not.toBe(planDigest(plan((request) => (request.container.hostname = 'other'))));
  });

  it('is not changed by labels, whatever they promise (CVE-2026-53488)', () => {
    const { setup, teardown } = plan((request) => {
      request.container.labels = {
        'run.oci.handler': 'krun',
        'io.kubernetes.cri-o.Devices': '/dev/sda',
        'cdi.k8s.io/all': 'vendor.com/device=all',
        'org.opencontainers.image.stopSignal': 'SIGKILL',
        'gantry.privileged': 'true',
      };
    });
    expect(setup).toEqual(plan().setup);
    expect(teardown).toEqual(plan().teardown);
  });

  it('asks for an AppArmor profile where the kernel has AppArmor', () => {
    const asked = (securityOpt: string[], change: Partial<PlanRequest['facts']> = {}, privileged = false) => {
      const facts = { ...v1, features: [...v1.features, 'apparmor'], ...change };
      const made = plan((request) => Object.assign(request.container.host, { securityOpt, privileged }), facts);
      const lines = explainPlan(made).match(/"\/proc\/self\/attr.*exec [^"]*"/g) ?? [];
      expect(JSON.stringify(made.spec).includes('apparmorProfile')).toBe(lines.length > 0);
      return lines;
    };
    expect(asked(['apparmor=web'])).toEqual(['"/proc/self/attr/apparmor/exec", "exec web"']);
    expect(asked([], { kernel: [5, 4] })).toEqual(['"/proc/self/attr/exec", "exec docker-default"']);
    expect(asked(['apparmor=unconfined'])).toEqual([]);
    expect(asked([], {}, true)).toEqual([]);
    expect(asked(['apparmor=web'], {}, true)).toEqual(['"/proc/self/attr/apparmor/exec", "exec web"']);
  });

  it('reads as text, one op a line, with blocks indented', () => {
    const text = explainPlan(plan());
    expect(text).toContain('clone(CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWPID|CLONE_NEWNET, -1)');
    expect(text).toMatch(/execve\("sh", \["sh", "-c", "true"\], \["PATH=/);
    expect(text.split('\n').length).toBeGreaterThan(100);
  });

  it('redacts secrets in the environment', () => {
    const text = explainPlan(plan((request) => request.container.env.push('DB_PASSWORD=hunter2')));
    expect(text).toContain('DB_PASSWORD=[redacted]');
    expect(text).not.toContain('hunter2');
  });

  it('keeps every lint rule, and is refused where one is broken', () => {
    expect(lintRules().length).toBeGreaterThan(5);
    const { setup } = plan();
    const broken = setup.slice();
    const seal = readProgram(setup).ops.find((op) => op.name === 'seal');
    broken[32 + 64 * (seal?.index ?? 0)] = 34; // umask in its place
    expect(() => lintPlan(broken)).toThrow('nothing but fds 0-2 survives');
  });

  it('parks a launcher in a slot of a pool', () => {
    const names = readProgram(planPool(v1, 'slot-1', '').program).ops.map((op) => op.name);
    expect(names.at(-1)).toBe('park');
    expect(names.filter((name) => name === 'make_cgroup').length).toBe(8);
  });
});

describe('limits', () => {
  it('become files of v1', () => {
    expect(
      writes((request) => (request.container.host.resources = { memory: '512m', nanoCpus: 5e8, pidsLimit: 9 })),
    ).toEqual([
      'memory.limit_in_bytes=536870912',
      'memory.memsw.limit_in_bytes=1073741824',
      'cpu.cfs_period_us=100000',
      'cpu.cfs_quota_us=50000',
      'pids.max=9',
    ]);
  });

  it('become files of v2', () => {
    const given = { memory: '512m', memorySwap: -1, cpuShares: 1024, cpuQuota: 20000, cpusetCpus: '1-2' };
    expect(writes((request) => (request.container.host.resources = given), v2)).toEqual([
      'memory.swap.max=max',
      'memory.max=536870912',
      'cpu.weight=100',
      'cpu.max=20000 100000',
      'cpuset.cpus=1-2',
    ]);
  });

  it.each<[string, Partial<PlanRequest['container']['host']['resources']>, string]>([
    ['too little memory', { memory: '4m' }, 'Cannot set memory to "4194304": the minimum is 6 MiB'],
    ['not a size', { memory: '4x' }, 'Cannot read memory "4x": not a size'],
    ['swap alone', { memorySwap: '1g' }, 'it needs a memory limit'],
    ['swap below memory', { memory: '1g', memorySwap: '512m' }, 'it must be at least the memory limit 1073741824'],
    ['too many CPUs', { nanoCpus: 8e9 }, 'the range is from 0.01 to 4, as this host has 4 CPUs'],
    ['CPUs and quota', { nanoCpus: 1e9, cpuQuota: 5000 }, 'it conflicts with cpuPeriod and cpuQuota'],
    ['a CPU that is not there', { cpusetCpus: '3-4' }, 'Cannot set cpusetCpus to "3-4": this host has 0-3'],
    ['a malformed list', { cpusetCpus: '1-' }, 'not a list'],
    ['no such controller', { netClsClassId: 5 }, 'this kernel has no "net_cls" controller'],
    ['a missing device', { blkioDeviceReadBps: [{ path: '/dev/no', rate: '1m' }] }, 'no such device on this host'],
  ])('%s is refused', (_name, resources, message) => {
    expect(() => plan((request) => (request.container.host.resources = resources))).toThrow(message);
  });

  it('of v1 only are refused on v2', () => {
    expect(() => plan((request) => (request.container.host.resources = { oomKillDisable: true }), v2)).toThrow(
      'cgroup v2 has no such control',
    );
  });
});

describe('bad input', () => {
  const host = (change: Partial<PlanRequest['container']['host']>) => () =>
    plan((request) => {
      Object.assign(request.container.host, change);
    });
  it.each([
    ['capability', host({ capAdd: ['FLY'] }), 'Cannot read capAdd "FLY": no such capability'],
    ['sysctl of the host', host({ sysctls: { 'vm.swappiness': '1' } }), 'it would change the whole host'],
    ['security option', host({ securityOpt: ['sorcery=1'] }), 'Cannot read the security option "sorcery=1"'],
    ['the name of an AppArmor profile', host({ securityOpt: ['apparmor=a\nb'] }), 'Cannot read the security option'],
    ['AppArmor', host({ securityOpt: ['apparmor=web'] }), 'this kernel has no AppArmor'],
    [
      'ulimit',
      host({ ulimits: [{ name: 'wings', soft: 1, hard: 1 }] }),
      'Cannot set the ulimit "wings": no such limit',
    ],
    ['namespace mode', host({ pidMode: 'maybe' }), 'Cannot read pidMode "maybe"'],
    ['relative target', host({ tmpfs: { tmp: '' } }), 'the target must be absolute'],
  ])('%s is refused', (_name, run, message) => {
    expect(run).toThrow(message);
  });
});

describe('the weight of block I/O', () => {
  const weight = { blkioWeight: 300, blkioWeightDevice: [{ path: '/dev/sda', weight: 10 }] };
  const withFeatures = (...features: string[]) => {
    const facts = structuredClone(v1);
    facts.features = [...facts.features.filter((name) => name !== 'bfq'), ...features];
    return facts;
  };
  const ask = (request: PlanRequest): void => {
    request.container.host.resources = weight;
  };

  it('goes to the file of the scheduler that the kernel has', () => {
    expect(writes(ask)).toEqual(['blkio.bfq.weight=300', 'blkio.bfq.weight_device=8:0 10']);
    expect(writes(ask, withFeatures('blkio_weight'))).toEqual(['blkio.weight=300', 'blkio.weight_device=8:0 10']);
  });

  it('is left out in docker’s words where there is none', () => {
    const { cgroupWrites, warnings } = plan(ask, withFeatures());
    expect(cgroupWrites.filter(({ controller }) => controller === 'blkio')).toEqual([]);
    expect(warnings).toEqual([
      'Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.',
      'Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.',
    ]);
    expect(plan().warnings).toEqual([]);
  });

  it.each([
    [10, 1],
    [300, 2930],
    [1000, 10000],
  ])('%i is %i on v2, as runc converts it', (given, converted) => {
    const found = writes((request) => (request.container.host.resources = { blkioWeight: given }), v2);
    expect(found).toEqual([`io.bfq.weight=default ${given}`, `io.weight=default ${converted}`]);
  });
});

describe('a limit whose controller is not there', () => {
  it('is refused, not forgotten', () => {
    const facts = structuredClone(v1);
    delete facts.cgroup.mounts.memory;
    expect(() => plan((request) => (request.container.host.resources = { memory: '64m' }), facts)).toThrow(
      'Cannot set memory.limit_in_bytes: this kernel has no "memory" controller',
    );
    expect(() => plan(undefined, facts)).not.toThrow();
  });
});

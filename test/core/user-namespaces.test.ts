// User namespaces through the wasm: maps that are taken or refused, and what a plan with them does in which order.
import { describe, expect, it } from 'vitest';
import { lintPlan } from '../../host/core/lint.ts';
import { planContainer, planExec } from '../../host/core/plans.ts';
import { type Op, readProgram } from '../../host/core/program.ts';
import { planFailure } from '../../host/linux/plan-failure.ts';
import type { ExecRequest, PlanRequest } from '../../host/plan-types.ts';
import type { HostConfig } from '../../host/types.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';

const facts = hostFacts('v1', 'x86_64');
const maps = { uidMaps: ['0:100000:65536'] };
const plan = (host: Partial<HostConfig>, change: (request: PlanRequest) => void = () => {}) =>
  planContainer(
    planRequest(structuredClone(facts), (request) => {
      Object.assign(request.container.host, host);
      change(request);
    }),
  );
const ops = (...input: Parameters<typeof plan>): Op[] => readProgram(plan(...input).setup).ops;
const words = (op: Op): string =>
  op.operands
    .map((operand) => (operand.kind === 'string' ? operand.text : operand.kind === 'number' ? operand.value : ''))
    .join(' ');

interface Spec {
  mounts: { destination: string; options: string[] }[];
  linux: {
    uidMappings?: object[];
    gidMappings?: object[];
    sysctl: Record<string, string>;
    namespaces: { type: string; path?: string }[];
  };
}
const spec = (...input: Parameters<typeof plan>): Spec => plan(...input).spec as unknown as Spec;
const optionsOf = (found: Spec, target: string): string[] =>
  found.mounts.find(({ destination }) => destination === target)!.options;

describe('maps of ids', () => {
  it('stand in the spec as OCI writes them, one list for both where the other is missing', () => {
    const { linux } = spec({ gidMaps: ['0:100000:10', '20:7'] });
    const mappings = [
      { containerID: 0, hostID: 100000, size: 10 },
      { containerID: 20, hostID: 7, size: 1 },
    ];
    expect([linux.uidMappings, linux.gidMappings]).toEqual([mappings, mappings]);
    expect(linux.namespaces).toContainEqual({ type: 'user' });
    expect(spec({}).linux.uidMappings).toBeUndefined();
    expect(spec({ userMode: 'host' }).linux.namespaces.map(({ type }) => type)).not.toContain('user');
  });

  it('join the namespace of another container by its pid', () => {
    const joined = spec({ ...maps, userMode: 'container:x' }, (request) => {
      request.joinPids = { user: 42 };
    });
    expect(joined.linux.namespaces).toContainEqual({ type: 'user', path: '/proc/42/ns/user' });
  });

  const extents = (count: number, width: number) =>
    Array.from({ length: count }, (_, index) => `${index * width}:${1000000000 + index * width}:1`);

  it('may be 340, as the kernel has it', () => {
    expect(spec({ uidMaps: extents(200, 2), gidMaps: ['0:1:1'] }).linux.uidMappings).toHaveLength(200);
    expect(() => plan({ uidMaps: extents(341, 2) })).toThrow('Cannot map 341 ranges of --uidmap: the kernel takes 340');
    expect(() => plan({ uidMaps: extents(340, 2) })).toThrow('the kernel takes 4095 bytes of text');
  });

  it.each<[string, Partial<HostConfig>, string]>([
    ['words', { uidMaps: ['0:x:1'] }, 'Cannot read --uidmap "0:x:1"'],
    ['one number', { uidMaps: ['0'] }, 'Cannot read --uidmap "0"'],
    ['four numbers', { gidMaps: ['0:1:2:3'], uidMaps: ['0:1:1'] }, 'Cannot read --gidmap "0:1:2:3"'],
    ['a sign', { uidMaps: ['-1:0:1'] }, 'Cannot read --uidmap "-1:0:1"'],
    ['nothing mapped', { uidMaps: ['0:1:0'] }, 'at least one is mapped'],
    ['an id too high', { uidMaps: ['0:4294967295:1'] }, 'ids run from 0 to 4294967294'],
    ['a range too long', { uidMaps: ['1:0:4294967295'] }, 'ids run from 0 to 4294967294'],
    ['overlap inside', { uidMaps: ['0:100:10', '9:500:1'] }, '"9:500:1": it overlaps with "0:100:10"'],
    ['overlap outside', { uidMaps: ['0:100:10', '50:109:5'] }, '"50:109:5": it overlaps with "0:100:10"'],
    ['no root', { uidMaps: ['1:100:10'] }, 'id 0 of the container is not mapped'],
    ['maps with the host', { ...maps, userMode: 'host' }, 'Cannot map ids with --userns host'],
    ['keep-id', { ...maps, userMode: 'keep-id' }, 'gantry runs as root'],
    ['keep-id with options', { ...maps, userMode: 'keep-id:uid=1' }, 'gantry runs as root'],
    ['nomap', { userMode: 'nomap' }, 'gantry runs as root'],
    ['another word', { userMode: 'perhaps' }, 'Cannot read the user namespace mode "perhaps"'],
    ['auto that nobody settled', { userMode: 'auto' }, 'no ids are mapped'],
    ['a container that does not run', { ...maps, userMode: 'container:x' }, 'that container is not running'],
  ])('%s is refused', (_name, host, message) => {
    expect(() => plan(host)).toThrow(message);
  });

  it('must hold who the process runs as', () => {
    const as =
      (uid: number, gid: number, additionalGids: number[] = []) =>
      () =>
        plan({ uidMaps: ['0:100000:1000'] }, (request) => {
          request.user = { uid, gid, additionalGids, home: '/' };
        });
    expect(as(999, 999, [5])).not.toThrow();
    expect(as(1000, 0)).toThrow('Cannot run as user 1000');
    expect(as(0, 1000)).toThrow('Cannot run as group 1000');
    expect(as(0, 0, [5, 1000])).toThrow('Cannot run as group 1000');
  });

  it('are refused with the reason where the kernel cannot', () => {
    const lacking = (feature: string) => () =>
      plan(maps, (request) => {
        request.facts.features = request.facts.features.filter((name) => name !== feature);
      });
    expect(lacking('idmapped_layers')).toThrow('overlayfs of this kernel cannot map the ids of layers');
    expect(lacking('user_namespace')).toThrow('this kernel has none, or user.max_user_namespaces is 0');
  });

  it('cannot go with the PID namespace of a container that has other ids', () => {
    const pids =
      (joinPids: Record<string, number>, userMode = '') =>
      () =>
        plan({ ...maps, userMode, pidMode: 'container:x' }, (request) => {
          request.joinPids = joinPids;
        });
    expect(pids({ pid: 7 })).toThrow('it belongs to another user namespace');
    expect(pids({ pid: 7, user: 8 }, 'container:y')).toThrow('it belongs to another user namespace');
    expect(pids({ pid: 7, user: 7 }, 'container:x')).not.toThrow();
  });
});

describe('a spec with mapped ids', () => {
  it('asks for nothing that the map does not hold', () => {
    expect(optionsOf(spec(maps), '/dev/pts')).toContain('gid=5');
    expect(optionsOf(spec({ uidMaps: ['0:1000:5'] }), '/dev/pts')).not.toContain('gid=5');
    const sysctl = (host: Partial<HostConfig>) =>
      spec(host, (request) => {
        request.network.sysctls = { 'net.ipv4.ping_group_range': '0 2147483647' };
      }).linux.sysctl;
    expect(sysctl({ uidMaps: ['0:1000:5'] })).toEqual({ 'net.ipv4.ping_group_range': '0 4' });
    expect(sysctl({})).toEqual({ 'net.ipv4.ping_group_range': '0 2147483647' });
  });

  it('maps the ids of volumes and network files, of binds only where asked', () => {
    const mounts: PlanRequest['mounts'] = [
      { type: 'volume', source: '/v', target: '/v', sourceIsDirectory: true },
      { type: 'bind', source: '/b', target: '/b', sourceIsDirectory: true },
      { type: 'bind', source: '/i', target: '/i', sourceIsDirectory: true, idmap: true },
    ];
    const found = spec(maps, (request) => {
      request.mounts = mounts;
    });
    const mapped = ['/v', '/b', '/i', '/etc/hosts', '/etc/resolv.conf'].map((target) =>
      optionsOf(found, target).includes('idmap'),
    );
    expect(mapped).toEqual([true, false, true, true, true]);
    const plain = () =>
      spec({}, (request) => {
        request.mounts = mounts;
      });
    expect(plain).toThrow('Cannot map the ids of the mount on "/i": the container has no user namespace');
  });
});

describe('a plan with mapped ids', () => {
  const order = (list: Op[], ...wanted: [string, RegExp][]): number[] =>
    wanted.map(([name, pattern]) => list.findIndex((op) => op.name === name && pattern.test(words(op))));

  it('opens everything before it enters the namespace, and becomes root first in it', () => {
    const list = ops(maps, (request) => {
      request.mounts = [
        { type: 'bind', source: '/srv/b', target: '/b', sourceIsDirectory: true, propagation: 'rshared' },
      ];
    });
    const places = order(
      list,
      ['launch', /./],
      ['own_stdio', /100000 100000/],
      ['unshare', /131072/],
      ['open_tree', /\/srv\/b/],
      ['mount', / \/ /],
      ['user_namespace', /./],
      ['open_tree', /\/data\/c\/hosts/],
      ['open_tree', /\/data\/layers\/b/],
      ['fsopen', /overlay/],
      ['setns', /268435456/],
      ['clone', /./],
      ['setresuid', /^0 0 0/],
      ['fsopen', /proc/],
      ['pivot_root', /./],
    );
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(list.filter((op) => op.name === 'mknod_in_root').every((op) => op.index < places[9]!)).toBe(true);
  });

  it('shows what belongs to the host from outside, the rest from inside', () => {
    const outside = (host: Partial<HostConfig>, change?: (request: PlanRequest) => void): string[] => {
      const list = ops({ ...maps, ...host }, change);
      const clone = list.find((op) => op.name === 'clone')!.index;
      return list
        .filter((op) => op.name === 'fsopen' && op.index < clone)
        .map((op) => words(op).split(' ')[0]!)
        .filter((type) => !['overlay', 'tmpfs'].includes(type));
    };
    expect(outside({})).toEqual([]);
    expect(outside({ pidMode: 'host' })).toEqual(['proc']);
    const unified = (request: PlanRequest): void => {
      request.facts = hostFacts('v2', 'x86_64');
    };
    expect(outside({ cgroupMode: 'host' }, unified)).toEqual(['cgroup2']);
    const v1 = ops({ ...maps, cgroupMode: 'host' });
    const own = v1.findIndex((op) => op.name === 'open_tree' && words(op).includes('/sys/fs/cgroup/memory/gantry/'));
    expect(own).toBeGreaterThan(0);
    expect(own).toBeLessThan(v1.findIndex((op) => op.name === 'clone'));
    const joined = (request: PlanRequest): void => {
      request.joinPids = { ipc: 9 };
      request.network = { mode: 'join', pid: 9, interfaces: [], sysctls: {} };
    };
    expect(outside({ ipcMode: 'container:x' }, joined)).toEqual(['sysfs', 'mqueue']);
  });

  it('takes all layers in one option on kernels before 6.8', () => {
    const list = ops(maps, (request) => {
      request.facts.kernel = [6, 1];
    });
    const mounted = list.findIndex((op) => op.name === 'mount' && words(op).includes('lowerdir=b:a,upperdir='));
    expect(list.slice(mounted, mounted + 3).map((op) => op.name)).toEqual(['mount', 'openat', 'open_tree']);
    expect(mounted).toBeLessThan(list.findIndex((op) => op.name === 'setns'));
  });

  it('has no op more than before where there is no namespace', () => {
    const names = ops({}).map((op) => op.name);
    for (const name of ['user_namespace', 'own_stdio', 'patch32', 'setresuid']) expect(names).not.toContain(name);
  });

  it('raises hard limits while it can', () => {
    const privileged = (request: PlanRequest): void => {
      request.facts.capabilities.push('CAP_SYS_RESOURCE');
    };
    const limits = (hard: number) =>
      ops({ ...maps, ulimits: [{ name: 'nofile', soft: 10, hard }] }, privileged).filter(
        (op) => op.name === 'prlimit64',
      ).length;
    expect([limits(20000), limits(20001), limits(-1)]).toEqual([1, 2, 2]);
  });

  it('enters by exec in the same way', () => {
    const { id, container, user } = planRequest(facts, (request) => {
      Object.assign(request.container.host, maps, { pidMode: 'container:gone', networkMode: 'none' });
    });
    const exec = (more: Partial<ExecRequest> = {}): Op[] => {
      const request: ExecRequest = {
        facts,
        id,
        container,
        args: ['sh'],
        env: [],
        workingDir: '/',
        user,
        tty: false,
        openStdin: false,
        privileged: false,
        ...more,
      };
      return readProgram(planExec(request)).ops;
    };
    const list = exec();
    const [setns, clone, root] = order(list, ['setns', /./], ['clone', /./], ['setresuid', /^0 0 0/]);
    expect(Number(words(list[setns!]!).trim()) & 0x10000000).toBe(0x10000000);
    expect(setns! < clone! && clone! < root!).toBe(true);
    expect(() => exec({ user: { ...user, uid: 70000 } })).toThrow('Cannot run as user 70000');
    const plain = exec({ container: { ...container, host: { ...container.host, uidMaps: [] } } });
    expect(Number(words(plain.find((op) => op.name === 'setns')!).trim()) & 0x10000000).toBe(0);
  });
});

describe('a failure of the kernel', () => {
  it('to make one more namespace is not a full disk', () => {
    const { setup } = plan(maps);
    const op = readProgram(setup).ops.find(({ name }) => name === 'user_namespace')!.index;
    const error = planFailure(setup, { op, errno: 28, phase: 0 });
    expect(error.code).toBe('PLAN_FAILED');
    expect(error.message).toMatch(/^Cannot make the user namespace: no space left/);
    expect(error.hint).toContain('A limit on namespaces is reached');
  });
});

describe('the lint of plans with mapped ids', () => {
  /** The set-up with another op in the place of one, or of the one `behind` it. */
  const broken = (name: string, pattern: RegExp, code: number, behind = 0): Uint8Array => {
    const { setup } = plan(maps);
    const op = readProgram(setup).ops.find((found) => found.name === name && pattern.test(words(found)))!;
    const bytes = setup.slice();
    bytes[32 + 64 * (op.index + behind)] = code;
    return bytes;
  };
  const [UMASK, FCHDIR] = [34, 22];

  it.each<[string, Uint8Array]>([
    ['the launcher mounts only in a mount namespace of its own', broken('unshare', /131072/, UMASK)],
    ['in a user namespace its root is taken on first', broken('setgroups', /./, UMASK)],
    [
      'nothing is opened or mounted for the container once its user namespace is entered',
      broken('setns', /268435456/, FCHDIR, 1),
    ],
    ['nothing but the root lies where it is pivoted from', stacked()],
  ])('refuses a plan where not "%s"', (rule, bytes) => {
    const check = () => lintPlan(bytes);
    expect(check).toThrow(rule);
  });

  /** The directory for masks on "/" as well: one umount would then leave the host's files in the container. */
  function stacked(): Uint8Array {
    const { setup } = plan(maps);
    const { ops: list } = readProgram(setup);
    const moves = list.filter(
      (op) => op.name === 'move_mount' && op.operands[2]?.kind === 'number' && /^\s* +-100 \/(sys)? /.test(words(op)),
    );
    expect(moves).toHaveLength(2);
    const bytes = setup.slice();
    const view = new DataView(bytes.buffer);
    const path = (op: Op): number => 32 + 64 * op.index + 8 + 3 * 8;
    view.setBigUint64(path(moves[0]!), view.getBigUint64(path(moves[1]!), true), true);
    return bytes;
  }
});

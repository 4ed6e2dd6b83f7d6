// Which cgroup hierarchies this host has and where, from /proc/self/mountinfo; where a container's cgroup lies in them.
import type { CgroupFacts } from '../plan-types.ts';

/** Where containers' cgroups lie unless --cgroup-parent says otherwise. */
export const DEFAULT_CGROUP_PARENT = 'gantry';

interface HierarchyMount {
  point: string;
  type: 'cgroup' | 'cgroup2';
  /** Super options, e.g. ["rw", "cpu", "cpuacct"] or ["rw", "name=systemd"]. */
  options: string[];
}

/** proc_pid_mountinfo(5): ID, parent, major:minor, root, mount point, options, optional fields, "-", type, source, super options. */
function parseMountinfo(mountinfo: string): HierarchyMount[] {
  const found: HierarchyMount[] = [];
  for (const line of mountinfo.split('\n')) {
    const separator = line.indexOf(' - ');
    if (separator < 0) continue;
    const [type = '', , superOptions = ''] = line.slice(separator + 3).split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const point = unescapeOctal(line.slice(0, separator).split(' ')[4] ?? '');
    found.push({ point, type, options: superOptions.split(',') });
  }
  return found;
}

/** Spaces, tabs, newlines and backslashes are written as "\040" and so on. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

const v1Controllers = new Set(
  'cpu cpuacct cpuset memory devices freezer blkio pids hugetlb net_cls net_prio perf_event rdma misc'.split(' '),
);

/** v1 name → v2 name, where they differ. */
const v2Names: Record<string, string> = { blkio: 'io' };

/**
 * The layout that a mount table shows. Where a hierarchy is mounted more than once, the mount below /sys/fs/cgroup counts.
 * @param unifiedControllers cgroup.controllers of the v2 hierarchy's root ("cpu memory …"), if there is one.
 */
export function cgroupLayout(mountinfo: string, unifiedControllers: string): CgroupFacts {
  const mounts: Record<string, string> = {};
  const put = (controller: string, point: string): void => {
    if (mounts[controller] === undefined || !mounts[controller].startsWith('/sys/fs/cgroup'))
      mounts[controller] = point;
  };
  for (const { type, point, options } of parseMountinfo(mountinfo)) {
    if (type === 'cgroup2') put('', point);
    else for (const option of options) if (v1Controllers.has(option)) put(option, point);
  }
  const named = Object.keys(mounts).filter((name) => name !== '');
  if (named.length === 0) {
    return { layout: 'v2', mounts, controllers: unifiedControllers.split(/\s+/).filter(Boolean) };
  }
  const controllers = named.flatMap((name) => (v2Names[name] === undefined ? [name] : [name, v2Names[name]]));
  return { layout: mounts[''] === undefined ? 'v1' : 'hybrid', mounts, controllers };
}

/** A parent as the directory below the mount points: "a/b" for "/a/b/"; the default for "". */
export function parentDirectory(cgroupParent: string): string {
  const trimmed = cgroupParent.split('/').filter(Boolean).join('/');
  return trimmed === '' ? DEFAULT_CGROUP_PARENT : trimmed;
}

/** Directory of a container's cgroup that holds the controller's files; undefined where the host has no such controller. */
export function cgroupDirectory(
  facts: CgroupFacts,
  controller: string,
  cgroupParent: string,
  id: string,
): string | undefined {
  const mount = facts.layout === 'v2' ? facts.mounts[''] : facts.mounts[controller];
  return mount === undefined ? undefined : `${mount}/${parentDirectory(cgroupParent)}/${id}`;
}

/** Directories of a container's cgroup in every hierarchy, each once. */
export function cgroupDirectories(facts: CgroupFacts, cgroupParent: string, id: string): string[] {
  const points = Object.entries(facts.mounts)
    .filter(([controller]) => facts.layout === 'v2' || controller !== '')
    .map(([, point]) => `${point}/${parentDirectory(cgroupParent)}/${id}`);
  return [...new Set(points)];
}

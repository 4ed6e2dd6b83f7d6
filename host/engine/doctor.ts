// What this machine has and lacks for containers, with what to do about it.
import type { Check } from '../backend.ts';
import type { LayerFormat } from '../image/layers/format.ts';
import type { HostFacts } from '../plan-types.ts';

/** How layers lie here, and why not otherwise. */
export function layersText({ kind, loop, reason }: LayerFormat): string {
  const what = kind === 'directories' ? kind : loop ? 'EROFS files through loop devices' : 'EROFS files';
  return reason === undefined ? what : `${what} (${reason})`;
}

/** Judges the facts; looks at nothing itself. */
export function checkHost(facts: HostFacts, damaged: readonly string[], layers: LayerFormat): Check[] {
  const { kernel, cgroup, features, capabilities } = facts;
  const [major, minor] = kernel;
  const has = (feature: string): boolean => features.includes(feature);
  const can = (name: string): boolean => capabilities.includes(`CAP_${name}`);
  const need = (name: string, met: boolean, detail: string, hint: string): Check =>
    met ? { name, state: 'ok', detail } : { name, state: 'failed', detail, hint };
  const wish = (name: string, met: boolean, detail: string, hint: string): Check =>
    met ? { name, state: 'ok', detail } : { name, state: 'warning', detail, hint };
  const missing = ['memory', 'pids', 'cpu', 'cpuset'].filter((controller) => !cgroup.controllers.includes(controller));
  return [
    need(
      'kernel',
      major > 5 || (major === 5 && minor >= 12),
      `Linux ${major}.${minor}`,
      'Linux 5.12 is the oldest that works: mount_setattr(2)',
    ),
    need(
      'privileges',
      can('SYS_ADMIN'),
      can('SYS_ADMIN') ? 'CAP_SYS_ADMIN is there' : 'no CAP_SYS_ADMIN',
      'Run as root',
    ),
    need(
      'overlay',
      has('overlay'),
      has('overlay') ? 'overlayfs is there' : 'no overlayfs',
      'Load it: modprobe overlay',
    ),
    wish(
      'layers',
      layers.kind === 'erofs' || layers.chosen,
      layersText(layers),
      'With EROFS (module erofs) images are made ready, and removed, faster; the data root must not lie on an overlay',
    ),
    need(
      'seccomp',
      has('seccomp'),
      has('seccomp') ? 'filters work' : 'not in this kernel',
      'A kernel with CONFIG_SECCOMP_FILTER is needed',
    ),
    wish(
      'cgroups',
      missing.length === 0,
      `${cgroup.layout}: ${cgroup.controllers.join(' ')}`,
      `Limits on ${missing.join(', ')} are refused: the controller is not there`,
    ),
    wish(
      'swap accounting',
      facts.swapAccounting,
      facts.swapAccounting ? 'on' : 'off',
      'Boot with swapaccount=1 to limit swap',
    ),
    wish(
      'time namespaces',
      has('time_namespace'),
      has('time_namespace') ? 'there' : 'not there',
      'Needed for --time-offset only',
    ),
    wish(
      'user namespaces',
      has('user_namespace') && has('idmapped_layers'),
      !has('user_namespace')
        ? 'not there'
        : has('idmapped_layers')
          ? 'there'
          : 'overlayfs cannot map the ids of layers',
      'Needed for --userns and --uidmap only: Linux 5.19, and user.max_user_namespaces above 0',
    ),
    ...(has('selinux')
      ? [
          {
            name: 'SELinux',
            state: 'warning' as const,
            detail: 'labels are not applied',
            hint: 'Containers run unlabelled',
          },
        ]
      : []),
    wish(
      'resource limits',
      can('SYS_RESOURCE'),
      can('SYS_RESOURCE') ? 'CAP_SYS_RESOURCE is there' : 'no CAP_SYS_RESOURCE',
      'Hard limits (--ulimit) cannot be raised above those of this process',
    ),
    ...damaged.map(
      (detail): Check => ({
        name: 'state',
        state: 'failed',
        detail,
        hint: 'Move the file away; the others are not touched',
      }),
    ),
  ];
}

// securityContext of a pod and of a container → docker's words.
import { type Fields, invalidField } from './fields.ts';

/** What both contexts have; the container's goes first. */
interface Shared {
  user: number | undefined;
  group: number | undefined;
  nonRoot: boolean | undefined;
  securityOptions: string[] | undefined;
}

export interface PodSecurity extends Shared {
  groups: string[];
  sysctls: Record<string, string>;
}

export interface ContainerSecurity {
  /** The image's user is refused where it is root. */
  nonRoot: boolean;
  user: string;
  host: Record<string, unknown>;
}

function readShared(fields: Fields): Shared {
  const shared = {
    user: fields.whole('runAsUser'),
    group: fields.whole('runAsGroup'),
    nonRoot: fields.flag('runAsNonRoot'),
    securityOptions: readProfiles(fields),
  };
  if (shared.nonRoot === true && shared.user === 0)
    throw invalidField(fields.at('runAsUser'), 'it is 0, and runAsNonRoot is true');
  return shared;
}

function readProfiles(fields: Fields): string[] | undefined {
  const options: string[] = [];
  const seccomp = fields.child('seccompProfile');
  if (seccomp !== undefined) {
    const type = seccomp.word('type', ['RuntimeDefault', 'Unconfined', 'Localhost']);
    if (type === 'Unconfined') options.push('seccomp=unconfined');
    if (type === 'Localhost')
      seccomp.refuse('type', '"Localhost" is not carried out: there is no node with a directory of profiles');
    if (type === 'Localhost') seccomp.written('localhostProfile');
    seccomp.end();
  }
  const apparmor = fields.child('appArmorProfile');
  if (apparmor !== undefined) {
    const type = apparmor.word('type', ['RuntimeDefault', 'Unconfined', 'Localhost']);
    if (type === 'Unconfined') options.push('apparmor=unconfined');
    if (type === 'Localhost') options.push(`apparmor=${apparmor.need('localhostProfile')}`);
    apparmor.end();
  }
  return seccomp === undefined && apparmor === undefined ? undefined : options;
}

export function readPodSecurity(spec: Fields): PodSecurity {
  const fields = spec.child('securityContext');
  if (fields === undefined)
    return {
      user: undefined,
      group: undefined,
      nonRoot: undefined,
      securityOptions: undefined,
      groups: [],
      sysctls: {},
    };
  const security = {
    ...readShared(fields),
    groups: fields.numbers('supplementalGroups').map(String),
    sysctls: Object.fromEntries(
      fields.list('sysctls').map((sysctl) => {
        const pair = [sysctl.need('name'), sysctl.need('value')];
        sysctl.end();
        return pair as [string, string];
      }),
    ),
  };
  fields.end();
  return security;
}

export function readSecurity(container: Fields, pod: PodSecurity): ContainerSecurity {
  const fields = container.child('securityContext');
  const own = fields && readShared(fields);
  const user = own?.user ?? pod.user;
  const group = own?.group ?? pod.group;
  const options = [...(own?.securityOptions ?? pod.securityOptions ?? [])];
  if (fields?.flag('allowPrivilegeEscalation') === false) options.push('no-new-privileges');
  if (fields?.word('procMount', ['Default', 'Unmasked']) === 'Unmasked') options.push('systempaths=unconfined');
  const capabilities = fields?.child('capabilities');
  const host = {
    CapAdd: capabilities?.texts('add') ?? [],
    CapDrop: capabilities?.texts('drop') ?? [],
    Privileged: fields?.flag('privileged') ?? false,
    ReadonlyRootfs: fields?.flag('readOnlyRootFilesystem') ?? false,
    SecurityOpt: options,
    GroupAdd: pod.groups,
  };
  capabilities?.end();
  fields?.end();
  // A group alone: the user of the image is not known here, and docker's "USER:GROUP" wants one.
  if (group !== undefined && user === undefined)
    throw invalidField(
      fields?.at('runAsGroup') ?? `${container.path}: runAsGroup of the pod`,
      'it wants runAsUser beside it',
    );
  return {
    nonRoot: (own?.nonRoot ?? pod.nonRoot ?? false) && user === undefined,
    user: user === undefined ? '' : `${user}${group === undefined ? '' : `:${group}`}`,
    host,
  };
}

// Refusals of core-asm/spec/user-namespace.ts as sentences.
import type { Refusal } from './refusal.ts';

const invalid = (message: Refusal['message'], hint?: Refusal['hint']): Refusal =>
  hint === undefined ? { error: 'INVALID_ARGUMENT', message } : { error: 'INVALID_ARGUMENT', message, hint };
const unsupported = (message: Refusal['message'], hint: string): Refusal => ({ error: 'UNSUPPORTED', message, hint });

const flagOf = (field: string): string => (field === 'gidMaps' ? '--gidmap' : '--uidmap');

export const userNamespaceRefusals: Record<string, Refusal> = {
  USER_MODE: invalid(
    (_field, value) => `Cannot read the user namespace mode "${value}"`,
    'host, private, auto, auto:size=COUNT or container:NAME',
  ),
  USER_ROOTLESS_MODE: unsupported(
    (_field, value) =>
      `Cannot use --userns ${value}: it is about the ids of an unprivileged user, and gantry runs as root`,
    'Use --userns auto, or --uidmap and --gidmap',
  ),
  USER_HOST_WITH_MAPS: invalid(
    () => 'Cannot map ids with --userns host: the container would share the user namespace of the host',
    'Leave out --userns, or --uidmap and --gidmap',
  ),
  USER_OTHER_PID: {
    error: 'UNSUPPORTED',
    message: (_field, value) =>
      `Cannot share the PID namespace of "${value.slice('container:'.length)}" alone: it belongs to another user namespace`,
    hint: (_field, value) => `Share that too: --userns ${value}`,
  },
  USER_NO_MAPS: invalid(() => 'Cannot make the user namespace: no ids are mapped', 'Such as --uidmap 0:100000:65536'),
  USER_NO_ROOT: invalid(
    () => 'Cannot make the user namespace: id 0 of the container is not mapped, and its set-up needs it',
    'Such as --uidmap 0:100000:65536',
  ),
  USER_NOT_MAPPED: invalid(
    (field, value) => `Cannot run as ${field} ${value}: the user namespace of the container has no such id`,
    'Map it with --uidmap and --gidmap, or choose more ids: --userns auto:size=COUNT',
  ),
  ID_MAP_SYNTAX: invalid(
    (field, value) => `Cannot read ${flagOf(field)} "${value}"`,
    'CONTAINER:HOST:SIZE, such as 0:100000:65536',
  ),
  ID_MAP_RANGE: invalid(
    (field, value) =>
      `Cannot map ${flagOf(field)} "${value}": ids run from 0 to 4294967294, and at least one is mapped`,
  ),
  ID_MAP_OVERLAP: invalid(
    (field, value, other) => `Cannot map ${flagOf(field)} "${value}": it overlaps with "${other}"`,
  ),
  ID_MAP_COUNT: invalid(
    (field, value, most) => `Cannot map ${value} ranges of ${flagOf(field)}: the kernel takes ${most}`,
  ),
  ID_MAP_LONG: invalid(
    (field, value, most) => `Cannot map ${value} ranges of ${flagOf(field)}: the kernel takes ${most} bytes of text`,
  ),
  NO_USER_NAMESPACE: unsupported(
    () => 'Cannot make a user namespace: this kernel has none, or user.max_user_namespaces is 0',
    'Raise it: sysctl -w user.max_user_namespaces=10000',
  ),
  NO_IDMAPPED_LAYERS: unsupported(
    () => 'Cannot give the container ids of its own: overlayfs of this kernel cannot map the ids of layers',
    'Linux 5.19 or newer is needed',
  ),
};

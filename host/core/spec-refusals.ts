// Refusals of core-asm/spec, core-asm/seccomp and core-asm/network as sentences.
import type { Refusal } from './refusal.ts';
import { bundleRefusals } from './bundle-refusals.ts';
import { userNamespaceRefusals } from './user-namespace-refusals.ts';

const invalid = (message: Refusal['message'], hint?: Refusal['hint']): Refusal =>
  hint === undefined ? { error: 'INVALID_ARGUMENT', message } : { error: 'INVALID_ARGUMENT', message, hint };
const unsupported = (message: Refusal['message'], hint?: Refusal['hint']): Refusal =>
  hint === undefined ? { error: 'UNSUPPORTED', message } : { error: 'UNSUPPORTED', message, hint };

export const specRefusals: Record<string, Refusal> = {
  UNKNOWN_CAPABILITY: invalid(
    (field, value) => `Cannot read ${field} "${value}": no such capability`,
    'capabilities(7) lists them; CAP_ may be left out',
  ),
  NO_COMMAND: invalid(() => 'Cannot plan the container: no command specified', 'Give a command behind the image'),
  WORKDIR_NOT_ABSOLUTE: invalid((_field, value) => `Cannot use the working directory "${value}": it must be absolute`),
  OOM_SCORE_RANGE: invalid((_field, value) => `Cannot set oomScoreAdj to "${value}": the range is -1000 to 1000`),
  UNKNOWN_ULIMIT: invalid((_field, value) => `Cannot set the ulimit "${value}": no such limit`),
  ULIMIT_SOFT_ABOVE_HARD: invalid((_field, value) => `Cannot set the ulimit "${value}": soft is above hard`),
  JOIN_NOT_RUNNING: invalid((field, value) => `Cannot use "${value}" as ${field}: that container is not running`),
  NAMESPACE_MODE: invalid((field, value) => `Cannot read ${field} "${value}"`, 'private, host or container:NAME'),
  ...userNamespaceRefusals,
  ...bundleRefusals,
  NO_TIME_NAMESPACE: unsupported(() => 'Cannot set the time offset: this kernel has no time namespaces'),
  TIME_OFFSET: invalid(
    (_field, value) => `Cannot read the time offset "${value}"`,
    'monotonic=SECONDS,boottime=SECONDS',
  ),
  SHM_SIZE: invalid((_field, value) => `Cannot set shmSize to "${value}": it must not be negative`),
  MOUNT_NOT_ABSOLUTE: invalid((_field, value) => `Cannot mount on "${value}": the target must be absolute`),
  MOUNT_ON_ROOT: invalid(() => 'Cannot mount on "/": the root is the image'),
  MOUNT_NOT_CLEAN: invalid((_field, value) => `Cannot mount on "${value}": the target must not hold ".."`),
  MOUNT_IN_PROC: invalid(
    (_field, value) => `Cannot mount on "${value}": /proc must be the kernel's own`,
    'Single files such as /proc/meminfo or /proc/cpuinfo may be covered',
  ),
  MOUNT_PROPAGATION: invalid((_field, value) => `Cannot read the propagation "${value}"`),
  MOUNT_IDMAP: invalid(
    (_field, value) => `Cannot map the ids of the mount on "${value}": the container has no user namespace`,
    'Give it one: --userns auto, or --uidmap',
  ),
  TOO_MANY_MOUNTS: unsupported(
    (_field, value) => `Cannot plan the container: its mounts need more than ${value} open files at once`,
  ),
  IMAGE_MOUNT_MAPPED: unsupported(
    (_field, value) => `Cannot mount an image on "${value}": the container has a user namespace`,
    'Leave --userns, --uidmap and --gidmap out, or copy the files with "gantry cp"',
  ),
  IMAGE_MOUNT_KERNEL: unsupported(
    (_field, value, layers) => `Cannot mount an image of ${layers} layers on "${value}": kernels before 6.8 take one`,
    'Copy the files out of the image with "gantry create" and "gantry cp", and bind them',
  ),
  MOUNT_OPTION_LONG: invalid((_field, value) => `Cannot pass the mount option "${value}": longer than 255 bytes`),
  OVERLAY_OPTIONS_LONG: unsupported(
    (_field, layers, size) =>
      `Cannot mount an image of ${layers} layers: kernels before 6.8 take 4095 bytes of names, these are ${size}`,
    'Use a newer kernel, an image of fewer layers, or a shorter data root',
  ),
  NO_FREEZER: unsupported((_field, value) => `Cannot ${value} the container: this host has no freezer cgroup`),
  NO_APPARMOR: unsupported((_field, value) => `Cannot apply "${value}": this kernel has no AppArmor`),
  NO_SELINUX: unsupported((_field, value) => `Cannot apply "${value}": this kernel has no SELinux`),
  NO_LABELS: unsupported(
    (_field, value) => `Cannot apply "${value}": gantry does not apply SELinux labels yet`,
    'Leave the option out: seccomp, capabilities and namespaces confine the container',
  ),
  SECURITY_OPTION: invalid((_field, value) => `Cannot read the security option "${value}"`),
  SYSCTL_HOST_NETWORK: invalid((_field, value) => `Cannot set "${value}": the network is not the container's own`),
  SYSCTL_HOST_IPC: invalid((_field, value) => `Cannot set "${value}": the IPC namespace is the host's`),
  SYSCTL_NOT_NAMESPACED: invalid((_field, value) => `Cannot set "${value}": it would change the whole host`),
  SECCOMP_PROFILE: invalid(() => 'Cannot read the seccomp profile: malformed JSON'),
  SECCOMP_NO_NAMES: invalid((field) => `Cannot compile the seccomp profile: "${field}" names no system call`),
  SECCOMP_ACTION: invalid(
    (field, value) => `Cannot compile the seccomp profile: unknown action "${value}" in "${field}"`,
  ),
  SECCOMP_OPERATOR: invalid((_field, value) => `Cannot compile the seccomp profile: unknown operator "${value}"`),
  SECCOMP_ARGUMENT: invalid(
    (_field, value) => `Cannot compile the seccomp profile: argument ${value} is not one of 0 to 5`,
  ),
  SECCOMP_FLAG: invalid(
    (_field, value) => `Cannot compile the seccomp profile: unknown flag "${value}"`,
    'SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW and SECCOMP_FILTER_FLAG_TSYNC can be given',
  ),
  SECCOMP_TOO_LARGE: invalid(
    (_field, value, bound) => `Cannot compile the seccomp profile: ${value} instructions, the kernel takes ${bound}`,
  ),
  ADDRESS: invalid((field, value) => `Cannot read the address "${value}" of "${field}"`),
  INTERFACE_NAME: invalid((_field, value) => `Cannot name an interface "${value}": 1 to 15 characters without a slash`),
  MAC_ADDRESS: invalid((_field, value) => `Cannot read the MAC address "${value}"`),
};

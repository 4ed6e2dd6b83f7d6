// Refusals of an OCI bundle's config.json as sentences.
import type { Refusal } from './refusal.ts';

const refusal =
  (error: Refusal['error']) =>
  (message: Refusal['message'], hint?: string): Refusal =>
    hint === undefined ? { error, message } : { error, message, hint };
const invalid = refusal('INVALID_ARGUMENT');
const unsupported = refusal('UNSUPPORTED');

export const bundleRefusals: Record<string, Refusal> = {
  OCI_VERSION: invalid(
    (_field, value) => `Cannot read config.json: its ociVersion is "${value}"`,
    'Versions 1.0.0 to 1.3.0 of the runtime specification are read',
  ),
  BUNDLE_FIELD: unsupported(
    (field) => `Cannot carry out "${field}" of config.json: gantry-runtime does not know how`,
    'Leave the field out, or run this container with another runtime',
  ),
  BUNDLE_MISSING: invalid((field) => `Cannot read config.json: "${field}" is missing`),
  BUNDLE_WORD: invalid((field, value) => `Cannot read "${value}" in ${field}`),
  BUNDLE_MOUNT_NAMESPACE: unsupported(
    () => 'Cannot make the container: it has no mount namespace of its own',
    'Put {"type": "mount"} without a path into linux.namespaces',
  ),
  BUNDLE_HOSTNAME: invalid((_field, value) => `Cannot set the hostname "${value}": the UTS namespace is the host's`),
  NAMESPACE_TYPE: invalid((field, value) => `Cannot read ${field}: no namespace is called "${value}"`),
  NAMESPACE_TWICE: invalid((field, value) => `Cannot read ${field}: "${value}" is listed twice`),
  NAMESPACE_PATH: invalid((field, value) => `Cannot read ${field}: the path "${value}" is not absolute`),
  SYSTEMD_PATH: unsupported(
    (_field, value) => `Cannot use the cgroup "${value}": gantry-runtime does not ask systemd for cgroups`,
    'Let the caller manage cgroups itself: cgroupfs (podman --cgroup-manager=cgroupfs, SystemdCgroup = false)',
  ),
  CGROUPS_PATH: invalid((_field, value) => `Cannot use the cgroup "${value}": the path must not hold ".."`),
  DEVICE_TYPE: invalid((field, value) => `Cannot make the device "${field}": its type "${value}" is not c, b, u or p`),
  MOUNT_OPTION: invalid((_field, value, target) => `Cannot bind on "${target}": a bind mount has no option "${value}"`),
  IDMAP_NOT_BIND: unsupported(
    (_field, value) => `Cannot map the ids of the mount on "${value}": only bind mounts have maps of their own`,
  ),
  HOOK_PATH: invalid((field, value) => `Cannot run ${field}: the path "${value}" is not absolute`),
  HOOK_TIMEOUT: invalid((field, value) => `Cannot run ${field}: a timeout of ${value} is not positive`),
  SECCOMP_NO_LISTENER: invalid(
    () => 'Cannot compile the seccomp profile: SCMP_ACT_NOTIFY needs a listener',
    'Give its socket as linux.seccomp.listenerPath',
  ),
  SECCOMP_NOTIFY_SENDMSG: unsupported(
    () =>
      'Cannot compile the seccomp profile: SCMP_ACT_NOTIFY of sendmsg would hold up the handing over of its listener',
  ),
};

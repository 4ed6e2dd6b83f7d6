// --security-opt, masked and read-only paths, sysctls.
import { Json } from '../json';
import { refuse } from '../status';
import { UserNamespace } from './user-namespace';

// moby's oci/defaults.go keeps the same two lists.
const MASKED =
  '/proc/asound,/proc/acpi,/proc/interrupts,/proc/kcore,/proc/keys,/proc/latency_stats,/proc/timer_list,/proc/timer_stats,/proc/sched_debug,/proc/scsi,/sys/firmware,/sys/devices/virtual/powercap';
const READ_ONLY = '/proc/bus,/proc/fs,/proc/irq,/proc/sys,/proc/sysrq-trigger';

/** The profile that docker and podman hosts have. */
export const DEFAULT_PROFILE = 'docker-default';
const UNCONFINED = 'unconfined';

/**
 * The AppArmor profile that the container's programs run under: the one asked for, else docker's where it is loaded; empty
 * where there is none to apply.
 */
export function apparmorProfile(host: Json, features: string[], privileged: bool): string {
  if (!features.includes('apparmor')) return '';
  let profile = privileged ? UNCONFINED : DEFAULT_PROFILE;
  const options = host.strings('securityOpt');
  for (let i = 0; i < options.length; i++)
    if (options[i].startsWith('apparmor=') || options[i].startsWith('apparmor:')) profile = options[i].substring(9);
  return profile == UNCONFINED ? '' : profile;
}

/** Empty, or longer than the kernel takes, or more than one word of /proc/PID/attr/exec. */
function isProfileName(name: string): bool {
  if (name.length == 0 || name.length > 255) return false;
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) < 0x20) return false;
  return true;
}

/** Refuses options that this kernel cannot honour; returns whether system paths stay unconfined. */
export function checkSecurityOptions(host: Json, features: string[]): bool {
  let unconfined = host.flag('privileged');
  const options = host.strings('securityOpt');
  for (let i = 0; i < options.length; i++) {
    const option = options[i];
    const separator = option.indexOf('=') >= 0 ? '=' : ':';
    const name = option.split(separator)[0];
    const value = option.substring(name.length + 1);
    if (name == 'apparmor') {
      if (!isProfileName(value)) refuse('SECURITY_OPTION', 'securityOpt', option);
      else if (value != UNCONFINED && !features.includes('apparmor')) refuse('NO_APPARMOR', 'securityOpt', option);
    } else if (name == 'label') {
      if (value != 'disable') refuse(features.includes('selinux') ? 'NO_LABELS' : 'NO_SELINUX', 'securityOpt', option);
    } else if (name == 'systempaths') {
      if (value == 'unconfined') unconfined = true;
      else refuse('SECURITY_OPTION', 'securityOpt', option);
    } else if (name != 'seccomp' && name != 'no-new-privileges') refuse('SECURITY_OPTION', 'securityOpt', option);
  }
  return unconfined;
}

export function defaultPaths(): Json {
  return Json.object()
    .set('masked', Json.strings(MASKED.split(',')))
    .set('readOnly', Json.strings(READ_ONLY.split(',')));
}

export function specifyPaths(linux: Json, host: Json, unconfined: bool): void {
  const masked = host.get('maskedPaths');
  const readOnly = host.get('readonlyPaths');
  linux.set('maskedPaths', masked ? masked : unconfined ? Json.array() : Json.strings(MASKED.split(',')));
  linux.set('readonlyPaths', readOnly ? readOnly : unconfined ? Json.array() : Json.strings(READ_ONLY.split(',')));
}

const IPC_SYSCTLS =
  ',kernel.msgmax,kernel.msgmnb,kernel.msgmni,kernel.sem,kernel.shmall,kernel.shmmax,kernel.shmmni,kernel.shm_rmid_forced,';

export function isIpcSysctl(name: string): bool {
  return IPC_SYSCTLS.indexOf(',' + name + ',') >= 0;
}

const PING_GROUPS = 'net.ipv4.ping_group_range';

/** Only namespaced sysctls of namespaces that are the container's own, as docker's client documentation says. */
export function specifySysctls(request: Json, user: UserNamespace): Json {
  const host = request.child('container').child('host');
  const result = Json.object();
  const network = request.child('network');
  const ownNetwork = network.str('mode') == 'none' || network.str('mode') == 'private';
  const defaults = network.child('sysctls');
  if (ownNetwork) for (let i = 0; i < defaults.keys.length; i++) result.set(defaults.keys[i], defaults.items[i]);
  // Both ends must be ids of the namespace (net/ipv4/ping.c), and the range counts in ids of the host.
  if (user.active && result.has(PING_GROUPS))
    result.set(PING_GROUPS, Json.of('0 ' + user.gids.contiguousEnd().toString()));
  const given = host.child('sysctls');
  for (let i = 0; i < given.keys.length; i++) {
    const name = given.keys[i];
    if (name.startsWith('net.')) {
      if (!ownNetwork) refuse('SYSCTL_HOST_NETWORK', 'sysctls', name);
    } else if (name.startsWith('fs.mqueue.') || isIpcSysctl(name)) {
      if (host.str('ipcMode') == 'host') refuse('SYSCTL_HOST_IPC', 'sysctls', name);
    } else refuse('SYSCTL_NOT_NAMESPACED', 'sysctls', name);
    if (name.indexOf('..') >= 0) refuse('SYSCTL_NOT_NAMESPACED', 'sysctls', name);
    result.set(name, given.items[i]);
  }
  return result;
}

// Capability names (capabilities(7)), docker's default list, and --cap-add/--cap-drop.
import { Json } from '../json';
import { refuse } from '../status';

/** Name without "CAP_"; the index is the capability's number. */
const NAMES: StaticArray<string> = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
];

export const LAST_CAPABILITY: i32 = 40;

/** Docker's default: AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT. */
const DEFAULT_SET: u64 = 0xa80425fb;

/** Bit of a name, with or without "CAP_", in any case; -1 where there is none. */
function numberOf(name: string): i32 {
  let upper = name.toUpperCase();
  if (upper.startsWith('CAP_')) upper = upper.substring(4);
  for (let i = 0; i < NAMES.length; i++) if (NAMES[i] == upper) return i;
  return -1;
}

/** Bit mask of the capabilities in a list of names. */
export function capabilityMask(names: string[], field: string): u64 {
  let mask: u64 = 0;
  for (let i = 0; i < names.length; i++) {
    const number = numberOf(names[i]);
    if (number < 0) refuse('UNKNOWN_CAPABILITY', field, names[i]);
    else mask |= (<u64>1) << number;
  }
  return mask;
}

/** Those of the names that this host can give; what no kernel knows is not among them. */
export function availableOnly(names: string[], available: string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < names.length; i++)
    if (numberOf(names[i]) >= 0 && available.includes(names[i])) kept.push(names[i]);
  return kept;
}

/** Names of a mask, "CAP_…", in the kernel's order. */
export function capabilityNames(mask: u64): string[] {
  const names: string[] = [];
  for (let i = 0; i < NAMES.length; i++) if (mask & ((<u64>1) << i)) names.push('CAP_' + NAMES[i]);
  return names;
}

function without(names: string[], all: string): string[] {
  const rest: string[] = [];
  for (let i = 0; i < names.length; i++) if (names[i].toUpperCase() != all) rest.push(names[i]);
  return rest;
}

/** The container's bounding set: default or everything, plus capAdd, minus capDrop; ALL in either as docker reads it. */
export function resolveCapabilities(host: Json, available: u64): u64 {
  if (host.flag('privileged')) return available;
  const add = host.strings('capAdd');
  const drop = host.strings('capDrop');
  const adding = without(add, 'ALL');
  const dropping = without(drop, 'ALL');
  const added = capabilityMask(adding, 'capAdd');
  const dropped = capabilityMask(dropping, 'capDrop');
  let set = DEFAULT_SET;
  if (adding.length < add.length) set = available & ~dropped;
  else if (dropping.length < drop.length) set = added;
  else set = (set | added) & ~dropped;
  return set & available;
}

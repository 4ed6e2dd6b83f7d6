// Names of capabilities by number (capabilities(7)), for reading masks of /proc/PID/status.
const names =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
  'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE ' +
  'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE';

const capabilities = names.split(' ').map((name) => `CAP_${name}`);

/** "CAP_…" of the set bits, in the kernel's order; bits without a name are left out. */
export function capabilityNames(mask: bigint): string[] {
  return capabilities.filter((_name, number) => (mask & (1n << BigInt(number))) !== 0n);
}

// What `features` tells (runtime-spec, features.md): of this version, whatever the host has.

const mountOptions =
  'async atime bind defaults dev diratime dirsync exec idmap lazytime mand noatime nodev nodiratime noexec nostrictatime nosuid nosymfollow private rbind relatime ridmap rnodev rnoexec rnosuid rnosymfollow ro rprivate rro rshared rslave runbindable rw shared slave strictatime suid symfollow sync tmpcopyup unbindable'.split(
    ' ',
  );

const actions = 'ALLOW ERRNO KILL KILL_PROCESS KILL_THREAD LOG NOTIFY TRACE TRAP'
  .split(' ')
  .map((name) => `SCMP_ACT_${name}`);
const operators = 'EQ GE GT LE LT MASKED_EQ NE'.split(' ').map((name) => `SCMP_CMP_${name}`);
const flags = 'LOG SPEC_ALLOW TSYNC WAIT_KILLABLE_RECV'.split(' ').map((name) => `SECCOMP_FILTER_FLAG_${name}`);
const capabilities =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
    .split(' ')
    .map((name) => `CAP_${name}`);
export function features(): object {
  return {
    ociVersionMin: '1.0.0',
    ociVersionMax: '1.3.0',
    hooks: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'],
    mountOptions,
    linux: {
      namespaces: ['cgroup', 'ipc', 'mount', 'network', 'pid', 'time', 'user', 'uts'],
      capabilities,
      cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: false },
      seccomp: {
        enabled: true,
        actions,
        operators,
        archs: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM', 'SCMP_ARCH_X32', 'SCMP_ARCH_X86', 'SCMP_ARCH_X86_64'],
        knownFlags: flags,
        supportedFlags: flags,
      },
      apparmor: { enabled: true },
      selinux: { enabled: false },
      intelRdt: { enabled: false },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: false },
      memoryPolicy: {},
    },
    potentiallyUnsafeConfigAnnotations: [],
  };
}

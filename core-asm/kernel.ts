// Numbers of the kernel's interface (include/uapi) that programs use; the same on x86-64 and arm64 unless said.

export const AT_FDCWD: i32 = -100;
export const AT_EMPTY_PATH: i32 = 0x1000;
export const AT_RECURSIVE: i32 = 0x8000;

export const O_RDONLY: i32 = 0;
export const O_CLOEXEC: i32 = 0x80000;
export const O_PATH: i32 = 0x200000;

/** O_DIRECTORY differs: arm64 swaps it with O_DIRECT's bit. */
export function directoryFlag(architecture: string): i32 {
  return architecture == 'aarch64' ? 0x4000 : 0x10000;
}

// clone(2), setns(2), unshare(2)
export const CLONE_NEWTIME: i64 = 0x80;
export const CLONE_NEWNS: i64 = 0x20000;
export const CLONE_NEWCGROUP: i64 = 0x2000000;
export const CLONE_NEWUTS: i64 = 0x4000000;
export const CLONE_NEWIPC: i64 = 0x8000000;
export const CLONE_NEWUSER: i64 = 0x10000000;
export const CLONE_NEWPID: i64 = 0x20000000;
export const CLONE_NEWNET: i64 = 0x40000000;

// mount(2), umount2(2)
export const MS_REC: i64 = 0x4000;
export const MS_UNBINDABLE: i64 = 0x20000;
export const MS_PRIVATE: i64 = 0x40000;
export const MS_SLAVE: i64 = 0x80000;
export const MS_SHARED: i64 = 0x100000;
export const MNT_DETACH: i64 = 2;

// fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2)
export const FSOPEN_CLOEXEC: i64 = 1;
export const FSCONFIG_SET_FLAG: i64 = 0;
export const FSCONFIG_SET_STRING: i64 = 1;
export const FSCONFIG_CMD_CREATE: i64 = 6;
export const FSMOUNT_CLOEXEC: i64 = 1;
export const OPEN_TREE_CLONE: i64 = 1;
export const OPEN_TREE_CLOEXEC: i64 = 0x80000;
export const MOVE_MOUNT_F_EMPTY_PATH: i64 = 0x4;
export const MOVE_MOUNT_T_EMPTY_PATH: i64 = 0x40;
export const MOUNT_ATTR_RDONLY: i64 = 0x1;
export const MOUNT_ATTR_NOSUID: i64 = 0x2;
export const MOUNT_ATTR_NODEV: i64 = 0x4;
export const MOUNT_ATTR_NOEXEC: i64 = 0x8;
export const MOUNT_ATTR_NOATIME: i64 = 0x10;
export const MOUNT_ATTR_STRICTATIME: i64 = 0x20;
export const MOUNT_ATTR_NODIRATIME: i64 = 0x80;
export const MOUNT_ATTR_IDMAP: i64 = 0x100000;
export const MOUNT_ATTR_NOSYMFOLLOW: i64 = 0x200000;

// prctl(2)
export const PR_SET_PDEATHSIG: i64 = 1;
export const PR_SET_DUMPABLE: i64 = 4;
export const PR_SET_KEEPCAPS: i64 = 8;
export const PR_CAPBSET_DROP: i64 = 24;
export const PR_SET_SECUREBITS: i64 = 28;
export const PR_SET_NO_NEW_PRIVS: i64 = 38;
export const PR_CAP_AMBIENT: i64 = 47;
export const PR_CAP_AMBIENT_RAISE: i64 = 2;

/** A change of ids leaves the capabilities alone (capabilities(7)). */
export const SECBIT_NO_SETUID_FIXUP: i64 = 1 << 2;

export const SIGKILL: i64 = 9;
export const KEYCTL_JOIN_SESSION_KEYRING: i64 = 1;
export const CAPABILITY_VERSION_3: u32 = 0x20080522;

export const S_IFCHR: i32 = 0o020000;
export const S_IFBLK: i32 = 0o060000;
export const S_IFIFO: i32 = 0o010000;

// Every op's name and how its operands read: the table behind plan text, lint and error messages.
import * as abi from '../../core-asm/abi.ts';

/**
 * One letter an operand: i decimal, x hex, o octal mode, f fd, s string, b bytes (the length follows as n), n length,
 * d struct, a list of NUL-terminated strings, p pid, r any register's value, c clone flags, m mount attributes, j block length.
 */
export interface OpShape {
  name: string;
  operands: string;
}

const shapes: Record<number, OpShape> = {};
const define = (code: number, name: string, operands: string): void => {
  shapes[code] = { name, operands };
};

define(abi.OP_OPENAT, 'openat', 'fsxo');
define(abi.OP_CLOSE, 'close', 'f');
define(abi.OP_MKDIRAT, 'mkdirat', 'fso');
define(abi.OP_RENAMEAT2, 'renameat2', 'fsfsx');
define(abi.OP_FCHOWNAT, 'fchownat', 'fsiix');
define(abi.OP_MOUNT, 'mount', 'sssms');
define(abi.OP_UMOUNT2, 'umount2', 'sx');
define(abi.OP_OPEN_TREE, 'open_tree', 'fsx');
define(abi.OP_MOVE_MOUNT, 'move_mount', 'fsfsx');
define(abi.OP_FSOPEN, 'fsopen', 'sx');
define(abi.OP_FSCONFIG, 'fsconfig', 'fissi');
define(abi.OP_FSMOUNT, 'fsmount', 'fxx');
define(abi.OP_MOUNT_SETATTR, 'mount_setattr', 'fsxdi');
define(abi.OP_PIVOT_ROOT, 'pivot_root', 'ss');
define(abi.OP_CHDIR, 'chdir', 's');
define(abi.OP_FCHDIR, 'fchdir', 'f');
define(abi.OP_SETNS, 'setns', 'fc');
define(abi.OP_UNSHARE, 'unshare', 'c');
define(abi.OP_SETHOSTNAME, 'sethostname', 'bn');
define(abi.OP_SETDOMAINNAME, 'setdomainname', 'bn');
define(abi.OP_PRLIMIT64, 'prlimit64', 'iidi');
define(abi.OP_PRCTL, 'prctl', 'iiiii');
define(abi.OP_CAPSET, 'capset', 'dd');
define(abi.OP_SETRESUID, 'setresuid', 'iii');
define(abi.OP_SETRESGID, 'setresgid', 'iii');
define(abi.OP_SETGROUPS, 'setgroups', 'id');
define(abi.OP_UMASK, 'umask', 'o');
define(abi.OP_KEYCTL, 'keyctl', 'isiii');
define(abi.OP_PIDFD_OPEN, 'pidfd_open', 'px');
define(abi.OP_SETSID, 'setsid', '');
define(abi.OP_CHROOT, 'chroot', 's');
define(abi.OP_IOPRIO_SET, 'ioprio_set', 'iix');
define(abi.OP_SCHED_SETATTR, 'sched_setattr', 'idi');
define(abi.OP_LAUNCH, 'launch', 'jx');
define(abi.OP_PARK, 'park', '');
define(abi.OP_CLONE, 'clone', 'jcf');
define(abi.OP_WAIT, 'wait', '');
define(abi.OP_RELEASE, 'release', '');
define(abi.OP_WRITE_FILE, 'write_file', 'fsbnx');
define(abi.OP_WRITE_PROC, 'write_proc', 'sbn');
define(abi.OP_WRITE_SYSCTL, 'write_sysctl', 'fsbn');
define(abi.OP_PROC_PID_WRITE, 'proc_pid_write', 'psbn');
define(abi.OP_ENSURE_DIR, 'ensure_dir', 'fsoii');
define(abi.OP_ENSURE_FILE, 'ensure_file', 'fso');
define(abi.OP_OPEN_IN_ROOT, 'open_in_root', 'fsx');
define(abi.OP_SYMLINK_IN_ROOT, 'symlink_in_root', 'fss');
define(abi.OP_MKNOD_IN_ROOT, 'mknod_in_root', 'fsoxii');
define(abi.OP_SECCOMP, 'seccomp', 'bnx');
define(abi.OP_EXECVE, 'execve', 'sanan');
define(abi.OP_NETLINK, 'netlink', 'ibn');
define(abi.OP_PATCH32, 'patch32', 'xr');
define(abi.OP_SEND_TERMINAL, 'send_terminal', 'f');
define(abi.OP_OPEN_TERMINAL, 'open_terminal', 'fsii');
define(abi.OP_STDIO, 'stdio', 'i');
define(abi.OP_BPF_DEVICE, 'bpf_device', 'fbn');
define(abi.OP_REMOVE_CGROUP, 'remove_cgroup', 's');
define(abi.OP_MAKE_CGROUP, 'make_cgroup', 's');
define(abi.OP_SWEEP_CGROUPS, 'sweep_cgroups', 's');
define(abi.OP_CONTAINER_PIDFD, 'container_pidfd', '');
define(abi.OP_CONTAINER_CGROUP, 'container_cgroup', 's');
define(abi.OP_SUPERVISE, 'supervise', 'xi');
define(abi.OP_CONTROL_SOCKET, 'control_socket', 's');
define(abi.OP_LOG, 'log', 'sii');
define(abi.OP_LOG_BUFFER, 'log_buffer', 'i');
define(abi.OP_LOG_COMPRESS, 'log_compress', '');
define(abi.OP_EXIT_RECORD, 'exit_record', 's');
define(abi.OP_OOM_EVENTS, 'oom_events', 's');
define(abi.OP_REMOVE_TREE, 'remove_tree', 'fs');
define(abi.OP_MASK, 'mask', 'fsf');
define(abi.OP_READ_ONLY_PATH, 'read_only_path', 'fs');
define(abi.OP_KILL_CGROUP, 'kill_cgroup', 'si');
define(abi.OP_FREEZE, 'freeze', 'sii');
define(abi.OP_COPY_UP, 'copy_up', 'ff');
define(abi.OP_SEAL, 'seal', '');
define(abi.OP_ARCHIVE, 'archive', 'isssii');
define(abi.OP_WRITE_LINES, 'write_lines', 'fsbn');
define(abi.OP_EMPTY_TREE, 'empty_tree', 'fss');
define(abi.OP_LOOP_DEVICE, 'loop_device', 'sxbn');
define(abi.OP_RESOLVER, 'resolver', 'ssi');
define(abi.OP_INODE_FLAGS, 'inode_flags', 'sx');
define(abi.OP_USER_NAMESPACE, 'user_namespace', 'bnbn');
define(abi.OP_OWN_STDIO, 'own_stdio', 'ii');
define(abi.OP_HOOK_STATE, 'hook_state', 'bns');
define(abi.OP_HOOK, 'hook', 'sanani');
define(abi.OP_AWAIT_START, 'await_start', '');
define(abi.OP_FIND_EXECUTABLE, 'find_executable', 'san');
define(abi.OP_ENSURE_LIKE, 'ensure_like', 'fsf');
define(abi.OP_SEND_LISTENER, 'send_listener', 'f');
define(abi.OP_HOME, 'home', 'i');
define(abi.OP_FILL_CPUSET, 'fill_cpuset', 's');

/** @returns the shape of an op; undefined for a code that this version does not know. */
export function opShape(code: number): OpShape | undefined {
  return shapes[code];
}

/** Name of an op for messages. */
export function opName(code: number): string {
  return shapes[code]?.name ?? `op ${code}`;
}

/** All known codes with their shapes. */
export function opShapes(): [number, OpShape][] {
  return Object.entries(shapes).map(([code, shape]) => [Number(code), shape]);
}

// Every number shared by the core, the host and the C executor. Portable TypeScript and AssemblyScript; imports nothing.

// --- Program: header, ops, data ---------------------------------------------------------------------------------
/** Version of the program format; core, host and executor refuse any other. */
export const PLAN_VERSION = 1;
/** First four bytes of a program: "GPLN" little-endian. */
export const PLAN_MAGIC = 0x4e4c5047;
/** Header: u32 magic, u16 version, u16 architecture, u32 op count, u32 data length, 16 bytes reserved (zero). */
export const HEADER_SIZE = 32;
/**
 * Op: u16 code, u8 destination register (REGISTER_NONE: none), u8 policy, u32 operand kinds (4 bits each, first operand
 * lowest), u64 operand[6], u32 note (data offset of a NUL-terminated reason, 0: none), u32 skip (for POLICY_SKIP).
 */
export const OP_SIZE = 64;
export const OP_ARGS = 6;
export const REGISTERS = 64;
export const REGISTER_NONE = 0xff;
/** Largest program that an executor accepts, header, ops and data together. */
export const PROGRAM_MAX = 1048576;

export const ARCH_X86_64 = 1;
export const ARCH_AARCH64 = 2;

// Operand kinds.
export const KIND_NONE = 0;
/** A number, passed as it is. */
export const KIND_IMMEDIATE = 1;
/** An offset into the data: the op gets the address. */
export const KIND_DATA = 2;
/** A register: the op gets what an earlier op returned (an fd or a pid). */
export const KIND_REGISTER = 3;

// What a negative result does.
/** Report (op, errno) and stop. */
export const POLICY_FAIL = 0;
/** On any error go on; tell the host once (a WARN frame). */
export const POLICY_WARN = 1;
/** On any error go on silently. */
export const POLICY_IGNORE = 2;
/** On ENOENT, ENODEV, EINVAL or ENOSYS skip this and the next `skip` ops silently; other errors fail. */
export const POLICY_SKIP = 3;

// --- Ops: system calls, in the kernel's argument order; a number that is missing is no op -----------------------
export const OP_OPENAT = 1;
export const OP_CLOSE = 3;
export const OP_MKDIRAT = 4;
export const OP_RENAMEAT2 = 9;
export const OP_FCHOWNAT = 10;
export const OP_MOUNT = 12;
export const OP_UMOUNT2 = 13;
export const OP_OPEN_TREE = 14;
export const OP_MOVE_MOUNT = 15;
export const OP_FSOPEN = 16;
export const OP_FSCONFIG = 17;
export const OP_FSMOUNT = 18;
export const OP_MOUNT_SETATTR = 19;
export const OP_PIVOT_ROOT = 20;
export const OP_CHDIR = 21;
export const OP_FCHDIR = 22;
export const OP_SETNS = 24;
export const OP_UNSHARE = 25;
export const OP_SETHOSTNAME = 26;
export const OP_SETDOMAINNAME = 27;
/** prlimit64(pid, resource, new: 16 bytes, 0). */
export const OP_PRLIMIT64 = 28;
export const OP_PRCTL = 29;
/** capset(header: 8 bytes, data: 24 bytes). */
export const OP_CAPSET = 30;
export const OP_SETRESUID = 31;
export const OP_SETRESGID = 32;
/** setgroups(count, u32 array). */
export const OP_SETGROUPS = 33;
export const OP_UMASK = 34;
export const OP_KEYCTL = 39;
export const OP_PIDFD_OPEN = 40;
export const OP_SETSID = 41;
export const OP_CHROOT = 42;
export const OP_IOPRIO_SET = 43;
/** sched_setattr(pid, struct sched_attr: 56 bytes, flags). */
export const OP_SCHED_SETATTR = 44;
export const OP_SYSCALLS_END = 45;

// --- Ops: controls -----------------------------------------------------------------------------------------------
/**
 * launch(length, flags): fork a launcher that runs the next `length` ops and exits; the caller goes on behind them once
 * the launcher's CLONE has given it a child. Result: the child's pid. LAUNCH_PARKED: use the slot's parked launcher.
 */
export const OP_LAUNCH = 64;
/** park(): inside a launcher of a pool slot: wait until a later program's LAUNCH_PARKED hands over the ops to run. */
export const OP_PARK = 65;
/** clone(length, flags, cgroup fd or -1): clone3 with CLONE_PARENT; the child runs the next `length` ops and never returns. */
export const OP_CLONE = 66;
/** wait(): in the child: block until the parent's RELEASE; in the parent, behind LAUNCH: until the child's. */
export const OP_WAIT = 67;
/** release(): let the other one, parent or child, go on from WAIT. */
export const OP_RELEASE = 68;
/** write_file(dirfd, path, data, length, flags): open O_WRONLY|O_CLOEXEC|O_NOFOLLOW|flags, one write, close. */
export const OP_WRITE_FILE = 69;
/** write_proc(path, data, length): as write_file below /proc of this namespace, after fstatfs says PROC_SUPER_MAGIC. */
export const OP_WRITE_PROC = 70;
/** proc_pid_write(pid, name, data, length): /proc/PID/name, e.g. uid_map, gid_map, setgroups, oom_score_adj, timens_offsets. */
export const OP_PROC_PID_WRITE = 72;
/** ensure_dir(root fd, path, mode, uid, gid): the directory below the root, made where missing. Result: O_PATH fd. */
export const OP_ENSURE_DIR = 73;
/** ensure_file(root fd, path, mode): the same for a regular file (a bind mount's target). Result: O_PATH fd. */
export const OP_ENSURE_FILE = 74;
/** open_in_root(root fd, path, flags): openat2 with RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS, O_CLOEXEC. Result: fd. */
export const OP_OPEN_IN_ROOT = 75;
/** symlink_in_root(root fd, target, path): replaces what is there unless it is a directory. */
export const OP_SYMLINK_IN_ROOT = 76;
/** mknod_in_root(root fd, path, mode, dev, uid, gid): replaces what is there unless it is a directory. */
export const OP_MKNOD_IN_ROOT = 77;
/** seccomp(filter, length in bytes, flags): SECCOMP_SET_MODE_FILTER with SECCOMP_FILTER_FLAG_*; result: the listener's fd where a flag asks for one. */
export const OP_SECCOMP = 78;
/** execve(file, argv, argv length, envp, envp length): lists of NUL-terminated strings; a file without "/" is found by PATH of envp. */
export const OP_EXECVE = 79;
/** netlink(protocol, messages, length): each message asks for an ack; the first error is the result. Batched in one send. */
export const OP_NETLINK = 80;
/** patch32(data offset as immediate, register): writes a register's value into the data (a pid into a netlink attribute). */
export const OP_PATCH32 = 81;
/** send_terminal(fd): in the child: hand the pty's master to the supervisor. */
export const OP_SEND_TERMINAL = 82;
/** open_terminal(root fd, ptmx path, rows or 0, columns): open ptmx, unlock, open its peer, make it controlling and fds 0–2; result: master fd. */
export const OP_OPEN_TERMINAL = 83;
/** stdio(root fd): in the child: fds 0–2 become the supervisor's pipes (stdin: the root's /dev/null unless SUPERVISE_STDIN). */
export const OP_STDIO = 84;
/** bpf_device(cgroup fd, instructions, length in bytes): load a BPF_PROG_TYPE_CGROUP_DEVICE program and attach it. */
export const OP_BPF_DEVICE = 85;
/** remove_cgroup(path): rmdir the tree below and itself, deepest first, killing and retrying on EBUSY for up to 2 s. */
export const OP_REMOVE_CGROUP = 86;
/** container_pidfd(): the pidfd of the container that this supervisor holds (exec through its control socket). */
export const OP_CONTAINER_PIDFD = 87;
/** supervise(flags, stop signal): SUPERVISE_*; before LAUNCH. */
export const OP_SUPERVISE = 88;
/** control_socket(path): listen there (0600) for later connections; removed on exit. */
export const OP_CONTROL_SOCKET = 89;
/** log(path, max bytes (0: none), max files): append frames of the container's output. */
export const OP_LOG = 90;
/** exit_record(path): where the exit is recorded, atomically, as JSON. */
export const OP_EXIT_RECORD = 91;
/** oom_events(path): memory.oom_control or memory.events; its "oom_kill" count at exit tells OOM. */
export const OP_OOM_EVENTS = 92;
/** remove_tree(dirfd, path): unlink everything below and itself without crossing a mount. */
export const OP_REMOVE_TREE = 93;
/** mask(root fd, path, empty directory fd): cover a file with the root's /dev/null (ENODEV where that is another thing), a directory with a read-only clone of the fd; ENOENT is no error. */
export const OP_MASK = 94;
/** read_only_path(root fd, path): bind the path on itself read-only; ENOENT is no error. */
export const OP_READ_ONLY_PATH = 95;
/** kill_cgroup(path, signal): every process of the cgroup (cgroup.kill where it exists and the signal is 9). */
export const OP_KILL_CGROUP = 96;
/** freeze(path, 0 or 1, layout): freezer.state or cgroup.freeze, and wait for it (2 s). */
export const OP_FREEZE = 97;
/** copy_up(source fd, target fd): copy a directory's tree with owners, modes, xattrs (a new volume); only into an empty target. */
export const OP_COPY_UP = 98;
/** seal(): nothing survives: every fd above 2 is closed but those that tell how exec went; not dumpable until then. */
export const OP_SEAL = 99;
/**
 * user_namespace(uid map, length, gid map, length): in the launcher: a user namespace with these maps, owned by a process that
 * only lives while they are written. Result: its fd, for mount_setattr's MOUNT_ATTR_IDMAP and setns.
 */
export const OP_USER_NAMESPACE = 100;
/** own_stdio(uid, gid): in the launcher: the pipes that become fds 0–2 belong to this user of the host, who may reopen them. */
export const OP_OWN_STDIO = 101;
/** container_cgroup(mount point): in an exec's supervisor: the v2 cgroup that the container's first process is in. Result: O_PATH fd. */
export const OP_CONTAINER_CGROUP = 102;
/**
 * archive(ARCHIVE_*, directory, name, name in the archive, uid, gid): in the child, never returns: confines itself, then reads
 * or writes files below its root (archive.c). Name "" is the directory itself; ids of -1 are those of the archive.
 */
export const OP_ARCHIVE = 103;
/** inode_flags(path, FS_*_FL): adds flags of ioctl_iflags(2) to a directory. */
export const OP_INODE_FLAGS = 104;
/** write_lines(dirfd, path, data, length): as write_file, but each line by a write of its own: files that take one rule a write. */
export const OP_WRITE_LINES = 105;
/**
 * resolver(path, address, port): a process that lives as long as the container, in the network namespace that this one is in:
 * carries DNS messages between UDP and TCP sockets there and who connects to the unix socket `path` (resolver.c).
 */
export const OP_RESOLVER = 106;
/** empty_tree(dirfd, path, name or 0): as remove_tree, but the directory itself stays, and so does this name in it. */
export const OP_EMPTY_TREE = 107;
/**
 * make_cgroup(path): mkdir(2), and the supervisor's name on it: the attribute trusted.gantry, "PID INODE-OF-ITS-PID-NAMESPACE".
 * Where attributes cannot be set the cgroup has no name on it.
 */
export const OP_MAKE_CGROUP = 108;
/**
 * sweep_cgroups(parent): remove_cgroup for each child whose supervisor is gone; one without a name on it goes where it is empty,
 * a minute old and called as containers and slots are.
 */
export const OP_SWEEP_CGROUPS = 109;
/** log_buffer(bytes): the log holds nobody up: so much of it waits to be written, the rest is dropped. After LOG. */
export const OP_LOG_BUFFER = 110;
/**
 * loop_device(file, LO_FLAGS_*, name, its length): binds a file to a free loop device (loop(4)), whose path is written to `name`
 * in the data. Result: an fd of the device, which with LO_FLAGS_AUTOCLEAR is let go when nobody has it open or mounted.
 */
export const OP_LOOP_DEVICE = 111;
/** write_sysctl(root fd, path, data, length): as write_proc, by the procfs that is mounted in this root. */
export const OP_WRITE_SYSCTL = 112;
/** log_compress(): what is rotated becomes gzip, in PATH.1.gz and so on. After LOG. */
export const OP_LOG_COMPRESS = 113;
/** hook_state(state, length, status): what hooks get on stdin from here on, but for the pid: a JSON object without its end. */
export const OP_HOOK_STATE = 114;
/** hook(file, argv, argv length, envp, envp length, milliseconds or 0): runs it to its end; its exit status n is the error HOOK_EXITED + n. */
export const OP_HOOK = 115;
/** await_start(): in the child: until somebody connects to the start socket; what fails behind it is told there. */
export const OP_AWAIT_START = 116;
/** find_executable(file, envp, envp length): in the child: the error that execve would find, before anything is waited for. */
export const OP_FIND_EXECUTABLE = 117;
/** ensure_like(root fd, path, fd): a place for a mount of what the fd is, a directory or else a file. Result: O_PATH fd. */
export const OP_ENSURE_LIKE = 118;
/** send_listener(fd): in the child: hands the seccomp listener to who starts or supervises it. */
export const OP_SEND_LISTENER = 119;
/** home(uid): in the child's root: execve adds HOME of /etc/passwd where its environment has none. */
export const OP_HOME = 120;
/** fill_cpuset(path): a v1 cpuset without CPUs or memory nodes gets those of the one above. */
export const OP_FILL_CPUSET = 121;
export const OP_END = 122;

/** An errno of HOOK: plus the exit status, or 256 + the signal. */
export const HOOK_EXITED = 65536;

/** Tells one entry: u32 mode, u32 length of link, u64 size, i64 seconds, u64 nanoseconds, then the end of its links. */
export const ARCHIVE_STAT = 1;
/** The same, then the entry and what is below as tar. */
export const ARCHIVE_PACK = 2;
/** Takes a tar from stdin into the directory. */
export const ARCHIVE_UNPACK = 3;
/** The same; a directory and something else do not take each other's place. */
export const ARCHIVE_UNPACK_KEEP = 4;
export const ARCHIVE_STAT_SIZE = 32;

export const LAUNCH_PARKED = 1;

export const SUPERVISE_TTY = 1;
export const SUPERVISE_STDIN = 2;
/** Stdin closes when the first attached client leaves. */
export const SUPERVISE_STDIN_ONCE = 4;
/** A process in a running container: no tear-down, no record. */
export const SUPERVISE_EXEC = 8;

// --- Frames on the executor's socket: u32 payload length, u8 type, u8 stream, u16 zero, payload ----------------
export const FRAME_HEADER = 8;
export const FRAME_MAX = 2097152;

// Host → supervisor.
/** As RUN, with a program ending in LAUNCH{… PARK}: makes this connection a pool slot. Answer: READY or FAILED. */
export const FRAME_PREPARE = 1;
/** u32 set-up length, u32 tear-down length (0: none), both programs. Answer: STARTED, DONE (no LAUNCH in it) or FAILED. */
export const FRAME_RUN = 2;
export const FRAME_STDIN = 3;
export const FRAME_STDIN_CLOSE = 4;
/** u16 rows, u16 columns. */
export const FRAME_RESIZE = 5;
/** u32 signal: to the container's first process. */
export const FRAME_SIGNAL = 6;
/** u32 ATTACH_*: what this connection gets and may send; sent before RUN, or on the control socket. */
export const FRAME_ATTACH = 7;
/** On the control socket: fork a supervisor for this connection, which sends HELLO and then takes one RUN (an exec program). */
export const FRAME_EXEC = 8;

/** To a resolver: u32 key of a question, its answer; nothing behind the key: none is given. */
export const FRAME_ANSWER = 9;

// Supervisor → host.
/** u32 PLAN_VERSION, u32 supervisor pid; first frame on every connection. */
export const FRAME_HELLO = 16;
export const FRAME_READY = 17;
/** u32 pid, u32 zero, u64 start time in ns since the epoch. Also sent after ATTACH on the control socket. */
export const FRAME_STARTED = 18;
/** u32 op index, u32 errno, u32 PHASE_*. Then the connection closes after unwinding. */
export const FRAME_FAILED = 19;
/** A program without LAUNCH ended well. */
export const FRAME_DONE = 20;
/** Output; stream is STREAM_STDOUT or STREAM_STDERR. */
export const FRAME_OUTPUT = 21;
/** u32 exit code (128+n for a signal), u32 EXIT_*, u64 finish time in ns since the epoch. */
export const FRAME_EXITED = 22;
/** u32 op index, u32 errno, u32 PHASE_*: an op with POLICY_WARN failed. */
export const FRAME_WARN = 23;
/** Tear-down is over; last frame. */
export const FRAME_TORN_DOWN = 24;

/** From a resolver: u32 key, a DNS message; stream is RESOLVER_UDP or RESOLVER_TCP. */
export const FRAME_QUESTION = 25;

export const RESOLVER_UDP = 0;
export const RESOLVER_TCP = 1;
/** Questions that a resolver has under way at most. */
export const RESOLVER_QUESTIONS = 256;

export const STREAM_STDIN = 0;
export const STREAM_STDOUT = 1;
export const STREAM_STDERR = 2;

export const ATTACH_OUTPUT = 1;
export const ATTACH_STDIN = 2;
/** Sticks: while no connection takes output, none is read, and the end waits, for the next one. */
export const ATTACH_KEEP = 4;

export const EXIT_OOM = 1;
export const EXIT_SIGNALED = 2;

export const PHASE_SETUP = 0;
export const PHASE_TEARDOWN = 1;
export const PHASE_PREPARE = 2;
/** The program itself is malformed; op is the first bad one, errno EINVAL. */
export const PHASE_VALIDATE = 3;

/** Log frame: u64 time in ns since the epoch, u32 length, u8 stream, u8 flags (LOG_PARTIAL), u16 zero, bytes. */
export const LOG_HEADER = 16;
/** The frame does not end with a newline. */
export const LOG_PARTIAL = 1;
/** Where a compressed log's gzip header tells whose frames it has: u64 inode of the file, u64 time of its first frame. */
export const LOG_ORIGIN = 16;
export const LOG_ORIGIN_END = 32;

// --- Runtime: the front (host/linux/runtime) asks the planner (host/runtime) by a unix socket ---------------------------------
// Question: u32 length of the words, u32 length of what they are about, "KEY=VALUE" NUL-terminated, bytes.
// Answer: parts of u32 RUNTIME_*, u32 length, bytes; RUNTIME_DONE ends it.
export const RUNTIME_DONE = 0;
/** Programs of a container's life. */
export const RUNTIME_SETUP = 1;
export const RUNTIME_STARTED = 2;
export const RUNTIME_DELETE = 3;
export const RUNTIME_FREEZE = 4;
export const RUNTIME_THAW = 5;
/** Path of a cgroup that holds all its processes. */
export const RUNTIME_CGROUP = 6;
/** What hooks get of its state, and what state tells besides: JSON without its end. */
export const RUNTIME_HEAD = 7;
export const RUNTIME_TAIL = 8;
/** linux.seccomp's listenerPath and listenerMetadata. */
export const RUNTIME_LISTENER = 9;
export const RUNTIME_METADATA = 10;
/** "ROWS COLUMNS". */
export const RUNTIME_CONSOLE = 11;
/** The config.json that counts from now on. */
export const RUNTIME_CONFIG = 12;
/** For stdout; for the log; and an error, which ends all. */
export const RUNTIME_OUTPUT = 13;
export const RUNTIME_WARNING = 14;
export const RUNTIME_ERROR = 15;
export const RUNTIME_HINT = 16;
/** "terminal": the process wants one. */
export const RUNTIME_TERMINAL = 17;
export const RUNTIME_PARTS = 18;

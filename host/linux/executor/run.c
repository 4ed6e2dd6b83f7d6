// The loop over ops: system calls through one table, controls through one switch.
#include "executor.h"
#include <fcntl.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const uint16_t numbers[ABI_OP_SYSCALLS_END] = {
    [ABI_OP_OPENAT] = __NR_openat, [ABI_OP_CLOSE] = __NR_close, [ABI_OP_MKDIRAT] = __NR_mkdirat,
    [ABI_OP_RENAMEAT2] = __NR_renameat2, [ABI_OP_FCHOWNAT] = __NR_fchownat, [ABI_OP_MOUNT] = __NR_mount,
    [ABI_OP_UMOUNT2] = __NR_umount2, [ABI_OP_OPEN_TREE] = __NR_open_tree, [ABI_OP_MOVE_MOUNT] = __NR_move_mount,
    [ABI_OP_FSOPEN] = __NR_fsopen, [ABI_OP_FSCONFIG] = __NR_fsconfig, [ABI_OP_FSMOUNT] = __NR_fsmount,
    [ABI_OP_MOUNT_SETATTR] = __NR_mount_setattr, [ABI_OP_PIVOT_ROOT] = __NR_pivot_root, [ABI_OP_CHDIR] = __NR_chdir,
    [ABI_OP_FCHDIR] = __NR_fchdir, [ABI_OP_SETNS] = __NR_setns, [ABI_OP_UNSHARE] = __NR_unshare,
    [ABI_OP_SETHOSTNAME] = __NR_sethostname, [ABI_OP_SETDOMAINNAME] = __NR_setdomainname,
    [ABI_OP_PRLIMIT64] = __NR_prlimit64, [ABI_OP_PRCTL] = __NR_prctl, [ABI_OP_CAPSET] = __NR_capset,
    [ABI_OP_SETRESUID] = __NR_setresuid, [ABI_OP_SETRESGID] = __NR_setresgid, [ABI_OP_SETGROUPS] = __NR_setgroups,
    [ABI_OP_UMASK] = __NR_umask, [ABI_OP_KEYCTL] = __NR_keyctl, [ABI_OP_PIDFD_OPEN] = __NR_pidfd_open,
    [ABI_OP_SETSID] = __NR_setsid, [ABI_OP_CHROOT] = __NR_chroot, [ABI_OP_IOPRIO_SET] = __NR_ioprio_set,
    [ABI_OP_SCHED_SETATTR] = __NR_sched_setattr,
};

// An operand as the op gets it: a number, an address in the data, or what a register holds.
int64_t value_of(const struct runner *runner, const struct op *op, int i) {
    uint64_t value = op->operand[i];
    switch ((op->kinds >> (i * 4)) & 15) {
    case ABI_KIND_DATA:
        return (int64_t)(uintptr_t)(runner->program.data + value);
    case ABI_KIND_REGISTER:
        return runner->registers[value];
    }
    return (int64_t)value;
}

const char *text_of(const struct runner *runner, const struct op *op, int i) {
    return (const char *)(uintptr_t)value_of(runner, op, i);
}

static int64_t op_seccomp(const void *filter, size_t length, unsigned flags) {
    struct sock_fprog program = {.len = (unsigned short)(length / 8), .filter = (struct sock_filter *)filter};
    return result_of(syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static int64_t op_proc_pid_write(int64_t pid, const char *name, const char *data, size_t length) {
    char path[256];
    if (strchr(name, '/') || snprintf(path, sizeof path, "/proc/%lld/%s", (long long)pid, name) >= (int)sizeof path)
        return -EINVAL;
    return op_write_proc(path, data, length);
}

static int64_t op_exit_record(struct runner *runner, const char *path) {
    free(runner->record_path);
    runner->record_path = strdup(path);
    return 0;
}

static int64_t op_oom_events(struct runner *runner, const char *path) {
    runner->oom = open(path, O_RDONLY | O_CLOEXEC);
    return 0; // Without the file there is nothing to tell.
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

// Closed at once, not only by execve(2): a path through /proc/self/fd must lead to nothing of the host (CVE-2024-21626).
static int64_t op_seal(const struct runner *runner) {
    int kept[] = {runner->channels.status[1], runner->channels.barrier[0], runner->start_socket, runner->starter};
    unsigned from = 3 + runner->preserved;
    prctl(PR_SET_DUMPABLE, 0);
    qsort(kept, sizeof kept / sizeof *kept, sizeof *kept, ascending);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (kept[i] < (int)from)
            continue;
        if (kept[i] > (int)from && syscall(__NR_close_range, from, kept[i] - 1, 0))
            return -errno;
        fcntl(kept[i], F_SETFD, FD_CLOEXEC);
        from = (unsigned)kept[i] + 1;
    }
    return result_of(syscall(__NR_close_range, from, ~0u, 0));
}

#define NUMBER(i) value_of(runner, op, i)
#define FD(i) ((int)value_of(runner, op, i))
#define TEXT(i) text_of(runner, op, i)
#define SIZE(i) ((size_t)op->operand[i])

static int64_t run_control(struct runner *runner, uint32_t index, const struct op *op) {
    switch (op->code) {
    case ABI_OP_LAUNCH: return op_launch(runner, index);
    case ABI_OP_PARK: return op_park(runner);
    case ABI_OP_CLONE: return op_clone(runner, index);
    case ABI_OP_WAIT: return op_wait(runner, index);
    case ABI_OP_RELEASE: return op_release(runner);
    case ABI_OP_WRITE_FILE: return op_write_file(FD(0), TEXT(1), TEXT(2), SIZE(3), FD(4));
    case ABI_OP_WRITE_LINES: return op_write_lines(FD(0), TEXT(1), TEXT(2), SIZE(3));
    case ABI_OP_WRITE_PROC: return op_write_proc(TEXT(0), TEXT(1), SIZE(2));
    case ABI_OP_WRITE_SYSCTL: return op_write_sysctl(FD(0), TEXT(1), TEXT(2), SIZE(3));
    case ABI_OP_PROC_PID_WRITE: return op_proc_pid_write(NUMBER(0), TEXT(1), TEXT(2), SIZE(3));
    case ABI_OP_ENSURE_DIR: return op_ensure(FD(0), TEXT(1), (mode_t)NUMBER(2), FD(3), FD(4), true);
    case ABI_OP_ENSURE_FILE: return op_ensure(FD(0), TEXT(1), (mode_t)NUMBER(2), -1, -1, false);
    case ABI_OP_OPEN_IN_ROOT: return open_in_root(FD(0), TEXT(1), FD(2));
    case ABI_OP_SYMLINK_IN_ROOT: return op_replace_in_root(FD(0), TEXT(2), TEXT(1), 0, 0, -1, -1);
    case ABI_OP_MKNOD_IN_ROOT:
        return op_replace_in_root(FD(0), TEXT(1), NULL, (mode_t)NUMBER(2), (dev_t)NUMBER(3), FD(4), FD(5));
    case ABI_OP_SECCOMP: return op_seccomp(TEXT(0), SIZE(1), (unsigned)NUMBER(2));
    case ABI_OP_EXECVE: return op_execve(runner, TEXT(0), (char *)TEXT(1), SIZE(2), (char *)TEXT(3), SIZE(4));
    case ABI_OP_NETLINK: return op_netlink(FD(0), TEXT(1), SIZE(2));
    case ABI_OP_PATCH32: {
        uint32_t value = (uint32_t)NUMBER(1);
        memcpy(runner->program.data + op->operand[0], &value, sizeof value);
        return 0;
    }
    case ABI_OP_SEND_TERMINAL:
        send_report(runner, REPORT_TERMINAL, index, 0, FD(0));
        return 0;
    case ABI_OP_OPEN_TERMINAL: return op_open_terminal(FD(0), TEXT(1), (int)NUMBER(2), (int)NUMBER(3));
    case ABI_OP_STDIO: return op_stdio(runner, FD(0));
    case ABI_OP_BPF_DEVICE: return op_bpf_device(FD(0), TEXT(1), SIZE(2));
    case ABI_OP_REMOVE_CGROUP: return op_remove_cgroup(TEXT(0));
    case ABI_OP_MAKE_CGROUP: return op_make_cgroup(TEXT(0));
    case ABI_OP_SWEEP_CGROUPS: return op_sweep_cgroups(TEXT(0));
    case ABI_OP_CONTAINER_PIDFD: return runner->container_pidfd < 0 ? -ESRCH : runner->container_pidfd;
    case ABI_OP_SUPERVISE: runner->supervise = (uint32_t)NUMBER(0); return 0;
    case ABI_OP_CONTROL_SOCKET: return op_control_socket(runner, TEXT(0));
    case ABI_OP_LOG_BUFFER: return op_log_buffer(runner, (uint64_t)NUMBER(0));
    case ABI_OP_LOG_COMPRESS: return op_log_compress(runner);
    case ABI_OP_LOG: return op_log(runner, TEXT(0), (uint64_t)NUMBER(1), (uint32_t)NUMBER(2));
    case ABI_OP_EXIT_RECORD: return op_exit_record(runner, TEXT(0));
    case ABI_OP_OOM_EVENTS: return op_oom_events(runner, TEXT(0));
    case ABI_OP_INODE_FLAGS: return op_inode_flags(TEXT(0), FD(1));
    case ABI_OP_REMOVE_TREE: return op_remove_tree(FD(0), TEXT(1));
    case ABI_OP_LOOP_DEVICE:
        return op_loop_device(TEXT(0), (uint32_t)NUMBER(1), runner->program.data + op->operand[2], SIZE(3));
    case ABI_OP_EMPTY_TREE: return op_empty_tree(FD(0), TEXT(1), TEXT(2));
    case ABI_OP_MASK: return op_mask(FD(0), TEXT(1), FD(2));
    case ABI_OP_READ_ONLY_PATH: return op_read_only_path(FD(0), TEXT(1));
    case ABI_OP_KILL_CGROUP: return op_kill_cgroup(TEXT(0), FD(1));
    case ABI_OP_FREEZE: return op_freeze(TEXT(0), NUMBER(1) != 0, NUMBER(2) == 2);
    case ABI_OP_COPY_UP: return op_copy_up(FD(0), FD(1));
    case ABI_OP_SEAL: return op_seal(runner);
    case ABI_OP_USER_NAMESPACE: return op_user_namespace(TEXT(0), SIZE(1), TEXT(2), SIZE(3));
    case ABI_OP_HOOK_STATE: return op_hook_state(runner, TEXT(0), SIZE(1), TEXT(2));
    case ABI_OP_HOOK: return op_hook(runner, TEXT(0), (char *)TEXT(1), SIZE(2), (char *)TEXT(3), SIZE(4), NUMBER(5));
    case ABI_OP_AWAIT_START: return op_await_start(runner);
    case ABI_OP_FIND_EXECUTABLE: return op_find_executable(TEXT(0), (char *)TEXT(1), SIZE(2));
    case ABI_OP_ENSURE_LIKE: return op_ensure_like(FD(0), TEXT(1), FD(2));
    case ABI_OP_SEND_LISTENER: return op_send_listener(runner, index, FD(0));
    case ABI_OP_FILL_CPUSET: return op_fill_cpuset(TEXT(0));
    case ABI_OP_HOME: return op_home(runner, (uid_t)NUMBER(0));
    case ABI_OP_OWN_STDIO: return op_own_stdio(runner, (uid_t)NUMBER(0), (gid_t)NUMBER(1));
    case ABI_OP_CONTAINER_CGROUP: return op_container_cgroup(runner->container_pidfd, TEXT(0));
    case ABI_OP_RESOLVER: return op_resolver(runner, TEXT(0), TEXT(1), FD(2));
    case ABI_OP_ARCHIVE: op_archive((uint32_t)NUMBER(0), TEXT(1), TEXT(2), TEXT(3), NUMBER(4), NUMBER(5));
    }
    return -EINVAL;
}

// Runs one op; a negative result is an errno.
int64_t run_op(struct runner *runner, uint32_t index) {
    const struct op *op = &runner->program.ops[index];
    if (op->code >= ABI_OP_SYSCALLS_END)
        return run_control(runner, index, op);
    return result_of(syscall(numbers[op->code], NUMBER(0), NUMBER(1), NUMBER(2), NUMBER(3), NUMBER(4), NUMBER(5)));
}

static bool missing(int64_t result) {
    return result == -ENOENT || result == -ENODEV || result == -EINVAL || result == -ENOSYS;
}

// Runs the ops [from, to). Returns 0, or the errno of the failed op, which is left in runner->failed_op.
int run_range(struct runner *runner, uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; i++) {
        const struct op *op = &runner->program.ops[i];
        int64_t result = run_op(runner, i);
        if (op->destination != ABI_REGISTER_NONE)
            runner->registers[op->destination] = result;
        if (result < 0 && op->policy != ABI_POLICY_IGNORE) {
            if (op->policy == ABI_POLICY_WARN)
                runner->warn(runner, i, (int)-result);
            else if (op->policy == ABI_POLICY_SKIP && missing(result))
                i += op->skip;
            else {
                // A launch leaves the op that failed inside it, and so does who waits for what was launched.
                if (op->code != ABI_OP_LAUNCH && op->code != ABI_OP_WAIT)
                    runner->failed_op = i;
                return (int)-result;
            }
        }
        if (op->code == ABI_OP_LAUNCH || op->code == ABI_OP_CLONE)
            i += (uint32_t)op->operand[0];
    }
    return 0;
}

// How the container's first process comes to be: S forks L, L joins cgroups and namespaces, clones C as S's child, and goes.
#include "executor.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int open_channels(struct runner *runner) {
    struct channels *channels = &runner->channels;
    if (channels->open)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channels->status) || pipe2(channels->barrier, O_CLOEXEC) ||
        pipe2(channels->wake, O_CLOEXEC) || pipe2(channels->in, O_CLOEXEC) || pipe2(channels->out, O_CLOEXEC) ||
        pipe2(channels->err, O_CLOEXEC))
        return -errno;
    channels->open = true;
    return 0;
}

static void close_one(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

// In S: the ends that L and C hold. Without this their end would never be seen.
static void close_far_ends(struct channels *channels) {
    close_one(&channels->status[1]);
    close_one(&channels->barrier[0]);
    close_one(&channels->wake[0]);
    close_one(&channels->in[0]);
    close_one(&channels->out[1]);
    close_one(&channels->err[1]);
}

static void close_near_ends(struct channels *channels) {
    close_one(&channels->status[0]);
    close_one(&channels->barrier[1]);
    close_one(&channels->wake[1]);
    close_one(&channels->in[1]);
    close_one(&channels->out[0]);
    close_one(&channels->err[0]);
}

void close_channels(struct runner *runner) {
    if (!runner->channels.open)
        return;
    close_near_ends(&runner->channels);
    close_far_ends(&runner->channels);
    runner->channels.open = false;
}

// With an fd where there is one. Who is to get it may be gone: then nobody cares.
void send_report_to(int socket, struct report report, int fd) {
    struct iovec part = {&report, sizeof report};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

// To S.
void send_report(struct runner *runner, uint32_t kind, uint32_t op, int32_t value, int fd) {
    send_report_to(runner->channels.status[1], (struct report){kind, op, value}, fd);
}

// In S: the next report; 0 at the end of all writers, -errno on failure. Flags of recvmsg(2): MSG_DONTWAIT, or 0.
int read_report(struct runner *runner, struct report *report, int *fd, int flags) {
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {report, sizeof *report};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(runner->channels.status[0], &message, MSG_CMSG_CLOEXEC | flags);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got < 0 ? -errno : 0;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return got == sizeof *report ? 1 : -EPROTO;
}

static void report_warning(struct runner *runner, uint32_t op, int error) {
    send_report(runner, REPORT_WARNED, op, error, -1);
}

// L's life: the ops of its block, the last of which is a clone or a park.
static void be_launcher(struct runner *runner, uint32_t from, uint32_t to) __attribute__((noreturn));
static void be_launcher(struct runner *runner, uint32_t from, uint32_t to) {
    close_near_ends(&runner->channels);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    runner->warn = report_warning;
    int error = run_range(runner, from, to);
    if (error)
        send_report(runner, REPORT_FAILED, runner->failed_op, error, -1);
    _exit(error ? 1 : 0);
}

// In S, once L runs: what was waited for (a child's pid), or the failure.
static int64_t await_report(struct runner *runner) {
    struct report report;
    for (;;) {
        int fd = -1, got = read_report(runner, &report, &fd, 0);
        if (got <= 0)
            return got < 0 ? got : -ECHILD;
        if (report.kind == REPORT_CLONED) {
            runner->child = report.value;
            runner->child_pidfd = (int)syscall(__NR_pidfd_open, runner->child, 0);
            runner->launched = true;
            return runner->child_pidfd < 0 ? -errno : runner->child;
        }
        if (report.kind == REPORT_PARKED || report.kind == REPORT_RELEASED)
            return 0;
        if (report.kind == REPORT_WARNED)
            runner->warn(runner, report.op, report.value);
        else if (report.kind == REPORT_TERMINAL)
            runner->terminal = fd; // C may be there before L says that it cloned it.
        else if (report.kind == REPORT_LISTENER)
            runner->seccomp_listener = fd;
        else if (report.kind == REPORT_FAILED) {
            runner->failed_op = report.op;
            return -report.value;
        }
    }
}

int64_t op_launch(struct runner *runner, uint32_t index) {
    const struct op *op = &runner->program.ops[index];
    runner->failed_op = index;
    if (op->operand[1] & ABI_LAUNCH_PARKED) {
        if (runner->launcher <= 0 || !runner->shared)
            return -ECHILD;
        struct shared *shared = runner->shared;
        shared->launch = index;
        shared->supervise = runner->supervise;
        memcpy(shared->registers, runner->registers, sizeof shared->registers);
        if (write(runner->channels.wake[1], "", 1) != 1)
            return -errno;
        return await_report(runner);
    }
    int error = open_channels(runner);
    if (error)
        return error;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        be_launcher(runner, index + 1, index + 1 + (uint32_t)op->operand[0]);
    runner->launcher = pid;
    close_far_ends(&runner->channels);
    return await_report(runner);
}

// A launcher that is parked was forked before its program comes; any other has a copy of S's memory.
uint8_t *share_program(struct runner *runner, const uint8_t *program, uint32_t length) {
    if (!runner->shared) {
        void *shared = mmap(NULL, sizeof *runner->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
            return NULL;
        runner->shared = shared;
    }
    runner->shared->length = length;
    return memcpy(runner->shared->program, program, length);
}

// In a pool slot's L: sleep in the cgroups until S has a program, then be the launcher of that.
int64_t op_park(struct runner *runner) {
    char byte;
    if (!runner->shared)
        return -EINVAL;
    send_report(runner, REPORT_PARKED, 0, 0, -1);
    if (read(runner->channels.wake[0], &byte, 1) != 1)
        _exit(0);
    struct shared *shared = runner->shared;
    uint32_t bad_op, index = shared->launch;
    if (program_load(&runner->program, shared->program, shared->length, &bad_op))
        return -EINVAL;
    memcpy(runner->registers, shared->registers, sizeof shared->registers);
    runner->supervise = shared->supervise;
    int error = run_range(runner, index + 1, index + 1 + (uint32_t)runner->program.ops[index].operand[0]);
    if (error)
        send_report(runner, REPORT_FAILED, runner->failed_op, error, -1);
    _exit(error ? 1 : 0);
}

int64_t op_clone(struct runner *runner, uint32_t index) {
    const struct op *op = &runner->program.ops[index];
    int cgroup = (int)value_of(runner, op, 2);
    struct clone_args args = {.flags = op->operand[1] | CLONE_PARENT | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
                              .cgroup = (uint64_t)(cgroup >= 0 ? cgroup : 0)};
    long pid = syscall(__NR_clone3, &args, sizeof args);
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        send_report(runner, REPORT_CLONED, index, (int32_t)pid, -1);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL); // Ignored by S; what is ignored stays so over execve(2).
    int error = run_range(runner, index + 1, index + 1 + (uint32_t)op->operand[0]);
    send_report(runner, REPORT_FAILED, runner->failed_op, error, -1);
    tell_starter(runner, runner->failed_op, error, -1);
    _exit(127);
}

// In C for S, in S for C.
int64_t op_wait(struct runner *runner, uint32_t index) {
    char byte;
    runner->failed_op = index;
    if (runner->child > 0)
        return await_report(runner);
    ssize_t got;
    do
        got = read(runner->channels.barrier[0], &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1)
        _exit(1); // S gave up.
    return 0;
}

int64_t op_release(struct runner *runner) {
    if (runner->child > 0)
        return result_of(write(runner->channels.barrier[1], "", 1)) < 0 ? -errno : 0;
    send_report(runner, REPORT_RELEASED, 0, 0, -1);
    return 0;
}

// Nothing to read: the container's own /dev/null. The host's would let it change that node's mode for everybody. Where the
// container has made something else of it, a pipe that nobody writes to.
static int no_input(int root) {
    int null = open_null(root, O_RDWR), ends[2];
    if (null >= 0)
        return null;
    if (pipe2(ends, O_CLOEXEC))
        return -1;
    close(ends[1]);
    return ends[0];
}

int64_t op_stdio(struct runner *runner, int root) {
    setsid();
    int in = runner->supervise & ABI_SUPERVISE_STDIN ? runner->channels.in[0] : no_input(root);
    if (in < 0 || dup2(in, 0) < 0 || dup2(runner->channels.out[1], 1) < 0 || dup2(runner->channels.err[1], 2) < 0)
        return -errno;
    return 0;
}

// In L, with the host's privileges: a process that is not root opens /dev/stdout by its owner's permission.
int64_t op_own_stdio(struct runner *runner, uid_t uid, gid_t gid) {
    int pipes[] = {runner->channels.in[0], runner->channels.out[1], runner->channels.err[1]};
    struct stat info;
    for (int i = 0; i < 3; i++) {
        // What the caller gave: its pipes only. Its files and /dev/null are not the container's (runtime-spec says nothing).
        if (runner->own_stdio && (fstat(i, &info) || !(S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode))))
            continue;
        if (fchown(runner->own_stdio ? i : pipes[i], uid, gid) && !runner->own_stdio)
            return -errno;
    }
    return 0;
}

// pts(4): a new pair of the container's own devpts becomes the controlling terminal.
int64_t op_open_terminal(int root, const char *path, int rows, int columns) {
    int master = open_in_root(root, path, O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
    if (master < 0)
        return master;
    if (ioctl(master, TIOCSPTLCK, &unlock))
        return -errno;
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return -errno;
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    setsid();
    if ((rows && ioctl(slave, TIOCSWINSZ, &size)) || ioctl(slave, TIOCSCTTY, 0) || dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0)
        return -errno;
    close(slave);
    return master;
}

char **list_of(char *bytes, size_t length) {
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += bytes[i] == 0;
    char **list = calloc(count + 2, sizeof *list); // And room for one more.
    for (size_t i = 0, at = 0; list && i < count; i++) {
        list[i] = bytes + at;
        at += strlen(bytes + at) + 1;
    }
    return list;
}

// execve(2); a name without a slash is looked up in PATH of the new environment, as execvpe(3) would.
int64_t op_execve(const struct runner *runner, const char *file, char *args, size_t args_length, char *env, size_t env_length) {
    if ((args_length && args[args_length - 1]) || (env_length && env[env_length - 1]))
        return -EINVAL;
    char **argv = list_of(args, args_length), **envp = list_of(env, env_length);
    if (!argv || !envp)
        return -ENOMEM;
    if (!*file)
        return -ENOENT;
    if (runner->home) {
        char **end = envp;
        while (*end && strncmp(*end, "HOME=", 5))
            end++;
        if (!*end)
            *end = runner->home;
    }
    if (strchr(file, '/')) {
        execve(file, argv, envp);
        return -errno;
    }
    const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (char **entry = envp; *entry; entry++)
        if (!strncmp(*entry, "PATH=", 5))
            path = *entry + 5;
    int denied = 0;
    for (const char *at = path; ; ) {
        size_t length = strcspn(at, ":");
        char candidate[4096];
        int size = snprintf(candidate, sizeof candidate, "%.*s%s%s", (int)length, at, length ? "/" : "", file);
        if (size < (int)sizeof candidate) {
            execve(candidate, argv, envp);
            if (errno == EACCES)
                denied = 1;
            else if (errno != ENOENT && errno != ENOTDIR)
                return -errno;
        }
        if (!at[length])
            return denied ? -EACCES : -ENOENT;
        at += length + 1;
    }
}

// User namespaces: made by a process that owns one only as long as its maps are written (user_namespaces(7)).
#include "executor.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int64_t write_map(pid_t pid, const char *name, const char *map, size_t length) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return op_write_proc(path, map, length);
}

// The fd keeps the namespace; its owner is gone when this returns.
int64_t op_user_namespace(const char *uids, size_t uids_length, const char *gids, size_t gids_length) {
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    pid_t parent = getpid(), pid = (pid_t)syscall(__NR_clone3, &args, sizeof args);
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent)
            pause();
        _exit(0);
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    int64_t result = write_map(pid, "uid_map", uids, uids_length);
    if (result == 0)
        result = write_map(pid, "gid_map", gids, gids_length);
    if (result == 0)
        result = result_of(open(path, O_RDONLY | O_CLOEXEC));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return result;
}

// Hooks (runtime-spec config.md, "POSIX-platform Hooks"): programs that get the container's state on stdin.
#include "executor.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define HOOK_OUTPUT 1024

// The pid in who reads the host's /proc, while it is still seen.
int64_t op_hook_state(struct runner *runner, const char *state, size_t length, const char *status) {
    char self[16] = "";
    if (!runner->hook_pid) {
        if (runner->child > 0)
            runner->hook_pid = runner->child;
        else if (readlink("/proc/self", self, sizeof self - 1) > 0)
            runner->hook_pid = (pid_t)strtol(self, NULL, 10);
    }
    free(runner->hook_state);
    free(runner->hook_status);
    runner->hook_state = strndup(state, length);
    runner->hook_status = strdup(status);
    return runner->hook_state && runner->hook_status ? 0 : -ENOMEM;
}

static void be_hook(const char *file, char **argv, char **envp, int in, int out) __attribute__((noreturn));
static void be_hook(const char *file, char **argv, char **envp, int in, int out) {
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(127);
    syscall(__NR_close_range, 3, ~0u, 0);
    execve(file, argv, envp);
    dprintf(2, "%s", strerror(errno));
    _exit(127);
}

static int64_t since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

// Feeds and drains it; what it says first is kept. Ends when the hook has ended, whoever still holds its output.
static int64_t attend(pid_t pid, int in, int out, const char *state, int64_t timeout, char said[HOOK_OUTPUT]) {
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int ended = (int)syscall(__NR_pidfd_open, pid, 0);
    size_t left = strlen(state), heard = 0;
    int64_t result = 0;
    while (ended >= 0) {
        struct pollfd polled[3] = {{ended, POLLIN, 0}, {out, POLLIN, 0}, {left ? in : -1, POLLOUT, 0}};
        int64_t wait = timeout ? timeout - since(&start) : -1;
        if (timeout && wait <= 0) {
            kill(pid, SIGKILL);
            result = -ETIMEDOUT;
            break;
        }
        if (poll(polled, 3, (int)wait) < 0)
            continue;
        if (polled[2].revents) {
            ssize_t done = write(in, state, left);
            left = done < 0 ? 0 : left - (size_t)done;
            state += done < 0 ? 0 : done;
            if (!left)
                close(in);
        }
        char spill[HOOK_OUTPUT];
        ssize_t got = polled[1].revents ? read(out, spill, sizeof spill) : 0;
        for (ssize_t i = 0; i < got && heard < HOOK_OUTPUT - 1; i++)
            said[heard++] = spill[i];
        if (polled[1].revents && got <= 0)
            out = -1;
        if (polled[0].revents && got <= 0)
            break;
    }
    if (left)
        close(in);
    close(ended);
    said[heard] = 0;
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (result || status == 0)
        return result;
    return -(ABI_HOOK_EXITED + (WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status)));
}

int64_t op_hook(struct runner *runner, const char *file, char *args, size_t args_length, char *env, size_t env_length, int64_t timeout) {
    char **argv = list_of(args, args_length), **envp = list_of(env, env_length), *state, said[HOOK_OUTPUT];
    int in[2], out[2];
    if (!runner->hook_state)
        return -EINVAL;
    if (!argv || !envp || asprintf(&state, "%s,\"status\":\"%s\",\"pid\":%d}", runner->hook_state, runner->hook_status,
                                   strcmp(runner->hook_status, "stopped") ? runner->hook_pid : 0) < 0)
        return -ENOMEM;
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        return -errno;
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0)
        be_hook(file, argv, envp, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    int64_t result = pid < 0 ? -errno : attend(pid, in[1], out[0], state, timeout, said);
    close(out[0]);
    signal(SIGPIPE, before);
    if (result < 0 && pid > 0 && *said && runner->say)
        runner->say(said);
    free(state);
    return result;
}

// --init: a container's first process that starts the program, passes signals on and reaps whoever is left behind.
#include "executor.h"
#include <signal.h>
#include <sys/wait.h>

static pid_t child;

// What the container's user gets to see; docker's init does the same. 126 and 127 as in a shell.
static int fail(const char *what, const char *name, int error, int status) {
    dprintf(2, "docker-init: cannot %s \"%s\": %s\n", what, name, strerror(error));
    return status;
}

// The launcher counts among the container's processes until it is reaped: a pids limit of 2 may need a moment.
static pid_t fork_patiently(void) {
    for (int tries = 0;; tries++) {
        pid_t pid = fork();
        if (pid >= 0 || errno != EAGAIN || tries == 1000)
            return pid;
        usleep(1000);
    }
}

static int status_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

int init_main(char **argv) {
    sigset_t all, before;
    if (*argv && !strcmp(*argv, "--"))
        argv++;
    if (!*argv)
        return 127;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    child = fork_patiently();
    if (child < 0)
        return fail("start a process for", *argv, errno, 126);
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        setpgid(0, 0);
        execvp(*argv, argv);
        _exit(fail("run", *argv, errno, errno == ENOENT ? 127 : 126));
    }
    for (;;) {
        int signal, status;
        if (sigwait(&all, &signal))
            continue;
        if (signal != SIGCHLD) {
            kill(child, signal);
            continue;
        }
        for (pid_t gone; (gone = waitpid(-1, &status, WNOHANG)) > 0;)
            if (gone == child)
                return status_of(status);
    }
}

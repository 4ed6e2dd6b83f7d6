// --init: a container's first process that starts the program, passes signals on and reaps whoever is left behind.
#include "executor.h"
#include <signal.h>
#include <sys/wait.h>

static pid_t child;

static int status_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

int init_main(char **argv) {
    sigset_t all, before;
    if (*argv && !strcmp(*argv, "--"))
        argv++;
    if (!*argv)
        return 127;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    child = fork();
    if (child < 0)
        return 126;
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        setpgid(0, 0);
        execvp(*argv, argv);
        _exit(errno == ENOENT ? 127 : 126);
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

// The executor: obeys programs that gantry's core has planned. `serve SOCKET`, `once` (fd 3), `unpack`, `remove`, `changes`, `layer`, `notify` and `init`.
#include "executor.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

// Whatever the engine's own parent ignores or blocks: no container shall inherit it.
static void default_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int serve(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "gantry-executor: socket path too long: %s\n", path);
        return 1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    umask(0177);
    if (listener < 0 || bind(listener, (void *)&address, sizeof address) || listen(listener, 256)) {
        fprintf(stderr, "gantry-executor: cannot listen on %s: %s\n", path, strerror(errno));
        return 1;
    }
    umask(022);
    signal(SIGCHLD, SIG_IGN); // Supervisors are reaped by the kernel.
    signal(SIGPIPE, SIG_IGN); // Whoever started it may listen no longer.
    prctl(PR_SET_DUMPABLE, 0);
    share_netfilter();
    int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    fcntl(1, F_SETFL, O_NONBLOCK);
    if (write(1, "ready\n", 6) != 6)
        return 1;
    for (;;) {
        // The third tells of each mount and unmount (proc_pid_mountinfo(5)), and the engine hears of it as far as it listens.
        struct pollfd polled[3] = {{listener, POLLIN, 0}, {0, POLLIN, 0}, {mounts, POLLPRI, 0}};
        if (poll(polled, 3, -1) < 0)
            continue;
        char byte;
        if (polled[2].revents && write(1, "mounts\n", 7) < 0 && errno != EAGAIN)
            mounts = -1;
        if (polled[1].revents && read(0, &byte, 1) <= 0) { // The lifeline: the engine is gone.
            unlink(path);
            return 0;
        }
        int fd = polled[0].revents ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd < 0)
            continue;
        if (fork() == 0) {
            close(listener);
            int null = open("/dev/null", O_RDWR | O_CLOEXEC);
            dup2(null, 0);
            dup2(null, 1);
            close(null);
            supervise(fd, -1);
        }
        close(fd);
    }
}

int main(int argc, char **argv) {
    const char *name = strrchr(argv[0], '/');
    if (!strcmp(name ? name + 1 : argv[0], "docker-init"))
        return init_main(argv + 1);
    if (argc > 2 && !strcmp(argv[1], "init"))
        return init_main(argv + 2);
    if (argc == 3 && !strcmp(argv[1], "serve")) {
        leave_file(argv);
        default_signals();
        return serve(argv[2]);
    }
    if (argc == 2 && !strcmp(argv[1], "once")) {
        leave_file(argv);
        default_signals();
        supervise(3, -1);
    }
    if (argc == 3 && !strcmp(argv[1], "unpack"))
        return unpack_main(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "remove"))
        return remove_main(argv[2]);
    if (argc > 2 && !strcmp(argv[1], "changes"))
        return changes_main(argc - 2, argv + 2);
    if (argc == 3 && !strcmp(argv[1], "layer"))
        return layer_main(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "notify"))
        return notify_main(argv[2]);
    fprintf(stderr, "usage: gantry-executor serve SOCKET | once | unpack DIRECTORY | remove DIRECTORY | changes UPPER [LOWER…] | layer DIRECTORY | notify SOCKET | init [--] PROGRAM [ARGUMENT…]\n");
    return 2;
}

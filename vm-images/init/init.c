// The guest's first process: makes the system ready, starts the executor, and answers the host over one virtio-serial port.
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define EXECUTOR_SOCKET "/run/gantry-executor.sock"

void power_off(void) {
    sync();
    reboot(RB_POWER_OFF);
    _exit(1);
}

void give_up(const char *what) {
    dprintf(2, "gantry-init: %s: %s\n", what, strerror(errno));
    power_off();
}

static void mount_or_give_up(const char *type, const char *target, unsigned long flags, const char *data) {
    mkdir(target, 0755);
    if (mount(type, target, type, flags, data))
        give_up(target);
}

// The file holds names of modules, dependencies first.
static void load_modules(const char *list) {
    FILE *order = fopen(list, "re");
    char name[256], path[300];
    while (order && fgets(name, sizeof name, order)) {
        name[strcspn(name, "\n")] = 0;
        snprintf(path, sizeof path, "/modules/%s", name);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || (syscall(SYS_finit_module, file, "", 0) && errno != EEXIST))
            give_up(path);
        close(file);
    }
    if (order)
        fclose(order);
}

// pivot_root(2) refuses to leave the initial root file system, so everything lives in a mount above it.
static void leave_initial_root(void) {
    mkdir("/sysroot", 0755);
    if (mount("/", "/sysroot", NULL, MS_BIND, NULL) || chdir("/sysroot") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot("."))
        give_up("leave the initial root");
}

static void prepare_system(void) {
    leave_initial_root();
    mount_or_give_up("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    mount_or_give_up("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    mount_or_give_up("devtmpfs", "/dev", MS_NOSUID, "mode=755");
    load_modules("/modules/first");
    mount_or_give_up("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666");
    mount_or_give_up("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
    mount_or_give_up("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755");
    mount_or_give_up("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
    mkdir("/var", 0755);
    mkdir("/root", 0700);
    mount_or_give_up("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
}

// The host makes one port; its driver adds the node a moment after the module is there.
static int open_port(void) {
    for (int tries = 0; tries < 30000; tries++) {
        DIR *devices = opendir("/dev");
        for (struct dirent *entry; devices && (entry = readdir(devices));)
            if (!strncmp(entry->d_name, "vport", 5)) {
                int fd = openat(dirfd(devices), entry->d_name, O_RDWR | O_CLOEXEC);
                if (fd >= 0) {
                    closedir(devices);
                    return fd;
                }
            }
        if (devices)
            closedir(devices);
        usleep(1000);
    }
    give_up("/dev/vport*");
}

// Its standard input stays open as long as this process runs.
static void start_executor(void) {
    int lifeline[2], output[2];
    char word[6];
    if (pipe2(lifeline, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
        give_up("pipe");
    if (fork() == 0) {
        static char *arguments[] = {"gantry-executor", "serve", EXECUTOR_SOCKET, NULL}, *environment[] = {NULL};
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(lifeline[0], 0);
        dup2(output[1], 1);
        execve("/bin/gantry-executor", arguments, environment);
        give_up("gantry-executor");
    }
    close(lifeline[0]);
    close(output[1]);
    if (read(output[0], word, sizeof word) != sizeof word)
        give_up("the executor did not start");
    close(output[0]);
}

// Orphans of containers end here too.
static void reap(void) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < stream_count; i++)
            if (streams[i].id && streams[i].pid == pid) {
                streams[i].pid = 0;
                streams[i].status = (uint32_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
                settle(&streams[i]);
            }
}

static void connected(struct stream *stream) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(stream->in, SOL_SOCKET, SO_ERROR, &error, &length);
    stream->connecting = false;
    if (error) {
        end_stream(stream, (uint32_t)error);
        return;
    }
    accept_stream(stream);
    feed(stream);
}

// Three entries a stream: in, out, error.
static void turn(int port, int children) {
    static struct pollfd polled[3 * STREAMS_MAX + 2];
    static size_t first;
    size_t count = stream_count;
    for (size_t i = 0; i < count; i++) {
        struct stream *stream = &streams[i];
        bool readable = stream->id && stream->credit && !stream->connecting && channel_has_room();
        bool writable = stream->id && (stream->connecting || stream->pending.length);
        polled[3 * i] = (struct pollfd){writable ? stream->in : -1, POLLOUT, 0};
        polled[3 * i + 1] = (struct pollfd){readable ? stream->out : -1, POLLIN, 0};
        polled[3 * i + 2] = (struct pollfd){readable ? stream->error : -1, POLLIN, 0};
    }
    polled[3 * count] = (struct pollfd){port, (short)(POLLIN | (channel_wants_room() ? POLLOUT : 0)), 0};
    polled[3 * count + 1] = (struct pollfd){children, POLLIN, 0};
    if (poll(polled, (nfds_t)(3 * count + 2), -1) < 0)
        return;
    if (polled[3 * count].revents & POLLOUT)
        channel_flush();
    // Another one begins each time, so that none keeps the port to itself.
    first = count ? (first + 1) % count : 0;
    for (size_t n = 0; n < count; n++) {
        size_t i = (first + n) % count;
        struct stream *stream = &streams[i];
        if (polled[3 * i].revents && stream->connecting)
            connected(stream);
        else if (polled[3 * i].revents)
            feed(stream);
        if (polled[3 * i + 1].revents && stream->out >= 0 && stream->credit && channel_has_room())
            drain(stream, &stream->out, LANE_MAIN);
        if (polled[3 * i + 2].revents && stream->error >= 0 && stream->credit && channel_has_room())
            drain(stream, &stream->error, LANE_ERROR);
    }
    if (polled[3 * count + 1].revents) {
        struct signalfd_siginfo ignored;
        while (read(children, &ignored, sizeof ignored) > 0)
            ;
        reap();
    }
    if (polled[3 * count].revents & (POLLIN | POLLHUP | POLLERR))
        channel_read();
    channel_flush();
}

int main(void) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    signal(SIGPIPE, SIG_IGN);
    int children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    prepare_system();
    int port = open_port();
    channel_start(port);
    // The host hears of the guest before what only containers need is there.
    load_modules("/modules/second");
    start_executor();
    for (;;)
        turn(port, children);
}

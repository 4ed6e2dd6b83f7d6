// The guest's first process: makes the system ready, starts the executor, and carries streams over one virtio-serial port.
// A message is u32 stream, u32 length, u8 type, 3 zero bytes, payload; the numbers are those of ../channel.ts.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY = 1, CONNECT, RUN, DATA, END };
#define STREAMS 64
#define PAYLOAD_MAX 65536

struct message { uint32_t stream, length; uint8_t type, zero[3]; };
struct stream { uint32_t id; int fd; pid_t pid; int status; };

static struct stream streams[STREAMS];
static int port = -1;

static void give_up(const char *what) __attribute__((noreturn));
static void give_up(const char *what) {
    dprintf(2, "agent: %s: %s\n", what, strerror(errno));
    sync();
    reboot(RB_POWER_OFF);
    _exit(1);
}

static void mount_or_give_up(const char *type, const char *target, unsigned long flags, const char *data) {
    mkdir(target, 0755);
    if (mount(type, target, type, flags, data))
        give_up(target);
}

// /modules/order holds their file names, dependencies first.
static void load_modules(void) {
    FILE *order = fopen("/modules/order", "re");
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
    load_modules();
    mount_or_give_up("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666");
    mount_or_give_up("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
    mount_or_give_up("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755");
    mount_or_give_up("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
    mount_or_give_up("tmpfs", "/data", 0, "mode=755");
    if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""))
        give_up("/sys/fs/cgroup");
}

// The host makes one port; its driver adds the node a moment after the module is there.
static int open_port(void) {
    for (int tries = 0; tries < 6000; tries++) {
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
        usleep(5000);
    }
    give_up("/dev/vport*");
}

static void start_executor(void) {
    int lifeline[2], output[2];
    char word[6];
    if (pipe2(lifeline, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
        give_up("pipe");
    if (fork() == 0) {
        dup2(lifeline[0], 0);
        dup2(output[1], 1);
        char *arguments[] = {"gantry-executor", "serve", "/run/executor.sock", NULL}, *environment[] = {NULL};
        execve("/bin/gantry-executor", arguments, environment);
        give_up("gantry-executor");
    }
    close(lifeline[0]);
    close(output[1]);
    if (read(output[0], word, sizeof word) != sizeof word)
        give_up("the executor did not start");
    close(output[0]);
}

static void write_all(int fd, const void *bytes, size_t length) {
    for (const char *at = bytes; length > 0;) {
        ssize_t written = write(fd, at, length);
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            if (fd == port)
                give_up("write to the port");
            return;
        }
        at += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
}

static void send_message(uint32_t stream, uint8_t type, const void *payload, uint32_t length) {
    struct message header = {stream, length, type, {0}};
    write_all(port, &header, sizeof header);
    write_all(port, payload, length);
}

static void end_stream(struct stream *stream) {
    uint32_t status = (uint32_t)stream->status;
    send_message(stream->id, END, &status, sizeof status);
    stream->id = 0;
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (void *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int run_shell(const char *script, pid_t *pid) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return -1;
    *pid = fork();
    if (*pid == 0) {
        for (int fd = 0; fd < 3; fd++)
            dup2(ends[1], fd);
        signal(SIGPIPE, SIG_DFL);
        setsid();
        char *arguments[] = {"sh", "-c", (char *)script, NULL}, *environment[] = {"PATH=/bin", NULL};
        execve("/bin/sh", arguments, environment);
        _exit(127);
    }
    close(ends[1]);
    return ends[0];
}

static struct stream *find(uint32_t id) {
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].id == id)
            return &streams[i];
    return NULL;
}

static void take(const struct message *message, char *payload) {
    struct stream *stream = find(message->stream);
    if (message->type == CONNECT || message->type == RUN) {
        struct stream *made = find(0);
        if (!made)
            give_up("no stream is left");
        *made = (struct stream){.id = message->stream, .fd = -1, .status = 127};
        made->fd = message->type == RUN ? run_shell(payload, &made->pid) : connect_to(payload);
        if (made->fd < 0)
            end_stream(made);
        else if (message->type == CONNECT)
            made->status = 0;
    } else if (stream && stream->fd >= 0 && message->type == DATA)
        write_all(stream->fd, payload, message->length);
    else if (stream && stream->fd >= 0 && message->type == END)
        shutdown(stream->fd, SHUT_WR);
}

static void read_port(void) {
    static char pending[sizeof(struct message) + PAYLOAD_MAX + 1];
    static size_t held;
    struct message message;
    size_t wanted = sizeof message;
    if (held >= wanted)
        wanted += ((struct message *)(void *)pending)->length;
    ssize_t got = read(port, pending + held, wanted - held);
    if (got <= 0)
        give_up("the host is gone"); // So that no machine outlives the process that started it.
    held += (size_t)got;
    memcpy(&message, pending, sizeof message);
    if (held >= sizeof message && message.length > PAYLOAD_MAX)
        give_up("a message is too long");
    if (held < sizeof message || held < sizeof message + message.length)
        return;
    pending[held] = 0;
    held = 0;
    take(&message, pending + sizeof message);
}

static void read_stream(struct stream *stream) {
    char bytes[16384];
    ssize_t got = read(stream->fd, bytes, sizeof bytes);
    if (got > 0) {
        send_message(stream->id, DATA, bytes, (uint32_t)got);
        return;
    }
    close(stream->fd);
    stream->fd = -1;
    if (stream->pid == 0)
        end_stream(stream);
}

// Orphans of containers end here too.
static void reap(void) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < STREAMS; i++)
            if (streams[i].id && streams[i].pid == pid) {
                streams[i].pid = 0;
                streams[i].status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                if (streams[i].fd < 0)
                    end_stream(&streams[i]);
            }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    prepare_system();
    port = open_port();
    start_executor();
    send_message(0, READY, "", 0);
    for (;;) {
        struct pollfd polled[STREAMS + 1];
        for (int i = 0; i < STREAMS; i++)
            polled[i] = (struct pollfd){streams[i].id ? streams[i].fd : -1, POLLIN, 0};
        polled[STREAMS] = (struct pollfd){port, POLLIN, 0};
        // The timeout stands in for a SIGCHLD that arrives just before poll.
        if (poll(polled, STREAMS + 1, 20) > 0) {
            for (int i = 0; i < STREAMS; i++)
                if (polled[i].revents)
                    read_stream(&streams[i]);
            if (polled[STREAMS].revents)
                read_port();
        }
        reap();
    }
}

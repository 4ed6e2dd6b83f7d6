// The guest's first process: makes the system ready, starts the executor, and answers the host over one virtio-serial port.
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define EXECUTOR_SOCKET "/run/gantry-executor.sock"

void power_off(void) {
    sync();
    reboot(RB_POWER_OFF);
    _exit(1);
}

// Containers run on, and another one may come.
void host_gone(void) {}

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
        unlink(path); // What is loaded need not lie in memory twice.
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

static bool is_named(const char *device, const char *name) {
    char path[300], found[64] = "";
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", device);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, found, sizeof found - 1) < 0)
        found[0] = 0;
    close(fd);
    found[strcspn(found, "\n")] = 0;
    return !strcmp(found, name);
}

// The driver adds the nodes of the host's ports, and then their names, a moment after the module is there.
static int open_port(const char *name) {
    for (int tries = 0; tries < 30000; tries++) {
        DIR *devices = opendir("/sys/class/virtio-ports");
        for (struct dirent *entry; devices && (entry = readdir(devices));) {
            char path[300];
            snprintf(path, sizeof path, "/dev/%s", entry->d_name);
            int port = is_named(entry->d_name, name) ? open(path, O_RDWR | O_CLOEXEC) : -1;
            if (port < 0)
                continue;
            closedir(devices);
            return port;
        }
        if (devices)
            closedir(devices);
        usleep(1000);
    }
    give_up(name);
}

// Its standard input stays open as long as this process runs.
static void start_executor(void) {
    int lifeline[2], output[2];
    char word[6];
    if (pipe2(lifeline, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
        give_up("pipe");
    executor = fork();
    if (executor == 0) {
        static char *arguments[] = {"gantry-executor", "serve", EXECUTOR_SOCKET, NULL}, *environment[] = {NULL};
        dup2(lifeline[0], 0);
        dup2(output[1], 1);
        execve("/bin/gantry-executor", arguments, environment);
        give_up("gantry-executor");
    }
    close(lifeline[0]);
    close(output[1]);
    if (read(output[0], word, sizeof word) != sizeof word)
        give_up("the executor did not start");
    // The other end stays open, unread: it goes on to tell of mounts there, as far as there is room.
}

// Each connection of the guest has one or two; not for the executor, whose limit containers begin with.
static void allow_files(void) {
    struct rlimit files = {2 * STREAMS_MAX, 2 * STREAMS_MAX};
    setrlimit(RLIMIT_NOFILE, &files);
}

int main(void) {
    prepare_system();
    int port = open_port("gantry");
    channel_start(port);
    // The host hears of the guest before what only containers need is there.
    load_modules("/modules/second");
    start_shares(open_port("gantry.shares"));
    start_executor();
    allow_files();
    serve(port);
}

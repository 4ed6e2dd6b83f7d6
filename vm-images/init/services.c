// What the host can ask for: "unix PATH", "tcp ADDRESS PORT", "udp ADDRESS PORT", "run ARGUMENT…" (the executor), "read PATH",
// "list PATH", "stat PATH", "write PATH MODE", "mkdir MODE PATH…", "disk DIRECTORY", "identity HEX", "spare", "off"; and of what leaves
// the guest "relay 4|6", "datagrams", "flow NUMBER" (a connection that it opens).
#include "relay.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#define DATA_DISK "/dev/vda"
#ifndef EXECUTOR // Another one only in tests.
#define EXECUTOR "/bin/gantry-executor"
#endif

static int open_unix(struct stream *stream, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (void *)&address, sizeof address)) {
        int error = errno;
        close(fd);
        return error;
    }
    stream->in = stream->out = fd;
    stream->socket = true;
    return 0;
}

static int open_internet(struct stream *stream, int kind, const char *host, const char *port) {
    struct sockaddr_in4_or_6 { union { struct sockaddr any; struct sockaddr_in four; struct sockaddr_in6 six; }; } address = {0};
    socklen_t length = sizeof address.four;
    if (inet_pton(AF_INET, host, &address.four.sin_addr) == 1) {
        address.four.sin_family = AF_INET;
        address.four.sin_port = htons((uint16_t)atoi(port));
    } else if (inet_pton(AF_INET6, host, &address.six.sin6_addr) == 1) {
        address.six.sin6_family = AF_INET6;
        address.six.sin6_port = htons((uint16_t)atoi(port));
        length = sizeof address.six;
    } else
        return EINVAL;
    int fd = socket(address.any.sa_family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, &address.any, length) && errno != EINPROGRESS)) {
        int error = errno;
        close(fd);
        return error;
    }
    stream->in = stream->out = fd;
    stream->socket = true;
    stream->connecting = kind == SOCK_STREAM;
    return 0;
}

static size_t send_datagram(struct stream *stream, const uint8_t *bytes, size_t length) {
    uint16_t told;
    if (length < sizeof told)
        return 0;
    memcpy(&told, bytes, sizeof told);
    if (length < sizeof told + told)
        return 0;
    send(stream->in, bytes + sizeof told, told, 0);
    return sizeof told + told;
}

static int open_udp(struct stream *stream, const char *host, const char *port) {
    stream->reader = send_datagram;
    stream->datagrams = true;
    return open_internet(stream, SOCK_DGRAM, host, port);
}

static int run_executor(struct stream *stream, char **arguments) {
    int in[2], out[2], error[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(error, O_CLOEXEC))
        return errno;
    stream->pid = fork();
    if (stream->pid < 0)
        return errno;
    if (stream->pid == 0) {
        static char *environment[] = {NULL};
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(error[1], 2);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        if (chdir("/"))
            _exit(127);
        execve(EXECUTOR, arguments, environment);
        dprintf(2, "gantry-executor: %s\n", strerror(errno));
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(error[1]);
    stream->in = in[1];
    stream->out = out[0];
    stream->error = error[0];
    int ours[] = {in[1], out[0], error[0]};
    for (int i = 0; i < 3; i++)
        fcntl(ours[i], F_SETFL, fcntl(ours[i], F_GETFL) | O_NONBLOCK);
    return 0;
}

// A FIFO or device in the place of a file must not hang the guest.
static int open_file(struct stream *stream, const char *path) {
    stream->out = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return stream->out < 0 ? errno : 0;
}

static int answer(struct stream *stream, int (*fill)(FILE *, const char *), const char *path) {
    int memory = memfd_create("answer", MFD_CLOEXEC);
    FILE *file = memory < 0 ? NULL : fdopen(dup(memory), "we");
    int error = file ? fill(file, path) : errno;
    if (file)
        fclose(file);
    if (error) {
        close(memory);
        return error;
    }
    lseek(memory, 0, SEEK_SET);
    stream->out = memory;
    return 0;
}

// "d NAME" or "- NAME", each with a NUL behind it.
static int fill_list(FILE *file, const char *path) {
    DIR *directory = opendir(path);
    if (!directory)
        return errno;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            fprintf(file, "%c %s%c", entry->d_type == DT_DIR ? 'd' : '-', entry->d_name, 0);
    closedir(directory);
    return 0;
}

// "MODE MAJOR MINOR SIZE", the mode in octal, the numbers those of a device node.
static int fill_stat(FILE *file, const char *path) {
    struct stat info;
    if (stat(path, &info))
        return errno;
    fprintf(file, "%o %u %u %llu", info.st_mode, major(info.st_rdev), minor(info.st_rdev), (unsigned long long)info.st_size);
    return 0;
}

static int open_for_writing(struct stream *stream, const char *path, const char *mode) {
    if (asprintf(&stream->temporary, "%s.new", path) < 0)
        return ENOMEM;
    stream->in = open(stream->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (stream->in < 0 || fchmod(stream->in, (mode_t)strtoul(mode, NULL, 8)))
        return errno;
    stream->path = strdup(path);
    return 0;
}

void finish_file(struct stream *stream) {
    if (!stream->status && rename(stream->temporary, stream->path))
        stream->status = (uint32_t)errno;
    free(stream->path);
    stream->path = NULL;
}

// A path's missing directories, the last with the mode.
static int make_directories(char *path, mode_t mode) {
    for (char *at = path + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = 0;
        if (mkdir(path, 0755) && errno != EEXIST)
            return errno;
    }
    if (!mkdir(path, mode))
        return chmod(path, mode) ? errno : 0;
    return errno == EEXIST ? 0 : errno;
}

static int make_all(char **paths, mode_t mode) {
    for (int error; *paths; paths++)
        if ((error = make_directories(*paths, mode)))
            return error;
    return 0;
}

// What an earlier machine has read of it is in no snapshot; that this holds does not depend on when the kernel lets go of it.
static void forget_disk(void) {
    int disk = open(DATA_DISK, O_RDONLY | O_CLOEXEC);
    if (disk < 0)
        return;
    ioctl(disk, BLKFLSBUF);
    close(disk);
}

static int mount_disk(char *directory) {
    int error = make_directories(directory, 0700);
    forget_disk();
    if (!error && mount(DATA_DISK, directory, "ext4", MS_NOATIME, "discard"))
        error = errno;
    return error;
}

// What was only read can be read again: the host needs not keep it.
static int drop_caches(void) {
    int file = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    int error = file >= 0 && write(file, "3", 1) == 1 ? 0 : errno;
    close(file);
    return error;
}

int open_service(struct stream *stream, char **words, int count) {
    const char *name = words[0];
    if (!strcmp(name, "unix") && count == 2)
        return open_unix(stream, words[1]);
    if (!strcmp(name, "tcp") && count == 3)
        return open_internet(stream, SOCK_STREAM, words[1], words[2]);
    if (!strcmp(name, "udp") && count == 3)
        return open_udp(stream, words[1], words[2]);
    if (!strcmp(name, "run") && count > 1) {
        words[0] = "gantry-executor";
        return run_executor(stream, words);
    }
    if (!strcmp(name, "read") && count == 2)
        return open_file(stream, words[1]);
    if (!strcmp(name, "list") && count == 2)
        return answer(stream, fill_list, words[1]);
    if (!strcmp(name, "stat") && count == 2)
        return answer(stream, fill_stat, words[1]);
    if (!strcmp(name, "write") && count == 3)
        return open_for_writing(stream, words[1], words[2]);
    if (!strcmp(name, "mkdir") && count > 2)
        return make_all(words + 2, (mode_t)strtoul(words[1], NULL, 8));
    if (!strcmp(name, "disk") && count == 2)
        return mount_disk(words[1]);
    if (!strcmp(name, "identity") && count == 2)
        return set_identity(words[1]);
    if (!strcmp(name, "spare") && count == 1)
        return drop_caches();
    if (!strcmp(name, "relay") && count == 2)
        return relay_open(stream, !strcmp(words[1], "6"));
    if (!strcmp(name, "datagrams") && count == 1)
        return relay_datagrams(stream);
    if (!strcmp(name, "flow") && count == 2)
        return relay_flow(stream, (uint32_t)strtoul(words[1], NULL, 10));
    if (!strcmp(name, "off") && count == 1)
        power_off();
    return ENOSYS;
}

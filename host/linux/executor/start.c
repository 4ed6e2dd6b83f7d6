// A container that is created and waits for its start, and what it needs to know of its own root by then.
#include "executor.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

// To who started this container: the op and the errno, or an fd.
void tell_starter(const struct runner *runner, uint32_t op, int32_t error, int fd) {
    if (runner->starter <= 0)
        return;
    send_report_to(runner->starter, (struct report){fd < 0 ? REPORT_FAILED : REPORT_LISTENER, op, error}, fd);
}

// runtime-spec, "Start": until then nothing of the user runs. The connection ends with execve(2), or tells why not.
int64_t op_await_start(struct runner *runner) {
    do
        runner->starter = accept4(runner->start_socket, NULL, NULL, SOCK_CLOEXEC);
    while (runner->starter < 0 && errno == EINTR);
    return runner->starter < 0 ? -errno : 0;
}

int64_t op_send_listener(struct runner *runner, uint32_t index, int fd) {
    if (runner->starter > 0)
        tell_starter(runner, index, 0, fd);
    else
        send_report(runner, REPORT_LISTENER, index, 0, fd);
    return 0;
}

static int executable(const char *path) {
    struct stat info;
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS))
        return -errno;
    return stat(path, &info) ? -errno : S_ISDIR(info.st_mode) ? -EACCES : 0;
}

// As op_execve looks, but nothing is run: a container that cannot be started is not made.
int64_t op_find_executable(const char *file, char *env, size_t env_length) {
    char here[4096];
    if (env_length && env[env_length - 1])
        return -EINVAL;
    // "(unreachable)": outside of the root (getcwd(2)), by a descriptor of the caller's.
    if (syscall(__NR_getcwd, here, sizeof here) < 0 || *here != '/')
        return -EXDEV;
    if (strchr(file, '/'))
        return executable(file);
    const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (size_t at = 0; at < env_length; at += strlen(env + at) + 1)
        if (!strncmp(env + at, "PATH=", 5))
            path = env + at + 5;
    int result = -ENOENT;
    for (const char *at = path; *file; at += strcspn(at, ":") + 1) {
        size_t length = strcspn(at, ":");
        char candidate[4096];
        int size = snprintf(candidate, sizeof candidate, "%.*s%s%s", (int)length, at, length ? "/" : "", file);
        int error = size < (int)sizeof candidate ? executable(candidate) : -ENOENT;
        if (!error)
            return 0;
        if (error == -EACCES)
            result = -EACCES;
        if (!at[length])
            break;
    }
    return result;
}

// passwd(5): NAME:PASSWORD:UID:GID:GECOS:HOME:SHELL
static char *home_of(const char *line, uid_t uid) {
    char *end;
    for (int colons = 0; colons < 2; colons++) {
        line = strchr(line, ':');
        if (!line++)
            return NULL;
    }
    if (strtoul(line, &end, 10) != uid || end == line || *end != ':')
        return NULL;
    line = end;
    for (int colons = 0; colons < 3; colons++) {
        line = strchr(line, ':');
        if (!line++)
            return NULL;
    }
    char *home;
    return asprintf(&home, "HOME=%.*s", (int)strcspn(line, ":\n"), line) < 0 ? NULL : home;
}

int64_t op_home(struct runner *runner, uid_t uid) {
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat info;
    FILE *file = fd >= 0 && !fstat(fd, &info) && S_ISREG(info.st_mode) ? fdopen(fd, "r") : NULL;
    char line[4096];
    while (file && !runner->home && fgets(line, sizeof line, file))
        runner->home = home_of(line, uid);
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    if (!runner->home || runner->home[5] != '/')
        runner->home = strdup("HOME=/");
    return 0;
}

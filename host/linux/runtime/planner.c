// Questions to the planner: found by a socket, started where none listens, ended by itself when it has nothing to do.
#include "runtime.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define STARTING_MS 30000

static char *words;
static size_t words_length;
static int connected = -1;

void add_word(const char *name, const char *value) {
    size_t length = strlen(name) + strlen(value) + 2;
    words = realloc(words, words_length + length + 1);
    if (!words)
        fail("Cannot ask the planner: out of memory");
    snprintf(words + words_length, length + 1, "%s=%s", name, value);
    words_length += length;
}

static const char *run_directory(void) {
    const char *chosen = getenv("GANTRY_RUNTIME_DIR");
    return chosen && *chosen ? chosen : "/run/gantry-runtime";
}

// One for each mount namespace, whose paths it reads, and each build of this file.
static void socket_name(struct sockaddr_un *address) {
    struct stat self, mounts;
    const char *file = getenv("GANTRY_RUNTIME_FILE");
    if (stat(file ? file : "/proc/self/exe", &self) || stat("/proc/self/ns/mnt", &mounts))
        fail("Cannot find the planner: %s", strerror(errno));
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/.planner/%lx-%lx-%lx", run_directory(),
                          (unsigned long)mounts.st_ino, (unsigned long)self.st_ino, (unsigned long)self.st_mtime);
    if (length >= (int)sizeof address->sun_path - 8)
        fail("Cannot find the planner: the path \"%s\" is too long for a socket", run_directory());
}

static int dial(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !connect(fd, (const void *)address, sizeof *address))
        return fd;
    close(fd);
    return -1;
}

// Node and the planner lie beside this file: the build has put them there.
static void be_planner(const char *socket, int told) __attribute__((noreturn));
static void be_planner(const char *socket, int told) {
    char file[4096], script[4200], node[4200];
    const char *self = getenv("GANTRY_RUNTIME_FILE");
    ssize_t length = self ? (ssize_t)strlen(strncpy(file, self, sizeof file - 1)) : readlink("/proc/self/exe", file, sizeof file - 1);
    file[length > 0 ? length : 0] = 0;
    char *slash = strrchr(file, '/');
    if (slash)
        *slash = 0;
    snprintf(script, sizeof script, "%s/planner.cjs", file);
    snprintf(node, sizeof node, "%s/node", file);
    setsid();
    if (fork())
        _exit(0);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(told, 1);
    dup2(told, 2);
    syscall(__NR_close_range, 3, ~0u, 0);
    if (chdir("/"))
        _exit(127);
    umask(022);
    char *argv[] = {"gantry-planner", "--max-semi-space-size=2", script, (char *)socket, NULL};
    // It outlives its caller, and serves others: nothing of this environment but the way to Node.
    const char *path = getenv("PATH");
    clearenv();
    if (path)
        setenv("PATH", path, 1);
    execv(node, argv);
    execvp("node", argv);
    dprintf(2, "cannot run node: %s", strerror(errno));
    _exit(127);
}

static int start_planner(const struct sockaddr_un *address) {
    char directory[sizeof address->sun_path], lock[sizeof address->sun_path + 8], said[2048];
    snprintf(directory, sizeof directory, "%s", address->sun_path);
    *strrchr(directory, '/') = 0;
    if ((mkdir(run_directory(), 0711) && errno != EEXIST) || (mkdir(directory, 0700) && errno != EEXIST))
        fail("Cannot make \"%s\": %s", directory, strerror(errno));
    snprintf(lock, sizeof lock, "%s/lock", directory);
    int locked = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600), ends[2];
    if (locked < 0 || flock(locked, LOCK_EX))
        fail("Cannot lock \"%s\": %s", lock, strerror(errno));
    int fd = dial(address);
    if (fd >= 0) {
        close(locked);
        return fd;
    }
    if (pipe2(ends, O_CLOEXEC))
        fail("Cannot start the planner: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        be_planner(address->sun_path, ends[1]);
    close(ends[1]);
    size_t heard = 0;
    struct pollfd polled = {ends[0], POLLIN, 0};
    for (ssize_t got; heard < sizeof said - 1 && !memchr(said, '\n', heard) && poll(&polled, 1, STARTING_MS) > 0; heard += (size_t)got)
        if ((got = read(ends[0], said + heard, sizeof said - 1 - heard)) <= 0)
            break;
    said[heard] = 0;
    close(ends[0]);
    close(locked);
    if (strncmp(said, "ready", 5) || (fd = dial(address)) < 0) {
        hint = "gantry-runtime needs Node 20.19 or newer, and its own files beside it";
        fail("Cannot start the planner: %s", *said ? said : "it does not answer");
    }
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t length) {
    while (length) {
        ssize_t done = send(fd, bytes, length, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        length -= (size_t)done;
    }
    return true;
}

static bool receive_all(int fd, void *bytes, size_t length) {
    for (char *at = bytes; length;) {
        ssize_t got = recv(fd, at, length, MSG_WAITALL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

static bool receive_answer(int fd, struct answer *answer) {
    memset(answer, 0, sizeof *answer);
    for (;;) {
        uint32_t header[2];
        if (!receive_all(fd, header, sizeof header) || header[0] >= ABI_RUNTIME_PARTS)
            return false;
        if (header[0] == ABI_RUNTIME_DONE)
            return true;
        struct part part = {malloc(header[1] + 1), header[1]};
        if (!part.bytes || !receive_all(fd, part.bytes, part.length))
            return false;
        part.bytes[part.length] = 0;
        if (header[0] == ABI_RUNTIME_WARNING)
            warn("%s", part.bytes);
        answer->parts[header[0]] = part;
    }
}

bool try_to_ask(const char *command, const char *about, size_t length, struct answer *answer) {
    add_word("command", command);
    uint32_t header[2] = {(uint32_t)words_length, (uint32_t)length};
    struct sockaddr_un address;
    socket_name(&address);
    bool answered = false;
    // A planner that is about to leave may take a question and not answer it.
    for (int tries = 0; tries < 3 && !answered; tries++) {
        if (connected < 0)
            connected = dial(&address);
        if (connected < 0)
            connected = start_planner(&address);
        answered = send_all(connected, (char *)header, sizeof header) && send_all(connected, words, words_length) &&
                   send_all(connected, about, length) && receive_answer(connected, answer);
        if (!answered) {
            close(connected);
            connected = -1;
        }
    }
    words_length = 0;
    return answered;
}

void ask(const char *command, const char *about, size_t length, struct answer *answer) {
    if (!try_to_ask(command, about, length, answer))
        fail("Cannot ask the planner: it does not answer");
    if (answer->parts[ABI_RUNTIME_HINT].bytes)
        hint = answer->parts[ABI_RUNTIME_HINT].bytes;
    if (answer->parts[ABI_RUNTIME_ERROR].bytes)
        fail("%s", answer->parts[ABI_RUNTIME_ERROR].bytes);
}

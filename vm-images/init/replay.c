// What the host changes in a share, told in the guest: caches are dropped, and inotify(7) tells programs, by the system call that would
// have made the change. The host answers what comes of it and changes nothing (host/vm/share/replay.ts has the same numbers).
#include "guest.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MESSAGE_MAX 4000 // Below PIPE_BUF with its header: a message is in the pipe whole, or not at all.

enum { NOTIFY = 0, CONTENT = 1, NEW_FILE = 2, NEW_DIRECTORY = 3, NEW_LINK = 4, REMOVED = 5, REMOVED_DIRECTORY = 6 };

struct message { int fd; uint32_t what, length; };

static int queue[2];
static volatile pid_t thread_id;

// No link on the way is followed: the guest's own files are not meant.
static int open_below(int root, const char *path, uint64_t flags) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static void replay(int root, uint32_t what, char *path) {
    char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (what == CONTENT) {
        struct stat info;
        int file = open_below(root, path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
        // The same size again: IN_MODIFY, and IN_CLOSE_WRITE at the end. Where that fails it has changed again, which is told, too.
        bool told = file >= 0 && !fstat(file, &info) && !ftruncate(file, info.st_size);
        (void)told;
        close(file);
        return;
    }
    if (slash)
        *slash = 0;
    int directory = open_below(root, slash ? path : ".", O_PATH | O_DIRECTORY);
    if (directory < 0)
        return;
    int failed = what == NEW_FILE        ? mknodat(directory, name, S_IFREG | 0600, 0)
               : what == NEW_DIRECTORY   ? mkdirat(directory, name, 0700)
               : what == NEW_LINK        ? symlinkat("link", directory, name)
               : what == REMOVED         ? unlinkat(directory, name, 0)
                                         : unlinkat(directory, name, AT_REMOVEDIR);
    (void)failed; // Somebody in the guest was faster, and has seen it.
    close(directory);
}

// In a thread of its own: what it does waits for answers that the others carry. The host knows it by its number.
static void *work(void *unused) {
    static uint8_t bytes[MESSAGE_MAX + 1];
    struct message message;
    (void)unused;
    thread_id = gettid();
    while (read(queue[0], &message, sizeof message) == sizeof message) {
        if (read(queue[0], bytes, message.length) != (ssize_t)message.length)
            break;
        bytes[message.length] = 0;
        // A notice fails where the guest does not know what is said to have changed.
        ssize_t done = message.what == NOTIFY ? write(message.fd, bytes, message.length) : 0;
        if (message.what != NOTIFY)
            replay(message.fd, message.what, (char *)bytes);
        (void)done;
        close(message.fd);
    }
    return NULL;
}

pid_t start_replays(void) {
    pthread_t thread;
    if (pipe2(queue, O_CLOEXEC) || fcntl(queue[1], F_SETFL, O_NONBLOCK))
        return 0;
    if (pthread_create(&thread, NULL, work, NULL))
        return 0;
    while (!thread_id)
        usleep(100);
    return thread_id;
}

// One that finds no room is dropped: the guest sees the change when what it knows has lived its time.
void queue_replay(int fd, uint32_t what, const void *bytes, uint32_t length) {
    static uint8_t whole[sizeof(struct message) + MESSAGE_MAX];
    struct message message = {.what = what, .length = length};
    if (length == 0 || length > MESSAGE_MAX)
        return;
    message.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    memcpy(whole, &message, sizeof message);
    memcpy(whole + sizeof message, bytes, length);
    if (message.fd >= 0 && write(queue[1], whole, sizeof message + length) < 0)
        close(message.fd);
}

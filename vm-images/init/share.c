// Carries FUSE messages between the mounts of the host's directories and the port that serves them. Numbers: host/vm/share/port-protocol.ts.
#include "guest.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define PORT_VERSION 1
#define PORT_MAGIC "gantrysh"
#define SHARES_MAX 256
#define SHARES "/run/gantry-shares" // As host/vm/share/shares.ts names them.
#define REQUEST_MAX (256 * 4096 + 4096) // max_pages of INIT, and the header before them
#define READ_AHEAD_KB "1024"

enum { SHARE_HELLO = 1, SHARE_MOUNT = 2, SHARE_UNMOUNT = 3, SHARE_DONE = 4, SHARE_REPLAY = 5 };
enum { READ_ONLY = 1, PERMISSIONS = 2 };

// Numbers of shares are those of the host, which begin at 1 and stay below.
#define PORT_EVENT UINT32_MAX
#define UNMOUNTED_EVENT (UINT32_MAX - 1)

struct share {
    uint32_t number; // 0: free. Of a server that is gone: still taken, and not read from.
    int fuse;
    int root; // the same without being read-only, for replays
    char *path;
    bool served;
    uint64_t *asked; // requests without an answer yet
    size_t asked_count, asked_capacity;
};

static struct share shares[SHARES_MAX];
static int port, events, unmounted[2];
static uint32_t agent;
// What the port has no room for: one message, or answers about shares.
static uint8_t outgoing[REQUEST_MAX + 65536];
static size_t out_from, out_length;
static uint8_t incoming[4 + REQUEST_MAX];
static size_t in_length;

static void fail(const char *what) {
    dprintf(2, "gantry-init: shares: %s: %s\n", what, strerror(errno));
    _exit(1);
}

// False where the port is full.
static bool flush(void) {
    while (out_length) {
        ssize_t written = write(port, outgoing + out_from, out_length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        out_from += (size_t)written;
        out_length -= (size_t)written;
    }
    out_from = 0;
    return true;
}

static void tell(const void *message, uint32_t length) {
    uint32_t control = 0;
    if (out_from + out_length + 4 + length > sizeof outgoing)
        fail("too many answers");
    memcpy(outgoing + out_from + out_length, &control, 4);
    memcpy(outgoing + out_from + out_length + 4, message, length);
    out_length += 4 + length;
    flush();
}

static void done(uint32_t kind, uint32_t number, int error) {
    uint32_t message[5] = {20, SHARE_DONE, kind, number, (uint32_t)error};
    tell(message, sizeof message);
}

static struct share *find(uint32_t number) {
    for (int i = 0; i < SHARES_MAX; i++)
        if (shares[i].number == number)
            return &shares[i];
    return NULL;
}

static void forget(struct share *share) {
    close(share->fuse);
    free(share->path);
    free(share->asked);
    *share = (struct share){0};
}

// The server is gone. What it had not answered fails, what comes now waits in the kernel for the next one.
static void wait_for_server(void) {
    for (int i = 0; i < SHARES_MAX; i++) {
        struct share *share = &shares[i];
        if (!share->number || !share->served)
            continue;
        share->served = false;
        epoll_ctl(events, EPOLL_CTL_DEL, share->fuse, NULL);
        for (size_t n = 0; n < share->asked_count; n++) {
            struct { uint32_t length; int32_t error; uint64_t unique; } answer = {16, -EIO, share->asked[n]};
            if (write(share->fuse, &answer, sizeof answer) < 0)
                continue; // Whoever asked has gone.
        }
        share->asked_count = 0;
    }
}

static bool serve_from_now(struct share *share, uint32_t number) {
    struct epoll_event event = {EPOLLIN, {.u32 = number}};
    share->number = number;
    share->served = !epoll_ctl(events, EPOLL_CTL_ADD, share->fuse, &event);
    return share->served;
}

// Writes back what is dirty, which this process must go on to carry: so in a thread.
static void *unmount(void *given) {
    struct share *share = given;
    umount2(share->path, MNT_DETACH);
    close(share->root);
    if (write(unmounted[1], &share->number, sizeof share->number) < 0)
        fail("tell of an unmount");
    return NULL;
}

static void begin_unmount(struct share *share) {
    pthread_t thread;
    errno = pthread_create(&thread, NULL, unmount, share);
    if (errno)
        fail("a thread");
    pthread_detach(thread);
}

static void end_unmount(void) {
    uint32_t number;
    if (read(unmounted[0], &number, sizeof number) != sizeof number)
        return;
    struct share *share = find(number);
    if (share)
        forget(share);
    done(SHARE_UNMOUNT, number, 0);
}

static int make_place(const char *path, bool directory) {
    mkdir(SHARES, 0700);
    if (directory)
        return mkdir(path, 0700) && errno != EEXIST ? errno : 0;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

// Twice what a read of the disk would be read ahead: an answer takes longer to come.
static void read_far_ahead(const char *path) {
    struct statx info;
    char setting[64];
    // The server could not answer now: only the number of the file system is wanted.
    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, 0, &info))
        return;
    snprintf(setting, sizeof setting, "/sys/class/bdi/%u:%u/read_ahead_kb", info.stx_dev_major, info.stx_dev_minor);
    int fd = open(setting, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, READ_AHEAD_KB, sizeof READ_AHEAD_KB - 1) < 0)
        dprintf(2, "gantry-init: shares: %s: %s\n", setting, strerror(errno));
    close(fd);
}

static int mount_share(uint32_t number, uint32_t flags, uint32_t mode, const char *path) {
    for (int i = 0; i < SHARES_MAX; i++) // Of a server before.
        if (shares[i].number && !shares[i].served && !strcmp(shares[i].path, path))
            return serve_from_now(&shares[i], number) ? 0 : errno;
    struct share *share = find(0);
    char options[160];
    int error = share ? make_place(path, S_ISDIR(mode)) : EMFILE;
    if (error)
        return error;
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fuse < 0)
        return errno;
    snprintf(options, sizeof options, "fd=%d,rootmode=%o,user_id=0,group_id=0,allow_other%s", fuse, mode & S_IFMT,
             flags & PERMISSIONS ? ",default_permissions" : "");
    if (mount("gantry", path, "fuse", MS_NODEV, options)) {
        error = errno;
        close(fuse);
        return error;
    }
    int root = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (flags & READ_ONLY && mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, NULL)) {
        error = errno;
        close(root);
        umount2(path, MNT_DETACH);
        close(fuse);
        return error;
    }
    *share = (struct share){.number = number, .fuse = fuse, .root = root, .path = strdup(path)};
    read_far_ahead(path);
    return serve_from_now(share, number) ? 0 : errno;
}

static void control(const uint8_t *message, uint32_t length) {
    uint32_t words[5] = {0};
    memcpy(words, message, length < sizeof words ? length : sizeof words);
    if (words[1] == SHARE_HELLO) {
        struct { uint32_t length, kind; char magic[8]; uint32_t version, agent; } hello = {
            24, SHARE_HELLO, PORT_MAGIC, PORT_VERSION, agent};
        _Static_assert(sizeof hello == 24, "the greeting has no gaps");
        wait_for_server();
        tell(&hello, sizeof hello);
    } else if (words[1] == SHARE_MOUNT && length > 20 && message[length - 1] == 0) {
        done(SHARE_MOUNT, words[2], mount_share(words[2], words[3], words[4], (const char *)message + 20));
    } else if (words[1] == SHARE_REPLAY && length > 17 && message[length - 1] == 0) {
        struct share *share = find(words[2]);
        if (share && share->root >= 0)
            queue_replay(share->root, words[3], message + 16, length - 17);
    } else if (words[1] == SHARE_UNMOUNT) {
        struct share *share = words[2] ? find(words[2]) : NULL;
        if (share)
            begin_unmount(share);
        else
            done(SHARE_UNMOUNT, words[2], 0);
    }
}

// Messages that get no answer: FORGET, INTERRUPT, BATCH_FORGET.
static void asked(struct share *share, const uint8_t *request) {
    uint32_t opcode;
    memcpy(&opcode, request + 4, sizeof opcode);
    if (opcode == 2 || opcode == 36 || opcode == 42)
        return;
    if (share->asked_count == share->asked_capacity) {
        share->asked_capacity = share->asked_capacity ? 2 * share->asked_capacity : 64;
        share->asked = realloc(share->asked, share->asked_capacity * sizeof *share->asked);
        if (!share->asked)
            fail("memory");
    }
    memcpy(&share->asked[share->asked_count++], request + 8, sizeof *share->asked);
}

static void answered(struct share *share, const uint8_t *reply) {
    uint64_t unique;
    memcpy(&unique, reply + 8, sizeof unique);
    for (size_t n = 0; n < share->asked_count; n++)
        if (share->asked[n] == unique) {
            share->asked[n] = share->asked[--share->asked_count];
            return;
        }
}

// It answers nothing, and writing it may wait for answers: pages that are being read, directories in use.
static bool is_notice(const uint8_t *message) {
    uint64_t unique;
    memcpy(&unique, message + 8, sizeof unique);
    return unique == 0;
}

// A reply is written whole: fuse(4) takes no part of one. ENOENT: whoever asked was interrupted.
static void take(uint32_t number, const uint8_t *message, uint32_t length) {
    if (number == 0) {
        control(message, length);
        return;
    }
    struct share *share = find(number);
    if (share && length >= 16 && is_notice(message)) {
        queue_replay(share->fuse, 0, message, length);
        return;
    }
    if (share && length >= 16)
        answered(share, message);
    if (share && write(share->fuse, message, length) < 0 && errno != ENOENT)
        dprintf(2, "gantry-init: shares: an answer of %u bytes: %s\n", length, strerror(errno));
}

static void lose_host(void) {
    in_length = out_length = out_from = 0;
    wait_for_server();
}

static void read_port(void) {
    for (;;) {
        uint32_t head[2];
        size_t wanted = sizeof head;
        if (in_length >= sizeof head) {
            memcpy(head, incoming, sizeof head);
            wanted = 4 + head[1];
            if (wanted > sizeof incoming || head[1] < 8)
                fail("a message of a wrong length");
        }
        if (in_length < wanted) {
            ssize_t got = read(port, incoming + in_length, wanted - in_length);
            if (got < 0 && errno == EINTR)
                continue;
            if (got == 0)
                lose_host();
            if (got <= 0)
                return;
            in_length += (size_t)got;
            continue;
        }
        if (wanted == sizeof head)
            continue;
        in_length = 0;
        take(head[0], incoming + 4, head[1]);
    }
}

// One request, and only into an empty buffer: what the host does not take waits in the kernel.
static void read_fuse(uint32_t number) {
    struct share *share = find(number);
    if (!share || !share->served || out_length)
        return;
    ssize_t got = read(share->fuse, outgoing + 4, REQUEST_MAX);
    if (got > 0) {
        memcpy(outgoing, &number, 4);
        out_length = 4 + (size_t)got;
        asked(share, outgoing + 4);
        flush();
    } else if (got < 0 && errno == ENODEV)
        epoll_ctl(events, EPOLL_CTL_DEL, share->fuse, NULL);
}

// While the port is full, only it is waited for; what comes from there makes room.
static void wait_for_room(void) {
    while (out_length) {
        struct pollfd polled = {port, POLLIN | POLLOUT, 0};
        if (poll(&polled, 1, -1) < 0)
            continue;
        flush();
        read_port();
    }
}

static void watch(int fd, uint32_t kinds, uint32_t number) {
    struct epoll_event event = {kinds, {.u32 = number}};
    if (epoll_ctl(events, EPOLL_CTL_ADD, fd, &event))
        fail("epoll");
}

// In a process of its own: a slow host holds up nothing else. The port is watched by edges, for without a host it is always readable.
void start_shares(int fd) {
    if (fork() != 0) {
        close(fd);
        return;
    }
    prctl(PR_SET_NAME, "gantry-shares");
    port = fd;
    fcntl(port, F_SETFL, fcntl(port, F_GETFL) | O_NONBLOCK);
    events = epoll_create1(EPOLL_CLOEXEC);
    if (events < 0 || pipe2(unmounted, O_CLOEXEC))
        fail("epoll");
    agent = (uint32_t)start_replays();
    watch(port, EPOLLIN | EPOLLOUT | EPOLLET, PORT_EVENT);
    watch(unmounted[0], EPOLLIN, UNMOUNTED_EVENT);
    for (;;) {
        struct epoll_event ready[16];
        int count = epoll_wait(events, ready, 16, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.u32 == PORT_EVENT)
                read_port();
            else if (ready[i].data.u32 == UNMOUNTED_EVENT)
                end_unmount();
            else
                read_fuse(ready[i].data.u32);
            wait_for_room();
        }
    }
}

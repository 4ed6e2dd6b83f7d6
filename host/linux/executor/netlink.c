// A batch of netlink messages in one send; those that ask for an acknowledgement are waited for, the first error is the result.
#include "executor.h"
#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int64_t count_acknowledgements(const char *messages, size_t length) {
    int64_t count = 0;
    for (size_t at = 0; at + sizeof(struct nlmsghdr) <= length;) {
        const struct nlmsghdr *header = (const void *)(messages + at);
        if (header->nlmsg_len < sizeof *header || header->nlmsg_len > length - at)
            return -EINVAL;
        count += (header->nlmsg_flags & NLM_F_ACK) != 0;
        at += NLMSG_ALIGN(header->nlmsg_len);
    }
    return count;
}

// The last close of an nf_tables socket waits for what is being deleted, with a lock that every change of rules needs
// (nft_rcv_nl_event): milliseconds for whoever publishes a port meanwhile. So all supervisors use one socket, their parent's.
// It stays in the network namespace where it was made: who has entered a container's opens another one, and does not keep it,
// for it would hold that namespace.
static int netfilter = -1, netfilter_lock = -1;
static ino_t home;

static ino_t this_namespace(void) {
    struct stat namespace = {0};
    return stat("/proc/self/ns/net", &namespace) ? 0 : namespace.st_ino;
}

// In the resident process, before it forks.
void share_netfilter(void) {
    netfilter = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    home = this_namespace();
    netfilter_lock = memfd_create("gantry-netfilter", MFD_CLOEXEC);
}

// One supervisor at a time: the kernel drops the lock of one that dies (fcntl(2), process-associated).
static void lock_netfilter(short type) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    while (netfilter_lock >= 0 && fcntl(netfilter_lock, F_SETLKW, &lock) < 0 && errno == EINTR)
        ;
}

static int open_netlink(int protocol, bool *shared) {
    ino_t here = protocol == NETLINK_NETFILTER ? this_namespace() : 0;
    if (netfilter < 0 && here) {
        netfilter = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
        home = here;
    }
    *shared = here && here == home && netfilter >= 0;
    if (!*shared)
        return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    lock_netfilter(F_WRLCK);
    return netfilter;
}

static void close_netlink(int fd, bool shared) {
    if (shared)
        lock_netfilter(F_UNLCK);
    else
        close(fd);
}

int64_t op_netlink(int protocol, const void *messages, size_t length) {
    int64_t waiting = count_acknowledgements(messages, length), result = waiting < 0 ? waiting : 0;
    if (waiting <= 0)
        return result;
    bool shared;
    int fd = open_netlink(protocol, &shared);
    if (fd < 0)
        return -errno;
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    // A batch goes in one message, which must fit: socket(7).
    int room = (int)(length * 2);
    if (length > 65536)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    char answer[8192] __attribute__((aligned(4)));
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
        ; // What an earlier batch that failed left unread.
    if (send(fd, messages, length, 0) < 0)
        result = -errno;
    while (waiting > 0 && result == 0) {
        ssize_t got = recv(fd, answer, sizeof answer, 0);
        if (got < 0)
            result = errno == EAGAIN ? -ETIMEDOUT : -errno;
        int left = (int)got;
        for (struct nlmsghdr *header = (void *)answer; left > 0 && NLMSG_OK(header, (unsigned)left); header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_type != NLMSG_ERROR)
                continue;
            const struct nlmsgerr *error = NLMSG_DATA(header);
            waiting--;
            if (error->error && result == 0)
                result = error->error;
        }
    }
    close_netlink(fd, shared);
    return result;
}

// notify: sends each line of stdin to systemd's socket, in the name of the engine that started it (sd_notify(3)).
#include "executor.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

// NotifyAccess=main takes messages of the main process alone; root may speak for its parent, others speak for themselves.
static int send_as(int fd, const struct sockaddr_un *address, socklen_t length, const char *text, pid_t pid) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(struct ucred))];
    } control = {0};
    struct iovec data = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_name = (void *)address, .msg_namelen = length, .msg_iov = &data, .msg_iovlen = 1,
                             .msg_control = &control, .msg_controllen = sizeof control};
    struct ucred credentials = {pid, getuid(), getgid()};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_CREDENTIALS;
    header->cmsg_len = CMSG_LEN(sizeof credentials);
    memcpy(CMSG_DATA(header), &credentials, sizeof credentials);
    return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int notify_main(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) {
        fprintf(stderr, "gantry-executor: NOTIFY_SOCKET is no path: %s\n", path);
        return 1;
    }
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') // The abstract name space.
        address.sun_path[0] = 0;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] != '@'));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (send_as(fd, &address, size, line, getppid()) && send_as(fd, &address, size, line, getpid()))
            fprintf(stderr, "gantry-executor: cannot notify %s: %s\n", path, strerror(errno));
    }
    return 0;
}

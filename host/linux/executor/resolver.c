// R: carries DNS messages between sockets in a container's network namespace and whoever connects to a unix socket (the
// engine). It understands none of them, lives as long as the container, and waits while nobody answers.
#include "connections.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define STREAMS 16
#define MESSAGE_MAX 65535

struct question { uint32_t key; bool open; struct sockaddr_in from; };
struct stream { int fd; uint32_t key; bool asked; uint64_t used; size_t length; uint8_t bytes[2 + MESSAGE_MAX]; };

static struct question questions[ABI_RESOLVER_QUESTIONS];
static struct stream streams[STREAMS];
static int pidfd, udp, tcp, listener, engine = -1;
static uint32_t next_key;
static struct buffer answers;

static int bound(int type, const struct sockaddr_in *address) {
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && !bind(fd, (const void *)address, sizeof *address) && (type == SOCK_DGRAM || !listen(fd, STREAMS)) ? fd : -1;
}

static int listen_at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && !bind(fd, (void *)&address, sizeof address) && !chmod(path, 0600) && !listen(fd, 4) ? fd : -1;
}

static void close_stream(struct stream *stream) {
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

// Who was asked and did not answer is not asked again: clients do that.
static void let_engine_go(void) {
    if (engine >= 0)
        close(engine);
    engine = -1;
    answers.length = 0;
    for (int i = 0; i < ABI_RESOLVER_QUESTIONS; i++)
        questions[i].open = false;
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].asked)
            close_stream(&streams[i]);
}

static void ask(uint32_t key, uint8_t transport, const uint8_t *message, size_t length) {
    struct frame frame = {(uint32_t)(sizeof key + length), ABI_FRAME_QUESTION, transport, 0};
    struct iovec parts[] = {{&frame, sizeof frame}, {&key, sizeof key}, {(void *)message, length}};
    struct msghdr whole = {.msg_iov = parts, .msg_iovlen = 3};
    ssize_t sent = sendmsg(engine, &whole, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != (ssize_t)(sizeof frame + sizeof key + length))
        let_engine_go();
}

static struct question *free_question(void) {
    for (int i = 0; i < ABI_RESOLVER_QUESTIONS; i++)
        if (!questions[i].open)
            return &questions[i];
    return NULL;
}

static void take_datagram(struct question *question) {
    static uint8_t message[MESSAGE_MAX];
    socklen_t size = sizeof question->from;
    ssize_t got = recvfrom(udp, message, sizeof message, 0, (void *)&question->from, &size);
    if (got <= 0)
        return;
    question->key = next_key++;
    question->open = true;
    ask(question->key, ABI_RESOLVER_UDP, message, (size_t)got);
}

static void take_stream(uint64_t now) {
    int fd = accept4(tcp, NULL, NULL, SOCK_CLOEXEC);
    struct stream *place = &streams[0];
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].fd < 0 || (place->fd >= 0 && streams[i].used < place->used))
            place = &streams[i];
    if (fd < 0)
        return;
    close_stream(place); // The one that has been idle longest.
    struct timeval patience = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    place->fd = fd;
    place->asked = false;
    place->length = 0;
    place->used = now;
}

static void read_stream(struct stream *stream, uint64_t now) {
    size_t wanted = stream->length < 2 ? 2 : 2 + ((size_t)stream->bytes[0] << 8 | stream->bytes[1]);
    ssize_t got = recv(stream->fd, stream->bytes + stream->length, wanted - stream->length, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        close_stream(stream);
        return;
    }
    if (got < 0)
        return;
    stream->length += (size_t)got;
    stream->used = now;
    if (stream->length < 2 || stream->length < 2 + ((size_t)stream->bytes[0] << 8 | stream->bytes[1]))
        return;
    stream->key = next_key++;
    stream->asked = true;
    ask(stream->key, ABI_RESOLVER_TCP, stream->bytes + 2, stream->length - 2);
}

static void answer(uint32_t key, const uint8_t *message, size_t length) {
    for (int i = 0; i < ABI_RESOLVER_QUESTIONS; i++) {
        if (!questions[i].open || questions[i].key != key)
            continue;
        questions[i].open = false;
        if (length)
            sendto(udp, message, length, MSG_NOSIGNAL, (void *)&questions[i].from, sizeof questions[i].from);
        return;
    }
    for (int i = 0; i < STREAMS; i++) {
        struct stream *stream = &streams[i];
        if (stream->fd < 0 || !stream->asked || stream->key != key)
            continue;
        uint8_t head[2] = {(uint8_t)(length >> 8), (uint8_t)length};
        struct iovec parts[] = {{head, sizeof head}, {(void *)message, length}};
        struct msghdr whole = {.msg_iov = parts, .msg_iovlen = 2};
        stream->asked = false;
        stream->length = 0;
        if (!length || sendmsg(stream->fd, &whole, MSG_NOSIGNAL) != (ssize_t)(sizeof head + length))
            close_stream(stream);
        return;
    }
}

static void take_answers(void) {
    uint8_t bytes[16384];
    ssize_t got = recv(engine, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) || (got > 0 && !append(&answers, bytes, (size_t)got)))
        let_engine_go();
    while (answers.length >= sizeof(struct frame)) {
        struct frame frame;
        uint32_t key;
        memcpy(&frame, answers.bytes, sizeof frame);
        if (frame.type != ABI_FRAME_ANSWER || frame.length < sizeof key || frame.length > sizeof key + MESSAGE_MAX) {
            let_engine_go();
            return;
        }
        if (answers.length < sizeof frame + frame.length)
            return;
        memcpy(&key, answers.bytes + sizeof frame, sizeof key);
        answer(key, answers.bytes + sizeof frame + sizeof key, frame.length - sizeof key);
        consume(&answers, sizeof frame + frame.length);
    }
}

static void carry(void) {
    for (;;) {
        struct question *question = free_question();
        struct pollfd polled[5 + STREAMS] = {
            {pidfd, POLLIN, 0}, {listener, POLLIN, 0}, {engine, POLLIN, 0}, {engine >= 0 && question ? udp : -1, POLLIN, 0}, {engine >= 0 ? tcp : -1, POLLIN, 0}};
        for (int i = 0; i < STREAMS; i++)
            polled[5 + i] = (struct pollfd){engine >= 0 && !streams[i].asked ? streams[i].fd : -1, POLLIN, 0};
        if (poll(polled, 5 + STREAMS, -1) < 0)
            continue;
        uint64_t now = now_ns();
        if (polled[0].revents)
            break;
        if (polled[2].revents)
            take_answers();
        if (polled[1].revents) {
            int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                let_engine_go();
            if (fd >= 0)
                engine = fd;
            continue;
        }
        if (engine >= 0 && polled[3].revents)
            take_datagram(question);
        for (int i = 0; i < STREAMS && engine >= 0; i++)
            if (polled[5 + i].revents && streams[i].fd == polled[5 + i].fd)
                read_stream(&streams[i], now);
        if (engine >= 0 && polled[4].revents)
            take_stream(now);
    }
}

// Keeps nothing of who started it but two fds: whoever waits for the end of a pipe must not wait for R.
static void keep_only(int *first, int *second) {
    int a = fcntl(*first, F_DUPFD_CLOEXEC, 16), b = fcntl(*second, F_DUPFD_CLOEXEC, 16);
    syscall(__NR_close_range, 3, 15, 0);
    syscall(__NR_dup3, a, *first = 3, O_CLOEXEC);
    syscall(__NR_dup3, b, *second = 4, O_CLOEXEC);
    syscall(__NR_close_range, 5, ~0u, 0);
}

static void be_resolver(int container, int ready, const char *path, const struct sockaddr_in *address) {
    pidfd = container;
    keep_only(&pidfd, &ready);
    setsid();
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_NAME, "gantry-resolver");
    for (int i = 0; i < STREAMS; i++)
        streams[i].fd = -1;
    udp = bound(SOCK_DGRAM, address);
    tcp = udp < 0 ? -1 : bound(SOCK_STREAM, address);
    listener = tcp < 0 ? -1 : listen_at(path);
    int error = listener < 0 ? errno : 0;
    if (write(ready, &error, sizeof error) == sizeof error && !error) {
        close(ready);
        carry();
    }
    _exit(0);
}

int64_t op_resolver(const struct runner *runner, const char *path, const char *address, int port) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int container = runner->child_pidfd >= 0 ? runner->child_pidfd : runner->container_pidfd, ready[2], error = EPIPE;
    if (container < 0)
        return -ESRCH;
    if (inet_pton(AF_INET, address, &place.sin_addr) != 1)
        return -EINVAL;
    if (pipe2(ready, O_CLOEXEC))
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() != 0)
            _exit(0);
        close(ready[0]);
        be_resolver(container, ready[1], path, &place);
    }
    close(ready[1]);
    if (pid > 0) {
        syscall(__NR_wait4, pid, NULL, 0, NULL);
        if (read(ready[0], &error, sizeof error) != sizeof error)
            error = EPIPE;
    }
    close(ready[0]);
    return pid < 0 ? -EAGAIN : -error;
}

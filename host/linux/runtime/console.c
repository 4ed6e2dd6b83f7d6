// Terminals and descriptors that go elsewhere, and a process in the foreground.
#include "runtime.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>

void send_fd(const char *socket_path, const char *text, int fd) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int to = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(socket_path) >= sizeof address.sun_path)
        fail("Cannot connect to \"%s\": the path is too long for a socket", socket_path);
    strcpy(address.sun_path, socket_path);
    if (to < 0 || connect(to, (void *)&address, sizeof address))
        fail("Cannot connect to \"%s\": %s", socket_path, strerror(errno));
    struct iovec part = {(char *)text, strlen(text)};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(to, &message, MSG_NOSIGNAL) < 0)
        fail("Cannot send a descriptor to \"%s\": %s", socket_path, strerror(errno));
    close(to);
}

static void set_size(const struct answer *answer) {
    const char *text = answer->parts[ABI_RUNTIME_CONSOLE].bytes;
    struct winsize size = {0};
    if (text && sscanf(text, "%hu %hu", &size.ws_row, &size.ws_col) == 2)
        ioctl(runner.terminal, TIOCSWINSZ, &size);
}

// runc's protocol: the pty's master, its name as the text.
void connect_console(const struct answer *answer, pid_t pid) {
    (void)pid;
    if (runner.terminal < 0)
        return;
    set_size(answer);
    if (option("console-socket")) {
        send_fd(option("console-socket"), "/dev/ptmx", runner.terminal);
        close(runner.terminal);
        runner.terminal = -1;
    }
}

// config-linux.md, "The Container Process State".
void send_listener(struct container *container, const struct answer *answer, int fd, pid_t pid) {
    const char *path = answer->parts[ABI_RUNTIME_LISTENER].bytes, *metadata = answer->parts[ABI_RUNTIME_METADATA].bytes;
    char *text, *state = state_of(container);
    if (!path || asprintf(&text, "{\"ociVersion\":\"1.2.1\",\"fds\":[\"seccompFd\"],\"pid\":%d,\"metadata\":\"%s\",\"state\":%s}", pid,
                          metadata ? metadata : "", state) < 0)
        fail("Cannot hand over the seccomp listener");
    send_fd(path, text, fd);
    free(text);
    free(state);
}

bool has_foreground_terminal(void) { return runner.terminal >= 0; }

static struct termios before;
static bool raw;

static void restore_terminal(void) {
    if (raw)
        tcsetattr(0, TCSADRAIN, &before);
    raw = false;
}

static void take_terminal(void) {
    struct termios mode;
    struct winsize size;
    if (!ioctl(0, TIOCGWINSZ, &size))
        ioctl(runner.terminal, TIOCSWINSZ, &size);
    if (tcgetattr(0, &before))
        return;
    mode = before;
    cfmakeraw(&mode);
    raw = !tcsetattr(0, TCSADRAIN, &mode);
    atexit(restore_terminal);
}

// Returns false at the end of what is read.
static bool carry(int from, int to) {
    char bytes[16384];
    ssize_t got = read(from, bytes, sizeof bytes);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    for (ssize_t at = 0, done; at < got; at += done)
        if ((done = write(to, bytes + at, (size_t)(got - at))) < 0)
            return errno == EINTR;
    return got > 0;
}

static int handle_signal(int signals, pid_t pid, bool *ended) {
    struct signalfd_siginfo info;
    int status = 0;
    if (read(signals, &info, sizeof info) != sizeof info)
        return 0;
    if (info.ssi_signo == SIGCHLD) {
        for (pid_t gone; (gone = waitpid(-1, &status, WNOHANG)) > 0;)
            if (gone == pid) {
                *ended = true;
                return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
            }
    } else if (info.ssi_signo == SIGWINCH && runner.terminal >= 0) {
        struct winsize size;
        if (!ioctl(0, TIOCGWINSZ, &size))
            ioctl(runner.terminal, TIOCSWINSZ, &size);
    } else
        kill(pid, (int)info.ssi_signo);
    return 0;
}

int attend_process(pid_t pid) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    int signals = signalfd(-1, &all, SFD_CLOEXEC), status = 0;
    bool ended = start_time(pid) == 0, input = true, output = runner.terminal >= 0;
    if (ended) {
        waitpid(pid, &status, 0);
        status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    if (runner.terminal >= 0)
        take_terminal();
    while (!ended) {
        struct pollfd polled[3] = {{signals, POLLIN, 0}, {output ? runner.terminal : -1, POLLIN, 0},
                                   {output && input ? 0 : -1, POLLIN, 0}};
        if (poll(polled, 3, -1) < 0)
            continue;
        if (polled[1].revents)
            output = carry(runner.terminal, 1);
        if (polled[2].revents)
            input = carry(0, runner.terminal);
        if (polled[0].revents)
            status = handle_signal(signals, pid, &ended);
    }
    if (output)
        fcntl(runner.terminal, F_SETFL, O_NONBLOCK);
    for (int i = 0; output && i < 1024; i++) {
        struct pollfd polled = {runner.terminal, POLLIN, 0};
        if (poll(&polled, 1, 0) <= 0 || !carry(runner.terminal, 1))
            break;
    }
    restore_terminal();
    return status;
}

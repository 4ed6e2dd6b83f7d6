// S: one process a container. Speaks frames with its connections, moves output, waits for the exit, tears down.
#include "connections.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define STDIN_LIMIT 65536
#define RECEIVE 65536

static struct runner runner;
static struct buffer stdin_left;
static uint8_t *teardown;
static uint32_t teardown_length;
static bool prepared, running, exec_worked, close_stdin;
static uint64_t started_at, ended_at;

static void tell_started(struct connection *connection) {
    struct { uint32_t pid, zero; uint64_t at; } started = {(uint32_t)runner.child, 0, started_at};
    if (!connection->started_told)
        tell(connection, ABI_FRAME_STARTED, 0, &started, sizeof started);
    connection->started_told = true;
}

static void warn(struct runner *warned, uint32_t op, int error) {
    uint32_t warning[3] = {op, (uint32_t)error, (uint32_t)warned->phase};
    tell_all(ABI_FRAME_WARN, warning, sizeof warning);
}

// All that is still to be sent, as long as somebody takes something within 30 seconds; then S ends.
static void leave(void) __attribute__((noreturn));
static void leave(void) {
    size_t before = 0;
    for (int tries = 0; tries < 3000; tries++) {
        size_t waiting = 0;
        for (int i = 0; i < CONNECTIONS; i++) {
            if (connections[i].fd < 0 || connections[i].gone)
                continue;
            flush(&connections[i]);
            waiting += connections[i].gone ? 0 : connections[i].out.length;
        }
        if (!waiting)
            break;
        if (waiting != before)
            tries = 0;
        before = waiting;
        poll(NULL, 0, 10);
    }
    if (runner.control_path)
        unlink(runner.control_path);
    part();
    _exit(0);
}

static void tear_down(void) {
    uint32_t bad_op;
    if (runner.launcher > 0) {
        kill(runner.launcher, SIGKILL);
        waitpid(runner.launcher, NULL, 0);
        runner.launcher = 0;
    }
    if (!teardown_length || program_load(&runner.program, teardown, teardown_length, &bad_op))
        return;
    runner.phase = ABI_PHASE_TEARDOWN;
    for (uint32_t i = 0; i < runner.program.count; i++)
        if (run_op(&runner, i) < 0 && runner.program.ops[i].policy != ABI_POLICY_IGNORE)
            warn(&runner, i, errno);
}

static void fail(uint32_t op, int error, uint32_t phase) {
    uint32_t failure[3] = {op, (uint32_t)error, phase};
    tell_all(ABI_FRAME_FAILED, failure, sizeof failure);
    if (runner.child > 0) {
        kill(runner.child, SIGKILL);
        waitpid(runner.child, NULL, 0);
    }
    if (phase != ABI_PHASE_VALIDATE || prepared)
        tear_down();
    leave();
}

// An op of S's own failed: where C failed before it, that is the reason (a broken barrier, a namespace that is gone).
static void fail_in_setup(uint32_t op, int error, uint32_t phase) {
    struct report report;
    int fd = -1;
    while (runner.channels.open && read_report(&runner, &report, &fd, MSG_DONTWAIT) > 0)
        if (report.kind == REPORT_FAILED)
            fail(report.op, report.value, phase);
    fail(op, error, phase);
}

// After the ops: C has executed its program when the last writer of the status socket is gone.
static void await_exec(void) {
    struct report report;
    for (;;) {
        int fd = -1, got = read_report(&runner, &report, &fd, 0);
        if (got < 0)
            fail(runner.failed_op, -got, ABI_PHASE_SETUP);
        if (got == 0)
            return;
        if (report.kind == REPORT_TERMINAL)
            runner.terminal = fd;
        else if (report.kind == REPORT_WARNED)
            warn(&runner, report.op, report.value);
        else if (report.kind == REPORT_FAILED)
            fail(report.op, report.value, ABI_PHASE_SETUP);
    }
}

// The payload stays where it is as long as this runs.
static void run_program(uint8_t *payload, size_t length, bool prepare) {
    uint32_t sizes[2], bad_op;
    uint32_t phase = prepare ? ABI_PHASE_PREPARE : ABI_PHASE_SETUP;
    if (length < sizeof sizes || running || (prepare && prepared))
        fail(0, EPROTO, ABI_PHASE_VALIDATE);
    memcpy(sizes, payload, sizeof sizes);
    if ((uint64_t)sizes[0] + sizes[1] + sizeof sizes != length || sizes[0] > ABI_PROGRAM_MAX)
        fail(0, EPROTO, ABI_PHASE_VALIDATE);
    uint8_t *program = payload + sizeof sizes;
    if (prepare || prepared)
        program = share_program(&runner, program, sizes[0]);
    if (!program)
        fail(0, ENOMEM, phase);
    free(teardown);
    teardown = sizes[1] ? malloc(sizes[1]) : NULL;
    teardown_length = teardown ? sizes[1] : 0;
    if (teardown)
        memcpy(teardown, payload + sizeof sizes + sizes[0], sizes[1]);
    if (program_load(&runner.program, program, sizes[0], &bad_op))
        fail(bad_op, EINVAL, ABI_PHASE_VALIDATE);
    runner.phase = (int)phase;
    int error = run_range(&runner, 0, runner.program.count);
    if (error)
        fail_in_setup(runner.failed_op, error, phase);
    if (prepare) {
        prepared = true;
        tell_all(ABI_FRAME_READY, "", 0);
        return;
    }
    if (!runner.launched) {
        tell_all(ABI_FRAME_DONE, "", 0);
        leave();
    }
    await_exec();
    if (runner.launcher > 0)
        waitpid(runner.launcher, NULL, 0);
    runner.launcher = 0;
    running = true;
    started_at = now_ns();
    set_nonblocking(runner.channels.out[0]);
    set_nonblocking(runner.channels.err[0]);
    set_nonblocking(runner.channels.in[1]);
    set_nonblocking(runner.terminal);
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].fd >= 0)
            tell_started(&connections[i]);
}

static void output(int stream, const char *data, size_t length) {
    log_output(&runner, stream, data, length);
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].attached & ABI_ATTACH_OUTPUT)
            tell(&connections[i], ABI_FRAME_OUTPUT, (uint8_t)stream, data, length);
}

// Moves what is there. At its end, or an error, the fd is closed and forgotten.
static bool move_output(int *fd, int stream) {
    char data[OUTPUT_MAX];
    ssize_t got = read(*fd, data, sizeof data);
    if (got > 0)
        output(stream, data, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(*fd);
        *fd = -1;
    }
    return got > 0;
}

static int *input(void) { return runner.terminal >= 0 ? &runner.terminal : &runner.channels.in[1]; }

static void feed_stdin(void) {
    int *fd = input();
    while (stdin_left.length && *fd >= 0) {
        ssize_t written = write(*fd, stdin_left.bytes, stdin_left.length);
        if (written < 0 && errno != EAGAIN)
            stdin_left.length = 0; // Nobody reads it any more.
        if (written <= 0)
            break;
        consume(&stdin_left, (size_t)written);
    }
    if (close_stdin && !stdin_left.length && runner.terminal < 0 && runner.channels.in[1] >= 0 && running) {
        close(runner.channels.in[1]);
        runner.channels.in[1] = -1;
    }
}

static void become_exec_supervisor(struct connection *connection) {
    int fd = dup(connection->fd), pidfd = dup(runner.child_pidfd);
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() != 0)
            _exit(0);
        supervise(fd, pidfd);
    }
    waitpid(pid, NULL, 0);
    close(fd);
    close(pidfd);
    connection->gone = true;
}

static void take_frame(struct connection *connection, const struct frame *frame, uint8_t *payload) {
    uint32_t number = 0;
    memcpy(&number, payload, frame->length < 4 ? frame->length : 4);
    switch (frame->type) {
    case ABI_FRAME_PREPARE:
    case ABI_FRAME_RUN:
        connection->gone = !running && hung_up(connection);
        if (!connection->gone)
            run_program(payload, frame->length, frame->type == ABI_FRAME_PREPARE);
        break;
    case ABI_FRAME_STDIN:
        if (connection->attached & ABI_ATTACH_STDIN)
            append(&stdin_left, payload, frame->length);
        break;
    case ABI_FRAME_STDIN_CLOSE:
        close_stdin = true;
        break;
    case ABI_FRAME_RESIZE:
        if (runner.terminal >= 0) {
            struct winsize size = {.ws_row = (unsigned short)number, .ws_col = (unsigned short)(number >> 16)};
            ioctl(runner.terminal, TIOCSWINSZ, &size);
        }
        break;
    case ABI_FRAME_SIGNAL:
        if (runner.child_pidfd >= 0)
            syscall(__NR_pidfd_send_signal, runner.child_pidfd, number, NULL, 0);
        break;
    case ABI_FRAME_ATTACH:
        connection->attached = number;
        output_kept |= (number & ABI_ATTACH_KEEP) != 0;
        if (running)
            tell_started(connection);
        break;
    case ABI_FRAME_EXEC:
        if (running)
            become_exec_supervisor(connection);
        break;
    default:
        connection->gone = true;
    }
}

static void receive(struct connection *connection) {
    struct buffer *in = &connection->in; // Read in place, with room for an ordinary program: most come in one piece.
    ssize_t got = -1;
    if (!reserve(in, in->length < RECEIVE / 2 ? RECEIVE - in->length : RECEIVE))
        connection->gone = true;
    else if ((got = recv(connection->fd, in->bytes + in->length, in->capacity - in->length, MSG_DONTWAIT)) > 0)
        in->length += (size_t)got;
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        connection->gone = true;
    while (!connection->gone && connection->in.length >= sizeof(struct frame)) {
        struct frame frame;
        memcpy(&frame, connection->in.bytes, sizeof frame);
        if (frame.length > ABI_FRAME_MAX)
            connection->gone = true;
        else if (connection->in.length < sizeof frame + frame.length)
            break;
        else {
            take_frame(connection, &frame, connection->in.bytes + sizeof frame);
            consume(&connection->in, sizeof frame + frame.length);
        }
    }
}

int64_t op_control_socket(struct runner *owner, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    owner->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (owner->listener < 0 || bind(owner->listener, (void *)&address, sizeof address) || chmod(path, 0600) ||
        listen(owner->listener, CONNECTIONS))
        return -errno;
    owner->control_path = strdup(path);
    return 0;
}

static void finish(void) {
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)runner.child_pidfd, &info, WEXITED) < 0)
        return;
    for (int i = 0; i < 64 && runner.terminal >= 0 && move_output(&runner.terminal, ABI_STREAM_STDOUT); i++)
        ;
    while (runner.channels.out[0] >= 0 && move_output(&runner.channels.out[0], ABI_STREAM_STDOUT))
        ;
    while (runner.channels.err[0] >= 0 && move_output(&runner.channels.err[0], ABI_STREAM_STDERR))
        ;
    write_rest();
    bool signaled = info.si_code != CLD_EXITED;
    uint32_t flags = (signaled ? ABI_EXIT_SIGNALED : 0) | (oom_happened(runner.oom) ? ABI_EXIT_OOM : 0);
    uint32_t status = (uint32_t)(signaled ? 128 + info.si_status : info.si_status);
    struct { uint32_t status, flags; uint64_t at; } exited = {status, flags, ended_at};
    tell_all(ABI_FRAME_EXITED, &exited, sizeof exited);
    if (runner.record_path)
        write_record(runner.record_path, runner.child, status, flags, started_at, ended_at);
    tear_down();
    finish_log(&runner);
    tell_all(ABI_FRAME_TORN_DOWN, "", 0);
    leave();
}

static void turn(void) {
    struct pollfd polled[CONNECTIONS + 6];
    int count = 0, full = any_full() || held();
    int *sources[] = {&runner.terminal, &runner.channels.out[0], &runner.channels.err[0]};
    for (int i = 0; i < 3; i++)
        polled[count++] = (struct pollfd){running && !full ? *sources[i] : -1, POLLIN, 0};
    polled[count++] = (struct pollfd){running && !(ended_at && held()) ? runner.child_pidfd : -1, POLLIN, 0};
    polled[count++] = (struct pollfd){runner.listener, POLLIN, 0};
    polled[count++] = (struct pollfd){running && stdin_left.length ? *input() : -1, POLLOUT, 0};
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *connection = &connections[i];
        short wanted = (short)((stdin_left.length < STDIN_LIMIT ? POLLIN : 0) | (connection->out.length ? POLLOUT : 0));
        polled[count++] = (struct pollfd){connection->fd, wanted, 0};
    }
    if (poll(polled, (nfds_t)count, -1) < 0)
        return;
    for (int i = 0; i < 3; i++)
        if (polled[i].revents && *sources[i] >= 0)
            move_output(sources[i], i == 2 ? ABI_STREAM_STDERR : ABI_STREAM_STDOUT);
    if (polled[4].revents) {
        int fd = accept4(runner.listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            admit(fd);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *connection = &connections[i];
        if (connection->fd < 0 || connection->fd != polled[6 + i].fd)
            continue;
        if (polled[6 + i].revents & POLLOUT)
            flush(connection);
        if (polled[6 + i].revents & (POLLIN | POLLHUP | POLLERR))
            receive(connection);
        if (connection->gone) {
            close_stdin |= (connection->attached & ABI_ATTACH_STDIN) && (runner.supervise & ABI_SUPERVISE_STDIN_ONCE);
            if (running) // Else it ends, and the end of the connection tells that all is undone.
                drop(connection);
        }
    }
    feed_stdin();
    if (polled[3].revents)
        ended_at = ended_at ? ended_at : now_ns();
    if (polled[3].revents && !held())
        finish();
}

static bool alone(void) {
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].fd >= 0 && !connections[i].gone)
            return false;
    return !running;
}

void supervise(int connection, int container_pidfd) {
    memset(&runner, 0, sizeof runner);
    stdin_left = (struct buffer){0};
    teardown_length = 0;
    prepared = running = exec_worked = close_stdin = output_kept = false;
    ended_at = 0;
    runner.container_pidfd = container_pidfd;
    runner.child_pidfd = runner.terminal = runner.listener = runner.log = runner.oom = -1;
    for (size_t i = 0; i < sizeof runner.channels / sizeof(int) - 1; i++)
        ((int *)&runner.channels)[i] = -1;
    for (int i = 0; i < ABI_REGISTERS; i++)
        runner.registers[i] = -1;
    runner.warn = warn;
    for (int i = 0; i < CONNECTIONS; i++) {
        if (connections[i].fd > 0 && container_pidfd >= 0)
            close(connections[i].fd);
        connections[i] = (struct connection){.fd = -1};
    }
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    setsid();
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, SUPERVISOR_NAME);
    admit(connection);
    while (!alone())
        turn();
    tear_down();
    leave();
}

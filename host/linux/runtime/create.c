// create, run and start (runtime.md, "Lifecycle").
#include "runtime.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct container *being_made;

// Step 12: what was begun is undone, and its poststop hooks run.
static void undo(void) {
    if (runner.child > 0) {
        kill(runner.child, SIGKILL);
        waitpid(runner.child, NULL, 0);
    }
    if (runner.launcher > 0) {
        kill(runner.launcher, SIGKILL);
        waitpid(runner.launcher, NULL, 0);
    }
    runner.child = runner.launcher = 0;
    run_part(&being_made->plan.parts[ABI_RUNTIME_DELETE], ABI_PHASE_TEARDOWN);
    forget_container(being_made);
}

static char *bundle_directory(void) {
    const char *given = option("bundle");
    char *whole = realpath(given && *given ? given : ".", NULL);
    if (!whole)
        fail("Cannot enter the bundle \"%s\": %s", given ? given : ".", strerror(errno));
    return whole;
}

// Where `start` will connect. By an fd: the path may be longer than a socket's may.
static void open_start_socket(struct container *container) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start", container->directory);
    runner.start_socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (runner.start_socket < 0 || bind(runner.start_socket, (void *)&address, sizeof address) || listen(runner.start_socket, 1))
        fail("Cannot listen for the start of the container: %s", strerror(errno));
}

static void preserve_fds(void) {
    const char *given = option("preserve-fds"), *listening = getenv("LISTEN_FDS");
    char *end = "";
    long count = given && *given ? strtol(given, &end, 10) : 0;
    if (*end || count < 0 || count > 1024)
        fail("Cannot preserve \"%s\" descriptors: not a number up to 1024", given);
    if (listening && *listening) {
        add_word("listen-fds", listening);
        count += atoi(listening);
    }
    for (int fd = 3; fd < 3 + count; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            fail("Cannot preserve %ld descriptors: descriptor %d is not open", count, fd);
        else
            fcntl(fd, F_SETFD, 0);
    runner.preserved = (unsigned)count;
}

void write_pid_file(pid_t pid) {
    const char *path = option("pid-file");
    if (!path || !*path)
        return;
    char *unready, text[16];
    const char *slash = strrchr(path, '/');
    int length = snprintf(text, sizeof text, "%d", pid);
    if (asprintf(&unready, "%.*s.%s", slash ? (int)(slash + 1 - path) : 0, path, slash ? slash + 1 : path) < 0)
        fail("Cannot write the pid file: out of memory");
    int fd = open(unready, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, (size_t)length) != length || close(fd) || rename(unready, path))
        fail("Cannot write the pid file \"%s\": %s", path, strerror(errno));
    free(unready);
}

void create_container(struct container *container, bool foreground) {
    struct answer answer;
    size_t length;
    char *bundle = bundle_directory(), *path;
    if (asprintf(&path, "%s/config.json", bundle) < 0)
        fail("Cannot read the bundle: out of memory");
    char *config = read_whole(AT_FDCWD, path, &length);
    if (!config)
        fail("Cannot read \"%s\": %s", path, strerror(errno));
    begin_runner();
    preserve_fds();
    add_word("id", arguments.rest[0]);
    add_word("bundle", bundle);
    if (option("no-pivot"))
        add_word("no-pivot", "");
    if (option("no-new-keyring"))
        add_word("no-new-keyring", "");
    make_container(container, arguments.rest[0]);
    being_made = container;
    before_failing = undo;
    ask("create", config, length, &answer);
    bool terminal = answer.parts[ABI_RUNTIME_TERMINAL].bytes;
    if (terminal && !option("console-socket") && !foreground) {
        hint = "Give --console-socket, whose other end gets the terminal";
        fail("Cannot create \"%s\": process.terminal is set, and nobody takes the terminal", container->id);
    }
    if (!terminal && option("console-socket"))
        fail("Cannot use --console-socket: process.terminal is not set");
    save_plan(container, &answer);
    save_file(container->directory, "config.json", config, length);
    open_start_socket(container);
    int error = run_part(&answer.parts[ABI_RUNTIME_SETUP], ABI_PHASE_SETUP);
    if (error)
        fail_part(&answer.parts[ABI_RUNTIME_SETUP], runner.failed_op, error, ABI_PHASE_SETUP);
    finish_launcher();
    close(runner.start_socket);
    connect_console(&answer, runner.child);
    save_pid(container, runner.child);
    write_pid_file(runner.child);
    before_failing = NULL;
    // The container has the descriptor too, until it executes its program.
    flock(container->directory, LOCK_UN);
}

void command_create(void) {
    struct container container;
    create_container(&container, false);
}

static void end_unstarted(void) { end_container(being_made); }

void start_container(struct container *container) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start", container->directory);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (void *)&address, sizeof address))
        fail("Cannot start \"%s\": %s", container->id, strerror(errno));
    runner.channels.status[0] = fd;
    struct report report;
    for (int got, sent = -1; (got = read_report(&runner, &report, &sent, 0)) > 0; sent = -1) {
        if (report.kind == REPORT_LISTENER)
            send_listener(container, &container->plan, sent, container->pid);
        if (report.kind != REPORT_FAILED)
            continue;
        // The set-up program is not kept: it is planned again for the sentence.
        struct answer answer;
        size_t length;
        char *config = read_whole(container->directory, "config.json", &length);
        add_word("id", container->id);
        add_word("bundle", "/");
        unlinkat(container->directory, "start", 0);
        if (!config)
            fail("Cannot start \"%s\": %s", container->id, strerror(report.value));
        ask("create", config, length, &answer);
        fail_part(&answer.parts[ABI_RUNTIME_SETUP], report.op, report.value, ABI_PHASE_SETUP);
    }
    close(fd);
    runner.channels.status[0] = -1;
    unlinkat(container->directory, "start", 0);
    const struct part *hooks = &container->plan.parts[ABI_RUNTIME_STARTED];
    runner.child = container->pid;
    being_made = container;
    int error = run_part(hooks, ABI_PHASE_SETUP);
    if (error) {
        if (!before_failing)
            before_failing = end_unstarted;
        fail_part(hooks, runner.failed_op, error, ABI_PHASE_SETUP);
    }
}

void command_start(void) {
    struct container container;
    begin_runner();
    load_container(&container, arguments.rest[0], true);
    enum status status = status_of(&container);
    if (status != CREATED)
        fail("Cannot start \"%s\": it is %s, not created", container.id, status_names[status]);
    start_container(&container);
}

static void end_and_delete(void) {
    end_container(being_made);
    delete_container(being_made);
}

void command_run(void) {
    struct container container;
    bool detached = option("detach");
    create_container(&container, !detached);
    before_failing = end_and_delete;
    start_container(&container);
    before_failing = NULL;
    if (detached)
        exit(0);
    int status = attend_process(container.pid);
    if (!option("keep"))
        delete_container(&container);
    exit(status);
}

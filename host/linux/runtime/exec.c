// exec: a further process in a container that runs.
#include "runtime.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void pass_on(const char *name, const char *value) {
    static const char *const ours[] = {"console-socket", "detach", "pid-file", "preserve-fds", "process", "ignore-paused", NULL};
    for (const char *const *own = ours; *own; own++)
        if (!strcmp(*own, name))
            return;
    add_word(name, value);
}

static void undo(void) {
    if (runner.child <= 0)
        return;
    kill(runner.child, SIGKILL);
    waitpid(runner.child, NULL, 0);
}

// Until execve has worked, which closes the last end of the status socket.
static void await_exec(const struct part *program) {
    struct report report;
    for (int got, fd = -1; (got = read_report(&runner, &report, &fd, 0)) != 0; fd = -1) {
        if (got < 0)
            fail("Cannot run a process in the container: %s", strerror(-got));
        if (report.kind == REPORT_TERMINAL)
            runner.terminal = fd;
        else if (report.kind == REPORT_LISTENER)
            runner.seccomp_listener = fd;
        else if (report.kind == REPORT_WARNED)
            warn_part(program, report.op, report.value, ABI_PHASE_SETUP);
        else if (report.kind == REPORT_FAILED)
            fail_part(program, report.op, report.value, ABI_PHASE_SETUP);
    }
}

void command_exec(void) {
    struct container container;
    struct answer answer;
    size_t length, process_length;
    begin_runner();
    load_container(&container, arguments.rest[0], false);
    enum status status = status_of(&container);
    if (status == PAUSED && !option("ignore-paused")) {
        hint = "Resume it, or give --ignore-paused";
        fail("Cannot run a process in \"%s\": it is paused", container.id);
    }
    if (status != RUNNING && status != PAUSED && status != CREATED)
        fail("Cannot run a process in \"%s\": it is %s, not running", container.id, status_names[status]);
    char *config = read_whole(container.directory, "config.json", &length);
    if (!config)
        fail("Cannot read the state of \"%s\": %s", container.id, strerror(errno));
    if (option("process")) {
        char *process = read_whole(AT_FDCWD, option("process"), &process_length);
        if (!process)
            fail("Cannot read \"%s\": %s", option("process"), strerror(errno));
        add_word("process", process);
    }
    const char *preserved = option("preserve-fds");
    runner.preserved = preserved ? (unsigned)atoi(preserved) : 0;
    for (int fd = 3; fd < 3 + (int)runner.preserved; fd++)
        fcntl(fd, F_SETFD, 0);
    each_option(pass_on);
    for (int i = 1; i < arguments.count; i++)
        add_word("arg", arguments.rest[i]);
    add_word("id", container.id);
    add_word("bundle", "/");
    ask("exec", config, length, &answer);
    if (answer.parts[ABI_RUNTIME_TERMINAL].bytes && !option("console-socket") && option("detach")) {
        hint = "Give --console-socket, whose other end gets the terminal";
        fail("Cannot run a process in \"%s\": it wants a terminal, and nobody takes it", container.id);
    }
    runner.container_pidfd = (int)syscall(__NR_pidfd_open, container.pid, 0);
    const struct part *program = &answer.parts[ABI_RUNTIME_SETUP];
    before_failing = undo;
    int error = run_part(program, ABI_PHASE_SETUP);
    if (error)
        fail_part(program, runner.failed_op, error, ABI_PHASE_SETUP);
    await_exec(program);
    finish_launcher();
    if (runner.seccomp_listener >= 0)
        send_listener(&container, &answer, runner.seccomp_listener, runner.child);
    connect_console(&answer, runner.child);
    write_pid_file(runner.child);
    before_failing = NULL;
    exit(option("detach") ? 0 : attend_process(runner.child));
}

// kill, delete, pause and resume.
#include "runtime.h"
#include <poll.h>
#include <signal.h>
#include <strings.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define GONE_MS 10000

static int signal_number(const char *text) {
    char *end;
    long number = strtol(text, &end, 10);
    if (*text && !*end && number > 0 && number < NSIG)
        return (int)number;
    const char *name = strncasecmp(text, "SIG", 3) ? text : text + 3;
    for (int i = 1; i < NSIG; i++) {
        const char *known = sigabbrev_np(i);
        if (known && !strcasecmp(known, name))
            return i;
    }
    int offset;
    if (sscanf(name, "RTMIN%d", &offset) == 1 || (offset = 0, !strcasecmp(name, "RTMIN")))
        return SIGRTMIN + offset;
    if (sscanf(name, "RTMAX%d", &offset) == 1 || (offset = 0, !strcasecmp(name, "RTMAX")))
        return SIGRTMAX + offset;
    hint = "A number, or a name of signal(7)";
    fail("Cannot send the signal \"%s\": no such signal", text);
}

void kill_processes(struct container *container, int signal) {
    const struct part *cgroup = &container->plan.parts[ABI_RUNTIME_CGROUP];
    if (!cgroup->length)
        return;
    int64_t result = op_kill_cgroup(cgroup->bytes, signal);
    if (result < 0 && result != -ENOENT && result != -ENODEV)
        fail("Cannot signal the processes of \"%s\": %s", container->id, strerror((int)-result));
}

// What is frozen does not die.
static void thaw(struct container *container) { run_part(&container->plan.parts[ABI_RUNTIME_THAW], ABI_PHASE_SETUP); }

void command_kill(void) {
    struct container container;
    int number = signal_number(arguments.count > 1 ? arguments.rest[1] : "TERM");
    load_container(&container, arguments.rest[0], false);
    enum status status = status_of(&container);
    if (option("all")) {
        begin_runner();
        kill_processes(&container, number);
        if (number == SIGKILL && status == PAUSED)
            thaw(&container);
        return;
    }
    if (status == STOPPED || status == CREATING)
        fail("Cannot signal \"%s\": container not running", container.id);
    // By a descriptor: the pid may be another's by now.
    int process = (int)syscall(__NR_pidfd_open, container.pid, 0);
    if (process < 0 || start_time(container.pid) != container.started ||
        syscall(__NR_pidfd_send_signal, process, number, NULL, 0))
        fail("Cannot signal \"%s\": %s", container.id, errno == ESRCH ? "container not running" : strerror(errno));
    if (number == SIGKILL && status == PAUSED) {
        begin_runner();
        thaw(&container);
    }
}

void end_container(struct container *container) {
    int process = (int)syscall(__NR_pidfd_open, container->pid, 0);
    bool same = process >= 0 && start_time(container->pid) == container->started;
    if (same)
        syscall(__NR_pidfd_send_signal, process, SIGKILL, NULL, 0);
    kill_processes(container, SIGKILL);
    thaw(container);
    struct pollfd polled = {process, POLLIN, 0};
    if (same && poll(&polled, 1, GONE_MS) <= 0)
        fail("Cannot end \"%s\": its first process does not die", container->id);
    if (waitpid(container->pid, NULL, WNOHANG) < 0)
        errno = 0; // Somebody else's child.
}

void delete_container(struct container *container) {
    // Without a PID namespace of its own it may have left processes.
    kill_processes(container, SIGKILL);
    const struct part *program = &container->plan.parts[ABI_RUNTIME_DELETE];
    int error = run_part(program, ABI_PHASE_SETUP);
    if (error)
        warn_part(program, runner.failed_op, error, ABI_PHASE_SETUP);
    forget_container(container);
}

void command_delete(void) {
    struct container container;
    bool force = option("force");
    if (force && !find_container(&container, arguments.rest[0]))
        return;
    load_container(&container, arguments.rest[0], true);
    begin_runner();
    enum status status = status_of(&container);
    if ((status == RUNNING || status == PAUSED) && !force) {
        hint = "End it with kill, or delete with --force";
        fail("Cannot delete \"%s\": it is %s, not stopped", container.id, status_names[status]);
    }
    if (status != STOPPED && container.pid > 0)
        end_container(&container);
    delete_container(&container);
}

static void freeze(enum status needed, uint32_t part, const char *verb) {
    struct container container;
    load_container(&container, arguments.rest[0], true);
    begin_runner();
    enum status status = status_of(&container);
    if (status != needed && !(needed == RUNNING && status == CREATED))
        fail("Cannot %s \"%s\": it is %s, not %s", verb, container.id, status_names[status], status_names[needed]);
    const struct part *program = &container.plan.parts[part];
    if (!program->length)
        fail("Cannot %s \"%s\": this host has no freezer cgroup", verb, container.id);
    int error = run_part(program, ABI_PHASE_SETUP);
    if (error)
        fail_part(program, runner.failed_op, error, ABI_PHASE_SETUP);
}

void command_pause(void) { freeze(RUNNING, ABI_RUNTIME_FREEZE, "pause"); }
void command_resume(void) { freeze(PAUSED, ABI_RUNTIME_THAW, "resume"); }

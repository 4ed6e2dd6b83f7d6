// Programs of a plan, carried out by this very process: what they launch is its child.
#include "runtime.h"
#include <signal.h>
#include <sys/wait.h>

struct runner runner;
static const struct part *current;
static uint32_t current_phase;

static void words_of(uint32_t op, int error, uint32_t phase) {
    char number[16];
    snprintf(number, sizeof number, "%u", op);
    add_word("op", number);
    snprintf(number, sizeof number, "%d", error);
    add_word("errno", number);
    snprintf(number, sizeof number, "%u", phase);
    add_word("phase", number);
}

void warn_part(const struct part *program, uint32_t op, int error, uint32_t phase) {
    struct answer answer;
    words_of(op, error, phase);
    if (!try_to_ask("warn", program->bytes, program->length, &answer))
        warn("Op %u: %s", op, strerror(error));
}

static void warn_of_op(struct runner *warned, uint32_t op, int error) {
    (void)warned;
    warn_part(current, op, error, current_phase);
}

void fail_part(const struct part *program, uint32_t op, int error, uint32_t phase) {
    struct answer answer;
    words_of(op, error, phase);
    if (!try_to_ask("explain", program->bytes, program->length, &answer) || !answer.parts[ABI_RUNTIME_ERROR].bytes)
        fail("Cannot carry out op %u: %s", op, strerror(error));
    if (hook_said)
        hint = hook_said;
    else if (answer.parts[ABI_RUNTIME_HINT].bytes)
        hint = answer.parts[ABI_RUNTIME_HINT].bytes;
    fail("%s", answer.parts[ABI_RUNTIME_ERROR].bytes);
}

void begin_runner(void) {
    runner.child_pidfd = runner.container_pidfd = runner.terminal = runner.listener = runner.log = runner.oom = -1;
    runner.start_socket = runner.seccomp_listener = -1;
    runner.own_stdio = true;
    runner.warn = warn_of_op;
    runner.say = say_of_hook;
}

// What failed in the container comes first: an op of ours fails because of it.
static int first_failure(int error) {
    struct report report;
    int fd = -1;
    while (runner.channels.open && read_report(&runner, &report, &fd, 0x40 /* MSG_DONTWAIT */) > 0)
        if (report.kind == REPORT_FAILED) {
            runner.failed_op = report.op;
            return report.value;
        }
    return error;
}

int run_part(const struct part *program, uint32_t phase) {
    uint32_t bad_op;
    if (!program->length)
        return 0;
    // The data is written to (PATCH32), and the sentence for a failure is made of the program as it came.
    uint8_t *bytes = malloc(program->length);
    if (!bytes)
        fail("Cannot run the plan: out of memory");
    memcpy(bytes, program->bytes, program->length);
    current = program;
    current_phase = phase;
    if (program_load(&runner.program, bytes, program->length, &bad_op))
        fail_part(program, bad_op, EINVAL, ABI_PHASE_VALIDATE);
    int error = run_range(&runner, 0, runner.program.count);
    return error ? first_failure(error) : 0;
}

void finish_launcher(void) {
    if (runner.launcher > 0)
        waitpid(runner.launcher, NULL, 0);
    runner.launcher = 0;
}

// gantry-runtime: the OCI runtime that containerd, dockerd and podman call. It asks the planner for programs and carries them
// out itself, so that containers are children of whoever called it.
#include "runtime.h"
#include <signal.h>
#include <sys/prctl.h>

// What a caller ignores or blocks would stay so in the container.
static void default_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Containers may see a process that runs from this file: it runs from a copy, and keeps in mind where it was.
static void hide(char **argv) {
    char file[4096];
    if (runs_from_copy() && getenv("GANTRY_RUNTIME_FILE")) {
        prctl(PR_SET_NAME, "gantry-runtime");
        return;
    }
    ssize_t length = readlink("/proc/self/exe", file, sizeof file - 1);
    if (length <= 0)
        fail("Cannot find out where this program lies: %s", strerror(errno));
    file[length] = 0;
    setenv("GANTRY_RUNTIME_FILE", file, 1);
    leave_file(argv);
}

static const struct {
    const char *name;
    void (*run)(void);
    bool enters; // It makes processes that a container sees.
} commands[] = {
    {"create", command_create, true}, {"run", command_run, true}, {"exec", command_exec, true},
    {"start", command_start, false}, {"state", command_state, false}, {"kill", command_kill, false},
    {"delete", command_delete, false}, {"pause", command_pause, false}, {"resume", command_resume, false},
    {"list", command_list, false}, {"ps", command_ps, false}, {"update", command_update, false},
    {"events", command_events, false}, {"features", command_features, false}, {"spec", command_spec, false},
};

int main(int argc, char **argv) {
    if (!runs_from_copy())
        unsetenv("GANTRY_RUNTIME_FILE"); // Nobody else may say where we are.
    read_arguments(argc, argv);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, arguments.command))
            continue;
        if (commands[i].enters) {
            hide(argv);
            default_signals();
        }
        commands[i].run();
    }
    return 0;
}

// What the files of gantry-runtime's front share.
#pragma once
#include "../executor/executor.h"

// arguments.c: the command line.
struct arguments {
    const char *command;
    char **rest;
    int count;
};
extern struct arguments arguments;
void read_arguments(int argc, char **argv);
// The value of an option, "" of a flag that is set, else NULL.
const char *option(const char *name);
// Calls for each option of the command, in order.
void each_option(void (*use)(const char *name, const char *value));

// log.c
void open_log(void);
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_of_hook(const char *text);
extern char *hook_said;
// What is told with the next failure, and who cleans up before it.
extern const char *hint;
extern void (*before_failing)(void);

// planner.c
struct part { char *bytes; uint32_t length; };
struct answer { struct part parts[ABI_RUNTIME_PARTS]; };
void add_word(const char *name, const char *value);
// One question with the words so far; they are forgotten. Warnings are logged; an error ends this process.
void ask(const char *command, const char *about, size_t length, struct answer *answer);
// The same, but whatever happens it returns: false where there is no answer.
bool try_to_ask(const char *command, const char *about, size_t length, struct answer *answer);

// state.c: a container's directory below --root.
enum status { CREATING, CREATED, RUNNING, PAUSED, STOPPED };
struct container {
    const char *id;
    int directory;
    pid_t pid;
    unsigned long long started;
    struct answer plan;
};
extern const char *const status_names[];
const char *root_directory(void);
void make_container(struct container *container, const char *id);
// False where there is none.
bool find_container(struct container *container, const char *id);
void load_container(struct container *container, const char *id, bool lock);
void save_plan(struct container *container, const struct answer *answer);
void save_file(int directory, const char *name, const char *bytes, size_t length);
void save_pid(struct container *container, pid_t pid);
void forget_container(struct container *container);
enum status status_of(struct container *container);
// The state's JSON, to be freed.
char *state_of(struct container *container);
unsigned long long start_time(pid_t pid);
char *read_whole(int directory, const char *path, size_t *length);

// run_plan.c: programs of a plan in this process.
void begin_runner(void);
extern struct runner runner;
// Runs one to its end; 0, or the errno of the op that failed.
int run_part(const struct part *program, uint32_t phase);
// Ends this process with the sentence for it.
void fail_part(const struct part *program, uint32_t op, int error, uint32_t phase) __attribute__((noreturn));
void warn_part(const struct part *program, uint32_t op, int error, uint32_t phase);
void finish_launcher(void);

// console.c
void connect_console(const struct answer *answer, pid_t pid);
void send_fd(const char *socket_path, const char *text, int fd);
void send_listener(struct container *container, const struct answer *answer, int fd, pid_t pid);
// In the foreground until it exits; its status, 128 + a signal.
int attend_process(pid_t pid);
bool has_foreground_terminal(void);

// Commands.
void command_create(void);
void command_run(void);
void command_start(void);
void command_exec(void);
void command_state(void);
void command_kill(void);
void command_delete(void);
void command_pause(void);
void command_resume(void);
void command_list(void);
void command_ps(void);
void command_update(void);
void command_events(void);
void command_features(void);
void command_spec(void);

// create.c
void create_container(struct container *container, bool foreground);
void start_container(struct container *container);
void write_pid_file(pid_t pid);
// control.c
void delete_container(struct container *container);
void kill_processes(struct container *container, int signal);
void end_container(struct container *container);

// What the executor's files share. Words: S supervisor, L launcher, C the container's first process.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "abi.h"

struct op {
    uint16_t code;
    uint8_t destination;
    uint8_t policy;
    uint32_t kinds;
    uint64_t operand[ABI_OP_ARGS];
    uint32_t note;
    uint32_t skip;
};
_Static_assert(sizeof(struct op) == ABI_OP_SIZE, "ops are laid out as abi.ts says");

struct program {
    struct op *ops;
    uint32_t count;
    char *data;
    uint32_t data_length;
};

// One message on the status socket, from L or C to S.
enum { REPORT_CLONED = 1, REPORT_FAILED, REPORT_WARNED, REPORT_TERMINAL, REPORT_PARKED, REPORT_RELEASED, REPORT_LISTENER };
struct report {
    uint32_t kind;
    uint32_t op;
    int32_t value; // a pid or an errno
};

// Made by S before L is forked, so that nothing need be passed later.
struct channels {
    int status[2]; // [0] S reads, [1] L and C write; close-on-exec: its end tells that exec worked
    int barrier[2];
    int wake[2]; // S → parked L
    int in[2], out[2], err[2];
    bool open;
};

struct shared {
    uint32_t launch;
    uint32_t length;
    uint32_t supervise;
    uint64_t registers[ABI_REGISTERS];
    uint8_t program[ABI_PROGRAM_MAX];
};

struct runner {
    struct program program;
    int64_t registers[ABI_REGISTERS];
    uint32_t failed_op;
    int phase;
    struct channels channels;
    struct shared *shared;
    pid_t launcher, child;
    int child_pidfd, container_pidfd, terminal;
    int listener, log, oom;
    char *control_path, *log_path, *record_path;
    uint64_t log_max, log_size, log_buffer;
    uint32_t log_files;
    bool log_compressed;
    pid_t compressing;
    uint32_t supervise;
    bool launched;
    // For the runtime: fds 0-2 are the caller's, and as many above survive; the socket that `start` connects to, and it.
    bool own_stdio;
    unsigned preserved;
    int start_socket, starter, seccomp_listener;
    char *hook_state, *hook_status, *home;
    pid_t hook_pid;
    void (*say)(const char *text);
    void (*warn)(struct runner *, uint32_t op, int error);
};

// What is read of a container's output at once.
#define OUTPUT_MAX 16384

// What proc_pid_comm(5) says of a supervisor.
#define SUPERVISOR_NAME "gantry-super"

// program.c
int program_load(struct program *program, uint8_t *bytes, size_t length, uint32_t *bad_op);
// run.c
int run_range(struct runner *runner, uint32_t from, uint32_t to);
int64_t run_op(struct runner *runner, uint32_t index);
const char *text_of(const struct runner *runner, const struct op *op, int operand);
int64_t value_of(const struct runner *runner, const struct op *op, int operand);
// launch.c
int open_channels(struct runner *runner);
void close_channels(struct runner *runner);
int64_t op_launch(struct runner *runner, uint32_t index);
int64_t op_clone(struct runner *runner, uint32_t index);
int64_t op_park(struct runner *runner);
uint8_t *share_program(struct runner *runner, const uint8_t *program, uint32_t length);
int read_report(struct runner *runner, struct report *report, int *fd, int flags);
void send_report_to(int socket, struct report report, int fd);
void send_report(struct runner *runner, uint32_t kind, uint32_t op, int32_t value, int fd);
int64_t op_wait(struct runner *runner, uint32_t index);
int64_t op_release(struct runner *runner);
int64_t op_own_stdio(struct runner *runner, uid_t uid, gid_t gid);
int64_t op_stdio(struct runner *runner, int root);
int64_t op_open_terminal(int root, const char *path, int rows, int columns);
int64_t op_execve(const struct runner *runner, const char *file, char *args, size_t args_length, char *env, size_t env_length);
char **list_of(char *bytes, size_t length);
// start.c
int64_t op_await_start(struct runner *runner);
void tell_starter(const struct runner *runner, uint32_t op, int32_t error, int fd);
int64_t op_send_listener(struct runner *runner, uint32_t index, int fd);
int64_t op_find_executable(const char *file, char *env, size_t env_length);
int64_t op_home(struct runner *runner, uid_t uid);
// hook.c
int64_t op_hook_state(struct runner *runner, const char *state, size_t length, const char *status);
int64_t op_hook(struct runner *runner, const char *file, char *args, size_t args_length, char *env, size_t env_length, int64_t timeout);
// userns.c
int64_t op_user_namespace(const char *uids, size_t uids_length, const char *gids, size_t gids_length);
// files.c
int open_in_root(int root, const char *path, int flags);
int open_null(int root, int flags);
int64_t op_write_file(int directory, const char *path, const char *data, size_t length, int flags);
int64_t op_write_lines(int directory, const char *path, const char *data, size_t length);
int64_t op_write_proc(const char *path, const char *data, size_t length);
int64_t op_write_sysctl(int root, const char *path, const char *data, size_t length);
int64_t op_ensure(int root, const char *path, mode_t mode, int uid, int gid, bool directory);
int64_t op_ensure_like(int root, const char *path, int like);
int64_t op_replace_in_root(int root, const char *path, const char *target, mode_t mode, dev_t device, int uid, int gid);
int64_t op_mask(int root, const char *path, int empty);
int64_t op_read_only_path(int root, const char *path);
// trees.c
int64_t op_inode_flags(const char *path, int flags);
int64_t op_remove_tree(int directory, const char *path);
int64_t op_empty_tree(int directory, const char *path, const char *kept);
int64_t op_copy_up(int source, int target);
// loop.c
int64_t op_loop_device(const char *path, uint32_t flags, char *name, size_t length);
// cgroup.c
int64_t op_make_cgroup(const char *path);
int64_t op_fill_cpuset(const char *path);
int64_t op_remove_cgroup(const char *path);
int64_t op_sweep_cgroups(const char *parent);
int64_t op_kill_cgroup(const char *path, int signal);
int64_t op_freeze(const char *path, bool frozen, bool unified);
int64_t op_container_cgroup(int pidfd, const char *mount);
int64_t op_bpf_device(int cgroup, const void *instructions, size_t length);
bool oom_happened(int fd);
// netlink.c
void share_netfilter(void);
int64_t op_netlink(int protocol, const void *messages, size_t length);
// supervise.c
void supervise(int connection, int container_pidfd) __attribute__((noreturn));
int64_t op_control_socket(struct runner *runner, const char *path);
// resolver.c
int64_t op_resolver(const struct runner *runner, const char *path, const char *address, int port);
// record.c
int64_t op_log(struct runner *runner, const char *path, uint64_t max, uint32_t files);
int64_t op_log_compress(struct runner *runner);
// Afterwards every file of the log has its last name.
void finish_log(struct runner *runner);
// From any thread, but one: the log has one writer.
void write_log(struct runner *runner, uint64_t time, int stream, const char *data, size_t length);
void log_output(struct runner *runner, int stream, const char *data, size_t length);
void write_record(const char *path, pid_t pid, uint32_t status, uint32_t flags, uint64_t started, uint64_t finished);
uint64_t now_ns(void);
// deflate.c: PATH becomes PATH.gz, by the process that is the result.
pid_t compress_log(const char *path);
// log_buffer.c
int64_t op_log_buffer(struct runner *runner, uint64_t limit);
bool hold_output(struct runner *runner, int stream, const char *data, size_t length);
void write_rest(void);
// own_copy.c
bool runs_from_copy(void);
void leave_file(char **argv);
// confine.c
void confine_to(const char *directory);
void confine_here(void);
// archive.c
void op_archive(uint32_t action, const char *directory, const char *name, const char *as, int64_t uid, int64_t gid) __attribute__((noreturn));
// pack.c
void pack(int directory, const char *name, const char *as);
// unpack.c
int unpack_main(const char *directory);
void unpack_here(bool keep_kinds, int64_t uid, int64_t gid);
int remove_main(const char *directory);
int notify_main(const char *path);
// changes.c
int changes_main(int count, char **directories);
int layer_main(const char *directory);
// init.c
int init_main(char **argv);

static inline int64_t result_of(int64_t result) { return result < 0 ? -errno : result; }

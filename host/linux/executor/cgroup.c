// Cgroups: removal, freezing, killing, device programs, OOM counts.
#include "executor.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>

#define TRIES 400
static void pause_5ms(void) { nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL); }

static int64_t signal_members(int directory, int signal) {
    int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *members = fd < 0 ? NULL : fdopen(fd, "r");
    long pid;
    if (!members)
        return -errno;
    while (fscanf(members, "%ld", &pid) == 1)
        if (pid > 1)
            kill((pid_t)pid, signal);
    fclose(members);
    return 0;
}

// Those below, too: a container may have made cgroups of its own.
static int64_t signal_tree(int directory, int signal, int depth) {
    int64_t result = signal_members(directory, signal);
    DIR *stream = depth > 32 ? NULL : fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        int below = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0)
            continue;
        signal_tree(below, signal, depth + 1);
        close(below);
    }
    if (stream)
        closedir(stream);
    return result;
}

int64_t op_kill_cgroup(const char *path, int signal) {
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    int64_t result = signal == SIGKILL ? op_write_file(directory, "cgroup.kill", "1", 1, 0) : -ENOENT;
    if (result < 0)
        result = signal_tree(directory, signal, 0);
    close(directory);
    return result;
}

static int64_t remove_one(int parent, const char *name, int depth) {
    if (!unlinkat(parent, name, AT_REMOVEDIR)) // Empty, as most are: then nothing need be looked at.
        return 0;
    int directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0)
        return errno == ENOENT ? 0 : -errno;
    DIR *stream = depth > 32 ? NULL : fdopendir(dup(directory));
    for (struct dirent *entry; stream && (entry = readdir(stream));)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            remove_one(directory, entry->d_name, depth + 1);
    if (stream)
        closedir(stream);
    int64_t result = -EBUSY;
    for (int i = 0; i < TRIES; i++) {
        result = result_of(unlinkat(parent, name, AT_REMOVEDIR));
        if (result != -EBUSY)
            break;
        signal_members(directory, SIGKILL);
        op_write_file(directory, "freezer.state", "THAWED", 6, 0); // On v1 what is frozen does not die.
        pause_5ms();
    }
    close(directory);
    return result == -ENOENT ? 0 : result;
}

int64_t op_remove_cgroup(const char *path) { return remove_one(AT_FDCWD, path, 0); }

static bool contains(const char *directory, const char *file, const char *wanted) {
    char path[4096], text[512];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = 0;
    return strstr(text, wanted) != NULL;
}

// Whose a cgroup is stands on it, so that it is found again whatever engine, record or data root is lost. No container can write
// attributes of trusted.*.
static const char owner_name[] = "trusted.gantry";

static unsigned long pid_namespace(void) {
    static ino_t inode;
    struct stat info;
    if (!inode && !stat("/proc/self/ns/pid", &info))
        inode = info.st_ino;
    return inode;
}

int64_t op_make_cgroup(const char *path) {
    char owner[64];
    int length = snprintf(owner, sizeof owner, "%d %lu", (int)getpid(), pid_namespace());
    if (mkdir(path, 0755))
        return -errno;
    setxattr(path, owner_name, owner, (size_t)length, 0);
    return 0;
}

// True where the supervisor with this pid is there. A later one that got its pid only puts the removal off.
static bool supervisor_lives(long pid) {
    char directory[32];
    snprintf(directory, sizeof directory, "/proc/%ld", pid);
    return contains(directory, "comm", SUPERVISOR_NAME);
}

#define ORPHAN_AGE 60
// Nobody's name is on it: of a supervisor that died right here, or of a system without such attributes. Nobody works on what was
// made so long ago, and what is not empty cannot be removed so.
static void remove_nameless(int parent, const char *name) {
    struct stat info;
    bool ours = !strncmp(name, "slot-", 5) || strspn(name, "0123456789abcdef") == 64;
    if (ours && !fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) && time(NULL) - info.st_mtime > ORPHAN_AGE)
        unlinkat(parent, name, AT_REMOVEDIR);
}

int64_t op_sweep_cgroups(const char *parent) {
    int directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = directory < 0 ? NULL : fdopendir(directory);
    if (!stream)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *entry; (entry = readdir(stream));) {
        char path[4096], owner[64] = "";
        long pid;
        unsigned long namespace;
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        if (getxattr(path, owner_name, owner, sizeof owner - 1) < 0 || sscanf(owner, "%ld %lu", &pid, &namespace) != 2)
            remove_nameless(directory, entry->d_name);
        else if (namespace == pid_namespace() && !supervisor_lives(pid))
            remove_one(directory, entry->d_name, 0);
    }
    closedir(stream);
    return 0;
}

int64_t op_freeze(const char *path, bool frozen, bool unified) {
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *state = frozen ? "FROZEN" : "THAWED";
    if (directory < 0)
        return -errno;
    int64_t result = unified ? op_write_file(directory, "cgroup.freeze", frozen ? "1" : "0", 1, 0)
                             : op_write_file(directory, "freezer.state", state, 6, 0);
    close(directory);
    for (int i = 0; result == 0; i++) {
        if (unified ? contains(path, "cgroup.events", frozen ? "frozen 1" : "frozen 0") : contains(path, "freezer.state", state))
            return 0;
        if (i == TRIES)
            return -ETIMEDOUT;
        pause_5ms();
    }
    return result;
}

// The line of a file in /proc that begins with `key`, without it; false where there is none.
static bool line_of(const char *path, const char *key, char *line, int size) {
    FILE *file = fopen(path, "re");
    bool found = false;
    while (file && !found && fgets(line, size, file))
        found = !strncmp(line, key, strlen(key));
    if (file)
        fclose(file);
    if (found)
        memmove(line, line + strlen(key), strlen(line + strlen(key)) + 1);
    line[found ? strcspn(line, "\n") : 0] = 0;
    return found;
}

// Should the pid be another process's by now, the setns(2) by pidfd that follows in the program fails.
int64_t op_container_cgroup(int pidfd, const char *mount) {
    char source[64], line[4096], path[8192];
    snprintf(source, sizeof source, "/proc/self/fdinfo/%d", pidfd);
    long pid = pidfd >= 0 && line_of(source, "Pid:", line, sizeof line) ? atol(line) : -1;
    snprintf(source, sizeof source, "/proc/%ld/cgroup", pid);
    if (pid <= 0 || !line_of(source, "0::", line, sizeof line))
        return -ESRCH;
    snprintf(path, sizeof path, "%s%s", mount, line);
    return result_of(open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

int64_t op_bpf_device(int cgroup, const void *instructions, size_t length) {
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (uint64_t)(uintptr_t)instructions,
                           .insn_cnt = (uint32_t)(length / 8), .license = (uint64_t)(uintptr_t) "Apache-2.0"};
    int program = (int)syscall(__NR_bpf, BPF_PROG_LOAD, &load, sizeof load);
    if (program < 0)
        return -errno;
    union bpf_attr attach = {.target_fd = (uint32_t)cgroup, .attach_bpf_fd = (uint32_t)program,
                             .attach_type = BPF_CGROUP_DEVICE, .attach_flags = BPF_F_ALLOW_MULTI};
    int64_t result = result_of(syscall(__NR_bpf, BPF_PROG_ATTACH, &attach, sizeof attach));
    close(program);
    return result;
}

// "oom_kill N" of memory.oom_control (v1) and memory.events (v2).
bool oom_happened(int fd) {
    char text[1024];
    ssize_t length = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = 0;
    const char *found = strstr(text, "oom_kill ");
    return found && atol(found + 9) > 0;
}

// An empty set cannot be joined; one that somebody has filled stays as it is.
static int64_t fill_from_above(const char *path, const char *file) {
    char name[4096], above[4096], value[4096];
    if (snprintf(name, sizeof name, "%s/%s", path, file) >= (int)sizeof name ||
        snprintf(above, sizeof above, "%s/../%s", path, file) >= (int)sizeof above)
        return -ENAMETOOLONG;
    int own = open(name, O_RDWR | O_CLOEXEC), parent = open(above, O_RDONLY | O_CLOEXEC);
    int64_t result = own < 0 || parent < 0 ? -errno : read(own, value, sizeof value);
    if (result >= 0 && result <= 1 && (result = read(parent, value, sizeof value)) > 0)
        result = result_of(write(own, value, (size_t)result));
    if (own >= 0)
        close(own);
    if (parent >= 0)
        close(parent);
    return result < 0 ? result : 0;
}

int64_t op_fill_cpuset(const char *path) {
    int64_t result = fill_from_above(path, "cpuset.cpus");
    return result ? result : fill_from_above(path, "cpuset.mems");
}

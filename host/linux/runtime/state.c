// What is kept of a container below --root: its plan, its config.json, its first process; everything else is the kernel's.
#include "runtime.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

const char *const status_names[] = {"creating", "created", "running", "paused", "stopped"};

const char *root_directory(void) {
    const char *root = option("root");
    return root && *root ? root : "/run/gantry-runtime";
}

static void check_id(const char *id) {
    size_t length = strlen(id);
    bool plain = length > 0 && length <= 1024 && isalnum((unsigned char)*id);
    for (const char *at = id; *at; at++)
        plain = plain && (isalnum((unsigned char)*at) || strchr("_+-.", *at));
    if (!plain) {
        hint = "Letters, digits and _+-. in it, the first a letter or a digit";
        fail("Cannot use \"%s\" as ID of a container", id);
    }
}

static void make_directories(const char *path) {
    char *whole = strdup(path);
    for (char *at = whole + 1; whole && *at; at++)
        if (*at == '/') {
            *at = 0;
            mkdir(whole, 0711);
            *at = '/';
        }
    mkdir(path, 0711);
    free(whole);
}

static int open_directory(const char *id) {
    char *path;
    if (asprintf(&path, "%s/%s", root_directory(), id) < 0)
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(path);
    return fd;
}

void make_container(struct container *container, const char *id) {
    char *path;
    check_id(id);
    *container = (struct container){.id = id};
    if (asprintf(&path, "%s/%s", root_directory(), id) < 0)
        fail("Cannot create \"%s\": out of memory", id);
    if (mkdir(path, 0700) && errno == ENOENT)
        make_directories(root_directory());
    else if (errno == EEXIST)
        fail("Cannot create \"%s\": a container with this ID exists already", id);
    if (mkdir(path, 0700) && errno != EEXIST)
        fail("Cannot make \"%s\": %s", path, strerror(errno));
    free(path);
    if ((container->directory = open_directory(id)) < 0 || flock(container->directory, LOCK_EX))
        fail("Cannot create \"%s\": %s", id, strerror(errno));
}

char *read_whole(int directory, const char *path, size_t *length) {
    // "-" is what somebody gives on stdin.
    int fd = strcmp(path, "-") ? openat(directory, path, O_RDONLY | O_CLOEXEC) : dup(0);
    struct stat info;
    if (fd < 0)
        return NULL;
    size_t room = !fstat(fd, &info) && info.st_size > 0 ? (size_t)info.st_size + 1 : 65536;
    char *bytes = malloc(room + 1);
    *length = 0;
    for (ssize_t got; bytes && (got = read(fd, bytes + *length, room - *length)) != 0;) {
        if (got < 0 && errno != EINTR) {
            free(bytes);
            bytes = NULL;
        } else if ((*length += got > 0 ? (size_t)got : 0) == room)
            bytes = realloc(bytes, (room *= 2) + 1);
    }
    if (bytes)
        bytes[*length] = 0;
    close(fd);
    return bytes;
}

void save_file(int directory, const char *name, const char *bytes, size_t length) {
    char unready[64];
    snprintf(unready, sizeof unready, ".%s.new", name);
    int fd = openat(directory, unready, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length || close(fd) || renameat(directory, unready, directory, name))
        fail("Cannot write the state \"%s\": %s", name, strerror(errno));
}

void save_plan(struct container *container, const struct answer *answer) {
    char *bytes;
    size_t length;
    FILE *out = open_memstream(&bytes, &length);
    for (uint32_t kind = ABI_RUNTIME_STARTED; out && kind < ABI_RUNTIME_OUTPUT; kind++) {
        const struct part *part = &answer->parts[kind];
        uint32_t header[2] = {kind, part->length};
        if (part->bytes && kind != ABI_RUNTIME_CONFIG)
            fwrite(header, sizeof header, 1, out), fwrite(part->bytes, part->length, 1, out);
    }
    if (!out || fclose(out))
        fail("Cannot write the state: out of memory");
    save_file(container->directory, "plan", bytes, length);
    free(bytes);
    container->plan = *answer;
}

static void load_plan(struct container *container) {
    size_t length;
    char *bytes = read_whole(container->directory, "plan", &length);
    for (size_t at = 0; bytes && at + 8 <= length;) {
        uint32_t header[2];
        memcpy(header, bytes + at, sizeof header);
        if (header[0] >= ABI_RUNTIME_PARTS || header[1] > length - at - 8)
            fail("Cannot read the state of \"%s\": its plan is damaged", container->id);
        struct part part = {malloc(header[1] + 1), header[1]}; // Aligned for the ops of a program.
        if (!part.bytes)
            fail("Cannot read the state of \"%s\": out of memory", container->id);
        memcpy(part.bytes, bytes + at + 8, part.length);
        part.bytes[part.length] = 0;
        container->plan.parts[header[0]] = part;
        at += 8 + header[1];
    }
    free(bytes);
}

bool find_container(struct container *container, const char *id) {
    check_id(id);
    *container = (struct container){.id = id, .directory = open_directory(id)};
    return container->directory >= 0;
}

void load_container(struct container *container, const char *id, bool lock) {
    if (!find_container(container, id)) {
        hint = "gantry-runtime list shows those that there are";
        fail("Cannot find the container \"%s\": container does not exist below \"%s\"", id, root_directory());
    }
    if (lock)
        flock(container->directory, LOCK_EX);
    load_plan(container);
    size_t length;
    char *text = read_whole(container->directory, "pid", &length);
    if (text)
        sscanf(text, "%d %llu", &container->pid, &container->started);
    free(text);
}

// proc_pid_stat(5): the 22nd field; the second is in brackets and may hold anything. 0: no such process, or a zombie.
unsigned long long start_time(pid_t pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return 0;
    text[length] = 0;
    char *at = strrchr(text, ')');
    unsigned long long started = 0;
    if (!at || at[2] == 'Z' || at[2] == 'X')
        return 0;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at)
        sscanf(at, "%llu", &started);
    return started;
}

void save_pid(struct container *container, pid_t pid) {
    char text[64];
    container->pid = pid;
    container->started = start_time(pid);
    int length = snprintf(text, sizeof text, "%d %llu\n", pid, container->started);
    save_file(container->directory, "pid", text, (size_t)length);
}

static void remove_below(int directory) {
    DIR *list = fdopendir(dup(directory));
    for (struct dirent *entry; list && (entry = readdir(list));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            unlinkat(directory, entry->d_name, 0);
    if (list)
        closedir(list);
}

void forget_container(struct container *container) {
    char *path;
    remove_below(container->directory);
    if (asprintf(&path, "%s/%s", root_directory(), container->id) >= 0 && rmdir(path) && errno != ENOENT)
        warn("Cannot remove \"%s\": %s", path, strerror(errno));
}

// Whether the freezer that the plan names holds it.
static bool is_frozen(struct container *container) {
    struct part *part = &container->plan.parts[ABI_RUNTIME_FREEZE];
    struct program program;
    uint32_t bad_op;
    char path[4200], text[32];
    if (!part->length || program_load(&program, (uint8_t *)part->bytes, part->length, &bad_op) || program.count == 0)
        return false;
    const struct op *op = &program.ops[0];
    bool unified = op->operand[2] == 2;
    snprintf(path, sizeof path, "%s/%s", program.data + op->operand[0], unified ? "cgroup.events" : "freezer.state");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    return strstr(text, unified ? "frozen 1" : "FROZEN") || strstr(text, "FREEZING");
}

enum status status_of(struct container *container) {
    if (!container->pid)
        return CREATING;
    unsigned long long started = start_time(container->pid);
    if (!started || started != container->started)
        return STOPPED;
    if (!faccessat(container->directory, "start", F_OK, 0))
        return CREATED;
    return is_frozen(container) ? PAUSED : RUNNING;
}

char *state_of(struct container *container) {
    enum status status = status_of(container);
    char *text;
    const char *head = container->plan.parts[ABI_RUNTIME_HEAD].bytes, *tail = container->plan.parts[ABI_RUNTIME_TAIL].bytes;
    if (asprintf(&text, "%s%s,\"status\":\"%s\",\"pid\":%d}", head ? head : "{\"ociVersion\":\"1.2.1\"", tail ? tail : "",
                 status_names[status], status == STOPPED ? 0 : container->pid) < 0)
        fail("Cannot tell the state: out of memory");
    return text;
}

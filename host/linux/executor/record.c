// What must outlive everyone: the container's output and the record of its exit.
#include "executor.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void open_log(struct runner *runner) {
    struct stat info;
    runner->log = open(runner->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    runner->log_size = runner->log >= 0 && !fstat(runner->log, &info) ? (uint64_t)info.st_size : 0;
}

int64_t op_log(struct runner *runner, const char *path, uint64_t max, uint32_t files) {
    runner->log_path = strdup(path);
    runner->log_max = max;
    runner->log_files = files;
    return 0; // The file is made with its first frame: a container that says nothing costs none.
}

int64_t op_log_compress(struct runner *runner) {
    runner->log_compressed = true;
    return 0;
}

static void move_log(const char *path, uint32_t from, uint32_t to, const char *suffix) {
    char old[4096], new[4096];
    snprintf(old, sizeof old, from ? "%s.%u%s" : "%s", path, from, suffix);
    snprintf(new, sizeof new, "%s.%u%s", path, to, suffix);
    unlink(new);
    rename(old, new);
}

// path → path.1 → path.2 …; the oldest goes. What is not yet compressed is waited for, as by docker.
static void rotate(struct runner *runner) {
    char first[4096];
    finish_log(runner);
    for (uint32_t i = runner->log_files > 1 ? runner->log_files - 1 : 0; i > 0; i--) {
        move_log(runner->log_path, i - 1, i, "");
        if (runner->log_compressed && i > 1)
            move_log(runner->log_path, i - 1, i, ".gz");
    }
    if (runner->log_files <= 1)
        unlink(runner->log_path);
    close(runner->log);
    open_log(runner);
    if (runner->log_compressed) {
        snprintf(first, sizeof first, "%s.1", runner->log_path);
        runner->compressing = compress_log(first);
    }
}

void finish_log(struct runner *runner) {
    if (runner->compressing > 0)
        waitpid(runner->compressing, NULL, 0);
    runner->compressing = 0;
}

void log_output(struct runner *runner, int stream, const char *data, size_t length) {
    if (!runner->log_path)
        return;
    if (!runner->log_buffer || !hold_output(runner, stream, data, length))
        write_log(runner, now_ns(), stream, data, length);
}

void write_log(struct runner *runner, uint64_t time, int stream, const char *data, size_t length) {
    struct { uint64_t time; uint32_t length; uint8_t stream, flags; uint16_t zero; } header = {
        time, (uint32_t)length, (uint8_t)stream, data[length - 1] == '\n' ? 0 : ABI_LOG_PARTIAL, 0};
    _Static_assert(sizeof header == ABI_LOG_HEADER, "log frames are laid out as abi.ts says");
    struct iovec parts[2] = {{&header, sizeof header}, {(void *)data, length}};
    if (runner->log < 0)
        open_log(runner);
    if (runner->log < 0)
        return;
    if (runner->log_max && runner->log_size && runner->log_size + sizeof header + length > runner->log_max)
        rotate(runner);
    ssize_t written = writev(runner->log, parts, 2);
    if (written == (ssize_t)(sizeof header + length))
        runner->log_size += (uint64_t)written;
    else if (written >= 0 && ftruncate(runner->log, (off_t)runner->log_size)) // No half frame stays (a full disk).
        runner->log_size += (uint64_t)written;
}

// Temporary file, then rename: a reader finds all of it or nothing.
void write_record(const char *path, pid_t pid, uint32_t status, uint32_t flags, uint64_t started, uint64_t finished) {
    char temporary[4096], text[512];
    int length = snprintf(text, sizeof text,
        "{\"exitCode\":%u,\"oomKilled\":%s,\"signaled\":%s,\"pid\":%d,\"startedAt\":\"%llu\",\"finishedAt\":\"%llu\"}\n", status,
        flags & ABI_EXIT_OOM ? "true" : "false", flags & ABI_EXIT_SIGNALED ? "true" : "false", (int)pid,
        (unsigned long long)started, (unsigned long long)finished);
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    bool whole = write(fd, text, (size_t)length) == length;
    close(fd);
    if (whole)
        rename(temporary, path);
}

// A container's files for cp, in a child whose root is the container's: a path is looked up once, then everything is below its fd.
#include "tar.h"
#include <fcntl.h>
#include <sys/stat.h>

// Ends with a line that the engine reads: the errno of a path that does not lead anywhere.
static void lost(int error) __attribute__((noreturn));
static void lost(int error) {
    fprintf(stderr, "path %d\n", error);
    _exit(2);
}

// Where a symbolic link leads in the end, as docker's clients want to know it: every link followed inside the root, the
// parts that do not exist taken as they are. Only told, never used: whoever comes back with it is looked up again.
static void evaluate(const char *directory, const char *name, char result[4096]) {
    char left[8192], link[4096];
    size_t length = 0;
    int links = 0;
    snprintf(left, sizeof left, "%.4000s/%.255s", directory, name);
    for (char *at = left; *at;) {
        size_t part = strcspn(at, "/");
        bool more = at[part] == '/';
        if (part == 0 || (part == 1 && *at == '.')) {
            at += part + more;
            continue;
        }
        if (part == 2 && !strncmp(at, "..", 2)) {
            while (length > 0 && result[--length] != '/')
                ;
            at += part + more;
            continue;
        }
        if (length + part + 2 > 4096)
            lost(ENAMETOOLONG);
        size_t parent = length;
        result[length++] = '/';
        memcpy(result + length, at, part);
        length += part;
        result[length] = 0;
        at += part + more;
        ssize_t got = readlink(result, link, sizeof link - 1);
        if (got < 0)
            continue;
        if (++links > 40)
            lost(ELOOP);
        link[got] = 0;
        size_t rest = strlen(at);
        if ((size_t)got + rest + 2 > sizeof left)
            lost(ENAMETOOLONG);
        memmove(left + got + 1, at, rest + 1);
        memcpy(left, link, (size_t)got);
        left[got] = '/';
        at = left;
        length = *link == '/' ? 0 : parent;
    }
    if (length == 0)
        result[length++] = '/';
    result[length] = 0;
}

static void put_all(const void *bytes, size_t length) {
    for (size_t at = 0; at < length;) {
        ssize_t put = write(1, (const char *)bytes + at, length - at);
        if (put < 0 && errno != EINTR)
            _exit(1);
        at += put > 0 ? (size_t)put : 0;
    }
}

static void tell_stat(const struct stat *info, const char *directory, const char *name) {
    char target[4096] = "";
    if (S_ISLNK(info->st_mode))
        evaluate(directory, name, target);
    struct {
        uint32_t mode, link_length;
        uint64_t size;
        int64_t seconds;
        uint64_t nanoseconds;
    } record = {info->st_mode, (uint32_t)strlen(target), (uint64_t)info->st_size, info->st_mtim.tv_sec, (uint64_t)info->st_mtim.tv_nsec};
    put_all(&record, sizeof record);
    put_all(target, record.link_length);
}

// stat and pack: the entry `name` of a directory, or the directory itself where the name is empty. unpack: into the directory.
void op_archive(uint32_t action, const char *directory, const char *name, const char *as, int64_t uid, int64_t gid) {
    struct stat info;
    directory = directory ? directory : "/";
    name = name ? name : "";
    as = as ? as : "";
    confine_here();
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = open_in_root(root, directory, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    if (fd < 0)
        lost(-fd);
    if (*name ? fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) : fstat(fd, &info))
        lost(errno);
    if (made_up(fd) && action != ABI_ARCHIVE_STAT)
        lost(EXDEV);
    if (action == ABI_ARCHIVE_UNPACK || action == ABI_ARCHIVE_UNPACK_KEEP) {
        if (fchdir(fd))
            lost(errno);
        unpack_here(action == ABI_ARCHIVE_UNPACK_KEEP, uid, gid);
    } else {
        tell_stat(&info, directory, name);
        if (action == ABI_ARCHIVE_PACK)
            pack(fd, name, as);
    }
    _exit(0);
}

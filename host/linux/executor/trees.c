// Whole trees: removed without crossing a mount, copied with owners, modes, times and extended attributes.
#include "executor.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define REMOVE_DEPTH 64 // Fds that a removal holds.
#define COPY_DEPTH 256

// Where a removal is: what lies deeper than the fds reach is moved up below `top`, whose turn comes again.
struct removal {
    int top;
    dev_t device;
    uint32_t hoisted;
};

static int64_t remove_below(struct removal *removal, int directory, int depth);

static int64_t remove_directory(struct removal *removal, int parent, const char *name, int depth) {
    if (depth >= REMOVE_DEPTH) {
        char hoisted[32];
        do
            snprintf(hoisted, sizeof hoisted, ".gantry-deep-%u", removal->hoisted++);
        while (syscall(__NR_renameat2, parent, name, removal->top, hoisted, RENAME_NOREPLACE) && errno == EEXIST);
        return 0; // A rename that failed shows as a directory that is not empty.
    }
    int child = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int64_t result = child < 0 ? -errno : remove_below(removal, child, depth + 1);
    return result < 0 ? result : result_of(unlinkat(parent, name, AT_REMOVEDIR));
}

static int64_t remove_below(struct removal *removal, int directory, int depth) {
    DIR *stream = fdopendir(directory);
    if (!stream) {
        close(directory);
        return -errno;
    }
    int64_t result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(stream));) {
        struct stat info;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW))
            continue;
        if (S_ISDIR(info.st_mode))
            result = info.st_dev == removal->device ? remove_directory(removal, directory, entry->d_name, depth) : -EXDEV;
        else if (unlinkat(directory, entry->d_name, 0))
            result = -errno;
    }
    closedir(stream);
    return result;
}

int64_t op_remove_tree(int directory, const char *path) {
    struct stat info;
    int fd = openat(directory, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &info)) {
        close(fd);
        return -errno;
    }
    struct removal removal = {.top = fd, .device = info.st_dev};
    int64_t result;
    uint32_t before;
    do {
        before = removal.hoisted;
        int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = own < 0 ? -errno : remove_below(&removal, own, 0);
    } while (result == 0 && removal.hoisted != before);
    close(fd);
    return result < 0 ? result : result_of(unlinkat(directory, path, AT_REMOVEDIR));
}

static void copy_attributes(int source, int target) {
    char names[4096], value[4096];
    ssize_t length = flistxattr(source, names, sizeof names);
    for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(source, name, value, sizeof value);
        if (size >= 0 && strncmp(name, "trusted.overlay.", 16))
            fsetxattr(target, name, value, (size_t)size, 0);
    }
}

static int64_t copy_data(int source, int target) {
    for (;;) {
        ssize_t sent = sendfile(target, source, NULL, 1 << 24);
        if (sent <= 0)
            return sent < 0 ? -errno : 0;
    }
}

static int64_t copy_directory(int source, int target, int depth);

static int64_t copy_entry(int source, int target, const char *name, int depth) {
    struct stat info;
    char link[4096];
    int64_t result = 0;
    if (fstatat(source, name, &info, AT_SYMLINK_NOFOLLOW))
        return -errno;
    struct timespec times[2] = {info.st_atim, info.st_mtim};
    if (S_ISLNK(info.st_mode)) {
        ssize_t length = readlinkat(source, name, link, sizeof link - 1);
        link[length < 0 ? 0 : length] = 0;
        if (length < 0 || symlinkat(link, target, name))
            return -errno;
    } else if (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode)) {
        bool directory = S_ISDIR(info.st_mode);
        if (directory && mkdirat(target, name, 0700))
            return -errno;
        int from = openat(source, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        int to = openat(target, name, directory ? O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        result = from < 0 || to < 0 ? -errno : directory ? copy_directory(from, to, depth + 1) : copy_data(from, to);
        if (result == 0) {
            if (fchown(to, info.st_uid, info.st_gid) || fchmod(to, info.st_mode & 07777))
                result = -errno;
            copy_attributes(from, to);
        }
        if (from >= 0)
            close(from);
        if (to >= 0)
            close(to);
    } else if (mknodat(target, name, info.st_mode, info.st_rdev))
        return -errno;
    if (result == 0 && !S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode))
        if (fchownat(target, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW))
            result = -errno;
    if (result == 0)
        utimensat(target, name, times, AT_SYMLINK_NOFOLLOW);
    return result;
}

static int64_t copy_directory(int source, int target, int depth) {
    int own = depth > COPY_DEPTH ? -1 : openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = own < 0 ? NULL : fdopendir(own);
    if (!stream)
        return depth > COPY_DEPTH ? -ELOOP : -errno;
    int64_t result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(stream));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            result = copy_entry(source, target, entry->d_name, depth);
    closedir(stream);
    return result;
}

static bool is_empty(int directory) {
    int own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = own < 0 ? NULL : fdopendir(own);
    if (!stream)
        return false;
    int entries = 0;
    while (readdir(stream))
        entries++;
    closedir(stream);
    return entries <= 2;
}

int64_t op_copy_up(int source, int target) {
    struct stat info;
    if (!is_empty(target))
        return 0;
    if (fstat(source, &info) || fchown(target, info.st_uid, info.st_gid) || fchmod(target, info.st_mode & 07777))
        return -errno;
    return copy_directory(source, target, 0);
}

// Whole trees: removed without crossing a mount, copied with owners, modes, times and extended attributes.
#include "executor.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define MAX_DEPTH 256

static int64_t remove_below(int directory, dev_t device, int depth) {
    DIR *stream = depth > MAX_DEPTH ? NULL : fdopendir(directory);
    if (!stream) {
        close(directory);
        return depth > MAX_DEPTH ? -ELOOP : -errno;
    }
    int64_t result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(stream));) {
        struct stat info;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW))
            continue;
        if (S_ISDIR(info.st_mode)) {
            if (info.st_dev != device) {
                result = -EXDEV;
                break;
            }
            int child = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            result = child < 0 ? -errno : remove_below(child, device, depth + 1);
            if (result == 0 && unlinkat(directory, entry->d_name, AT_REMOVEDIR))
                result = -errno;
        } else if (unlinkat(directory, entry->d_name, 0))
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
    int64_t result = remove_below(fd, info.st_dev, 0);
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
    int own = depth > MAX_DEPTH ? -1 : openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = own < 0 ? NULL : fdopendir(own);
    if (!stream)
        return depth > MAX_DEPTH ? -ELOOP : -errno;
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

// Paths inside a container's root: resolved once, with openat2(2), into fds that everything else uses.
#include "executor.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x4
#define MOVE_MOUNT_T_EMPTY_PATH 0x40
#define OPEN_TREE_CLONE 1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#define MOUNT_ATTR_RDONLY 1
struct mount_attr { uint64_t attr_set, attr_clr, propagation, userns_fd; };
#endif

// An fd of a path that cannot leave the root, or -errno.
int open_in_root(int root, const char *path, int flags) {
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(__NR_openat2, root, path, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

// The root's /dev/null; a FIFO, link or other node in its place is ENODEV (CVE-2025-31133).
int open_null(int root, int flags) {
    struct stat info;
    int null = open_in_root(root, "/dev/null", flags | O_NOFOLLOW | (flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY));
    if (null < 0)
        return null;
    if (fstat(null, &info) || !S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3)) {
        close(null);
        return -ENODEV;
    }
    if (!(flags & O_PATH))
        fcntl(null, F_SETFL, 0);
    return null;
}

static int64_t write_all(int fd, const char *data, size_t length) {
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, data, length);
    int64_t result = written < 0 ? -errno : (size_t)written == length ? 0 : -EIO;
    close(fd);
    return result;
}

int64_t op_write_file(int directory, const char *path, const char *data, size_t length, int flags) {
    return write_all(openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600), data, length);
}

int64_t op_write_lines(int directory, const char *path, const char *data, size_t length) {
    int fd = openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    int64_t result = fd < 0 ? -errno : 0;
    for (size_t at = 0; result >= 0 && at < length;) {
        const char *newline = memchr(data + at, '\n', length - at);
        size_t line = newline ? (size_t)(newline - data) - at : length - at;
        result = result_of(write(fd, data + at, line));
        at += line + 1;
    }
    if (fd >= 0)
        close(fd);
    return result < 0 ? result : 0;
}

// Only on procfs itself: something else mounted there gets nothing.
static int64_t write_checked(int fd, const char *data, size_t length) {
    struct statfs info;
    if (fstatfs(fd, &info) || info.f_type != PROC_SUPER_MAGIC) {
        close(fd);
        return -EXDEV;
    }
    return write_all(fd, data, length);
}

int64_t op_write_proc(const char *path, const char *data, size_t length) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : write_checked(fd, data, length);
}

// Not by the host's procfs: there the names of all network namespaces lie in one chain of the dentry cache, and a start would
// cost more with each container that runs.
int64_t op_write_sysctl(int root, const char *path, const char *data, size_t length) {
    int fd = open_in_root(root, path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? fd : write_checked(fd, data, length);
}

#define MAX_LINKS 40 // As many as the kernel follows (path_resolution(7)).

// What is made where it is missing.
struct making {
    mode_t mode;
    int uid, gid;
    bool directory;
};

static int64_t ensure(int root, const char *path, struct making making, int links);

// The parent directory of a path, made where missing; `name` gets the last component. The walk never leaves the root.
static int ensure_parent(int root, const char *path, char name[256], int links) {
    char prefix[4096];
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    size_t start = length;
    while (start > 0 && path[start - 1] != '/')
        start--;
    if (length - start == 0 || length - start > 255 || start >= sizeof prefix)
        return length - start == 0 ? -EISDIR : -ENAMETOOLONG;
    memcpy(name, path + start, length - start);
    name[length - start] = 0;
    if (!strcmp(name, "..") || !strcmp(name, "."))
        return -EINVAL;
    while (start > 1 && path[start - 1] == '/')
        start--;
    memcpy(prefix, path, start);
    prefix[start] = 0;
    int parent = open_in_root(root, start ? prefix : "/", O_PATH | O_DIRECTORY);
    if (parent != -ENOENT)
        return parent;
    return (int)ensure(root, prefix, (struct making){0755, -1, -1, true}, links);
}

// What a link to nothing points to, made inside the root: images have /var/run -> /run without a /run.
static int64_t ensure_target(int root, int parent, const char *path, const char *name, struct making making, int links) {
    char target[4096], whole[8192];
    ssize_t length = readlinkat(parent, name, target, sizeof target - 1);
    if (length < 0 || links >= MAX_LINKS)
        return length < 0 ? -errno : -ELOOP;
    target[length] = 0;
    int prefix = (int)(strlen(path) - strlen(strrchr(path, '/') ? strrchr(path, '/') + 1 : path));
    snprintf(whole, sizeof whole, "%.*s%s", *target == '/' ? 0 : prefix, path, target);
    return ensure(root, whole, making, links + 1);
}

static int64_t ensure(int root, const char *path, struct making making, int links) {
    int flags = O_PATH | (making.directory ? O_DIRECTORY : 0), fd = open_in_root(root, path, flags);
    if (fd != -ENOENT)
        return fd;
    char name[256];
    struct stat info;
    int parent = ensure_parent(root, path, name, links), file = -1;
    if (parent < 0)
        return parent;
    if (making.directory)
        file = mkdirat(parent, name, making.mode);
    else if ((file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, making.mode)) >= 0)
        file = close(file);
    int64_t result;
    if (file && errno != EEXIST)
        result = -errno;
    else if (file && !fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) && S_ISLNK(info.st_mode))
        result = ensure_target(root, parent, path, name, making, links);
    else
        result = open_in_root(parent, name, flags | O_NOFOLLOW);
    if (result >= 0 && !file && (making.uid >= 0 || making.gid >= 0) &&
        fchownat((int)result, "", (uid_t)making.uid, (gid_t)making.gid, AT_EMPTY_PATH))
        result = -errno;
    close(parent);
    return result;
}

int64_t op_ensure(int root, const char *path, mode_t mode, int uid, int gid, bool directory) {
    return ensure(root, path, (struct making){mode, uid, gid, directory}, 0);
}

int64_t op_ensure_like(int root, const char *path, int like) {
    struct stat info;
    if (fstat(like, &info))
        return -errno;
    bool directory = S_ISDIR(info.st_mode);
    return ensure(root, path, (struct making){directory ? 0755 : 0644, -1, -1, directory}, 0);
}

static int64_t make_entry(int parent, const char *name, const char *target, mode_t mode, dev_t device) {
    if (target)
        return result_of(symlinkat(target, parent, name));
    mode_t mask = umask(0);
    int64_t result = result_of(mknodat(parent, name, mode, device));
    umask(mask);
    return result;
}

// A symbolic link (target given) or a node, in place of whatever is there but a directory. A path without a slash lies in the
// directory `root` itself.
int64_t op_replace_in_root(int root, const char *path, const char *target, mode_t mode, dev_t device, int uid, int gid) {
    char name[256];
    bool inside = !strchr(path, '/') && strlen(path) < sizeof name && strcmp(path, ".") && strcmp(path, "..");
    int parent = inside ? root : ensure_parent(root, path, name, 0);
    if (parent < 0)
        return parent;
    if (inside)
        strcpy(name, path);
    int64_t result = make_entry(parent, name, target, mode, device);
    if (result == -EEXIST && !unlinkat(parent, name, 0))
        result = make_entry(parent, name, target, mode, device);
    if (result == 0 && !target && (uid > 0 || gid > 0) &&
        fchownat(parent, name, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW))
        result = -errno;
    if (!inside)
        close(parent);
    return result;
}

// Clones the mount at `source`, read-only where asked, onto `target`; both are O_PATH fds.
static int64_t cover(int source, int target, bool read_only, unsigned recursive) {
    int tree = (int)syscall(__NR_open_tree, source, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive);
    if (tree < 0)
        return -errno;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    int64_t result = 0;
    if ((read_only && syscall(__NR_mount_setattr, tree, "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes)) ||
        syscall(__NR_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
        result = -errno;
    close(tree);
    return result;
}

int64_t op_mask(int root, const char *path, int empty) {
    struct stat info;
    int target = open_in_root(root, path, O_PATH);
    if (target < 0)
        return target == -ENOENT || target == -ENOTDIR ? 0 : target;
    int64_t result = -EIO;
    if (!fstat(target, &info)) {
        if (S_ISDIR(info.st_mode))
            result = cover(empty, target, true, 0);
        else {
            int null = open_null(root, O_PATH);
            result = null < 0 ? null : cover(null, target, false, 0);
            if (null >= 0)
                close(null);
        }
    }
    close(target);
    return result;
}

int64_t op_read_only_path(int root, const char *path) {
    int target = open_in_root(root, path, O_PATH);
    if (target < 0)
        return target == -ENOENT || target == -ENOTDIR ? 0 : target;
    int64_t result = cover(target, target, true, AT_RECURSIVE);
    close(target);
    return result;
}

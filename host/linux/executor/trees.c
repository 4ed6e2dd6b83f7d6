// Whole trees: removed without crossing a mount, copied with owners, modes, times and extended attributes.
#include "executor.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define REMOVE_DEPTH 64 // Fds that a removal holds.
#define COPY_DEPTH 256

int64_t op_inode_flags(const char *path, int flags) {
    int known = 0, fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int64_t result = result_of(ioctl(fd, FS_IOC_GETFLAGS, &known));
    known |= flags;
    if (result == 0)
        result = result_of(ioctl(fd, FS_IOC_SETFLAGS, &known));
    close(fd);
    return result;
}

// Where a removal is: what lies deeper than the fds reach is moved up below `top`, whose turn comes again.
struct removal {
    int top;
    const char *kept; // A name in `top` that stays; or NULL.
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
        if (depth == 0 && removal->kept && !strcmp(entry->d_name, removal->kept))
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

int64_t op_empty_tree(int directory, const char *path, const char *kept) {
    struct stat info;
    int fd = openat(directory, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &info)) {
        close(fd);
        return -errno;
    }
    struct removal removal = {.top = fd, .kept = kept, .device = info.st_dev};
    int64_t result;
    uint32_t before;
    do {
        before = removal.hoisted;
        int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = own < 0 ? -errno : remove_below(&removal, own, 0);
    } while (result == 0 && removal.hoisted != before);
    close(fd);
    return result;
}

int64_t op_remove_tree(int directory, const char *path) {
    int64_t result = op_empty_tree(directory, path, NULL);
    if (result == -ENOENT)
        return 0;
    return result < 0 ? result : result_of(unlinkat(directory, path, AT_REMOVEDIR));
}

static void copy_attributes(int source, int target) {
    static char names[65536], value[65536]; // XATTR_LIST_MAX, XATTR_SIZE_MAX
    ssize_t length = flistxattr(source, names, sizeof names);
    for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(source, name, value, sizeof value);
        if (size >= 0 && strncmp(name, "trusted.overlay.", 16))
            fsetxattr(target, name, value, (size_t)size, 0);
    }
}

// Data only: what is a hole stays one.
static int64_t copy_data(int source, int target, off_t size) {
    for (off_t at = 0; at < size;) {
        off_t data = lseek(source, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        if (data < 0)
            data = at; // A file system that does not know.
        off_t end = lseek(source, data, SEEK_HOLE);
        if (end <= data)
            end = size;
        if (lseek(target, data, SEEK_SET) < 0)
            return -errno;
        while (data < end) {
            ssize_t sent = sendfile(target, source, &data, end - data > 1 << 24 ? 1 << 24 : (size_t)(end - data));
            if (sent <= 0)
                return sent < 0 ? -errno : -EIO;
        }
        at = end;
    }
    return result_of(ftruncate(target, size));
}

// Copies of files with more than one name. Held open: a path in the volume could be another container's trick by now.
static struct { ino_t inode; dev_t device; nlink_t left; int fd; } linked[256];

static int find_linked(const struct stat *info) {
    for (int i = 0; i < 256; i++)
        if (linked[i].left > 0 && linked[i].inode == info->st_ino && linked[i].device == info->st_dev)
            return i;
    return -1;
}

static void remember_linked(const struct stat *info, int fd) {
    for (int i = 0; i < 256; i++)
        if (linked[i].left == 0) {
            int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
            if (own >= 0) {
                linked[i].inode = info->st_ino;
                linked[i].device = info->st_dev;
                linked[i].left = info->st_nlink - 1;
                linked[i].fd = own;
            }
            return;
        }
}

// True where the copy that is there already has got this name, too.
static bool link_known(const struct stat *info, int target, const char *name) {
    int at = find_linked(info);
    if (at < 0 || linkat(linked[at].fd, "", target, name, AT_EMPTY_PATH))
        return false;
    if (--linked[at].left == 0)
        close(linked[at].fd);
    return true;
}

static void forget_linked(void) {
    for (int i = 0; i < 256; i++) {
        if (linked[i].left > 0)
            close(linked[i].fd);
        linked[i].left = 0;
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
    if (S_ISREG(info.st_mode) && info.st_nlink > 1 && link_known(&info, target, name))
        return 0;
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
        result = from < 0 || to < 0 ? -errno : directory ? copy_directory(from, to, depth + 1) : copy_data(from, to, info.st_size);
        if (result == 0) {
            if (fchown(to, info.st_uid, info.st_gid) || fchmod(to, info.st_mode & 07777))
                result = -errno;
            copy_attributes(from, to);
            if (result == 0 && !directory && info.st_nlink > 1)
                remember_linked(&info, to);
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
    copy_attributes(source, target);
    int64_t result = copy_directory(source, target, 0);
    forget_linked();
    struct timespec times[2] = {info.st_atim, info.st_mtim};
    if (result == 0)
        futimens(target, times);
    return result;
}

// What a container changed: its upper directory against the image's layers, and as the tar of a new layer. Only reads, confined.
#include "tar.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define DEPTH_MAX 512
#define LAYERS_MAX 512

struct change {
    char kind; // 'A'dded, 'C'hanged, 'D'eleted
    char *path;
};
static struct change *changes;
static size_t change_count, change_room;
static int layer_roots[LAYERS_MAX];

static void insert_change(size_t at, char kind, const char *path) {
    if (change_count == change_room)
        changes = realloc(changes, (change_room = change_room ? 2 * change_room : 256) * sizeof *changes);
    char *copy = strdup(path);
    if (!changes || !copy)
        tar_refuse(path, "out of memory");
    memmove(changes + at + 1, changes + at, (change_count - at) * sizeof *changes);
    changes[at] = (struct change){kind, copy};
    change_count++;
}

static void add_change(char kind, const char *directory, const char *name) {
    char path[8192];
    snprintf(path, sizeof path, "%.7000s/%.255s", directory, name);
    insert_change(change_count, kind, path);
}

// The lower directories of one place: which layers have a part in it, uppermost first, each opened.
struct lower {
    int count, layer[LAYERS_MAX], fd[LAYERS_MAX];
};

static void open_lower(struct lower *lower, const char *path) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
    for (int i = 0; i < lower->count; i++)
        lower->fd[i] = (int)syscall(__NR_openat2, layer_roots[lower->layer[i]], *path ? path + 1 : ".", &how, sizeof how);
}

static void close_lower(struct lower *lower) {
    for (int i = 0; i < lower->count; i++)
        if (lower->fd[i] >= 0)
            close(lower->fd[i]);
}

// The entry as the layers below show it; where it is a directory, `next` are the layers that have a part in it.
static bool find_below(const struct lower *lower, const char *name, struct stat *found, int *where, struct lower *next) {
    struct stat info;
    bool any = false;
    next->count = 0;
    for (int i = 0; i < lower->count; i++) {
        if (lower->fd[i] < 0 || fstatat(lower->fd[i], name, &info, AT_SYMLINK_NOFOLLOW))
            continue;
        if (is_whiteout(&info) || (any && !S_ISDIR(info.st_mode)))
            break;
        if (!any) {
            *found = info;
            *where = lower->fd[i];
        }
        any = true;
        if (!S_ISDIR(info.st_mode))
            break;
        next->layer[next->count++] = lower->layer[i];
        int fd = openat(lower->fd[i], name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        bool opaque = fd >= 0 && is_opaque(fd);
        if (fd >= 0)
            close(fd);
        if (opaque)
            break;
    }
    return any;
}

static ssize_t capability_of(int directory, const char *name, char value[64]) {
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : fgetxattr(fd, "security.capability", value, 64);
    if (fd >= 0)
        close(fd);
    return size < 0 ? 0 : size;
}

// By what docker compares: a file that was only copied up has not changed.
static bool differs(int here, int below, const char *name, const struct stat *a, const struct stat *b) {
    if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid || a->st_rdev != b->st_rdev)
        return true;
    if (S_ISDIR(a->st_mode))
        return false;
    if (a->st_size != b->st_size || a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
        return true;
    char mine[64], theirs[64];
    if (!S_ISREG(a->st_mode))
        return false;
    ssize_t size = capability_of(here, name, mine);
    return size != capability_of(below, name, theirs) || memcmp(mine, theirs, (size_t)size);
}

// Names of the layers below that a directory which covers them does not have.
static void add_hidden(struct lower *lower, const char *path, int upper) {
    struct lower next;
    struct stat info;
    int where;
    for (int i = 0; i < lower->count; i++) {
        if (lower->fd[i] < 0)
            continue;
        struct names names = read_names(lower->fd[i], path);
        for (size_t n = 0; n < names.count; n++) {
            struct lower above = *lower;
            above.count = i;
            bool told = find_below(&above, names.list[n], &info, &where, &next);
            struct lower one = *lower;
            if (!told && find_below(&one, names.list[n], &info, &where, &next) &&
                fstatat(upper, names.list[n], &info, AT_SYMLINK_NOFOLLOW))
                add_change('D', path, names.list[n]);
        }
        free_names(&names);
    }
}

// A directory that covers (opaque, or in one that is) shows nothing of the layers below; what was there is what it is
// compared with nevertheless.
static void compare(int fd, const char *path, struct lower *lower, bool covers, int depth) {
    if (depth > DEPTH_MAX)
        tar_refuse(path, "its directories are too deep");
    struct lower *next = malloc(sizeof *next);
    if (!next)
        tar_refuse(path, "out of memory");
    struct names names = read_names(fd, path);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.list[i];
        char child[8192];
        struct stat info, old;
        int where = -1;
        open_lower(lower, path);
        bool below = find_below(lower, name, &old, &where, next);
        if (snprintf(child, sizeof child, "%s/%s", path, name) >= 4096)
            tar_refuse(path, "its names are too long");
        if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW)) {
            close_lower(lower);
            continue;
        }
        size_t before = change_count;
        bool told = is_whiteout(&info) ? below : !below || differs(fd, where, name, &info, &old);
        if (told)
            add_change(is_whiteout(&info) ? 'D' : below ? 'C' : 'A', path, name);
        close_lower(lower);
        if (is_whiteout(&info))
            continue;
        size_t inside = change_count;
        int directory = S_ISDIR(info.st_mode) ? openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (directory >= 0) {
            bool all = covers || is_opaque(directory);
            check_whole(directory, child);
            compare(directory, child, next, all, depth + 1);
            if (all && below && S_ISDIR(old.st_mode)) {
                open_lower(next, child);
                add_hidden(next, child, directory);
                close_lower(next);
            }
            close(directory);
        }
        if (!told && change_count > inside)
            insert_change(before, 'C', child);
    }
    free_names(&names);
    free(next);
}

static int open_tree_root(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        tar_refuse(path, strerror(errno));
    return fd;
}

// "KIND PATH" records, each with a NUL behind it, directories before what is in them.
int changes_main(int count, char **directories) {
    confine_here();
    struct lower all = {.count = count - 1};
    if (count - 1 > LAYERS_MAX)
        tar_refuse(directories[0], "it has too many layers");
    for (int i = 0; i < all.count; i++) {
        layer_roots[i] = open_tree_root(directories[i + 1]);
        all.layer[i] = i;
    }
    int upper = open_tree_root(directories[0]);
    compare(upper, "", &all, false, 0);
    for (size_t i = 0; i < change_count; i++)
        if (printf("%c%s", changes[i].kind, changes[i].path) < 0 || putchar(0) < 0)
            return 1;
    return fflush(stdout) ? 1 : 0;
}

int layer_main(const char *directory) {
    confine_here();
    pack_layer(open_tree_root(directory));
    return 0;
}

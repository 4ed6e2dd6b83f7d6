// Makes the files of an archive, confined (confine.c): a layer's (`unpack DIRECTORY`), or what is copied into a container.
#include "tar.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static uint64_t entries, total;

// Of a copy into a container: below the working directory, in docker's ways. Otherwise a layer: below "/", with whiteouts.
static bool copying, keep_kinds;
static int64_t own_uid = -1, own_gid = -1;

static void refuse(const char *name) { tar_refuse(name, strerror(errno)); }

// "/a/b" of any spelling: "./a//b/", "/a/b", "a/x/../b"; "./a/b" for a copy. Above a layer's root is its root.
static void clean(const char *name, char *path, size_t capacity) {
    size_t top = copying, length = top;
    if (copying)
        path[0] = '.';
    for (const char *at = name; *at;) {
        size_t part = strcspn(at, "/");
        if (part == 2 && at[0] == '.' && at[1] == '.') {
            if (copying && length == top)
                tar_refuse(name, "it leads out of the directory");
            while (length > top && path[--length] != '/')
                ;
        } else if (part > 0 && !(part == 1 && *at == '.')) {
            if (length + part + 2 > capacity)
                tar_refuse(name, "its name is too long");
            path[length++] = '/';
            memcpy(path + length, at, part);
            length += part;
        }
        at += part + (at[part] == '/');
    }
    if (length == 0)
        path[length++] = '/';
    path[length] = 0;
}

// The directory that everything is made in.
static bool is_top(const char *path) { return !strcmp(path, copying ? "." : "/"); }

static void make_parents(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        struct stat there;
        if (mkdir(path, 0755) && errno != EEXIST)
            refuse(path);
        if (stat(path, &there) && errno == ENOENT)
            tar_refuse(path, "it is a link that leads nowhere");
        *slash = '/';
    }
}

// docker cp: a directory and something else do not take each other's place.
static void check_kind(const char *path, bool directory) {
    struct stat there;
    if (!keep_kinds || lstat(path, &there) || S_ISDIR(there.st_mode) == directory)
        return;
    fprintf(stderr, "kind %s %s\n", directory ? "directory" : "non-directory", path + 2);
    _exit(1);
}

// Tries for one entry: parents, then what is in the way, and once more each where a container interferes. Without a bound,
// a directory that is removed while it is written to would be tried for ever.
#define ATTEMPTS_MAX 8
static int attempts;

// Whatever stands where the entry goes makes room; true where it is worth another try.
static bool make_room(char *path, int error) {
    if (++attempts > ATTEMPTS_MAX)
        return false;
    if (error == ENOENT) {
        make_parents(path);
        return true;
    }
    if (error != EEXIST)
        return false;
    if (!unlink(path))
        return true;
    return errno == EISDIR && op_remove_tree(AT_FDCWD, path) == 0;
}

static void set_xattrs(const struct entry *entry, const char *path) {
    for (int i = 0; i < entry->xattr_count; i++) {
        const struct xattr *attribute = &entry->xattrs[i];
        // Overlayfs' own attributes would let a layer redirect to what is not in it.
        if (!strncmp(attribute->name, "trusted.", 8) || !strncmp(attribute->name, "user.overlay.", 13))
            continue;
        if (lsetxattr(path, attribute->name, attribute->value, attribute->length, 0) && errno != EOPNOTSUPP && errno != EPERM)
            refuse(entry->name);
    }
}

// Owner before mode and attributes: a change of owner takes setuid bits and file capabilities away.
static void set_metadata(const struct entry *entry, const char *path, bool link) {
    struct timespec times[2] = {entry->mtime, entry->mtime};
    uid_t uid = own_uid < 0 ? entry->uid : (uid_t)own_uid;
    gid_t gid = own_gid < 0 ? entry->gid : (gid_t)own_gid;
    if (lchown(path, uid, gid) || (!link && chmod(path, entry->mode)))
        refuse(entry->name);
    set_xattrs(entry, path);
    if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW))
        refuse(entry->name);
}

static void write_piece(int fd, const struct entry *entry, uint64_t length) {
    for (uint64_t left = length; left > 0;) {
        const void *bytes;
        size_t got = tar_read(&bytes, left > 1 << 20 ? 1 << 20 : (size_t)left);
        for (size_t at = 0; at < got;) {
            ssize_t written = write(fd, (const char *)bytes + at, got - at);
            if (written < 0 && errno != EINTR)
                refuse(entry->name);
            at += written > 0 ? (size_t)written : 0;
        }
        left -= got;
    }
}

// Holes stay holes; where the last is the end, its last byte is written.
static void write_content(int fd, const struct entry *entry) {
    total += entry->size;
    if (!entry->is_sparse) {
        write_piece(fd, entry, entry->size);
        return;
    }
    uint64_t end = 0;
    for (size_t i = 0; i < entry->segment_count; i++) {
        const struct segment *segment = &entry->segments[i];
        if (segment->length == 0)
            continue;
        if (lseek(fd, (off_t)segment->offset, SEEK_SET) < 0)
            refuse(entry->name);
        write_piece(fd, entry, segment->length);
        end = segment->offset + segment->length;
    }
    if (end < entry->size && (lseek(fd, (off_t)entry->size - 1, SEEK_SET) < 0 || write(fd, "", 1) != 1))
        refuse(entry->name);
}

static void make_file(const struct entry *entry, char *path) {
    int fd;
    while ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
        if (!make_room(path, errno))
            refuse(entry->name);
    write_content(fd, entry);
    close(fd);
    set_metadata(entry, path, false);
}

// Directories get their times last: what is made in them changes them.
static struct { char *path; struct timespec time; } *directories;
static size_t directory_count, directory_room;

static void remember_time(const char *path, struct timespec time) {
    if (directory_count == directory_room) {
        directory_room = directory_room ? 2 * directory_room : 256;
        directories = realloc(directories, directory_room * sizeof *directories);
    }
    char *copy = strdup(path);
    if (!directories || !copy)
        tar_refuse(path, "out of memory");
    directories[directory_count].path = copy;
    directories[directory_count++].time = time;
}

static void make_directory(const struct entry *entry, char *path) {
    struct stat there;
    if (copying && is_top(path))
        return; // It is there and stays as it is.
    if (!is_top(path))
        while (mkdir(path, 0700)) {
            int error = errno;
            if (error == EEXIST && !lstat(path, &there) && S_ISDIR(there.st_mode))
                break;
            if (!make_room(path, error))
                refuse(entry->name);
        }
    set_metadata(entry, path, false);
    remember_time(path, entry->mtime);
}

static void make_link(const struct entry *entry, char *path) {
    char target[4096];
    clean(entry->link, target, sizeof target);
    if (!strcmp(target, path))
        return;
    while (linkat(AT_FDCWD, target, AT_FDCWD, path, 0)) {
        struct stat there;
        int error = errno;
        if (error == ENOENT && lstat(target, &there))
            tar_refuse(entry->name, "it links to a file that is not in the layer");
        if (!make_room(path, error))
            refuse(entry->name);
    }
}

static void make_node(const struct entry *entry, char *path) {
    mode_t format = entry->type == '3' ? S_IFCHR : entry->type == '4' ? S_IFBLK : S_IFIFO;
    while (mknod(path, format | 0600, entry->type == '6' ? 0 : makedev(entry->major, entry->minor)))
        if (!make_room(path, errno))
            refuse(entry->name);
    set_metadata(entry, path, false);
}

static void make_symlink(const struct entry *entry, char *path) {
    while (symlink(entry->link, path))
        if (!make_room(path, errno))
            refuse(entry->name);
    total += strlen(entry->link);
    set_metadata(entry, path, true);
}

// image-spec, layer.md: ".wh.NAME" hides NAME of the layers below, ".wh..wh..opq" all of them. True where it was one.
static bool whiteout(const struct entry *entry, char *path) {
    char *base = strrchr(path, '/') + 1;
    if (strncmp(base, ".wh.", 4))
        return false;
    if (!strcmp(base, ".wh..wh..opq")) {
        base[base - path > 1 ? -1 : 0] = 0;
        make_parents(path);
        if (strcmp(path, "/") && mkdir(path, 0755) && errno != EEXIST)
            refuse(entry->name);
        if (setxattr(path, "trusted.overlay.opaque", "y", 1, 0))
            refuse(entry->name);
        return true;
    }
    if (!strncmp(base, ".wh..wh.", 8))
        return true; // What aufs kept for itself.
    memmove(base, base + 4, strlen(base + 4) + 1);
    if (!*base || !strcmp(base, ".") || !strcmp(base, ".."))
        tar_refuse(entry->name, "the whiteout names nothing");
    while (mknod(path, S_IFCHR, makedev(0, 0)) && errno != EEXIST)
        if (!make_room(path, errno))
            refuse(entry->name);
    return true;
}

static void make_entry(const struct entry *entry) {
    char path[4096];
    clean(entry->name, path, sizeof path);
    entries++;
    attempts = 0;
    if (!copying && whiteout(entry, path)) {
        tar_skip(entry->stored); // An empty file; nobody wants what one might hold.
        return;
    }
    check_kind(path, entry->type == '5');
    if (is_top(path) && entry->type != '5')
        tar_refuse(entry->name, "only a directory can be the root");
    switch (entry->type) {
    case '0': make_file(entry, path); break;
    case '1': make_link(entry, path); break;
    case '2': make_symlink(entry, path); break;
    case '3': case '4': case '6': make_node(entry, path); break;
    case '5': make_directory(entry, path); break;
    default: tar_refuse(entry->name, "its type is unknown");
    }
}

static void make_all(void) {
    static struct entry entry;
    while (tar_next(&entry))
        make_entry(&entry);
    tar_drain();
    for (size_t i = 0; i < directory_count; i++) {
        struct stat there;
        if (lstat(directories[i].path, &there) || !S_ISDIR(there.st_mode))
            continue; // Something else has taken its place.
        struct timespec times[2] = {directories[i].time, directories[i].time};
        utimensat(AT_FDCWD, directories[i].path, times, AT_SYMLINK_NOFOLLOW);
    }
}

// Below the working directory, which is a container's already. Ids of -1: as the archive says.
void unpack_here(bool keep, int64_t uid, int64_t gid) {
    copying = true;
    keep_kinds = keep;
    own_uid = uid;
    own_gid = gid;
    make_all();
}

int unpack_main(const char *directory) {
    confine_to(directory);
    make_all();
    char text[96];
    int length = snprintf(text, sizeof text, "{\"entries\":%llu,\"bytes\":%llu}\n", (unsigned long long)entries, (unsigned long long)total);
    return write(1, text, (size_t)length) == length ? 0 : 1;
}

int remove_main(const char *directory) {
    int64_t result = op_remove_tree(AT_FDCWD, directory);
    if (result >= 0 || result == -ENOENT)
        return 0;
    fprintf(stderr, "%s: %s\n", directory, strerror((int)-result));
    return 1;
}

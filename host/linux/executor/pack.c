// Writes a tree as a tar stream (ustar, with pax(1) records where a field is too small), walking by fds, following no link.
#include "tar.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define BLOCK 512
#define DEPTH_MAX 512

static char output[1 << 18];
static size_t output_length;

static void flush_output(void) {
    for (size_t at = 0; at < output_length;) {
        ssize_t put = write(1, output + at, output_length - at);
        if (put < 0 && errno != EINTR)
            _exit(1); // Nobody reads any more.
        at += put > 0 ? (size_t)put : 0;
    }
    output_length = 0;
}

static void put(const void *bytes, size_t length) {
    while (length > 0) {
        size_t room = sizeof output - output_length, part = length < room ? length : room;
        memcpy(output + output_length, bytes, part);
        output_length += part;
        bytes = (const char *)bytes + part;
        length -= part;
        if (output_length == sizeof output)
            flush_output();
    }
}

static void pad(uint64_t size) {
    static const char zeros[BLOCK];
    put(zeros, (BLOCK - size % BLOCK) % BLOCK);
}

// Hard links: the first name of each inode that has several.
struct seen {
    struct seen *next;
    dev_t device;
    ino_t inode;
    char name[];
};
static struct seen *seen[4096];

const char *seen_before(const struct stat *info, const char *name) {
    struct seen **bucket = &seen[(info->st_ino ^ info->st_dev) % (sizeof seen / sizeof *seen)];
    for (struct seen *entry = *bucket; entry; entry = entry->next)
        if (entry->inode == info->st_ino && entry->device == info->st_dev)
            return entry->name;
    struct seen *entry = malloc(sizeof *entry + strlen(name) + 1);
    if (!entry)
        tar_refuse(name, "out of memory");
    *entry = (struct seen){*bucket, info->st_dev, info->st_ino};
    strcpy(entry->name, name);
    *bucket = entry;
    return NULL;
}

struct records {
    char bytes[1 << 17];
    size_t length;
};

// "LENGTH KEY=VALUE\n", the length being that of the whole record.
static void add_record(struct records *records, const char *key, const void *value, size_t size) {
    char number[24];
    size_t rest = strlen(key) + size + 3, length = rest + 1;
    while (rest + (size_t)snprintf(number, sizeof number, "%zu", length) != length)
        length = rest + strlen(number);
    if (records->length + length > sizeof records->bytes)
        tar_refuse(key, "it is too long for an archive");
    char *at = records->bytes + records->length + sprintf(records->bytes + records->length, "%s %s=", number, key);
    memcpy(at, value, size);
    at[size] = '\n';
    records->length += length;
}

static void add_number(struct records *records, const char *key, uint64_t value) {
    char text[24];
    add_record(records, key, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)value));
}

// False where it does not fit: digits, and a NUL behind them.
static bool octal(char *field, size_t size, uint64_t value) {
    bool fits = value >> 3 * (size - 1) == 0;
    for (size_t i = size - 1; i-- > 0; value >>= 3)
        field[i] = (char)('0' + (fits ? value & 7 : 0));
    return fits;
}

static void put_block(char *block, char type) {
    unsigned sum = 0;
    block[156] = type;
    memcpy(block + 257, "ustar\00000", 8);
    memset(block + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    put(block, BLOCK);
}

static void put_header(const struct stat *info, const char *name, const char *link, char type, struct records *records) {
    char block[BLOCK] = {0}, extra[BLOCK] = {0};
    uint64_t size = type == '0' ? (uint64_t)info->st_size : 0;
    uint64_t seconds = info->st_mtim.tv_sec < 0 ? 0 : (uint64_t)info->st_mtim.tv_sec;
    bool device = type == '3' || type == '4';
    strncpy(block, name, 100);
    strncpy(block + 157, link, 100);
    if (strlen(name) > 100)
        add_record(records, "path", name, strlen(name));
    if (strlen(link) > 100)
        add_record(records, "linkpath", link, strlen(link));
    octal(block + 100, 8, info->st_mode & 07777);
    if (!octal(block + 108, 8, info->st_uid))
        add_number(records, "uid", info->st_uid);
    if (!octal(block + 116, 8, info->st_gid))
        add_number(records, "gid", info->st_gid);
    if (!octal(block + 124, 12, size))
        add_number(records, "size", size);
    if (!octal(block + 136, 12, seconds))
        add_number(records, "mtime", seconds);
    octal(block + 329, 8, device ? major(info->st_rdev) : 0);
    octal(block + 337, 8, device ? minor(info->st_rdev) : 0);
    if (records->length > 0) {
        strcpy(extra, "PaxHeaders/entry");
        octal(extra + 100, 8, 0644);
        octal(extra + 108, 8, 0);
        octal(extra + 116, 8, 0);
        octal(extra + 124, 12, records->length);
        octal(extra + 136, 12, 0);
        put_block(extra, 'x');
        put(records->bytes, records->length);
        pad(records->length);
    }
    put_block(block, type);
}

static bool shrank;
static bool every_attribute; // Of a whole root, and not of single files that are copied.
static bool as_layer; // An overlay's upper directory: its whiteouts are written as image-spec has them.

bool is_whiteout(const struct stat *info) { return S_ISCHR(info->st_mode) && info->st_rdev == 0; }

bool is_opaque(int fd) {
    char value;
    return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

// What overlayfs keeps elsewhere cannot be told from the upper directory alone.
void check_whole(int fd, const char *path) {
    if (fgetxattr(fd, "trusted.overlay.redirect", NULL, 0) >= 0 || fgetxattr(fd, "trusted.overlay.metacopy", NULL, 0) >= 0)
        tar_refuse(path, "overlayfs keeps a part of it in another layer (redirect_dir or metacopy)");
}

// As many bytes as the header said, whatever happens to the file meanwhile: zeros for what it lost.
static void put_content(int fd, uint64_t size) {
    static char bytes[1 << 17];
    for (uint64_t left = size; left > 0;) {
        size_t wanted = left < sizeof bytes ? (size_t)left : sizeof bytes;
        ssize_t got = read(fd, bytes, wanted);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            shrank = true;
            memset(bytes, 0, wanted);
            got = (ssize_t)wanted;
        }
        put(bytes, (size_t)got);
        left -= (size_t)got;
    }
    pad(size);
}

static void pack_entry(int directory, const char *name, const char *path, int depth);

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// In the order of the names: the same tree is the same archive. The descriptor stays open.
struct names read_names(int fd, const char *path) {
    struct names names = {NULL, 0};
    size_t room = 0;
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = again < 0 ? NULL : fdopendir(again);
    if (!stream)
        tar_refuse(path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (names.count == room)
            names.list = realloc(names.list, (room = room ? 2 * room : 64) * sizeof *names.list);
        if (!names.list || !(names.list[names.count++] = strdup(entry->d_name)))
            tar_refuse(path, "out of memory");
    }
    closedir(stream);
    if (names.count > 0)
        qsort(names.list, names.count, sizeof *names.list, by_name);
    return names;
}

void free_names(struct names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names->list);
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

// The attributes that belong to the file and not to this machine.
static void add_xattrs(struct records *records, int fd, const char *path) {
    static char list[65536], names[256][256], value[65536], key[300];
    int count = 0;
    ssize_t length = flistxattr(fd, list, sizeof list);
    for (ssize_t at = 0; at < length && count < 256; at += (ssize_t)strlen(list + at) + 1) {
        const char *name = list + at;
        bool own = !strncmp(name, "user.", 5) && strncmp(name, "user.overlay.", 13);
        if (own || !strcmp(name, "security.capability") || !strncmp(name, "system.posix_acl_", 17))
            snprintf(names[count++], sizeof *names, "%.255s", name);
    }
    qsort(names, (size_t)count, sizeof *names, by_text);
    for (int i = 0; i < count; i++) {
        ssize_t size = fgetxattr(fd, names[i], value, sizeof value);
        if (size < 0 && errno != ENODATA)
            tar_refuse(path, strerror(errno));
        snprintf(key, sizeof key, "SCHILY.xattr.%.255s", names[i]);
        if (size >= 0)
            add_record(records, key, value, (size_t)size);
    }
}

// An empty file whose name says what the layers below do not show (image-spec, layer.md). Without a time: the same for ever.
static void put_mark(const char *directory, size_t length, const char *prefix, const char *name) {
    static char mark[8500];
    static struct records records;
    struct stat none = {.st_mode = 0600};
    records.length = 0;
    snprintf(mark, sizeof mark, "%.*s%s%s", (int)length, directory, prefix, name);
    put_header(&none, mark, "", '0', &records);
}

static void pack_below(int fd, const char *path, int depth) {
    char child[8192];
    if (depth > DEPTH_MAX)
        tar_refuse(path, "its directories are too deep");
    struct names names = read_names(fd, path);
    for (size_t i = 0; i < names.count; i++) {
        size_t length = strlen(path);
        const char *slash = length == 0 || path[length - 1] == '/' ? "" : "/";
        if (snprintf(child, sizeof child, "%s%s%s", path, slash, names.list[i]) >= (int)sizeof child)
            tar_refuse(path, "its names are too long");
        pack_entry(fd, names.list[i], child, depth + 1);
    }
    free_names(&names);
    close(fd);
}

static void pack_directory(int fd, const char *path, int depth) {
    static char name[8300]; // Not on the stack, as all that is written before the descent: trees are deep.
    static struct records records;
    struct stat info;
    size_t length = strlen(path);
    records.length = 0;
    if (fstat(fd, &info))
        tar_refuse(path, strerror(errno));
    if (as_layer)
        check_whole(fd, path);
    if (every_attribute)
        add_xattrs(&records, fd, path);
    snprintf(name, sizeof name, "%s%s", path, length > 0 && path[length - 1] == '/' ? "" : "/");
    put_header(&info, name, "", '5', &records);
    if (as_layer && is_opaque(fd))
        put_mark(name, strlen(name), ".wh.", ".wh..opq");
    if (made_up(fd))
        close(fd); // /proc and its like: there, but empty.
    else
        pack_below(fd, path, depth);
}

static void pack_file(int fd, const char *path) {
    static char value[4096];
    static struct records records;
    struct stat info;
    records.length = 0;
    if (fstat(fd, &info) || !S_ISREG(info.st_mode))
        tar_refuse(path, "it became something else");
    if (as_layer)
        check_whole(fd, path);
    ssize_t size = every_attribute ? 0 : fgetxattr(fd, "security.capability", value, sizeof value);
    if (size > 0)
        add_record(&records, "SCHILY.xattr.security.capability", value, (size_t)size);
    if (every_attribute)
        add_xattrs(&records, fd, path);
    const char *first = info.st_nlink > 1 ? seen_before(&info, path) : NULL;
    put_header(&info, path, first ? first : "", first ? '1' : '0', &records);
    if (!first)
        put_content(fd, (uint64_t)info.st_size);
}

// What is gone or exchanged since its directory was read is left out. Nothing but files and directories is ever opened; a
// device that takes a file's place meanwhile is refused by the mount (nodev), a FIFO does not block.
static void pack_entry(int directory, const char *name, const char *path, int depth) {
    static struct records records;
    static char link[4096];
    struct stat info;
    records.length = 0;
    if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW))
        return;
    if (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode)) {
        int kind = S_ISDIR(info.st_mode) ? O_DIRECTORY : 0;
        int fd = openat(directory, name, O_RDONLY | kind | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR))
            return;
        if (fd < 0)
            tar_refuse(path, strerror(errno));
        if (kind) {
            pack_directory(fd, path, depth);
            return;
        }
        pack_file(fd, path);
        close(fd);
    } else if (as_layer && is_whiteout(&info)) {
        put_mark(path, strlen(path) - strlen(name), ".wh.", name);
    } else if (S_ISLNK(info.st_mode)) {
        ssize_t length = readlinkat(directory, name, link, sizeof link - 1);
        if (length < 0)
            return;
        link[length] = 0;
        put_header(&info, path, link, '2', &records);
    } else if (!S_ISSOCK(info.st_mode)) // A socket is its owner, not its name.
        put_header(&info, path, "", S_ISCHR(info.st_mode) ? '3' : S_ISBLK(info.st_mode) ? '4' : '6', &records);
}

static void finish(const char *as) {
    static const char end[2 * BLOCK];
    put(end, sizeof end);
    flush_output();
    if (shrank)
        tar_refuse(as, "a file became shorter while it was read");
}

// The entry `name` of the directory, called `as` in the archive; the directory itself where the name is empty; where both are,
// what is in it.
void pack(int directory, const char *name, const char *as) {
    every_attribute = !*name && !*as;
    if (*name)
        pack_entry(directory, name, as, 0);
    else if (*as)
        pack_directory(directory, as, 0);
    else
        pack_below(directory, "", 0);
    finish(as);
}

// What is in an overlay's upper directory, as a layer.
void pack_layer(int directory) {
    every_attribute = as_layer = true;
    pack_below(directory, "", 0);
    finish("");
}

// Makes a layer's files, confined: in a chroot, with few capabilities and few system calls. `unpack DIRECTORY`, `remove DIRECTORY`.
#include "tar.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static uint64_t entries, total;

static void refuse(const char *name) { tar_refuse(name, strerror(errno)); }

static const int allowed[] = {
    __NR_read, __NR_write, __NR_writev, __NR_close, __NR_openat, __NR_newfstatat, __NR_fstat, __NR_statx, __NR_lseek,
    __NR_mkdirat, __NR_mknodat, __NR_symlinkat, __NR_linkat, __NR_unlinkat, __NR_fchown, __NR_fchownat, __NR_fchmod,
    __NR_fchmodat, __NR_utimensat, __NR_setxattr, __NR_lsetxattr, __NR_fsetxattr, __NR_getdents64, __NR_brk, __NR_mmap,
    __NR_munmap, __NR_mremap, __NR_exit_group, __NR_rt_sigreturn, __NR_fcntl,
#ifdef __x86_64__
    __NR_open, __NR_stat, __NR_lstat, __NR_mkdir, __NR_mknod, __NR_symlink, __NR_link, __NR_unlink, __NR_rmdir, __NR_chown,
    __NR_lchown, __NR_chmod,
#endif
};

static void allow_few_calls(void) {
    enum { COUNT = sizeof allowed / sizeof *allowed };
    struct sock_filter filter[COUNT + 6];
    int at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
#ifdef __x86_64__
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
#else
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_AARCH64, 1, 0);
#endif
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++)
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i], (uint8_t)(COUNT - i), 0);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)at, filter};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        refuse("seccomp");
}

static void drop_capabilities(void) {
    // CAP_SYS_ADMIN is what trusted.overlay.opaque asks for; the filter leaves it nothing else to do.
    uint64_t kept = 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_FSETID |
                    1ull << CAP_MKNOD | 1ull << CAP_SETFCAP | 1ull << CAP_SYS_ADMIN;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    for (int i = 0; i < 64; i++)
        if (!(kept & 1ull << i))
            prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    if (syscall(__NR_capget, &header, data))
        refuse("capget");
    for (int i = 0; i < 2; i++) {
        data[i].effective = data[i].permitted &= (uint32_t)(kept >> 32 * i);
        data[i].inheritable = 0;
    }
    if (syscall(__NR_capset, &header, data))
        refuse("capset");
}

// From here on "/" is the directory: whatever a name or a link says, it stays inside.
static void confine(const char *directory) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    syscall(__NR_close_range, 3, ~0u, 0);
    umask(0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) && errno != EPERM)
        refuse("unshare");
    if (chdir(directory) || chroot(".") || chdir("/"))
        refuse(directory);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        refuse("no_new_privs");
    drop_capabilities();
    allow_few_calls();
}

// "/a/b" of any spelling: "./a//b/", "/a/b", "a/x/../b". Above the root is the root.
static void clean(const char *name, char *path, size_t capacity) {
    size_t length = 0;
    for (const char *at = name; *at;) {
        size_t part = strcspn(at, "/");
        if (part == 2 && at[0] == '.' && at[1] == '.') {
            while (length > 0 && path[--length] != '/')
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

static void make_parents(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int failed = mkdir(path, 0755) && errno != EEXIST;
        if (failed)
            refuse(path);
        *slash = '/';
    }
}

// Whatever stands where the entry goes makes room; true where it is worth another try.
static bool make_room(char *path, int error) {
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
    if (lchown(path, entry->uid, entry->gid) || (!link && chmod(path, entry->mode)))
        refuse(entry->name);
    set_xattrs(entry, path);
    if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW))
        refuse(entry->name);
}

static void write_content(int fd, const struct entry *entry) {
    for (uint64_t left = entry->size; left > 0;) {
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
    total += entry->size;
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
    if (strcmp(path, "/"))
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
    if (whiteout(entry, path))
        return;
    if (!strcmp(path, "/") && entry->type != '5')
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

int unpack_main(const char *directory) {
    static struct entry entry;
    confine(directory);
    while (tar_next(&entry))
        make_entry(&entry);
    tar_drain();
    for (size_t i = directory_count; i-- > 0;) {
        struct timespec times[2] = {directories[i].time, directories[i].time};
        utimensat(AT_FDCWD, directories[i].path, times, AT_SYMLINK_NOFOLLOW);
    }
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

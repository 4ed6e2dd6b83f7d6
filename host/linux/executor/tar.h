// Entries of a tar stream (ustar, pax, GNU long names and sparse files), read once, front to back.
#pragma once
#include "executor.h"
#include <sys/stat.h>
#include <sys/types.h>

#define XATTRS 64

struct xattr {
    const char *name;
    const void *value;
    size_t length;
};

struct segment {
    uint64_t offset, length;
};

struct entry {
    char type; // '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' directory, '6' fifo
    char *name, *link;
    uint64_t size;   // of the file
    uint64_t stored; // of its content in the archive: less where it has holes
    bool is_sparse;
    const struct segment *segments; // what is not a hole
    size_t segment_count;
    mode_t mode;
    uint32_t uid, gid, major, minor;
    struct timespec mtime;
    struct xattr xattrs[XATTRS];
    int xattr_count;
};

// 1 with an entry, 0 at the end of the archive; refuses by ending the process with a line on stderr.
int tar_next(struct entry *entry);
// The next bytes of the entry's content: at most `wanted`, at least one; ends the process where the archive is cut short.
size_t tar_read(const void **bytes, size_t wanted);
// Passes over content that nobody wants.
void tar_skip(uint64_t length);
// For sparse.c: numbers of headers and of attributes, and bytes that must be there.
uint64_t tar_number(const uint8_t *field, size_t length, const char *name);
uint64_t tar_decimal(const char *text, const char *name);
void tar_read_whole(void *target, size_t length);

// sparse.c: maps of holes. Records are given without "GNU.sparse."; true where it was the entry's name.
void sparse_clear(void);
bool sparse_record(struct entry *entry, const char *key, char *value);
// When all is known of an entry; `block` is its header, for GNU tar's own kind.
void sparse_finish(struct entry *entry, const uint8_t *block, bool is_old);
// Reads what is left on stdin: the writer of the pipe is not stopped.
void tar_drain(void);
void tar_refuse(const char *name, const char *reason) __attribute__((noreturn));
// confine.c: a file system of the kernel itself, such as /proc.
bool made_up(int fd);

// pack.c: what reads trees.
struct names {
    char **list;
    size_t count;
};
struct names read_names(int fd, const char *path);
void free_names(struct names *names);
// The name under which this inode was met before; NULL the first time.
const char *seen_before(const struct stat *info, const char *name);
bool is_whiteout(const struct stat *info);
bool is_opaque(int fd);
void check_whole(int fd, const char *path);
void pack_layer(int directory);

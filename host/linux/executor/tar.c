// Reads tar as pax(1) and GNU tar write it. Every number and length is checked: the archive comes from anywhere.
#include "tar.h"
#include <time.h>

#define BLOCK 512
#define EXTRA_MAX (1 << 20) // pax records and long names of one entry

static uint8_t input[1 << 20];
static size_t input_at, input_end;
static char *extra, *long_name, *long_link;
static size_t extra_length;

void tar_refuse(const char *name, const char *reason) {
    fprintf(stderr, "entry \"%.200s\": %s\n", name, reason);
    _exit(1);
}

static bool fill(void) {
    ssize_t got;
    do
        got = read(0, input, sizeof input);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        tar_refuse("", strerror(errno));
    input_at = 0;
    input_end = (size_t)got;
    return got > 0;
}

size_t tar_read(const void **bytes, size_t wanted) {
    if (input_at == input_end && !fill())
        tar_refuse("", "the archive is cut short");
    size_t there = input_end - input_at;
    *bytes = input + input_at;
    if (there > wanted)
        there = wanted;
    input_at += there;
    return there;
}

void tar_drain(void) {
    while (fill())
        ;
}

void tar_read_whole(void *target, size_t length) {
    const void *bytes;
    for (size_t at = 0; at < length;) {
        size_t got = tar_read(&bytes, length - at);
        memcpy((char *)target + at, bytes, got);
        at += got;
    }
}

static size_t padding(uint64_t size) { return (BLOCK - size % BLOCK) % BLOCK; }

void tar_skip(uint64_t length) {
    const void *bytes;
    while (length > 0)
        length -= tar_read(&bytes, length > sizeof input ? sizeof input : length);
}

// Octal text, or base 256 where the first bit is set (GNU).
uint64_t tar_number(const uint8_t *field, size_t length, const char *name) {
    uint64_t value = 0;
    if (field[0] & 0x80) {
        if (field[0] & 0x40)
            tar_refuse(name, "a number in its header is malformed"); // Negative.
        for (size_t i = 1; i < length; i++) {
            if (value >> 55)
                tar_refuse(name, "a number in its header is too large");
            value = value << 8 | field[i];
        }
        return value;
    }
    size_t i = 0;
    while (i < length && field[i] == ' ')
        i++;
    for (; i < length && field[i] && field[i] != ' '; i++) {
        if (field[i] < '0' || field[i] > '7' || value >> 60)
            tar_refuse(name, "a number in its header is malformed");
        value = value << 3 | (uint64_t)(field[i] - '0');
    }
    return value;
}

// The one number that may be negative, in base 256 as the two's complement.
static time_t header_time(const uint8_t *field, const char *name) {
    if ((field[0] & 0xc0) != 0xc0)
        return (time_t)tar_number(field, 12, name);
    int64_t value = -1;
    for (size_t i = 1; i < 12; i++) {
        if (value >> 55 != -1)
            tar_refuse(name, "a number in its header is too large");
        value = (int64_t)((uint64_t)value << 8 | field[i]);
    }
    return (time_t)value;
}

static bool checksum_holds(const uint8_t *block) {
    uint64_t wanted = tar_number(block + 148, 8, "");
    uint64_t sum = 0;
    int64_t signed_sum = 0; // Some old writers summed signed characters.
    for (int i = 0; i < BLOCK; i++) {
        uint8_t byte = i >= 148 && i < 156 ? ' ' : block[i];
        sum += byte;
        signed_sum += (int8_t)byte;
    }
    return sum == wanted || signed_sum == (int64_t)wanted;
}

static bool all_zero(const uint8_t *block) {
    for (int i = 0; i < BLOCK; i++)
        if (block[i])
            return false;
    return true;
}

static char *read_text(uint64_t size, const char *name) {
    if (size > EXTRA_MAX)
        tar_refuse(name, "its name or attributes are too long");
    char *text = calloc(1, (size_t)size + 1);
    if (!text)
        tar_refuse(name, "out of memory");
    tar_read_whole(text, (size_t)size);
    tar_skip(padding(size));
    return text;
}

uint64_t tar_decimal(const char *text, const char *name) {
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno || end == text || (*end && *end != '.'))
        tar_refuse(name, "a number in its attributes is malformed");
    return value;
}

// Before 1970 the fraction counts back from the second.
static struct timespec decimal_time(const char *text) {
    struct timespec time = {.tv_sec = strtoll(text, NULL, 10)};
    const char *point = strchr(text, '.');
    long unit = 100000000;
    for (point = point ? point + 1 : ""; *point >= '0' && *point <= '9' && unit; point++, unit /= 10)
        time.tv_nsec += (*point - '0') * unit;
    if (*text == '-' && time.tv_nsec > 0) {
        time.tv_sec--;
        time.tv_nsec = 1000000000 - time.tv_nsec;
    }
    return time;
}

static bool has_sparse_name;

static void apply_record(struct entry *entry, const char *key, char *value, size_t length) {
    if (!strcmp(key, "path")) {
        if (!has_sparse_name)
            entry->name = value;
    }
    else if (!strcmp(key, "linkpath"))
        entry->link = value;
    else if (!strcmp(key, "size"))
        entry->stored = entry->size = tar_decimal(value, entry->name);
    else if (!strcmp(key, "uid"))
        entry->uid = (uint32_t)tar_decimal(value, entry->name);
    else if (!strcmp(key, "gid"))
        entry->gid = (uint32_t)tar_decimal(value, entry->name);
    else if (!strcmp(key, "mtime"))
        entry->mtime = decimal_time(value);
    else if (!strncmp(key, "GNU.sparse.", 11))
        has_sparse_name |= sparse_record(entry, key + 11, value);
    else if (!strncmp(key, "SCHILY.xattr.", 13) && entry->xattr_count < XATTRS)
        entry->xattrs[entry->xattr_count++] = (struct xattr){key + 13, value, length};
}

// "LENGTH KEY=VALUE\n" records; a value may hold any byte but its end is known. Cut in place.
static void apply_extra(struct entry *entry) {
    sparse_clear();
    has_sparse_name = false;
    for (size_t at = 0; at < extra_length;) {
        char *end, *start = extra + at;
        uint64_t length = strtoull(start, &end, 10);
        if (end == start || *end != ' ' || length > extra_length - at || length < (size_t)(end - start) + 3)
            tar_refuse(entry->name, "its attributes are malformed");
        char *key = end + 1, *last = start + length - 1, *equals = memchr(key, '=', (size_t)(last - key));
        if (!equals || *last != '\n')
            tar_refuse(entry->name, "its attributes are malformed");
        *equals = *last = 0;
        apply_record(entry, key, equals + 1, (size_t)(last - equals - 1));
        at += length;
    }
}

static void forget_extras(void) {
    free(extra);
    free(long_name);
    free(long_link);
    extra = long_name = long_link = NULL;
    extra_length = 0;
}

static void read_header(const uint8_t *block, struct entry *entry) {
    static char name[257], link[101];
    bool ustar = !memcmp(block + 257, "ustar", 5) && block[262] == 0 && block[345];
    snprintf(name, sizeof name, "%.155s%s%.100s", ustar ? (const char *)block + 345 : "", ustar ? "/" : "", block);
    snprintf(link, sizeof link, "%.100s", block + 157);
    *entry = (struct entry){.type = (char)(block[156] ? block[156] : '0'), .name = name, .link = link};
    entry->mode = (mode_t)tar_number(block + 100, 8, name) & 07777;
    entry->uid = (uint32_t)tar_number(block + 108, 8, name);
    entry->gid = (uint32_t)tar_number(block + 116, 8, name);
    entry->stored = entry->size = tar_number(block + 124, 12, name);
    entry->mtime.tv_sec = header_time(block + 136, name);
    entry->major = (uint32_t)tar_number(block + 329, 8, name);
    entry->minor = (uint32_t)tar_number(block + 337, 8, name);
}

int tar_next(struct entry *entry) {
    static uint64_t left_over; // padding of the entry before
    uint8_t block[BLOCK];
    forget_extras();
    tar_skip(left_over);
    left_over = 0;
    for (;;) {
        if (input_at == input_end && !fill())
            return 0; // Some writers leave the closing blocks away.
        tar_read_whole(block, sizeof block);
        if (all_zero(block))
            return 0;
        if (!checksum_holds(block))
            tar_refuse("", "the archive is damaged: a header's checksum does not hold");
        read_header(block, entry);
        switch (entry->type) {
        case 'x':
            free(extra);
            extra = read_text(entry->size, entry->name);
            extra_length = (size_t)entry->size;
            continue;
        case 'g': // Global attributes say nothing that a layer needs.
            free(read_text(entry->size, entry->name));
            continue;
        case 'L':
            free(long_name);
            long_name = read_text(entry->size, entry->name);
            continue;
        case 'K':
            free(long_link);
            long_link = read_text(entry->size, entry->name);
            continue;
        }
        if (long_name)
            entry->name = long_name;
        if (long_link)
            entry->link = long_link;
        apply_extra(entry);
        bool is_old = entry->type == 'S';
        if (entry->type == '7' || is_old)
            entry->type = '0';
        if (entry->type == '0' && entry->name[0] && entry->name[strlen(entry->name) - 1] == '/')
            entry->type = '5'; // Before ustar a directory was known by its slash.
        // Only files have content, whatever the header says of others' size (pax(1); docker's reader does the same).
        if (entry->type != '0')
            entry->stored = entry->size = 0;
        else
            sparse_finish(entry, block, is_old);
        left_over = padding(entry->stored);
        return 1;
    }
}

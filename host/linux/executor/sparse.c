// Maps of sparse files in tar: GNU tar's own headers, and its three ways to write them as attributes (0.0, 0.1, 1.0).
#include "tar.h"

#define SEGMENTS_MAX (1 << 16)

static struct segment *segments;
static size_t count;
static uint64_t half;
static bool is_half, sparse;
static int version; // major
static int64_t real_size;

void sparse_clear(void) {
    count = 0;
    is_half = sparse = false;
    version = 0;
    real_size = -1;
}

// Offset, length, offset, length.
static void add_number(const struct entry *entry, uint64_t value) {
    sparse = true;
    is_half = !is_half;
    if (is_half) {
        half = value;
        return;
    }
    if (!segments && !(segments = calloc(SEGMENTS_MAX, sizeof *segments)))
        tar_refuse(entry->name, "out of memory");
    if (count == SEGMENTS_MAX)
        tar_refuse(entry->name, "its name or attributes are too long");
    segments[count++] = (struct segment){half, value};
}

bool sparse_record(struct entry *entry, const char *key, char *value) {
    if (!strcmp(key, "name"))
        entry->name = value;
    else if (!strcmp(key, "major"))
        version = (int)tar_decimal(value, entry->name);
    else if (!strcmp(key, "size") || !strcmp(key, "realsize"))
        real_size = (int64_t)tar_decimal(value, entry->name);
    else if (!strcmp(key, "offset") || !strcmp(key, "numbytes"))
        add_number(entry, tar_decimal(value, entry->name));
    else if (!strcmp(key, "map"))
        for (char *part = strtok(value, ","); part; part = strtok(NULL, ","))
            add_number(entry, tar_decimal(part, entry->name));
    return !strcmp(key, "name");
}

// Pairs of 12-byte fields; an empty one ends them.
static void add_fields(const struct entry *entry, const uint8_t *at, int pairs) {
    for (int i = 0; i < pairs && at[12]; i++, at += 24) {
        add_number(entry, tar_number(at, 12, entry->name));
        add_number(entry, tar_number(at + 12, 12, entry->name));
    }
}

static void read_old(struct entry *entry, const uint8_t *block) {
    uint8_t more[512];
    sparse_clear();
    sparse = true;
    add_fields(entry, block + 386, 4);
    entry->size = tar_number(block + 483, 12, entry->name);
    for (bool goes_on = block[482]; goes_on; goes_on = more[504]) {
        tar_read_whole(more, sizeof more);
        add_fields(entry, more, 21);
    }
}

// Numbers, each with a line end, before the content: how many pairs, then the pairs; padded to whole blocks.
static void read_map(struct entry *entry) {
    uint8_t block[512];
    int64_t expected = -1;
    uint64_t number = 0;
    int digits = 0;
    while (expected != 0) {
        if (entry->stored < sizeof block)
            tar_refuse(entry->name, "its map of holes is malformed");
        tar_read_whole(block, sizeof block);
        entry->stored -= sizeof block;
        for (size_t i = 0; i < sizeof block && expected != 0; i++) {
            if (block[i] == '\n' && digits) {
                if (expected < 0)
                    expected = 2 * (int64_t)(number > SEGMENTS_MAX ? SEGMENTS_MAX + 1 : number);
                else {
                    add_number(entry, number);
                    expected--;
                }
                number = 0;
                digits = 0;
            } else if (block[i] < '0' || block[i] > '9' || ++digits > 18)
                tar_refuse(entry->name, "its map of holes is malformed");
            else
                number = 10 * number + (uint64_t)(block[i] - '0');
        }
    }
}

// In order, apart, inside the file, and as long together as what the archive holds.
static void check(const struct entry *entry) {
    uint64_t end = 0, total = 0;
    bool right = !is_half;
    for (size_t i = 0; i < count && right; i++) {
        right = segments[i].offset >= end && segments[i].offset <= entry->size &&
                segments[i].length <= entry->size - segments[i].offset;
        end = segments[i].offset + segments[i].length;
        total += segments[i].length;
    }
    if (!right || total != entry->stored)
        tar_refuse(entry->name, "its map of holes is malformed");
}

void sparse_finish(struct entry *entry, const uint8_t *block, bool is_old) {
    if (is_old)
        read_old(entry, block);
    else if (real_size >= 0) {
        sparse = true;
        entry->size = (uint64_t)real_size;
    }
    if (!is_old && version >= 1) {
        sparse = true;
        count = 0;
        is_half = false;
        read_map(entry);
    }
    if (!sparse)
        return;
    check(entry);
    entry->is_sparse = true;
    entry->segments = segments;
    entry->segment_count = count;
}

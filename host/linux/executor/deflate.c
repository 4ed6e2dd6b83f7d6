// Compresses a rotated log: gzip (RFC 1952) of deflate blocks (RFC 1951) with codes of their own, by a process that ends with it.
// Own code, because what is linked here would have to be there, static, on every machine that builds.
#include "executor.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define WINDOW 32768
#define HASHES 32768
#define TRIES 24
#define LONGEST 258
#define TOKENS 32768
#define LITERALS 286
#define DISTANCES 30
#define LONGEST_CODE 15
#define END_OF_BLOCK 256
#define MATCH 0x80000000u

// A length or distance as its code, with the bits that follow it.
struct part { uint32_t code, bits, value; };

struct code { uint8_t length[LITERALS]; uint16_t bits[LITERALS]; };

static int target;
static bool failed;
static uint64_t held;
static unsigned held_bits;
static size_t written;
static uint8_t bytes[65536];
static uint32_t tokens[TOKENS];
static uint32_t crc_table[256];
static uint64_t newest[HASHES], older[WINDOW]; // Positions plus one.

static void flush_bytes(void) {
    failed |= write(target, bytes, written) != (ssize_t)written;
    written = 0;
}

static void put_byte(uint8_t byte) {
    bytes[written++] = byte;
    if (written == sizeof bytes)
        flush_bytes();
}

static void put(uint64_t value, unsigned bits) {
    held |= value << held_bits;
    for (held_bits += bits; held_bits >= 8; held_bits -= 8, held >>= 8)
        put_byte((uint8_t)held);
}

static void put_number(uint64_t value, int count) {
    for (int i = 0; i < count; i++)
        put_byte((uint8_t)(value >> (8 * i)));
}

static uint32_t crc_of(const uint8_t *data, size_t length) {
    for (uint32_t i = 0; i < 256; i++) {
        crc_table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            crc_table[i] = crc_table[i] & 1 ? 0xedb88320u ^ (crc_table[i] >> 1) : crc_table[i] >> 1;
    }
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < length; i++)
        crc = crc_table[(crc ^ data[i]) & 255] ^ (crc >> 8);
    return ~crc;
}

static unsigned log2_of(uint32_t value) { return 31u - (unsigned)__builtin_clz(value); }

static struct part part_of_length(uint32_t length) {
    uint32_t value = length - 3;
    if (length == LONGEST)
        return (struct part){LITERALS - 1, 0, 0};
    if (value < 8)
        return (struct part){257 + value, 0, 0};
    uint32_t bits = log2_of(value) - 2;
    return (struct part){257 + 4 * bits + 4 + ((value >> bits) & 3), bits, value & ((1u << bits) - 1)};
}

static struct part part_of_distance(uint32_t distance) {
    uint32_t value = distance - 1;
    if (value < 4)
        return (struct part){value, 0, 0};
    uint32_t bits = log2_of(value) - 1;
    return (struct part){2 * bits + 2 + ((value >> bits) & 1), bits, value & ((1u << bits) - 1)};
}

// Huffman's lengths; where one is too long, again with the frequencies nearer to each other.
static void measure(struct code *code, uint32_t *frequencies, int count) {
    uint32_t weight[2 * LITERALS];
    int parent[2 * LITERALS], longest;
    do {
        int nodes = count;
        memcpy(weight, frequencies, (size_t)count * sizeof *weight);
        memset(parent, -1, sizeof parent);
        for (;;) {
            int first = -1, second = -1;
            for (int i = 0; i < nodes; i++) {
                if (!weight[i] || parent[i] >= 0)
                    continue;
                if (first < 0 || weight[i] < weight[first]) {
                    second = first;
                    first = i;
                } else if (second < 0 || weight[i] < weight[second])
                    second = i;
            }
            if (second < 0)
                break;
            weight[nodes] = weight[first] + weight[second];
            parent[first] = parent[second] = nodes++;
        }
        longest = 0;
        for (int i = 0; i < count; i++) {
            int length = 0;
            for (int at = i; parent[at] >= 0; at = parent[at])
                length++;
            code->length[i] = (uint8_t)length;
            longest = length > longest ? length : longest;
            frequencies[i] = (frequencies[i] + 1) / 2;
        }
    } while (longest > LONGEST_CODE);
}

// RFC 1951, 3.2.2; the bits of a code stand in the stream with the highest first.
static void make_code(struct code *code, uint32_t *frequencies, int count) {
    uint32_t next = 0;
    measure(code, frequencies, count);
    for (int length = 1; length <= LONGEST_CODE; length++, next <<= 1)
        for (int i = 0; i < count; i++)
            if (code->length[i] == length) {
                code->bits[i] = 0;
                for (int bit = 0; bit < length; bit++)
                    code->bits[i] |= (uint16_t)(((next >> bit) & 1) << (length - 1 - bit));
                next++;
            }
}

static void put_part(const struct code *code, struct part part) {
    put(code->bits[part.code], code->length[part.code]);
    put(part.value, part.bits);
}

static void put_block(size_t count, bool last) {
    uint32_t of_literals[LITERALS] = {[END_OF_BLOCK] = 1}, of_distances[DISTANCES] = {1, 1}; // Two codes at least.
    struct code literals, distances;
    for (size_t i = 0; i < count; i++) {
        of_literals[tokens[i] & MATCH ? part_of_length((tokens[i] >> 15 & 255) + 3).code : tokens[i]]++;
        if (tokens[i] & MATCH)
            of_distances[part_of_distance((tokens[i] & 0x7fff) + 1).code]++;
    }
    of_literals[0]++;
    make_code(&literals, of_literals, LITERALS);
    make_code(&distances, of_distances, DISTANCES);
    put(last, 1);
    put(2, 2);
    put(LITERALS - 257, 5);
    put(DISTANCES - 1, 5);
    // Lengths are told by codes of four bits each, without those that repeat (16, 17, 18 come first in the order).
    put(19 - 4, 4);
    for (int i = 0; i < 19; i++)
        put(i < 3 ? 0 : 4, 3);
    for (int i = 0; i < LITERALS + DISTANCES; i++) {
        unsigned length = i < LITERALS ? literals.length[i] : distances.length[i - LITERALS];
        put((length & 1) << 3 | (length & 2) << 1 | (length & 4) >> 1 | length >> 3, 4);
    }
    for (size_t i = 0; i < count; i++)
        if (tokens[i] & MATCH) {
            put_part(&literals, part_of_length((tokens[i] >> 15 & 255) + 3));
            put_part(&distances, part_of_distance((tokens[i] & 0x7fff) + 1));
        } else
            put_part(&literals, (struct part){tokens[i], 0, 0});
    put_part(&literals, (struct part){END_OF_BLOCK, 0, 0});
}

static void remember(const uint8_t *data, size_t at, size_t length) {
    uint32_t four;
    if (at + sizeof four > length)
        return;
    memcpy(&four, data + at, sizeof four);
    uint64_t *head = &newest[four * 2654435761u >> 17];
    older[at % WINDOW] = *head;
    *head = at + 1;
}

// The longest of the last few places that begin with the same four bytes, as MATCH, or 0.
static uint32_t match_at(const uint8_t *data, size_t at, size_t length, size_t *matched) {
    size_t limit = length - at < LONGEST ? length - at : LONGEST, best = 3, distance = 0;
    uint32_t four;
    if (limit < sizeof four)
        return 0;
    memcpy(&four, data + at, sizeof four);
    uint64_t place = newest[four * 2654435761u >> 17];
    for (int tries = 0; place && at - (place - 1) < WINDOW && tries < TRIES && best < limit; tries++) {
        size_t from = place - 1, same = 0;
        if (data[from + best] == data[at + best])
            while (same < limit && data[from + same] == data[at + same])
                same++;
        if (same > best) {
            best = same;
            distance = at - from;
        }
        place = older[from % WINDOW] <= from ? older[from % WINDOW] : 0;
    }
    *matched = best;
    return distance ? MATCH | (uint32_t)(best - 3) << 15 | (uint32_t)(distance - 1) : 0;
}

static void deflate(const uint8_t *data, size_t length) {
    size_t count = 0;
    for (size_t at = 0; at < length;) {
        size_t matched = 1;
        uint32_t token = match_at(data, at, length, &matched);
        tokens[count++] = token ? token : data[at];
        for (size_t end = at + (token ? matched : 1); at < end; at++)
            remember(data, at, length);
        if (count == TOKENS && at < length) {
            put_block(count, false);
            count = 0;
        }
    }
    put_block(count, true);
    put(0, 7); // To the end of a byte.
    held = held_bits = 0;
    put_number(crc_of(data, length), 4);
    put_number(length & 0xffffffffu, 4);
}

static bool compress_file(const char *path, const char *temporary) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &info) || info.st_size < ABI_LOG_HEADER)
        return false;
    const uint8_t *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    target = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (data == MAP_FAILED || target < 0)
        return false;
    static const uint8_t head[] = {0x1f, 0x8b, 8, 4 /* FEXTRA */, 0, 0, 0, 0, 0, 3 /* Unix */, 20, 0, 'G', 'L', 16, 0};
    _Static_assert(sizeof head == ABI_LOG_ORIGIN, "where readers look for whose frames they are");
    for (size_t i = 0; i < sizeof head; i++)
        put_byte(head[i]);
    put_number(info.st_ino, 8);
    for (size_t i = 0; i < 8; i++)
        put_byte(data[i]);
    deflate(data, (size_t)info.st_size);
    flush_bytes();
    return !failed;
}

pid_t compress_log(const char *path) {
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    char temporary[4096], compressed[4096];
    prctl(PR_SET_PDEATHSIG, SIGKILL); // The names are the supervisor's: another one would give them to other files.
    prctl(PR_SET_NAME, "gantry-gzip");
    syscall(__NR_close_range, 0, ~0U, 0);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    snprintf(compressed, sizeof compressed, "%s.gz", path);
    if (compress_file(path, temporary) && !rename(temporary, compressed))
        unlink(path);
    else
        unlink(temporary);
    _exit(0);
}

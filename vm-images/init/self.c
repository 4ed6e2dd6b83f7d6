// What a machine is and knows of the world: clock, entropy, identity. Its memory may be a copy of another one's, so the host tells it.
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#define NANOSECONDS 1000000000ll
#define STEP (NANOSECONDS / 5)
#define MACHINE_ID_DIGITS 32

void set_clock(uint64_t nanoseconds) {
    struct timespec now = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
    clock_settime(CLOCK_REALTIME, &now);
}

// Small differences are slewed: no program sees time go back for them.
void keep_clock(uint64_t nanoseconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t behind = (int64_t)nanoseconds - (now.tv_sec * NANOSECONDS + now.tv_nsec);
    if (behind > STEP || behind < -STEP) {
        set_clock(nanoseconds);
        return;
    }
    struct timeval delta = {behind / NANOSECONDS, behind % NANOSECONDS / 1000};
    adjtime(&delta, NULL);
}

// random(4): what is added counts with the next reseeding, which is asked for at once.
void add_entropy(const uint8_t *seed, size_t length) {
    struct { struct rand_pool_info info; uint8_t bytes[64]; } pool = {.info = {(int)length * 8, (int)length}};
    if (length > sizeof pool.bytes)
        return;
    memcpy(pool.info.buf, seed, length);
    int random = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    if (random < 0)
        return;
    ioctl(random, RNDADDENTROPY, &pool);
    ioctl(random, RNDRESEEDCRNG);
    close(random);
}

// machine-id(5), and a name of its first digits.
int set_identity(const char *identity) {
    char name[64];
    if (strlen(identity) != MACHINE_ID_DIGITS)
        return EINVAL;
    snprintf(name, sizeof name, "gantry-%.8s", identity);
    mkdir("/etc", 0755);
    FILE *file = fopen("/etc/machine-id", "we");
    if (!file || fprintf(file, "%s\n", identity) < 0 || fclose(file) || sethostname(name, strlen(name)))
        return errno;
    return 0;
}

pid_t executor;

// Whether a process is neither of the kernel nor one of the two that are always there.
static bool counts(const char *pid) {
    char path[300], text[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? 0 : read(file, text, sizeof text - 1);
    close(file);
    char *end = got > 0 ? strrchr(text, ')') : NULL;
    int parent = 0;
    if (!end || sscanf(end, ") %*c %d", &parent) != 1)
        return false;
    bool kernel = parent == 2 || atoi(pid) == 2;
    return !kernel && atoi(pid) != 1 && atoi(pid) != executor;
}

bool is_idle(void) {
    DIR *processes = opendir("/proc");
    bool idle = true;
    for (struct dirent *entry; idle && processes && (entry = readdir(processes));)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && counts(entry->d_name))
            idle = false;
    if (processes)
        closedir(processes);
    return idle;
}

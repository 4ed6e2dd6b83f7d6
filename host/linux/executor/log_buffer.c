// A log that holds nobody up (mode=non-blocking): whole frames wait in a ring for a thread that writes them. What does not
// fit is dropped, as by docker: the container goes on whatever becomes of its log.
#include "executor.h"
#include <pthread.h>

#define STACK 131072
// Nothing written for so long, and the end of the container waits for its log no more.
#define PATIENCE_S 2

struct held {
    uint64_t time;
    uint32_t length, stream;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, written = PTHREAD_COND_INITIALIZER;
static uint8_t *ring;
static size_t size, first, used;
static bool writing;

static void copy_in(const void *bytes, size_t length) {
    size_t at = (first + used) % size, part = length < size - at ? length : size - at;
    memcpy(ring + at, bytes, part);
    memcpy(ring, (const uint8_t *)bytes + part, length - part);
    used += length;
}

static void copy_out(void *bytes, size_t length) {
    size_t part = length < size - first ? length : size - first;
    memcpy(bytes, ring + first, part);
    memcpy((uint8_t *)bytes + part, ring, length - part);
    first = (first + length) % size;
    used -= length;
}

static void *write_held(void *of) {
    static char data[OUTPUT_MAX];
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!used) {
            writing = false;
            pthread_cond_signal(&written);
            pthread_cond_wait(&filled, &lock);
        }
        struct held held;
        writing = true;
        copy_out(&held, sizeof held);
        copy_out(data, held.length);
        pthread_cond_signal(&written);
        pthread_mutex_unlock(&lock);
        write_log(of, held.time, (int)held.stream, data, held.length);
        pthread_mutex_lock(&lock);
    }
    return NULL;
}

int64_t op_log_buffer(struct runner *runner, uint64_t limit) {
    size_t least = sizeof(struct held) + OUTPUT_MAX;
    runner->log_buffer = limit < least ? least : limit;
    return 0; // Made with the first frame, like the log.
}

static bool begin(struct runner *runner) {
    pthread_attr_t attributes;
    pthread_t thread;
    size = runner->log_buffer;
    ring = malloc(size);
    return ring && !pthread_attr_init(&attributes) && !pthread_attr_setstacksize(&attributes, STACK) &&
           !pthread_create(&thread, &attributes, write_held, runner);
}

// False where there can be no thread: the caller writes himself.
bool hold_output(struct runner *runner, int stream, const char *data, size_t length) {
    if (!ring && !begin(runner)) {
        free(ring);
        ring = NULL;
        return false;
    }
    struct held held = {now_ns(), (uint32_t)length, (uint32_t)stream};
    pthread_mutex_lock(&lock);
    if (sizeof held + length <= size - used) {
        copy_in(&held, sizeof held);
        copy_in(data, length);
        pthread_cond_signal(&filled);
    }
    pthread_mutex_unlock(&lock);
    return true;
}

// As long as the thread gets on: whoever hears of the exit finds the log whole.
void write_rest(void) {
    if (!ring)
        return;
    pthread_mutex_lock(&lock);
    for (int late = 0; (used || writing) && !late;) {
        struct timespec deadline;
        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += PATIENCE_S;
        late = pthread_cond_timedwait(&written, &lock, &deadline);
    }
    pthread_mutex_unlock(&lock);
}

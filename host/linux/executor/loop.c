// Loop devices: a file as a block device, for kernels that mount file systems from block devices only.
#include "executor.h"
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#define BLOCK_SIZE 4096 // Of the file systems that come this way; what is read around the page cache is aligned to it.
#define TRIES_MAX 64

// Whoever asks at the same time is told of the same free device: one gets it, the others ask again.
static int64_t bind_free(int control, struct loop_config *config, char *name, size_t length) {
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            return -errno;
        if (snprintf(name, length, "/dev/loop%d", number) >= (int)length)
            return -ENAMETOOLONG;
        int device = open(name, (config->info.lo_flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (device < 0)
            return -errno;
        if (!ioctl(device, LOOP_CONFIGURE, config))
            return device;
        int error = errno;
        close(device);
        if (error != EBUSY)
            return -error;
    }
    return -EBUSY;
}

int64_t op_loop_device(const char *path, uint32_t flags, char *name, size_t length) {
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return -errno;
    struct loop_config config = {.block_size = BLOCK_SIZE, .info.lo_flags = flags};
    int file = open(path, (flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    int64_t result = file < 0 ? -errno : 0;
    if (result == 0) {
        config.fd = (uint32_t)file;
        snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "%s", path);
        result = bind_free(control, &config, name, length);
        close(file);
    }
    close(control);
    return result;
}

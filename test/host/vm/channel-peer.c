// The guest's end of the channel on this machine: the same code, its port a unix socket. It does not touch this machine's clock.
#include "../../../vm-images/init/guest.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

void power_off(void) { exit(0); }

void host_gone(void) { exit(0); }

void give_up(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

void set_clock(uint64_t nanoseconds) { (void)nanoseconds; }

void keep_clock(uint64_t nanoseconds) { (void)nanoseconds; }

void add_entropy(const uint8_t *seed, size_t length) { (void)seed, (void)length; }

int set_identity(const char *identity) {
    (void)identity;
    return 0;
}

bool is_idle(void) { return false; }

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int port = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    memcpy(address.sun_path, argv[1], strlen(argv[1]) + 1);
    if (connect(port, (void *)&address, sizeof address))
        give_up(argv[1]);
    channel_start(port);
    serve(port);
}

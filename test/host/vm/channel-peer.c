// The guest's end of the channel on this machine: the same code, its port a unix socket.
#include "../../../vm-images/init/guest.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

void power_off(void) { exit(0); }

void give_up(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

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

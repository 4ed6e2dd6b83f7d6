// What carries shares in a guest, on this kernel: listens on a socket in the place of the port, in a mount namespace of its own.
#include "../../vm-images/init/guest.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <signal.h>

void give_up(const char *what) {
    perror(what);
    _exit(1);
}

int main(int count, char **arguments) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (count != 2 || strlen(arguments[1]) >= sizeof address.sun_path)
        return 2;
    strcpy(address.sun_path, arguments[1]);
    if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("tmpfs", "/run", "tmpfs", 0, NULL))
        give_up("mount namespace");
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (void *)&address, sizeof address) || listen(listener, 1))
        give_up("listen");
    puts("ready");
    fflush(stdout);
    int port = accept(listener, NULL, NULL);
    if (port < 0)
        give_up("accept");
    start_shares(port);
    // The other end of standard input is the test: with it goes the process that carries.
    for (char byte; read(0, &byte, 1) > 0;)
        ;
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    return 0;
}

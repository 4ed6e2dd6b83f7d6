// Prints what inotify(7) tells of a directory, a line each: n(ew), c(hanged) or d(eleted), and the name.
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(int count, char **arguments) {
    _Alignas(struct inotify_event) char bytes[sizeof(struct inotify_event) + NAME_MAX + 1];
    int notices = inotify_init1(IN_CLOEXEC);
    if (count != 2 || inotify_add_watch(notices, arguments[1], IN_CREATE | IN_MODIFY | IN_DELETE) < 0)
        return 1;
    for (ssize_t got; (got = read(notices, bytes, sizeof bytes)) > 0; fflush(stdout))
        for (char *at = bytes; at < bytes + got; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len) {
            const struct inotify_event *notice = (void *)at;
            printf("%c %s\n", notice->mask & IN_CREATE ? 'n' : notice->mask & IN_DELETE ? 'd' : 'c', notice->len ? notice->name : ".");
        }
    return 0;
}

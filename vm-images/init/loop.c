// The loop over all streams, the port and the children.
#include "guest.h"
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

// Orphans of containers end here too.
static void reap(void) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < stream_count; i++)
            if (streams[i].id && streams[i].pid == pid) {
                streams[i].pid = 0;
                streams[i].status = (uint32_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
                settle(&streams[i]);
            }
}

static void connected(struct stream *stream) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(stream->in, SOL_SOCKET, SO_ERROR, &error, &length);
    stream->connecting = false;
    if (error) {
        end_stream(stream, (uint32_t)error);
        return;
    }
    accept_stream(stream);
    feed(stream);
}

#define PATIENCE 60 // s

// No machine waits for a host where nothing is left to wait for.
static void wait_for_host(void) {
    static time_t since;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!channel_is_away() || !is_idle())
        since = 0;
    else if (!since)
        since = now.tv_sec;
    else if (now.tv_sec - since > PATIENCE)
        power_off();
}

// Three entries a stream: in, out, error.
static void turn(int port, int signals) {
    static struct pollfd polled[3 * STREAMS_MAX + 4];
    static size_t first;
    while (stream_count && !streams[stream_count - 1].id)
        stream_count--;
    size_t count = stream_count;
    for (size_t i = 0; i < count; i++) {
        struct stream *stream = &streams[i];
        bool readable = stream->id && stream->credit >= (stream->datagrams ? DATAGRAM_MAX : 1) && !stream->connecting && channel_has_room();
        bool writable = stream->id && (stream->connecting || stream->pending.length);
        polled[3 * i] = (struct pollfd){writable ? stream->in : -1, POLLOUT, 0};
        polled[3 * i + 1] = (struct pollfd){readable ? stream->out : -1, POLLIN, 0};
        polled[3 * i + 2] = (struct pollfd){readable ? stream->error : -1, POLLIN, 0};
    }
    // A port without a host is readable without end: its coming is a signal.
    bool away = channel_is_away();
    polled[3 * count] = (struct pollfd){away ? -1 : port, (short)(POLLIN | (channel_wants_room() ? POLLOUT : 0)), 0};
    polled[3 * count + 1] = (struct pollfd){signals, POLLIN, 0};
    int patience = relay_poll(&polled[3 * count + 2]);
    if (poll(polled, (nfds_t)(3 * count + 4), away ? 1000 : patience) < 0)
        return;
    if (polled[3 * count].revents & POLLOUT)
        channel_flush();
    // Another one begins each time, so that none keeps the port to itself.
    first = count ? (first + 1) % count : 0;
    for (size_t n = 0; n < count; n++) {
        size_t i = (first + n) % count;
        struct stream *stream = &streams[i];
        if (polled[3 * i].revents && stream->connecting)
            connected(stream);
        else if (polled[3 * i].revents)
            feed(stream);
        if (polled[3 * i + 1].revents && stream->datagrams)
            drain_datagrams(stream);
        else if (polled[3 * i + 1].revents && stream->out >= 0 && stream->credit && channel_has_room())
            drain(stream, &stream->out, LANE_MAIN);
        if (polled[3 * i + 2].revents && stream->error >= 0 && stream->credit && channel_has_room())
            drain(stream, &stream->error, LANE_ERROR);
    }
    if (polled[3 * count + 1].revents) {
        struct signalfd_siginfo ignored;
        while (read(signals, &ignored, sizeof ignored) > 0)
            ;
        reap();
    }
    relay_turn(&polled[3 * count + 2]);
    if (away || polled[3 * count].revents & (POLLIN | POLLHUP | POLLERR))
        channel_read();
    wait_for_host();
    channel_flush();
}

void serve(int port) {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGIO);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    signal(SIGPIPE, SIG_IGN);
    int signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;)
        turn(port, signals);
}

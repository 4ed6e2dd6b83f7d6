// Connections of a supervisor: frames out through bounded buffers, never blocking, never killed by a reader that left.
#include "connections.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

struct connection connections[CONNECTIONS];

bool reserve(struct buffer *buffer, size_t length) {
    if (buffer->length + length <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : 4096;
    while (capacity < buffer->length + length)
        capacity *= 2;
    uint8_t *grown = realloc(buffer->bytes, capacity);
    if (!grown)
        return false;
    buffer->bytes = grown;
    buffer->capacity = capacity;
    return true;
}

bool append(struct buffer *buffer, const void *bytes, size_t length) {
    if (!reserve(buffer, length))
        return false;
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return true;
}

void consume(struct buffer *buffer, size_t length) {
    buffer->length -= length;
    memmove(buffer->bytes, buffer->bytes + length, buffer->length);
}

void drop(struct connection *connection) {
    if (connection->fd < 0)
        return;
    close(connection->fd);
    free(connection->in.bytes);
    free(connection->out.bytes);
    *connection = (struct connection){.fd = -1};
}

void flush(struct connection *connection) {
    while (connection->out.length) {
        ssize_t sent = send(connection->fd, connection->out.bytes, connection->out.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR)
                connection->gone = true;
            return;
        }
        consume(&connection->out, (size_t)sent);
    }
}

void tell(struct connection *connection, uint8_t type, uint8_t stream, const void *payload, size_t length) {
    struct frame frame = {(uint32_t)length, type, stream, 0};
    if (connection->fd < 0 || connection->gone)
        return;
    if (!append(&connection->out, &frame, sizeof frame) || !append(&connection->out, payload, length))
        connection->gone = true;
    else
        flush(connection);
}

void tell_all(uint8_t type, const void *payload, size_t length) {
    for (int i = 0; i < CONNECTIONS; i++)
        tell(&connections[i], type, 0, payload, length);
}

// What a supervisor says it reads; other than the truth only in tests.
#ifndef HELLO_VERSION
#define HELLO_VERSION ABI_PLAN_VERSION
#endif

struct connection *admit(int fd) {
    uint32_t hello[2] = {HELLO_VERSION, (uint32_t)getpid()};
    for (int i = 0; i < CONNECTIONS; i++) {
        if (connections[i].fd >= 0)
            continue;
        connections[i] = (struct connection){.fd = fd};
        tell(&connections[i], ABI_FRAME_HELLO, 0, hello, sizeof hello);
        return &connections[i];
    }
    close(fd);
    return NULL;
}

void set_nonblocking(int fd) {
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

// Who asked is gone before anything was done: nobody would know of what begins now.
bool hung_up(const struct connection *connection) {
    struct pollfd peer = {connection->fd, 0, 0}; // POLLHUP: it reads no more either.
    return poll(&peer, 1, 0) > 0 && peer.revents & (POLLHUP | POLLERR);
}

bool any_full(void) {
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].fd >= 0 && connections[i].out.length > OUTPUT_LIMIT)
            return true;
    return false;
}

bool output_kept;

// Nobody takes output that nobody else writes down: it waits, and the end of the process with it.
bool held(void) {
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].fd >= 0 && !connections[i].gone && connections[i].attached & ABI_ATTACH_OUTPUT)
            return false;
    return output_kept;
}

// Whoever still sends must first have read the end: a write to a socket that is closed would take what came before from him.
void part(void) {
    static uint8_t rest[65536];
    struct pollfd open[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        open[i] = (struct pollfd){.fd = connections[i].gone ? -1 : connections[i].fd, .events = POLLIN};
        if (open[i].fd >= 0)
            shutdown(open[i].fd, SHUT_WR);
    }
    for (int reads = 0; reads < 1000; reads++) {
        bool any = false;
        for (int i = 0; i < CONNECTIONS; i++)
            any |= open[i].fd >= 0;
        if (!any || poll(open, CONNECTIONS, 1000) <= 0)
            return;
        for (int i = 0; i < CONNECTIONS; i++)
            if (open[i].fd >= 0 && open[i].revents && recv(open[i].fd, rest, sizeof rest, MSG_DONTWAIT) <= 0)
                open[i].fd = -1;
    }
}

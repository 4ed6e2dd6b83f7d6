// Streams over the one serial port: frames, credit for each stream in both directions, nothing that blocks.
#include "guest.h"
#include <fcntl.h>
#include <sys/socket.h>

#define PORT_BUFFER (2 * PAYLOAD_MAX)

static int port;
static bool greeted, away;
static struct buffer outgoing;
struct stream *streams;
size_t stream_count;

static void append(struct buffer *buffer, const void *bytes, size_t length) {
    if (buffer->from && buffer->from + buffer->length + length > buffer->capacity) {
        memmove(buffer->bytes, buffer->bytes + buffer->from, buffer->length);
        buffer->from = 0;
    }
    if (buffer->from + buffer->length + length > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : 4096;
        while (capacity < buffer->from + buffer->length + length)
            capacity *= 2;
        buffer->bytes = realloc(buffer->bytes, capacity);
        if (!buffer->bytes)
            give_up("memory for the channel");
        buffer->capacity = capacity;
    }
    memcpy(buffer->bytes + buffer->from + buffer->length, bytes, length);
    buffer->length += length;
}

static void consume(struct buffer *buffer, size_t length) {
    buffer->from += length;
    buffer->length -= length;
    if (!buffer->length)
        buffer->from = 0;
}

void channel_flush(void) {
    while (outgoing.length) {
        ssize_t written = write(port, outgoing.bytes + outgoing.from, outgoing.length);
        if (written < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (written <= 0)
            give_up("write to the port");
        consume(&outgoing, (size_t)written);
    }
}

bool channel_wants_room(void) { return outgoing.length > 0; }

// Frames about streams are small and few: what a stream brings waits for room.
bool channel_has_room(void) { return outgoing.length < PORT_BUFFER; }

void send_frame(uint32_t stream, uint8_t type, uint8_t lane, const void *payload, uint32_t length) {
    struct frame frame = {stream, length, type, lane, 0};
    append(&outgoing, &frame, sizeof frame);
    append(&outgoing, payload, length);
}

struct stream *find_stream(uint32_t id) {
    for (size_t i = 0; i < stream_count; i++)
        if (streams[i].id == id)
            return &streams[i];
    return NULL;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

// Both ways where they are one socket.
static void close_input(struct stream *stream) {
    if (stream->in == stream->out)
        stream->in = -1;
    close_fd(&stream->in);
}

void accept_stream(struct stream *stream) {
    uint32_t window = WINDOW_BYTES;
    send_frame(stream->id, WINDOW, 0, &window, sizeof window);
}

// Tells the host and forgets the stream; whatever still comes for it is dropped.
void end_stream(struct stream *stream, uint32_t status) {
    send_frame(stream->id, CLOSE, 0, &status, sizeof status);
    if (stream->relayed && !stream->input_ended && stream->in >= 0) { // Cut off by the host: the peer is told so.
        struct linger none = {1, 0};
        setsockopt(stream->in, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    close_input(stream);
    close_fd(&stream->out);
    close_fd(&stream->error);
    if (stream->temporary)
        unlink(stream->temporary);
    free(stream->temporary);
    free(stream->path);
    free(stream->pending.bytes);
    *stream = (struct stream){.in = -1, .out = -1, .error = -1};
}

// All that was under way was between this guest and a host that is not there any more.
static void lose_host(void) {
    for (size_t i = 0; i < stream_count; i++)
        if (streams[i].id)
            end_stream(&streams[i], 0);
    relay_lose_host();
    outgoing.from = outgoing.length = 0;
    greeted = false;
}

bool channel_is_away(void) { return away; }

// Only now, or each byte that comes would be a signal, too.
static void set_away(bool now) {
    if (away == now)
        return;
    away = now;
    int flags = fcntl(port, F_GETFL);
    fcntl(port, F_SETFL, away ? flags | O_ASYNC : flags & ~O_ASYNC);
}

// Over when nothing more can come: output at its end and its process, if it is one, reaped; or the host wants no more of it.
void settle(struct stream *stream) {
    if (!stream->id)
        return;
    if (stream->reader && !stream->host_closed)
        return;
    bool written = !stream->pending.length || stream->in < 0;
    if (stream->host_closed && written)
        end_stream(stream, stream->status);
    else if (stream->out < 0 && stream->error < 0 && !stream->connecting && !stream->pid && !stream->path && (!stream->socket || stream->in < 0))
        end_stream(stream, stream->status);
}

// Gives the host credit for what was written, in few frames.
static void settle_credit(struct stream *stream) {
    if (stream->owed < WINDOW_BYTES / 4)
        return;
    stream->granted += stream->owed;
    send_frame(stream->id, WINDOW, 0, &stream->owed, sizeof stream->owed);
    stream->owed = 0;
}

// What can be written at once need not be kept.
static size_t write_through(struct stream *stream, const void *bytes, size_t length) {
    if (stream->pending.length || stream->in < 0 || stream->connecting || stream->reader)
        return 0;
    ssize_t written = write(stream->in, bytes, length);
    if (written <= 0)
        return 0; // `feed` finds out why.
    stream->owed += (uint32_t)written;
    return (size_t)written;
}

// Writes what the host sent.
void feed(struct stream *stream) {
    for (size_t taken; stream->reader && (taken = stream->reader(stream, stream->pending.bytes + stream->pending.from, stream->pending.length));
         stream->owed += (uint32_t)taken)
        consume(&stream->pending, taken);
    while (stream->pending.length && !stream->connecting && !stream->reader) {
        ssize_t written = stream->in < 0 ? (ssize_t)stream->pending.length
                                         : write(stream->in, stream->pending.bytes + stream->pending.from, stream->pending.length);
        if (written < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (written < 0) {
            if (stream->path && !stream->status)
                stream->status = (uint32_t)errno; // A full disk.
            close_input(stream); // Nobody reads it any more; the rest is dropped.
            continue;
        }
        consume(&stream->pending, (size_t)written);
        stream->owed += (uint32_t)written;
    }
    settle_credit(stream);
    if (stream->input_ended && !stream->pending.length && !stream->connecting) {
        if (stream->path)
            finish_file(stream);
        else if (stream->in >= 0 && stream->in == stream->out)
            shutdown(stream->in, SHUT_WR);
        close_input(stream);
    }
    settle(stream);
}

// Reads once, as much as the host takes.
void drain(struct stream *stream, int *fd, uint8_t lane) {
    static char bytes[PAYLOAD_MAX];
    size_t wanted = stream->credit < sizeof bytes ? stream->credit : sizeof bytes;
    ssize_t got = read(*fd, bytes, wanted);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0) {
        stream->credit -= (uint32_t)got;
        send_frame(stream->id, DATA, lane, bytes, (uint32_t)got);
        return;
    }
    if (got < 0 && stream->relayed) { // Cut off by its peer.
        end_stream(stream, (uint32_t)errno);
        return;
    }
    if (got < 0 && !stream->pid)
        stream->status = (uint32_t)errno;
    if (stream->in == *fd) { // A socket is left open for what still goes in.
        stream->in = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
        send_frame(stream->id, END, 0, "", 0);
    }
    close_fd(fd);
    settle(stream);
}

static void open_stream(uint32_t id, char *payload, uint32_t length) {
    struct stream *stream = find_stream(0);
    char *words[64];
    int count = 0;
    for (uint32_t at = 0; at < length && count < 63; at += (uint32_t)strlen(payload + at) + 1)
        words[count++] = payload + at;
    words[count] = NULL;
    if (!stream && stream_count < STREAMS_MAX) {
        streams = realloc(streams, (stream_count + 1) * sizeof *streams);
        if (!streams)
            give_up("memory for streams");
        stream = &streams[stream_count++];
    }
    if (!stream) {
        uint32_t error = EMFILE;
        send_frame(id, CLOSE, 0, &error, sizeof error);
        return;
    }
    *stream = (struct stream){.id = id, .in = -1, .out = -1, .error = -1, .credit = WINDOW_BYTES, .granted = WINDOW_BYTES};
    int error = count ? open_service(stream, words, count) : EINVAL;
    if (error) {
        end_stream(stream, (uint32_t)error);
        return;
    }
    if (!stream->connecting)
        accept_stream(stream);
    settle(stream);
}

static uint32_t number_of(const char *payload, uint32_t length) {
    uint32_t number;
    if (length != sizeof number)
        give_up("a frame of another length");
    memcpy(&number, payload, sizeof number);
    return number;
}

static void greet(const char *payload, uint32_t length) {
    struct greeting host;
    if (length != sizeof host || memcmp(payload, CHANNEL_MAGIC, sizeof host.magic))
        give_up("another host's greeting");
    memcpy(&host, payload, sizeof host);
    lose_host(); // It may be another one than before.
    greeted = true;
    add_entropy(host.seed, sizeof host.seed);
    set_clock(host.nanoseconds);
    struct { char magic[8]; uint32_t version; uint64_t nonce; } __attribute__((packed)) answer = {.version = CHANNEL_VERSION, .nonce = host.nonce};
    memcpy(answer.magic, CHANNEL_MAGIC, sizeof answer.magic);
    send_frame(0, HELLO, 0, &answer, sizeof answer);
}

static void take(const struct frame *frame, char *payload) {
    struct stream *stream = frame->stream ? find_stream(frame->stream) : NULL;
    if (frame->type == HELLO) {
        greet(payload, frame->length);
    } else if (!greeted) {
        give_up("a frame before the greeting");
    } else if (frame->type == CLOCK) {
        uint64_t now;
        if (frame->length != sizeof now)
            give_up("a frame of another length");
        memcpy(&now, payload, sizeof now);
        keep_clock(now);
    } else if (frame->type == OPEN) {
        char next = payload[frame->length];
        payload[frame->length] = 0;
        open_stream(frame->stream, payload, frame->length);
        payload[frame->length] = next;
    } else if (!stream) {
        return; // It has just ended here.
    } else if (frame->type == DATA) {
        if (frame->length > stream->granted)
            give_up("more than was granted");
        stream->granted -= frame->length;
        size_t written = write_through(stream, payload, frame->length);
        if (written < frame->length)
            append(&stream->pending, payload + written, frame->length - written);
        feed(stream);
    } else if (frame->type == WINDOW) {
        stream->credit += number_of(payload, frame->length);
    } else if (frame->type == END) {
        stream->input_ended = true;
        feed(stream);
    } else if (frame->type == CLOSE) {
        stream->host_closed = true;
        close_fd(&stream->error);
        if (stream->out != stream->in)
            close_fd(&stream->out);
        feed(stream);
    } else
        give_up("a frame of an unknown type");
}

static char held[2 * (FRAME_HEADER + PAYLOAD_MAX)];
static size_t held_from, held_length;
static bool skipping;

// A host that takes over knows not where the one before has stopped: it sends zeros, longer than any frame, then the magic.
static bool skip(void) {
    while (held_length && !held[held_from])
        held_from++, held_length--;
    if (held_length < sizeof CHANNEL_MAGIC - 1)
        return false;
    if (memcmp(held + held_from, CHANNEL_MAGIC, sizeof CHANNEL_MAGIC - 1))
        give_up("what follows the zeros is no magic");
    held_from += sizeof CHANNEL_MAGIC - 1, held_length -= sizeof CHANNEL_MAGIC - 1;
    skipping = false;
    return true;
}

// The next frame that is whole, if there is one; false where more is needed.
static bool take_one(void) {
    struct frame frame;
    if (skipping && !skip())
        return false;
    if (held_length < FRAME_HEADER)
        return false;
    memcpy(&frame, held + held_from, sizeof frame);
    if (frame.type == PAD) {
        lose_host();
        skipping = true;
        return true;
    }
    if (frame.length > PAYLOAD_MAX)
        give_up("a frame is too long");
    if (held_length < FRAME_HEADER + frame.length)
        return false;
    char *payload = held + held_from + FRAME_HEADER;
    held_from += FRAME_HEADER + frame.length, held_length -= FRAME_HEADER + frame.length;
    take(&frame, payload);
    return true;
}

// False where nothing came.
static bool receive(void) {
    if (held_length)
        memmove(held, held + held_from, held_length);
    held_from = 0;
    ssize_t got = read(port, held + held_length, sizeof held - 1 - held_length);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        if (greeted)
            host_gone();
        lose_host();
        held_length = 0;
        skipping = false;
        if (!away) {
            set_away(true);
            return receive(); // It may have come before the signal was asked for.
        }
        return false;
    }
    set_away(false);
    held_length += (size_t)got;
    return true;
}

void channel_read(void) {
    for (int frames = 0; frames < 64; frames++)
        if (!take_one() && !receive())
            return;
}

// Without waiting for more than the greeting, which is there as soon as the driver knows of the host.
void channel_start(int fd) {
    port = fd;
    fcntl(port, F_SETFL, fcntl(port, F_GETFL) | O_NONBLOCK);
    fcntl(port, F_SETOWN, getpid());
    for (int tries = 0; tries < 1000 && !greeted; tries++)
        if (!take_one() && !receive())
            usleep(1000);
    channel_flush();
}

// Records on a stream, datagrams among them: each goes whole, or not at all.
#include "guest.h"
#include <sys/socket.h>

// All of it, or nothing where the stream is gone or the host takes no more: a record is never cut.
bool send_record(uint32_t id, const void *head, size_t head_length, const void *rest, size_t rest_length) {
    static uint8_t record[PAYLOAD_MAX];
    struct stream *stream = id ? find_stream(id) : NULL;
    size_t length = head_length + rest_length;
    if (!stream || stream->credit < length)
        return false;
    stream->credit -= (uint32_t)length;
    memcpy(record, head, head_length);
    for (size_t held = head_length; length;) {
        size_t more = rest_length < sizeof record - held ? rest_length : sizeof record - held;
        memcpy(record + held, rest, more);
        send_frame(id, DATA, LANE_MAIN, record, (uint32_t)(held + more));
        rest = (const uint8_t *)rest + more;
        rest_length -= more;
        length -= held + more;
        held = 0;
    }
    return true;
}

void drain_datagrams(struct stream *stream) {
    static uint8_t bytes[DATAGRAM_MAX];
    ssize_t got = recv(stream->out, bytes, sizeof bytes, 0);
    uint16_t length = (uint16_t)got; // An error is told by nobody: datagrams get lost.
    if (got >= 0)
        send_record(stream->id, &length, sizeof length, bytes, (size_t)got);
}

// What the files of the guest's first process share. The numbers are those of host/vm/channel/protocol.ts.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define CHANNEL_VERSION 2
#define CHANNEL_MAGIC "gantryvm"
#define FRAME_HEADER 12
#define PAYLOAD_MAX 32768
#define WINDOW_BYTES 262144
#define STREAMS_MAX 8192
#define DATAGRAM_MAX 65537 // with the length in front

enum { PAD = 0, HELLO = 1, OPEN = 2, DATA = 3, WINDOW = 4, END = 5, CLOSE = 6, CLOCK = 7 };
enum { LANE_MAIN = 0, LANE_ERROR = 1 };

struct frame { uint32_t stream, length; uint8_t type, lane; uint16_t zero; };
_Static_assert(sizeof(struct frame) == FRAME_HEADER, "frames are laid out as protocol.ts says");

struct greeting { char magic[8]; uint64_t nonce, nanoseconds; uint8_t seed[32]; };
_Static_assert(sizeof(struct greeting) == 56, "the host's greeting is laid out as protocol.ts says");

struct buffer { uint8_t *bytes; size_t from, length, capacity; };

// One stream. Bytes from the host go to `in`, bytes of `out` and `error` go to the host.
struct stream {
    uint32_t id; // 0: free
    int in, out, error;
    pid_t pid;
    uint32_t status;
    uint32_t credit;  // how much the host takes
    uint32_t granted; // how much the host may still send
    uint32_t owed;    // what was written of that and not yet granted again
    bool connecting;  // `in` is a socket whose connection is under way
    bool socket, input_ended, host_closed;
    struct buffer pending; // from the host, not yet written to `in`
    char *temporary, *path; // a file that is written: renamed when all is there
    size_t (*reader)(struct stream *stream, const uint8_t *bytes, size_t length); // of records in place of `in`: takes one, or 0 where it is not whole
    bool relayed; // a connection that the guest has opened
    bool datagrams; // `out` gives one at each read, which gets its length in front
};

extern struct stream *streams;
extern size_t stream_count;

void give_up(const char *what) __attribute__((noreturn));
// channel.c
void channel_start(int port);
void channel_read(void);
bool channel_is_away(void);
void channel_flush(void);
bool channel_wants_room(void);
bool channel_has_room(void);
struct stream *find_stream(uint32_t id);
void send_frame(uint32_t stream, uint8_t type, uint8_t lane, const void *payload, uint32_t length);
void accept_stream(struct stream *stream);
void end_stream(struct stream *stream, uint32_t status);
void feed(struct stream *stream);
void drain(struct stream *stream, int *fd, uint8_t lane);
void settle(struct stream *stream);
// records.c
void drain_datagrams(struct stream *stream);
bool send_record(uint32_t id, const void *head, size_t head_length, const void *rest, size_t rest_length);
// services.c: opens what the host asks for, by name; errno where it does not work.
int open_service(struct stream *stream, char **words, int count);
void finish_file(struct stream *stream);
// self.c: what this machine is and knows of the world: the host says it, again after each resume.
void set_clock(uint64_t nanoseconds);
void keep_clock(uint64_t nanoseconds);
void add_entropy(const uint8_t *seed, size_t length);
int set_identity(const char *identity);
extern pid_t executor;
bool is_idle(void);
// relay.c
int relay_poll(struct pollfd polled[2]); // how long to wait at most, ms
void relay_lose_host(void);
void relay_turn(const struct pollfd polled[2]);
// loop.c
void serve(int port) __attribute__((noreturn));
// share.c: serves mounts of the host's directories over this port.
void start_shares(int port);
// replay.c: a thread that tells of changes. Returns its number, or 0.
pid_t start_replays(void);
void queue_replay(int fd, uint32_t what, const void *bytes, uint32_t length);
// init.c
void power_off(void) __attribute__((noreturn));
void host_gone(void);

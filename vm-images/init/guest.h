// What the files of the guest's first process share. The numbers are those of host/vm/channel/protocol.ts.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define CHANNEL_VERSION 1
#define CHANNEL_MAGIC "gantryvm"
#define FRAME_HEADER 12
#define PAYLOAD_MAX 32768
#define WINDOW_BYTES 262144
#define STREAMS_MAX 1024

enum { HELLO = 1, OPEN = 2, DATA = 3, WINDOW = 4, END = 5, CLOSE = 6 };
enum { LANE_MAIN = 0, LANE_ERROR = 1 };

struct frame { uint32_t stream, length; uint8_t type, lane; uint16_t zero; };
_Static_assert(sizeof(struct frame) == FRAME_HEADER, "frames are laid out as protocol.ts says");

struct buffer { uint8_t *bytes; size_t from, length, capacity; };

// One stream. Bytes from the host go to `in`, bytes of `out` and `error` go to the host.
struct stream {
    uint32_t id; // 0: free
    int in, out, error;
    pid_t pid;
    uint32_t status;
    uint32_t credit;  // how much the host takes
    uint32_t granted; // how much the host may still send
    bool connecting;  // `in` is a socket whose connection is under way
    bool socket, input_ended, host_closed;
    struct buffer pending; // from the host, not yet written to `in`
    char *temporary, *path; // a file that is written: renamed when all is there
};

extern struct stream *streams;
extern size_t stream_count;

void give_up(const char *what) __attribute__((noreturn));
// channel.c
void channel_start(int port);
void channel_read(void);
void channel_flush(void);
bool channel_wants_room(void);
bool channel_has_room(void);
void send_frame(uint32_t stream, uint8_t type, uint8_t lane, const void *payload, uint32_t length);
void accept_stream(struct stream *stream);
void end_stream(struct stream *stream, uint32_t status);
void feed(struct stream *stream);
void drain(struct stream *stream, int *fd, uint8_t lane);
void settle(struct stream *stream);
// services.c: opens what the host asks for, by name; errno where it does not work.
int open_service(struct stream *stream, char **words, int count);
void finish_file(struct stream *stream);
void set_clock(uint64_t nanoseconds);
// loop.c
void serve(int port) __attribute__((noreturn));
// init.c
void power_off(void) __attribute__((noreturn));

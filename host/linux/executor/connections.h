// Frames and the connections that carry them.
#pragma once
#include "executor.h"

#define CONNECTIONS 32
#define OUTPUT_LIMIT 262144

struct frame { uint32_t length; uint8_t type, stream; uint16_t zero; };
_Static_assert(sizeof(struct frame) == ABI_FRAME_HEADER, "frames are laid out as abi.ts says");

struct buffer { uint8_t *bytes; size_t length, capacity; };
struct connection { int fd; uint32_t attached; bool started_told, gone; struct buffer in, out; };

extern struct connection connections[CONNECTIONS];

bool reserve(struct buffer *buffer, size_t length);
bool append(struct buffer *buffer, const void *bytes, size_t length);
void consume(struct buffer *buffer, size_t length);
void drop(struct connection *connection);
void flush(struct connection *connection);
void tell(struct connection *connection, uint8_t type, uint8_t stream, const void *payload, size_t length);
void tell_all(uint8_t type, const void *payload, size_t length);
struct connection *admit(int fd);
void set_nonblocking(int fd);
bool hung_up(const struct connection *connection);
bool any_full(void);
extern bool output_kept;
bool held(void);
void part(void);

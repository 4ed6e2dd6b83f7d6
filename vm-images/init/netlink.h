// Messages of netlink(7), built one after the other in one buffer.
#pragma once
#include "guest.h"
#include <linux/netlink.h>

struct messages { char bytes[4096]; size_t length, last; };

void message(struct messages *to, uint16_t type, uint16_t flags, const void *header, size_t length);
void attribute(struct messages *to, uint16_t type, const void *bytes, size_t length);
void attribute_u32be(struct messages *to, uint16_t type, uint32_t number);
void attribute_text(struct messages *to, uint16_t type, const char *text);
size_t nest(struct messages *to, uint16_t type);
void nest_end(struct messages *to, size_t at);
// Sends all and waits for the kernel's answers, of which there is one for each message with NLM_F_ACK. 0 or an errno.
int exchange(int socket, struct messages *from);

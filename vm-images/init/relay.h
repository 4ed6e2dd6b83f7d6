// What carries the guest's traffic to the host shares. The numbers are those of host/vm/network/records.ts.
#pragma once
#include "guest.h"

#define UPLINK_NEAR4 "169.254.77.2"
#define UPLINK_FAR4 "169.254.77.1"
#define UPLINK_NEAR6 "fd67:616e:7472:794d::2"
#define UPLINK_FAR6 "fd67:616e:7472:794d::1"

// Sockets of the far end: `queue` has packets that wait for a verdict, `listener` accepts what passed, `packets` sends.
struct uplink { int queue, listener, packets; };

// Addresses of four bytes are followed by zeros. Ports are numbers, not in network order.
struct tuple { uint8_t family, protocol; uint16_t source_port, target_port; uint8_t source[16], target[16]; };

struct packet { struct tuple tuple; uint32_t sequence; const uint8_t *payload; size_t length; bool echo; };

// uplink.c
int uplink_open(struct uplink *uplink, bool six); // 0 or an errno
bool uplink_send(const struct uplink *uplink, int family, const void *packet, size_t length);
// packets.c
bool packet_read(const uint8_t *bytes, size_t length, struct packet *packet);
// Each writes a whole packet to the guest, as if it came from the tuple's target, and returns its length.
size_t packet_reset(uint8_t *to, const struct tuple *tuple, uint32_t sequence);
size_t packet_datagram(uint8_t *to, const struct tuple *tuple, const uint8_t *payload, size_t length);
// From the next hop: that the tuple's target cannot be reached, and why (an errno).
size_t packet_unreachable(uint8_t *to, const struct tuple *tuple, uint32_t sequence, int error);
// relay.c
int relay_open(struct stream *stream, bool six);
int relay_datagrams(struct stream *stream);
int relay_flow(struct stream *stream, uint32_t flow);

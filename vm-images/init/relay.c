// What leaves the guest goes to the host: a connection waits with its first packet until the host is connected, and is then one
// stream of the channel; datagrams are records of one stream for all.
#include "netlink.h"
#include "relay.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>

#define WAITING_MAX 4096
#define PACKETS_A_TURN 256
#define ASKED_SECONDS 180  // Longer than a host tries to connect.
#define PASSED_SECONDS 20 // Until the guest has answered our side of the handshake.
#define PACKET_MAX 65535

// A connection that is not yet there. Its number is that of its first packet in the queue.
struct flow { uint32_t number, stream; time_t until; uint32_t sequence; struct tuple tuple; };

// Records, as host/vm/network/records.ts has them.
struct request { uint32_t flow; uint8_t family, zero[3]; uint16_t source_port, target_port; uint8_t source[16], target[16]; };
struct refusal { uint32_t flow, error; };
struct datagram { uint16_t length; uint8_t family, error; uint16_t source_port, target_port; uint8_t source[16], target[16]; };
_Static_assert(sizeof(struct request) == 44 && sizeof(struct datagram) == 40, "records are laid out as records.ts says");

static struct uplink uplink = {-1, -1, -1};
static struct flow flows[WAITING_MAX];
static size_t waiting;
static uint32_t control, datagrams; // Numbers of the streams.

static time_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static void decide(uint32_t number, uint32_t verdict) {
    static struct messages messages;
    struct nfgenmsg header = {NFPROTO_UNSPEC, NFNETLINK_V0, 0};
    struct nfqnl_msg_verdict_hdr decision = {htonl(verdict), htonl(number)};
    message(&messages, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT, 0, &header, sizeof header);
    attribute(&messages, NFQA_VERDICT_HDR, &decision, sizeof decision);
    send(uplink.queue, messages.bytes, messages.length, 0);
    messages = (struct messages){.length = 0};
}

static void answer(int family, const uint8_t *packet, size_t length) {
    uplink_send(&uplink, family == 4 ? AF_INET : AF_INET6, packet, length);
}

static void tell_unreachable(const struct tuple *tuple, uint32_t sequence, int error) {
    uint8_t packet[256];
    size_t length = tuple->protocol == IPPROTO_TCP && error == ECONNREFUSED ? packet_reset(packet, tuple, sequence)
                                                                           : packet_unreachable(packet, tuple, sequence, error);
    answer(tuple->family, packet, length);
}

static struct flow *find_flow(const struct tuple *tuple) {
    for (size_t i = 0; i < waiting; i++)
        if (!memcmp(&flows[i].tuple, tuple, sizeof *tuple))
            return &flows[i];
    return NULL;
}

static struct flow *find_number(uint32_t number) {
    for (size_t i = 0; i < waiting; i++)
        if (flows[i].number == number)
            return &flows[i];
    return NULL;
}

static void forget(struct flow *flow) { *flow = flows[--waiting]; }

static void ask(const struct packet *packet, uint32_t number) {
    const struct tuple *tuple = &packet->tuple;
    struct flow *known = find_flow(tuple);
    struct request request = {number, tuple->family, {0}, tuple->source_port, tuple->target_port, {0}, {0}};
    memcpy(request.source, tuple->source, 16);
    memcpy(request.target, tuple->target, 16);
    // The same packet again: the first one waits still, or has passed and needs an answer again.
    if (known)
        decide(number, known->stream ? NF_ACCEPT : NF_DROP);
    else if (waiting == WAITING_MAX || !send_record(control, &request, sizeof request, "", 0))
        decide(number, NF_DROP); // The guest tries again.
    else
        flows[waiting++] = (struct flow){number, 0, now() + ASKED_SECONDS, packet->sequence, *tuple};
}

static void carry(const struct packet *packet) {
    const struct tuple *tuple = &packet->tuple;
    struct datagram record = {(uint16_t)packet->length, tuple->family, 0, tuple->source_port, tuple->target_port, {0}, {0}};
    memcpy(record.source, tuple->source, 16);
    memcpy(record.target, tuple->target, 16);
    send_record(datagrams, &record, sizeof record, packet->payload, packet->length);
}

static void take_packet(const uint8_t *bytes, size_t length, uint32_t number) {
    struct packet packet;
    if (!bytes || !packet_read(bytes, length, &packet)) {
        decide(number, NF_DROP);
        return;
    }
    if (packet.tuple.protocol == IPPROTO_TCP) {
        ask(&packet, number);
        return;
    }
    if (packet.tuple.protocol == IPPROTO_UDP)
        carry(&packet);
    else if (packet.echo)
        tell_unreachable(&packet.tuple, packet.sequence, EACCES);
    decide(number, NF_DROP);
}

static void read_queue(void) {
    static uint8_t bytes[PACKET_MAX + 4096] __attribute__((aligned(8)));
    for (int packets = 0; packets < PACKETS_A_TURN && channel_has_room(); packets++) {
        ssize_t got = recv(uplink.queue, bytes, sizeof bytes, 0);
        if (got <= 0)
            return;
        const struct nlmsghdr *message = (void *)bytes;
        if (message->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
            continue;
        const uint8_t *payload = NULL;
        size_t length = 0;
        uint32_t number = 0;
        for (size_t at = NLMSG_HDRLEN + sizeof(struct nfgenmsg); at + NLA_HDRLEN <= message->nlmsg_len;) {
            const struct nlattr *attribute = (void *)(bytes + at);
            if ((attribute->nla_type & NLA_TYPE_MASK) == NFQA_PACKET_HDR)
                number = ntohl(((const struct nfqnl_msg_packet_hdr *)(const void *)(attribute + 1))->packet_id);
            else if ((attribute->nla_type & NLA_TYPE_MASK) == NFQA_PAYLOAD) {
                payload = (const void *)(attribute + 1);
                length = attribute->nla_len - NLA_HDRLEN;
            }
            at += NLA_ALIGN(attribute->nla_len);
        }
        take_packet(payload, length, number);
    }
}

// Addresses as tuples have them: IPv4 ones are no longer mapped into IPv6.
static uint8_t plain_address(const struct sockaddr_in6 *from, uint8_t *address, uint16_t *port) {
    *port = ntohs(from->sin6_port);
    bool four = IN6_IS_ADDR_V4MAPPED(&from->sin6_addr);
    memcpy(address, from->sin6_addr.s6_addr + (four ? 12 : 0), four ? 4 : 16);
    return four ? 4 : 6;
}

static void accept_flow(void) {
    struct sockaddr_in6 source, target;
    socklen_t length = sizeof source;
    int on = 1, fd = accept4(uplink.listener, (void *)&source, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct tuple tuple = {.protocol = IPPROTO_TCP};
    length = sizeof target;
    getsockname(fd, (void *)&target, &length);
    tuple.family = plain_address(&source, tuple.source, &tuple.source_port);
    plain_address(&target, tuple.target, &tuple.target_port);
    struct flow *flow = find_flow(&tuple);
    struct stream *stream = flow && flow->stream ? find_stream(flow->stream) : NULL;
    if (flow)
        forget(flow);
    if (!stream) { // The host has gone meanwhile.
        struct linger none = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    stream->in = stream->out = fd;
    stream->connecting = false;
    accept_stream(stream);
    feed(stream);
}

static size_t take_refusals(struct stream *stream, const uint8_t *bytes, size_t length) {
    struct refusal refusal;
    (void)stream;
    if (length < sizeof refusal)
        return 0;
    memcpy(&refusal, bytes, sizeof refusal);
    struct flow *flow = find_number(refusal.flow);
    if (flow && !flow->stream) {
        decide(flow->number, NF_DROP);
        tell_unreachable(&flow->tuple, flow->sequence, (int)refusal.error);
        forget(flow);
    }
    return sizeof refusal;
}

static size_t take_datagrams(struct stream *stream, const uint8_t *bytes, size_t length) {
    static uint8_t packet[PACKET_MAX];
    struct datagram record;
    (void)stream;
    if (length < sizeof record)
        return 0;
    memcpy(&record, bytes, sizeof record);
    if (length < sizeof record + record.length)
        return 0;
    struct tuple tuple = {record.family, IPPROTO_UDP, record.source_port, record.target_port, {0}, {0}};
    memcpy(tuple.source, record.source, 16);
    memcpy(tuple.target, record.target, 16);
    if (record.error)
        tell_unreachable(&tuple, 8u << 16, record.error);
    else if (record.length <= PACKET_MAX - 48)
        answer(tuple.family, packet, packet_datagram(packet, &tuple, bytes + sizeof record, record.length));
    return sizeof record + record.length;
}

int relay_open(struct stream *stream, bool six) {
    int error = uplink.queue < 0 ? uplink_open(&uplink, six) : 0;
    stream->reader = take_refusals;
    control = stream->id;
    return error;
}

int relay_datagrams(struct stream *stream) {
    stream->reader = take_datagrams;
    datagrams = stream->id;
    return 0;
}

// The host is connected: the first packet may go on, and meets the listener.
int relay_flow(struct stream *stream, uint32_t number) {
    struct flow *flow = find_number(number);
    if (!flow || flow->stream)
        return ESTALE;
    stream->relayed = stream->connecting = stream->socket = true;
    flow->stream = stream->id;
    flow->until = now() + PASSED_SECONDS;
    decide(number, NF_ACCEPT);
    return 0;
}

static void expire(void) {
    time_t time = now();
    for (size_t i = waiting; i-- > 0;) {
        struct flow flow = flows[i];
        if (flow.until > time)
            continue;
        forget(&flows[i]);
        struct stream *stream = flow.stream ? find_stream(flow.stream) : NULL;
        if (stream)
            end_stream(stream, ETIMEDOUT);
        else if (!flow.stream)
            decide(flow.number, NF_DROP);
    }
}

// Another one counts its streams anew.
void relay_lose_host(void) {
    while (waiting) {
        if (!flows[0].stream)
            decide(flows[0].number, NF_DROP);
        forget(&flows[0]);
    }
    control = datagrams = 0;
}

int relay_poll(struct pollfd polled[2]) {
    polled[0] = (struct pollfd){channel_has_room() ? uplink.queue : -1, POLLIN, 0};
    polled[1] = (struct pollfd){uplink.listener, POLLIN, 0};
    return waiting ? 1000 : -1;
}

void relay_turn(const struct pollfd polled[2]) {
    if (polled[1].revents)
        accept_flow();
    if (polled[0].revents)
        read_queue();
    if (waiting)
        expire();
}

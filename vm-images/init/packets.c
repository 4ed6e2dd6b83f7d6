// IP packets: what is needed of those that leave the guest, and those that answer in place of hosts outside.
#include "relay.h"
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#define HOPS 64

static size_t read_ip(const uint8_t *bytes, size_t length, struct packet *packet) {
    struct tuple *tuple = &packet->tuple;
    if (length >= sizeof(struct iphdr) && bytes[0] >> 4 == 4) {
        const struct iphdr *ip = (const void *)bytes;
        if (ntohs(ip->frag_off) & (IP_MF | IP_OFFMASK))
            return 0;
        tuple->family = 4;
        tuple->protocol = ip->protocol;
        memcpy(tuple->source, &ip->saddr, 4);
        memcpy(tuple->target, &ip->daddr, 4);
        return 4 * ip->ihl;
    }
    if (length >= sizeof(struct ip6_hdr) && bytes[0] >> 4 == 6) {
        const struct ip6_hdr *ip = (const void *)bytes;
        tuple->family = 6;
        tuple->protocol = ip->ip6_nxt;
        memcpy(tuple->source, &ip->ip6_src, 16);
        memcpy(tuple->target, &ip->ip6_dst, 16);
        return sizeof *ip;
    }
    return 0;
}

bool packet_read(const uint8_t *bytes, size_t length, struct packet *packet) {
    *packet = (struct packet){0};
    size_t at = read_ip(bytes, length, packet);
    const uint8_t *above = bytes + at;
    struct tuple *tuple = &packet->tuple;
    if (!at || length < at + 8)
        return false;
    packet->echo = tuple->family == 4 ? tuple->protocol == IPPROTO_ICMP && above[0] == ICMP_ECHO
                                      : tuple->protocol == IPPROTO_ICMPV6 && above[0] == ICMP6_ECHO_REQUEST;
    uint16_t ports[2];
    memcpy(ports, above, sizeof ports); // Of an echo: type, code and checksum, all that an error about it has to repeat.
    tuple->source_port = ntohs(ports[0]);
    tuple->target_port = ntohs(ports[1]);
    memcpy(&packet->sequence, above + 4, 4);
    packet->sequence = ntohl(packet->sequence);
    packet->payload = above + 8;
    packet->length = length - at - 8;
    if (tuple->protocol == IPPROTO_UDP) {
        size_t told = ntohs(((const struct udphdr *)(const void *)above)->len);
        if (told < 8 || told - 8 > packet->length)
            return false;
        packet->length = told - 8;
    }
    return true;
}

static uint32_t sum(uint32_t sum, const void *bytes, size_t length) {
    const uint8_t *at = bytes;
    for (; length > 1; at += 2, length -= 2)
        sum += (uint32_t)(at[0] << 8 | at[1]);
    if (length)
        sum += (uint32_t)at[0] << 8;
    return sum;
}

static uint16_t folded(uint32_t sum) {
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

// The header in front, from one address to another.
static size_t write_ip(uint8_t *to, int family, uint8_t protocol, const uint8_t *source, const uint8_t *target, size_t above) {
    static uint16_t identifier;
    if (family == 4) {
        struct iphdr ip = {.version = 4, .ihl = 5, .ttl = HOPS, .protocol = protocol, .id = htons(++identifier)};
        ip.tot_len = htons((uint16_t)(sizeof ip + above));
        memcpy(&ip.saddr, source, 4);
        memcpy(&ip.daddr, target, 4);
        ip.check = folded(sum(0, &ip, sizeof ip));
        memcpy(to, &ip, sizeof ip);
        return sizeof ip;
    }
    struct ip6_hdr ip = {.ip6_flow = htonl(6u << 28), .ip6_plen = htons((uint16_t)above), .ip6_nxt = protocol, .ip6_hlim = HOPS};
    memcpy(&ip.ip6_src, source, 16);
    memcpy(&ip.ip6_dst, target, 16);
    memcpy(to, &ip, sizeof ip);
    return sizeof ip;
}

// Of what stands above the header, with the pseudo header of RFC 768, 9293 and 8200.
static uint16_t checksum(int family, uint8_t protocol, const uint8_t *source, const uint8_t *target, const void *above, size_t length) {
    size_t size = family == 4 ? 4 : 16;
    uint16_t check = folded(sum(sum(sum((uint32_t)length + protocol, source, size), target, size), above, length));
    return check || protocol == IPPROTO_TCP ? check : 0xffff;
}

size_t packet_reset(uint8_t *to, const struct tuple *tuple, uint32_t sequence) {
    struct tcphdr tcp = {.rst = 1, .ack = 1, .doff = 5, .ack_seq = htonl(sequence + 1)};
    tcp.source = htons(tuple->target_port);
    tcp.dest = htons(tuple->source_port);
    tcp.check = checksum(tuple->family, IPPROTO_TCP, tuple->target, tuple->source, &tcp, sizeof tcp);
    size_t at = write_ip(to, tuple->family, IPPROTO_TCP, tuple->target, tuple->source, sizeof tcp);
    memcpy(to + at, &tcp, sizeof tcp);
    return at + sizeof tcp;
}

size_t packet_datagram(uint8_t *to, const struct tuple *tuple, const uint8_t *payload, size_t length) {
    size_t at = write_ip(to, tuple->family, IPPROTO_UDP, tuple->target, tuple->source, sizeof(struct udphdr) + length);
    struct udphdr udp = {.len = htons((uint16_t)(sizeof udp + length))};
    udp.source = htons(tuple->target_port);
    udp.dest = htons(tuple->source_port);
    memcpy(to + at, &udp, sizeof udp);
    memcpy(to + at + sizeof udp, payload, length);
    udp.check = checksum(tuple->family, IPPROTO_UDP, tuple->target, tuple->source, to + at, sizeof udp + length);
    memcpy(to + at, &udp, sizeof udp);
    return at + sizeof udp + length;
}

// RFC 792 and 4443: port unreachable, host (address) unreachable, no route, or prohibited.
static void reason(int family, int error, uint8_t *type, uint8_t *code) {
    bool four = family == 4;
    *type = four ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH;
    if (error == ECONNREFUSED)
        *code = four ? ICMP_PORT_UNREACH : ICMP6_DST_UNREACH_NOPORT;
    else if (error == ENETUNREACH)
        *code = four ? ICMP_NET_UNREACH : ICMP6_DST_UNREACH_NOROUTE;
    else if (error == EACCES)
        *code = four ? 13 : ICMP6_DST_UNREACH_ADMIN; // RFC 1812: communication administratively prohibited
    else
        *code = four ? ICMP_HOST_UNREACH : ICMP6_DST_UNREACH_ADDR;
}

size_t packet_unreachable(uint8_t *to, const struct tuple *tuple, uint32_t sequence, int error) {
    uint8_t above[8 + sizeof(struct ip6_hdr) + 8] = {0}, from[16];
    uint16_t ports[2] = {htons(tuple->source_port), htons(tuple->target_port)};
    bool four = tuple->family == 4;
    reason(tuple->family, error, &above[0], &above[1]);
    size_t at = 8 + write_ip(above + 8, tuple->family, tuple->protocol, tuple->source, tuple->target, 8);
    memcpy(above + at, ports, sizeof ports);
    sequence = htonl(sequence);
    memcpy(above + at + 4, &sequence, sizeof sequence);
    size_t length = at + 8;
    inet_pton(four ? AF_INET : AF_INET6, four ? UPLINK_FAR4 : UPLINK_FAR6, from);
    uint8_t protocol = four ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    uint16_t check = four ? folded(sum(0, above, length)) : checksum(6, protocol, from, tuple->source, above, length);
    memcpy(above + 2, &check, sizeof check);
    size_t header = write_ip(to, tuple->family, protocol, from, tuple->source, length);
    memcpy(to + header, above, length);
    return header + length;
}

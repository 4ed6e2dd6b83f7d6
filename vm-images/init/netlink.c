// Messages of netlink(7): headers, attributes, nests.
#include "netlink.h"
#include <arpa/inet.h>
#include <sys/socket.h>

static void *extend(struct messages *to, size_t length) {
    size_t padded = NLMSG_ALIGN(length);
    if (to->length + padded > sizeof to->bytes)
        give_up("room for a netlink message");
    void *at = to->bytes + to->length;
    memset(at, 0, padded);
    to->length += padded;
    ((struct nlmsghdr *)(void *)(to->bytes + to->last))->nlmsg_len = (uint32_t)(to->length - to->last);
    return at;
}

void message(struct messages *to, uint16_t type, uint16_t flags, const void *header, size_t length) {
    to->last = to->length;
    struct nlmsghdr *start = extend(to, sizeof *start);
    start->nlmsg_type = type;
    start->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    memcpy(extend(to, length), header, length);
}

void attribute(struct messages *to, uint16_t type, const void *bytes, size_t length) {
    struct nlattr *start = extend(to, sizeof *start + length);
    *start = (struct nlattr){(uint16_t)(sizeof *start + length), type};
    memcpy(start + 1, bytes, length);
}

void attribute_u32be(struct messages *to, uint16_t type, uint32_t number) {
    number = htonl(number);
    attribute(to, type, &number, sizeof number);
}

void attribute_text(struct messages *to, uint16_t type, const char *text) { attribute(to, type, text, strlen(text) + 1); }

size_t nest(struct messages *to, uint16_t type) {
    size_t at = to->length;
    attribute(to, type | NLA_F_NESTED, "", 0);
    return at;
}

void nest_end(struct messages *to, size_t at) {
    ((struct nlattr *)(void *)(to->bytes + at))->nla_len = (uint16_t)(to->length - at);
}

int exchange(int socket, struct messages *from) {
    char answer[8192] __attribute__((aligned(8)));
    int awaited = 0;
    for (size_t at = 0; at < from->length; at += NLMSG_ALIGN(((struct nlmsghdr *)(void *)(from->bytes + at))->nlmsg_len))
        awaited += (((struct nlmsghdr *)(void *)(from->bytes + at))->nlmsg_flags & NLM_F_ACK) != 0;
    if (send(socket, from->bytes, from->length, 0) < 0)
        return errno;
    *from = (struct messages){.length = 0};
    while (awaited > 0) {
        ssize_t got = recv(socket, answer, sizeof answer, 0);
        if (got < 0)
            return errno;
        size_t left = (size_t)got;
        for (struct nlmsghdr *at = (void *)answer; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
            if (at->nlmsg_type != NLMSG_ERROR)
                continue;
            struct nlmsgerr *error = NLMSG_DATA(at);
            if (error->error)
                return -error->error;
            awaited--;
        }
    }
    return 0;
}

// The way out: a link from the guest's network to a namespace of its own, where whatever leaves the guest arrives. Nobody but this
// process has sockets there (relay.c); what goes on in the guest's own network, rules of networks included, is as on any host.
#include "netlink.h"
#include "relay.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#define NAME "uplink"
#define NEAR_INDEX 900000 // Beyond those that the kernel gives.
#define FAR_INDEX 2
#define LOOPBACK_INDEX 1
#define MTU 65535 // What is sent by the guest itself needs no smaller pieces.
#define LISTENER_PORT 1
#define BACKLOG 4096
#define QUEUE_LENGTH 4096
#define QUEUE_BYTES (4 << 20)

static const uint8_t near_mac[6] = {2, 'g', 'n', 't', 'r', 2}, far_mac[6] = {2, 'g', 'n', 't', 'r', 1};
static const char *near_addresses[] = {UPLINK_NEAR4, UPLINK_NEAR6}, *far_addresses[] = {UPLINK_FAR4, UPLINK_FAR6};

static void make_link(struct messages *to, int far_namespace) {
    struct ifinfomsg near = {.ifi_index = NEAR_INDEX}, far = {.ifi_index = FAR_INDEX};
    uint32_t mtu = MTU;
    message(to, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &near, sizeof near);
    attribute_text(to, IFLA_IFNAME, NAME);
    attribute(to, IFLA_ADDRESS, near_mac, sizeof near_mac);
    attribute(to, IFLA_MTU, &mtu, sizeof mtu);
    size_t info = nest(to, IFLA_LINKINFO);
    attribute_text(to, IFLA_INFO_KIND, "veth");
    size_t data = nest(to, IFLA_INFO_DATA);
    size_t peer = nest(to, VETH_INFO_PEER);
    memcpy(to->bytes + to->length, &far, sizeof far); // A header again, no attribute.
    to->length += NLMSG_ALIGN(sizeof far);
    attribute_text(to, IFLA_IFNAME, NAME);
    attribute(to, IFLA_ADDRESS, far_mac, sizeof far_mac);
    attribute(to, IFLA_MTU, &mtu, sizeof mtu);
    attribute(to, IFLA_NET_NS_FD, &far_namespace, sizeof far_namespace);
    nest_end(to, peer);
    nest_end(to, data);
    nest_end(to, info);
}

static void set_up(struct messages *to, int index) {
    struct ifinfomsg header = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    message(to, RTM_NEWLINK, NLM_F_ACK, &header, sizeof header);
}

static size_t parse(int family, const char *text, uint8_t *address) {
    inet_pton(family, text, address);
    return family == AF_INET ? 4 : 16;
}

static void add_address(struct messages *to, int family, int index, const char *text) {
    struct ifaddrmsg header = {(uint8_t)family, family == AF_INET ? 30 : 126, IFA_F_NODAD, RT_SCOPE_UNIVERSE, (uint32_t)index};
    uint8_t address[16];
    size_t length = parse(family, text, address);
    message(to, RTM_NEWADDR, NLM_F_CREATE | NLM_F_ACK, &header, sizeof header);
    attribute(to, IFA_LOCAL, address, length);
    attribute(to, IFA_ADDRESS, address, length);
}

// No questions for addresses: both ends know each other.
static void add_neighbour(struct messages *to, int family, int index, const char *text, const uint8_t *mac) {
    struct ndmsg header = {.ndm_family = (uint8_t)family, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT};
    uint8_t address[16];
    size_t length = parse(family, text, address);
    message(to, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK, &header, sizeof header);
    attribute(to, NDA_DST, address, length);
    attribute(to, NDA_LLADDR, mac, 6);
}

// To everywhere. Without a gateway: every address is this namespace's own, so that connections to any of them end here.
static void add_default_route(struct messages *to, int family, int index, const char *gateway) {
    struct rtmsg header = {.rtm_family = (uint8_t)family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT};
    header.rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_HOST;
    header.rtm_type = gateway ? RTN_UNICAST : RTN_LOCAL;
    uint32_t interface = (uint32_t)index;
    uint8_t address[16];
    message(to, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_ACK, &header, sizeof header);
    attribute(to, RTA_OIF, &interface, sizeof interface);
    if (gateway)
        attribute(to, RTA_GATEWAY, address, parse(family, gateway, address));
}

static int configure(int near, int far, int far_namespace, bool six) {
    static struct messages messages;
    make_link(&messages, far_namespace);
    int error = exchange(near, &messages);
    for (int i = 0; i <= six && !error; i++) {
        int family = i ? AF_INET6 : AF_INET;
        add_address(&messages, family, NEAR_INDEX, near_addresses[i]);
        add_neighbour(&messages, family, NEAR_INDEX, far_addresses[i], far_mac);
        if (!i) {
            set_up(&messages, LOOPBACK_INDEX); // Containers that share the guest's network have its localhost.
            set_up(&messages, NEAR_INDEX);
        }
        add_default_route(&messages, family, NEAR_INDEX, far_addresses[i]);
        error = exchange(near, &messages);
        if (error)
            break;
        if (!i) {
            set_up(&messages, LOOPBACK_INDEX);
            set_up(&messages, FAR_INDEX);
        }
        add_address(&messages, family, FAR_INDEX, far_addresses[i]);
        add_neighbour(&messages, family, FAR_INDEX, near_addresses[i], near_mac);
        add_default_route(&messages, family, LOOPBACK_INDEX, NULL);
        error = exchange(far, &messages);
    }
    return error;
}

// The rules of the namespace, in nft's words:
//   chain ask    { hook prerouting priority -150: meta l4proto != tcp queue; tcp flags & (fin|syn|rst|ack) == syn queue }
//   chain divert { hook prerouting priority -140: tcp flags & (fin|syn|rst|ack) == syn tproxy to :LISTENER_PORT }
static void rule_start(struct messages *to, const char *chain, size_t *expressions) {
    struct nfgenmsg header = {NFPROTO_INET, NFNETLINK_V0, 0};
    message(to, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, &header, sizeof header);
    attribute_text(to, NFTA_RULE_TABLE, NAME);
    attribute_text(to, NFTA_RULE_CHAIN, chain);
    *expressions = nest(to, NFTA_RULE_EXPRESSIONS);
}

static void expression(struct messages *to, const char *name, size_t nests[2]) {
    nests[0] = nest(to, NFTA_LIST_ELEM);
    attribute_text(to, NFTA_EXPR_NAME, name);
    nests[1] = nest(to, NFTA_EXPR_DATA);
}

static void expression_end(struct messages *to, const size_t nests[2]) {
    nest_end(to, nests[1]);
    nest_end(to, nests[0]);
}

static void value(struct messages *to, uint16_t type, const void *bytes, size_t length) {
    size_t data = nest(to, type);
    attribute(to, NFTA_DATA_VALUE, bytes, length);
    nest_end(to, data);
}

static void compare(struct messages *to, uint32_t how, uint8_t with) {
    size_t nests[2];
    expression(to, "cmp", nests);
    attribute_u32be(to, NFTA_CMP_SREG, NFT_REG_1);
    attribute_u32be(to, NFTA_CMP_OP, how);
    value(to, NFTA_CMP_DATA, &with, 1);
    expression_end(to, nests);
}

static void protocol_is(struct messages *to, uint32_t how) {
    size_t nests[2];
    expression(to, "meta", nests);
    attribute_u32be(to, NFTA_META_DREG, NFT_REG_1);
    attribute_u32be(to, NFTA_META_KEY, NFT_META_L4PROTO);
    expression_end(to, nests);
    compare(to, how, IPPROTO_TCP);
}

static void opens_connection(struct messages *to) {
    const uint8_t mask = 0x17, zero = 0, syn = 0x02;
    size_t nests[2];
    protocol_is(to, NFT_CMP_EQ);
    expression(to, "payload", nests);
    attribute_u32be(to, NFTA_PAYLOAD_DREG, NFT_REG_1);
    attribute_u32be(to, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
    attribute_u32be(to, NFTA_PAYLOAD_OFFSET, 13);
    attribute_u32be(to, NFTA_PAYLOAD_LEN, 1);
    expression_end(to, nests);
    expression(to, "bitwise", nests);
    attribute_u32be(to, NFTA_BITWISE_SREG, NFT_REG_1);
    attribute_u32be(to, NFTA_BITWISE_DREG, NFT_REG_1);
    attribute_u32be(to, NFTA_BITWISE_LEN, 1);
    value(to, NFTA_BITWISE_MASK, &mask, 1);
    value(to, NFTA_BITWISE_XOR, &zero, 1);
    expression_end(to, nests);
    compare(to, NFT_CMP_EQ, syn);
}

static void queue(struct messages *to) {
    const uint16_t number = 0, total = htons(1);
    size_t nests[2];
    expression(to, "queue", nests);
    attribute(to, NFTA_QUEUE_NUM, &number, 2);
    attribute(to, NFTA_QUEUE_TOTAL, &total, 2);
    expression_end(to, nests);
}

static void divert(struct messages *to) {
    const uint16_t port = htons(LISTENER_PORT);
    size_t nests[2];
    expression(to, "immediate", nests);
    attribute_u32be(to, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    value(to, NFTA_IMMEDIATE_DATA, &port, 2);
    expression_end(to, nests);
    expression(to, "tproxy", nests);
    attribute_u32be(to, NFTA_TPROXY_FAMILY, NFPROTO_UNSPEC);
    attribute_u32be(to, NFTA_TPROXY_REG_PORT, NFT_REG_1);
    expression_end(to, nests);
}

static void add_chain(struct messages *to, const char *name, int priority) {
    struct nfgenmsg header = {NFPROTO_INET, NFNETLINK_V0, 0};
    message(to, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, &header, sizeof header);
    attribute_text(to, NFTA_CHAIN_TABLE, NAME);
    attribute_text(to, NFTA_CHAIN_NAME, name);
    size_t hook = nest(to, NFTA_CHAIN_HOOK);
    attribute_u32be(to, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
    attribute_u32be(to, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    nest_end(to, hook);
    attribute_text(to, NFTA_CHAIN_TYPE, "filter");
}

static int add_rules(int socket) {
    static struct messages messages;
    struct nfgenmsg batch = {NFPROTO_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)}, header = {NFPROTO_INET, NFNETLINK_V0, 0};
    size_t expressions;
    message(&messages, NFNL_MSG_BATCH_BEGIN, 0, &batch, sizeof batch);
    message(&messages, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, &header, sizeof header);
    attribute_text(&messages, NFTA_TABLE_NAME, NAME);
    add_chain(&messages, "ask", -150);
    add_chain(&messages, "divert", -140);
    rule_start(&messages, "ask", &expressions);
    protocol_is(&messages, NFT_CMP_NEQ);
    queue(&messages);
    nest_end(&messages, expressions);
    rule_start(&messages, "ask", &expressions);
    opens_connection(&messages);
    queue(&messages);
    nest_end(&messages, expressions);
    rule_start(&messages, "divert", &expressions);
    opens_connection(&messages);
    divert(&messages);
    nest_end(&messages, expressions);
    message(&messages, NFNL_MSG_BATCH_END, 0, &batch, sizeof batch);
    return exchange(socket, &messages);
}

static int bind_queue(int socket) {
    static struct messages messages;
    struct nfgenmsg header = {NFPROTO_UNSPEC, NFNETLINK_V0, 0};
    struct nfqnl_msg_config_cmd bind = {.command = NFQNL_CFG_CMD_BIND};
    struct nfqnl_msg_config_params whole = {htonl(0xffff), NFQNL_COPY_PACKET};
    const uint16_t type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG;
    const int bytes = QUEUE_BYTES, on = 1;
    message(&messages, type, NLM_F_ACK, &header, sizeof header);
    attribute(&messages, NFQA_CFG_CMD, &bind, sizeof bind);
    message(&messages, type, NLM_F_ACK, &header, sizeof header);
    attribute(&messages, NFQA_CFG_PARAMS, &whole, sizeof whole);
    attribute_u32be(&messages, NFQA_CFG_QUEUE_MAXLEN, QUEUE_LENGTH);
    setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(socket, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
    int error = exchange(socket, &messages);
    return error || !fcntl(socket, F_SETFL, O_NONBLOCK) ? error : errno;
}

// Takes connections to any address and port (ip(7), IP_TRANSPARENT), both families.
static int open_listener(int *listener) {
    const int on = 1, off = 0;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(LISTENER_PORT)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof on) || bind(fd, (void *)&any, sizeof any) || listen(fd, BACKLOG))
        return errno;
    *listener = fd;
    return 0;
}

static int open_sockets(struct uplink *uplink, int *route, int *rules) {
    *route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    *rules = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    uplink->queue = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    uplink->packets = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*route < 0 || *rules < 0 || uplink->queue < 0 || uplink->packets < 0)
        return errno;
    return open_listener(&uplink->listener);
}

int uplink_open(struct uplink *uplink, bool six) {
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int near = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), far = -1, rules = -1;
    if (home < 0 || near < 0 || unshare(CLONE_NEWNET))
        return errno;
    int beyond = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int error = open_sockets(uplink, &far, &rules);
    if (setns(home, CLONE_NEWNET))
        give_up("return to the guest's network");
    if (!error)
        error = configure(near, far, beyond, six);
    if (!error)
        error = add_rules(rules);
    if (!error)
        error = bind_queue(uplink->queue);
    int done[] = {home, near, far, rules, beyond};
    for (size_t i = 0; i < sizeof done / sizeof *done; i++)
        close(done[i]);
    return error;
}

bool uplink_send(const struct uplink *uplink, int family, const void *packet, size_t length) {
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = FAR_INDEX, .sll_halen = 6};
    to.sll_protocol = htons(family == AF_INET ? 0x0800 : 0x86dd);
    memcpy(to.sll_addr, near_mac, sizeof near_mac);
    return sendto(uplink->packets, packet, length, 0, (void *)&to, sizeof to) >= 0;
}

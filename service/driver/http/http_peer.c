/* What each client address holds of an http_server, so that no address takes the share of all others: IPv4 by the address, IPv6 by its
 * /64, which is one client's. There are as many as there are connections at most. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "driver/http/http_conn.h"

/* IPv6 by its first half; IPv4, which also comes as IPv6, by numbers that no first half of a public address is. */
static uint64_t address_of(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof(name);
    uint64_t address = 0;
    uint32_t four = 0;
    getpeername(fd, (struct sockaddr *)&name, &len);
    if (name.ss_family == AF_INET) {
        four = ((const struct sockaddr_in *)&name)->sin_addr.s_addr;
    } else if (name.ss_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)&name)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(six)) memcpy(&four, &six->s6_addr[12], sizeof(four));
        else memcpy(&address, six->s6_addr, sizeof(address));
    }
    return four == 0 ? address : four;
}

static struct http_peer **bucket_of(struct http_server *server, uint64_t address)
{
    return &server->peers[(address * 0x9e3779b97f4a7c15U) >> 32 & (HTTP_PEER_BUCKETS - 1)];
}

bool http_peer_join(struct http_conn *conn)
{
    uint64_t address = address_of(conn->fd);
    struct http_peer **bucket = bucket_of(conn->server, address);
    struct http_peer *peer = *bucket;
    while (peer != NULL && peer->address != address) peer = peer->next;
    if (peer == NULL) {
        peer = calloc(1, sizeof(*peer));
        if (peer == NULL) return false;
        peer->server = conn->server;
        peer->address = address;
        peer->next = *bucket;
        *bucket = peer;
    }
    peer->conns_len++;
    conn->server->known_len++;
    conn->peer = peer;
    conn->peer_next = peer->conns;
    if (conn->peer_next != NULL) conn->peer_next->peer_previous = conn;
    peer->conns = conn;
    return true;
}

void http_peer_leave(struct http_conn *conn)
{
    if (conn->peer == NULL) return;
    if (conn->peer_previous == NULL) conn->peer->conns = conn->peer_next;
    else conn->peer_previous->peer_next = conn->peer_next;
    if (conn->peer_next != NULL) conn->peer_next->peer_previous = conn->peer_previous;
    http_peer_release(conn->peer);
    conn->server->known_len--;
    conn->peer = NULL;
}

void http_peer_hold(struct http_peer *peer)
{
    peer->conns_len++;
}

void http_peer_release(struct http_peer *peer)
{
    if (--peer->conns_len > 0) return;
    struct http_peer **slot = bucket_of(peer->server, peer->address);
    while (*slot != peer) slot = &(*slot)->next;
    *slot = peer->next;
    free(peer);
}

struct http_peer *http_peer_most(const struct http_server *server, size_t (*amount)(const struct http_peer *peer))
{
    struct http_peer *most = NULL;
    for (size_t i = 0; i < HTTP_PEER_BUCKETS; i++) {
        for (struct http_peer *peer = server->peers[i]; peer != NULL; peer = peer->next) {
            if (amount(peer) > (most == NULL ? 0 : amount(most))) most = peer;
        }
    }
    return most;
}

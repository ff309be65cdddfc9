/* Where webhooks may go: which URLs are taken, and which addresses are connected to. Pure.
 *
 * A URL is tested when it is stored, by its text alone: nothing is resolved. What its name resolves to is tested by
 * address_rule_refusal at each connect, so that a name that changes gains nothing. Both follow one rule: the public internet over
 * https, and what the operator's networks name, there over http too. Addresses of cloud metadata services are refused always. */
#ifndef WEBHOOK_ADDRESS_RULE_H
#define WEBHOOK_ADDRESS_RULE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/slice.h"

enum { ADDRESS_RULE_NETWORKS_MAX = 64, WEBHOOK_URL_BYTES_MAX = 2048, WEBHOOK_HOST_BYTES_MAX = 253 };

/* IPv4 is mapped into IPv6. */
struct address_network {
    uint8_t bytes[16];
    unsigned bits;
};

struct address_rule {
    struct address_network allowed[ADDRESS_RULE_NETWORKS_MAX];
    size_t allowed_len;
};

/* Reads networks such as "127.0.0.0/8,fd00:1::/32", with commas between; an address alone is a network of one. False when one is
 * none, or there are too many. */
bool address_rule_init(struct address_rule *rule, struct slice allowed_networks);

/* Why there is no connecting to the address and its port, as a static text; NULL: there is. */
const char *address_rule_refusal(const struct address_rule *rule, const struct sockaddr *address, bool is_https);

/* The parts of a URL that is well-formed, borrowed from it. */
struct webhook_url {
    bool is_https;
    struct slice host; /* without brackets and a last dot */
    uint16_t port;
};

/* Why the URL is not taken, as a static text; NULL: it is, and *ret_url is set. */
const char *address_rule_url_refusal(const struct address_rule *rule, struct slice url, struct webhook_url *ret_url);

#endif

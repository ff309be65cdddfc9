#include "webhook/address_rule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <strings.h>

enum { IPV4_MAPPED_BITS = 96, NETWORK_TEXT_SIZE = 64 };

static const char private_address[] = "Private IP address";
static const char blocked_host[] = "Blocked hostname";
static const char malformed[] = "Invalid URL format";
static const char plain_http[] = "Only HTTPS URLs are allowed";
static const char blocked_port[] = "Port is not allowed";

struct address {
    uint8_t bytes[16]; /* IPv4 is mapped */
};

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct address mapped(const void *ipv4)
{
    struct address address;
    memcpy(address.bytes, mapped_prefix, sizeof(mapped_prefix));
    memcpy(address.bytes + sizeof(mapped_prefix), ipv4, 4);
    return address;
}

static bool is_mapped(const struct address *address)
{
    return memcmp(address->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static bool is_within(const struct address *address, const struct address_network *network)
{
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(address->bytes, network->bytes, whole) != 0) return false;
    if (rest == 0) return true;
    unsigned mask = 0xffU << (8 - rest) & 0xffU;
    return ((address->bytes[whole] ^ network->bytes[whole]) & mask) == 0;
}

/* ---- tables ---- */

/* Special-purpose IPv4 (RFC 6890 and its registry), and 6to4's relays. */
static const struct {
    uint8_t bytes[4];
    unsigned bits;
} ipv4_refused[] = {
    {{0, 0, 0, 0}, 8},       {{10, 0, 0, 0}, 8},      {{100, 64, 0, 0}, 10},   {{127, 0, 0, 0}, 8},
    {{169, 254, 0, 0}, 16},  {{172, 16, 0, 0}, 12},   {{192, 0, 0, 0}, 24},    {{192, 0, 2, 0}, 24},
    {{192, 31, 196, 0}, 24}, {{192, 52, 193, 0}, 24}, {{192, 88, 99, 0}, 24},  {{192, 168, 0, 0}, 16},
    {{192, 175, 48, 0}, 24}, {{198, 18, 0, 0}, 15},   {{198, 51, 100, 0}, 24}, {{203, 0, 113, 0}, 24},
    {{224, 0, 0, 0}, 4},     {{240, 0, 0, 0}, 4},
};

/* Of IPv6 only global unicast, 2000::/3, is the internet; these are the parts of it that are not: protocol assignments (Teredo,
 * benchmarks, ORCHID), 6to4 and documentation. */
static const struct address_network ipv6_global = {{0x20}, 3};
static const struct address_network ipv6_refused[] = {
    {{0x20, 0x01}, 23}, {{0x20, 0x01, 0x0d, 0xb8}, 32}, {{0x20, 0x02}, 16}, {{0x26, 0x20, 0x00, 0x4f, 0x80}, 48}, /* AS112 */
    {{0x3f, 0xff}, 20},
};

/* Where an IPv6 address holds an IPv4 one: compatible, SIIT, NAT64 twice, 6to4. */
static const struct {
    struct address_network network;
    size_t at;
} translated[] = {
    {{{0}, 96}, 12},
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12},
    {{{0, 0x64, 0xff, 0x9b}, 96}, 12},
    {{{0, 0x64, 0xff, 0x9b, 0, 1}, 48}, 12},
    {{{0x20, 0x02}, 16}, 2},
};

/* Of clouds: the instance's data, its credentials, and what serves both. */
static const uint8_t ipv4_metadata[][4] = {
    {169, 254, 169, 254}, {169, 254, 169, 253}, {169, 254, 170, 2}, {169, 254, 170, 23},
    {169, 254, 42, 42},   {100, 100, 100, 200}, {168, 63, 129, 16}, {192, 0, 0, 192},
};
static const struct address ipv6_metadata[] = {
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}}, /* fd00:ec2::254 */
    {{0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23}},
    {{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}},
    {{0xfd, 0x00, 0x00, 0x42, [15] = 0x42}},
};
static const char *const metadata_names[] = {
    "metadata",      "metadata.google.internal",  "metadata.google.com", "metadata.goog",
    "instance-data", "instance-data.ec2.internal"};

/* Of servers that are not meant for strangers, and would take a request for a command or a connection for a load. */
static const uint16_t ports_refused[] = {
    1433, 1521, 1723, 2049, 2181, 2375,  2376,  2379,  2380,  3128,  3306,  3389,  4369,  5432,
    5433, 5671, 5672, 5900, 5984, 6000,  6379,  6380,  6443,  6667,  8086,  8500,  9042,  9092,
    9093, 9094, 9100, 9200, 9300, 10250, 10255, 11211, 15672, 25672, 26379, 27017, 27018, 50070,
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- addresses ---- */

static bool is_ipv4_metadata(const uint8_t ipv4[4])
{
    for (size_t i = 0; i < LENGTH(ipv4_metadata); i++) {
        if (memcmp(ipv4, ipv4_metadata[i], 4) == 0) return true;
    }
    return false;
}

static bool is_metadata(const struct address *address)
{
    if (is_mapped(address)) return is_ipv4_metadata(address->bytes + 12);
    for (size_t i = 0; i < LENGTH(ipv6_metadata); i++) {
        if (memcmp(address->bytes, ipv6_metadata[i].bytes, sizeof(address->bytes)) == 0) return true;
    }
    for (size_t i = 0; i < LENGTH(translated); i++) {
        if (is_within(address, &translated[i].network) && is_ipv4_metadata(address->bytes + translated[i].at)) return true;
    }
    return false;
}

static bool is_internet(const struct address *address)
{
    if (is_mapped(address)) {
        for (size_t i = 0; i < LENGTH(ipv4_refused); i++) {
            struct address start = mapped(ipv4_refused[i].bytes);
            struct address_network network = {.bits = IPV4_MAPPED_BITS + ipv4_refused[i].bits};
            memcpy(network.bytes, start.bytes, sizeof(network.bytes));
            if (is_within(address, &network)) return false;
        }
        return true;
    }
    for (size_t i = 0; i < LENGTH(ipv6_refused); i++) {
        if (is_within(address, &ipv6_refused[i])) return false;
    }
    return is_within(address, &ipv6_global);
}

static bool is_allowed_network(const struct address_rule *rule, const struct address *address)
{
    for (size_t i = 0; i < rule->allowed_len; i++) {
        if (is_within(address, &rule->allowed[i])) return true;
    }
    return false;
}

static bool is_port_allowed(uint16_t port)
{
    if (port == 80 || port == 443) return true;
    for (size_t i = 0; i < LENGTH(ports_refused); i++) {
        if (port == ports_refused[i]) return false;
    }
    return port >= 1024;
}

static const char *refusal(const struct address_rule *rule, const struct address *address, bool is_https)
{
    if (is_metadata(address)) return private_address;
    if (is_allowed_network(rule, address)) return NULL;
    if (!is_internet(address)) return private_address;
    return is_https ? NULL : plain_http;
}

const char *address_rule_refusal(const struct address_rule *rule, const struct sockaddr *address, bool is_https)
{
    struct address tested;
    uint16_t port;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;
        tested = mapped(&ipv4->sin_addr);
        port = ntohs(ipv4->sin_port);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;
        memcpy(tested.bytes, &ipv6->sin6_addr, sizeof(tested.bytes));
        port = ntohs(ipv6->sin6_port);
    } else {
        return private_address;
    }
    return is_port_allowed(port) ? refusal(rule, &tested, is_https) : blocked_port;
}

/* ---- the operator's networks ---- */

static bool parse_number(struct slice digits, unsigned most, unsigned *ret_number)
{
    unsigned number = 0;
    if (digits.len == 0) return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
        number = number * 10 + (unsigned)(digits.data[i] - '0');
        if (number > most) return false;
    }
    *ret_number = number;
    return true;
}

static bool parse_network(struct slice text, struct address_network *network)
{
    char copy[NETWORK_TEXT_SIZE];
    struct in_addr ipv4;
    const char *slash = memchr(text.data, '/', text.len);
    size_t len = slash == NULL ? text.len : (size_t)(slash - text.data);
    if (len == 0 || len >= sizeof(copy)) return false;
    memcpy(copy, text.data, len);
    copy[len] = '\0';
    bool is_ipv4 = inet_pton(AF_INET, copy, &ipv4) == 1;
    if (is_ipv4) memcpy(network->bytes, mapped(&ipv4).bytes, sizeof(network->bytes));
    else if (inet_pton(AF_INET6, copy, network->bytes) != 1) return false;
    unsigned most = is_ipv4 ? 32 : 128;
    network->bits = most;
    if (slash != NULL && !parse_number((struct slice){slash + 1, text.len - len - 1}, most, &network->bits)) return false;
    network->bits += is_ipv4 ? IPV4_MAPPED_BITS : 0;
    return true;
}

bool address_rule_init(struct address_rule *rule, struct slice allowed_networks)
{
    *rule = (struct address_rule){0};
    while (allowed_networks.len > 0) {
        const char *comma = memchr(allowed_networks.data, ',', allowed_networks.len);
        size_t len = comma == NULL ? allowed_networks.len : (size_t)(comma - allowed_networks.data);
        if (rule->allowed_len == ADDRESS_RULE_NETWORKS_MAX ||
            !parse_network((struct slice){allowed_networks.data, len}, &rule->allowed[rule->allowed_len])) {
            return false;
        }
        rule->allowed_len++;
        if (comma == NULL) break;
        allowed_networks = (struct slice){comma + 1, allowed_networks.len - len - 1};
        if (allowed_networks.len == 0) return false;
    }
    return true;
}

/* ---- URLs ---- */

/* Printable ASCII without what parsers read differently from each other. A name of other scripts comes in its ASCII form (IDNA). */
static bool has_plain_characters(struct slice url)
{
    for (size_t i = 0; i < url.len; i++) {
        if (url.data[i] <= ' ' || url.data[i] > '~' || strchr("\"<>\\^`{|}", url.data[i]) != NULL) return false;
    }
    return true;
}

static bool take_prefix(struct slice *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || strncasecmp(text->data, prefix, len) != 0) return false;
    *text = (struct slice){text->data + len, text->len - len};
    return true;
}

static bool split_authority(struct slice authority, struct webhook_url *url)
{
    struct slice host = authority;
    struct slice port = {NULL, 0};
    bool is_bracketed = authority.len > 0 && authority.data[0] == '[';
    const char *end = memchr(authority.data, is_bracketed ? ']' : ':', authority.len);
    if (is_bracketed) {
        if (end == NULL) return false;
        host = (struct slice){authority.data + 1, (size_t)(end - authority.data) - 1};
        port = (struct slice){end + 1, authority.len - host.len - 2};
    } else if (end != NULL) {
        host.len = (size_t)(end - authority.data);
        port = (struct slice){end, authority.len - host.len};
    }
    unsigned number = url->is_https ? 443 : 80;
    if (port.len > 0 && (!slice_take_char(&port, ':') || !parse_number(port, UINT16_MAX, &number))) return false;
    url->port = (uint16_t)number;
    url->host = host;
    return host.len > 0;
}

/* Labels of letters, digits, hyphens and underscores; one last dot is the root's, and is taken off. */
static bool is_name(struct slice *host)
{
    if (host->len > 1 && host->data[host->len - 1] == '.') host->len--;
    if (host->len > WEBHOOK_HOST_BYTES_MAX) return false;
    char before = '.';
    for (size_t i = 0; i < host->len; i++) {
        char c = host->data[i];
        bool is_label = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!is_label && (c != '.' || before == '.')) return false;
        before = c;
    }
    return before != '.';
}

/* A name whose last label is a number is an IPv4 address in one of its forms, or nothing (WHATWG URL, "ends in a number"). */
static bool ends_in_number(struct slice name)
{
    size_t at = name.len;
    while (at > 0 && name.data[at - 1] != '.') at--;
    struct slice label = {name.data + at, name.len - at};
    if (take_prefix(&label, "0x")) {
        for (size_t i = 0; i < label.len; i++) {
            if (strchr("0123456789abcdefABCDEF", label.data[i]) == NULL) return false;
        }
        return true;
    }
    for (size_t i = 0; i < label.len; i++) {
        if (label.data[i] < '0' || label.data[i] > '9') return false;
    }
    return true;
}

static bool is_same_name(struct slice name, const char *other)
{
    return name.len == strlen(other) && strncasecmp(name.data, other, name.len) == 0;
}

static bool is_below(struct slice name, const char *domain)
{
    size_t len = strlen(domain);
    return name.len >= len && strncasecmp(name.data + name.len - len, domain, len) == 0 &&
           (name.len == len || name.data[name.len - len - 1] == '.');
}

static const char *name_refusal(const struct address_rule *rule, struct slice name)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    struct address address = mapped(loopback);
    for (size_t i = 0; i < LENGTH(metadata_names); i++) {
        if (is_same_name(name, metadata_names[i])) return blocked_host;
    }
    bool is_local = is_below(name, "localhost") || is_same_name(name, "localhost.localdomain");
    return is_local && !is_allowed_network(rule, &address) ? blocked_host : NULL;
}

static const char *host_refusal(const struct address_rule *rule, struct webhook_url *url, bool is_bracketed)
{
    char copy[WEBHOOK_HOST_BYTES_MAX + 1] = "";
    struct address address;
    struct in_addr ipv4;
    if (!is_bracketed && !is_name(&url->host)) return malformed;
    if (url->host.len >= sizeof(copy)) return malformed;
    memcpy(copy, url->host.data, url->host.len);
    if (is_bracketed) {
        return inet_pton(AF_INET6, copy, address.bytes) == 1 ? refusal(rule, &address, url->is_https) : malformed;
    }
    if (ends_in_number(url->host)) {
        if (inet_aton(copy, &ipv4) == 0) return malformed;
        address = mapped(&ipv4);
        return refusal(rule, &address, url->is_https);
    }
    return name_refusal(rule, url->host);
}

const char *address_rule_url_refusal(const struct address_rule *rule, struct slice url, struct webhook_url *ret_url)
{
    struct webhook_url parts = {0};
    struct slice rest = url;
    if (url.len == 0 || url.len > WEBHOOK_URL_BYTES_MAX || !has_plain_characters(url)) return malformed;
    parts.is_https = take_prefix(&rest, "https://");
    if (!parts.is_https && !take_prefix(&rest, "http://")) {
        return memchr(url.data, ':', url.len) == NULL ? malformed : "Only HTTP and HTTPS protocols are allowed";
    }
    if (!parts.is_https && rule->allowed_len == 0) return plain_http;
    size_t len = 0;
    while (len < rest.len && strchr("/?#", rest.data[len]) == NULL) len++;
    struct slice authority = {rest.data, len};
    if (memchr(authority.data, '@', len) != NULL) return "Credentials in a URL are not allowed";
    if (!split_authority(authority, &parts)) return malformed;
    const char *refused = host_refusal(rule, &parts, authority.data[0] == '[');
    if (refused == NULL && !is_port_allowed(parts.port)) refused = blocked_port;
    if (refused == NULL) *ret_url = parts;
    return refused;
}

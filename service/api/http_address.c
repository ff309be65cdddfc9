#include "api/http_address.h"

#include <netinet/in.h>
#include <event2/util.h>
#include <openssl/sha.h>

enum { ADDRESS_TEXT_SIZE = 64, SUBNET_LEN = 8 };

static struct slice trim(struct slice text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) text = (struct slice){text.data + 1, text.len - 1};
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) text.len--;
    return text;
}

static void map_ipv4(const struct in_addr *ipv4, uint8_t ret_address[ADDRESS_LEN])
{
    static const uint8_t prefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memcpy(ret_address, prefix, sizeof(prefix));
    memcpy(ret_address + sizeof(prefix), ipv4, sizeof(*ipv4));
}

static void cut_ipv6(const struct in6_addr *ipv6, uint8_t ret_address[ADDRESS_LEN])
{
    memcpy(ret_address, ipv6, ADDRESS_LEN);
    if (!IN6_IS_ADDR_V4MAPPED(ipv6)) memset(ret_address + SUBNET_LEN, 0, ADDRESS_LEN - SUBNET_LEN);
}

bool address_parse(struct slice text, uint8_t ret_address[ADDRESS_LEN])
{
    struct sockaddr_storage address;
    int len = sizeof(address);
    char copy[ADDRESS_TEXT_SIZE] = "";
    text = trim(text);
    const char *scope = memchr(text.data, '%', text.len); /* of a link-local address */
    if (scope != NULL) text.len = (size_t)(scope - text.data);
    if (text.len == 0 || text.len >= sizeof(copy)) return false;
    memcpy(copy, text.data, text.len);
    if (evutil_parse_sockaddr_port(copy, (struct sockaddr *)&address, &len) != 0) return false;
    if (address.ss_family == AF_INET) map_ipv4(&((const struct sockaddr_in *)&address)->sin_addr, ret_address);
    else cut_ipv6(&((const struct sockaddr_in6 *)&address)->sin6_addr, ret_address);
    return true;
}

void address_tracker(const char *peer, const char *forwarded, uint8_t ret_id[ADDRESS_TRACKER_LEN])
{
    _Static_assert(ADDRESS_TRACKER_LEN == SHA256_DIGEST_LENGTH, "the digest is a SHA-256");
    uint8_t address[ADDRESS_LEN] = {0};
    const char *comma = forwarded == NULL ? NULL : strrchr(forwarded, ',');
    struct slice last = slice_of(comma == NULL ? forwarded : comma + 1);
    if (last.data == NULL || !address_parse(last, address)) address_parse(slice_of(peer), address);
    SHA256(address, sizeof(address), ret_id);
}

/* The network address that a request counts against. Pure. */
#ifndef API_HTTP_ADDRESS_H
#define API_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum { ADDRESS_LEN = 16, ADDRESS_TRACKER_LEN = 32 };

/* An IPv4 or IPv6 address, a port behind it allowed ("[::1]:80"), as 16 bytes: IPv4 mapped into IPv6, of any other IPv6 address
 * its /64, for that is what one subscriber has. False when it is none. */
bool address_parse(struct slice text, uint8_t ret_address[ADDRESS_LEN]);

/* A digest of the rightmost entry of `forwarded`, which the nearest proxy has written; of `peer` when that is NULL or no
 * address. */
void address_tracker(const char *peer, const char *forwarded, uint8_t ret_id[ADDRESS_TRACKER_LEN]);

#endif

/* The server's side of TLS, on OpenSSL: 1.2 and newer, ciphers with forward secrecy alone, no compression, no renegotiation, and
 * no resumption, whose keys would outlive the handshakes they come from. */
#ifndef DRIVER_HTTP_TLS_H
#define DRIVER_HTTP_TLS_H

#include <stdbool.h>
#include <stdint.h>
#include <event2/bufferevent.h>
#include <openssl/types.h>

#include "core/buf.h"

/* A context with the certificate, the chain behind it and the key of two PEM files; a key with a password is refused. NULL when
 * they cannot be used; what is wrong was appended to *reason. The caller frees it with tls_context_free. */
SSL_CTX *tls_context_new(const char *certificate, const char *key, struct buf *reason);
void tls_context_free(SSL_CTX *context);

/* When the certificate ends, in seconds since 1970. */
int64_t tls_certificate_end(const SSL_CTX *context);

/* A bufferevent for a connection that will be accepted, which takes the handshake upon itself. It closes its socket when it is
 * freed. NULL when out of memory. */
struct bufferevent *tls_accept(struct event_base *base, SSL_CTX *context);

/* These two are also good for a bufferevent without TLS. */
bool tls_is_established(struct bufferevent *bev);

/* Announces the end to the peer (close_notify), so that it can distinguish an end from a cut. Call before closing. */
void tls_say_goodbye(struct bufferevent *bev);

#endif

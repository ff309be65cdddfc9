#include "driver/http/tls.h"

#include <string.h>
#include <time.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/* Of TLS 1.2; those of 1.3 are all good. */
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* Nobody is there to be asked. */
static int no_password(char *text, int size, int is_writing, void *ctx)
{
    (void)text;
    (void)size;
    (void)is_writing;
    (void)ctx;
    return -1;
}

/* OpenSSL's first error is the cause of those behind it. */
static void explain(struct buf *reason, const char *what, const char *path)
{
    unsigned long error = ERR_get_error();
    const char *text = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);
    buf_printf(reason, "the %s %s cannot be used (%s); it must be PEM, and a key without a password", what, path,
               text == NULL ? "unknown reason" : text);
    ERR_clear_error();
}

static bool load(SSL_CTX *context, const char *certificate, const char *key, struct buf *reason)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        explain(reason, "certificate", certificate);
    } else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) !=
               1) { /* also checks that it is the certificate's */
        explain(reason, "key", key);
    } else {
        return true;
    }
    return false;
}

SSL_CTX *tls_context_new(const char *certificate, const char *key, struct buf *reason)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, ciphers) != 1 || SSL_CTX_set_num_tickets(context, 0) != 1) {
        buf_printf(reason, "OpenSSL refuses TLS 1.2 and its ciphers");
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* idle connections are many */
    SSL_CTX_set_default_passwd_cb(context, no_password);
    if (load(context, certificate, key, reason)) return context;
    SSL_CTX_free(context);
    return NULL;
}

void tls_context_free(SSL_CTX *context)
{
    SSL_CTX_free(context);
}

int64_t tls_certificate_end(const SSL_CTX *context)
{
    struct tm end = {0};
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    return certificate != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1 ? timegm(&end) : 0;
}

struct bufferevent *tls_accept(struct event_base *base, SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);
    if (ssl == NULL) return NULL;
    struct bufferevent *bev =
        bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (bev == NULL) SSL_free(ssl);
    return bev;
}

bool tls_is_established(struct bufferevent *bev)
{
    const SSL *ssl = bufferevent_openssl_get_ssl(bev);
    return ssl == NULL || SSL_is_init_finished(ssl);
}

/* SSL_shutdown(3): not while a handshake is under way, and after a fatal error it only fails. */
void tls_say_goodbye(struct bufferevent *bev)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    if (ssl == NULL || !SSL_is_init_finished(ssl)) return;
    SSL_shutdown(ssl);
    ERR_clear_error();
}

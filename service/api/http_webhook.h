/* A request about webhooks on its way: whose they are, which one, and may the caller. Internal to api/. */
#ifndef API_HTTP_WEBHOOK_H
#define API_HTTP_WEBHOOK_H

#include "api/http_exchange.h"
#include "api/http_webhook_input.h"
#include "core/uuid.h"

enum { WEBHOOKS_MAX = 100 }; /* of an owner */

/* Who owns the webhooks of the path. */
struct webhook_owner {
    int64_t user_id;        /* of one's own; else 0 */
    int64_t org_id;         /* an organization's, or a client's organization; else 0 */
    struct slice client_id; /* a client's, with a NUL behind; else data is NULL */
};

struct webhook_call {
    struct webhook_owner owner;
    bool may_write;
    struct uuid id; /* of the path's webhook, or of the one that is made */
    char id_text[UUID_TEXT_LEN + 1];
    struct webhook_input input;
    struct violations violations; /* of the body: told behind the guards */
    enum status input_status;
    bool restarts;    /* ?from=now */
    int64_t webhooks; /* of the path's client, when the guard looked */
    /* Behind the guards. row: the path's webhook; NULL where it names none. */
    void (*go_on)(struct exchange *exchange, const struct webhook_row *row);
};

/* Calls go_on when the caller may, with what the path names; answers otherwise. exchange->webhook is set, and may be set before. */
void webhook_guard(struct exchange *exchange, void (*go_on)(struct exchange *exchange, const struct webhook_row *row));

/* exchange->webhook, made when it is not yet. NULL: no memory, and it was answered. */
struct webhook_call *webhook_call_of(struct exchange *exchange);

/* webhook_store_ask, which answers what it refuses. */
void webhook_ask(struct exchange *exchange, enum webhook_query query, const struct pg_param *params, webhook_done *done);

/* Answers what is not STATUS_OK, and returns whether it was. */
bool webhook_is_done(struct exchange *exchange, enum status status);

/* A text that ends with a NUL, null where data is NULL; a number of the arena's, null where it is 0. */
struct pg_param webhook_text_param(struct slice text);
struct pg_param webhook_id_param(const struct exchange *exchange, int64_t id);

/* There is no such webhook. */
void refuse_webhook_as_missing(struct exchange *exchange);

/* Appends the object that is answered. STATUS_OK; STATUS_FAILED, which was logged: the secret does not open; STATUS_NO_MEMORY. */
enum status webhook_write_json(const struct exchange *exchange, const struct webhook_row *row, struct buf *out);

/* Opens the row's secret; *ret_len is 0 where it has none. As above. */
enum status webhook_open_secret(const struct exchange *exchange, const struct webhook_row *row,
                                char ret_secret[WEBHOOK_SECRET_BYTES_MAX], size_t *ret_len);

#endif

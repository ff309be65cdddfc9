/* Connects to the first of a URL's hosts that is what the URL asks for (target_session_attrs), without blocking.
 *
 * libpq alone, without blocking, gives its hosts no time of their own: one that accepts and never answers keeps it from the next for ever;
 * and it asks the resolver while the caller waits. So each host, and each of its addresses, is tried by a connection of its own, which has
 * connect_timeout (of the URL or the environment) or DIAL_TIMEOUT_MS. Its name goes along, for TLS and the password file. As libpq does,
 * `prefer-standby` goes around twice; other than libpq, a server that refuses the login is not the end: the next is asked. A URL that names
 * a service of pg_service.conf, or that libpq cannot read, is left to libpq as a whole.
 *
 * What PostgreSQL says on a connection without having been asked goes to the log, as the reason why it ends a session. */
#ifndef DRIVER_PG_DIAL_H
#define DRIVER_PG_DIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <libpq-fe.h>

enum { DIAL_TIMEOUT_MS = 5000, DIAL_HOSTS_MAX = 32 };

struct pg_setting {
    const char *keyword;
    const char *value;
    bool gives_way; /* to what the URL says */
};

enum pg_dial_state { PG_DIAL_READING, PG_DIAL_WRITING, PG_DIAL_CONNECTED, PG_DIAL_FAILED };

struct pg_dial;

/* Everything is borrowed and outlives it. name: of the connection, in the log. NULL: no memory. Begin with pg_dial_step. */
struct pg_dial *pg_dial_new(const char *name, const char *url, const struct pg_setting *settings, size_t settings_len);

/* Ends what is under way; the connection that was not taken too. */
void pg_dial_free(struct pg_dial *dial);

/* Continues when its descriptor is ready, or its time is over. The descriptor may be closed by it: watch it no more meanwhile. */
enum pg_dial_state pg_dial_step(struct pg_dial *dial);

/* Of what is waited for: readable or writable, as the state says; and how long at most. */
int pg_dial_fd(const struct pg_dial *dial);
int64_t pg_dial_left_ms(const struct pg_dial *dial);

/* Once connected; the caller's then. name, as it was given to pg_dial_new, outlives it. */
PGconn *pg_dial_take(struct pg_dial *dial);

/* Why each host failed; borrowed. */
const char *pg_dial_reason(const struct pg_dial *dial);

#endif

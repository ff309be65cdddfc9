/* A libpq connection whose waiting can be interrupted: connect and query, each bounded, and over at once when the relay
 * stops.
 *
 * Happy path: non-blocking libpq, sleeping in the relay's interruptible wait.
 * Failure modes: the reason is set and NULL returned; the caller finishes the connection. */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include <stdbool.h>
#include <libpq-fe.h>

#include "relay/error_text.h"
#include "relay/interruptible_wait.h"

/* Connects, host by host (driver/pg_dial.h); database_url is a URI or a keyword string. replication: as a walsender of that database. The caller
 * owns the connection (PQfinish). It notices a dead network within about 20 s of silence. */
PGconn *session_open(const char *database_url, bool replication, struct interruptible_wait *wait_state,
                     struct error_text *reason);

/* Sends one statement and returns its first result, whatever that says, within 10 s; the caller owns it (PQclear). */
PGresult *session_query(PGconn *conn, const char *sql, struct interruptible_wait *wait_state, struct error_text *reason);

/* The same with text parameters. */
PGresult *session_call(PGconn *conn, const char *sql, int params_len, const char *const *params,
                       struct interruptible_wait *wait_state, struct error_text *reason);

#endif

/* What a sender knows, and what its parts do for each other. Internal to webhook/.
 *
 * An event that is taken from a partition stands in a window: of the head, which the group's consumer reads, or of a scan, which reads
 * again for endpoints that lag. It stays there until each delivery of it is acknowledged or kept as a row. Deliveries of one schedule to one
 * endpoint are a chain: the first alone is under way. A chain that has rows goes on in the database, one row after the other. */
#ifndef WEBHOOK_WEBHOOK_SENDER_STATE_H
#define WEBHOOK_WEBHOOK_SENDER_STATE_H

#include <librdkafka/rdkafka.h>

#include "driver/http_client.h"
#include "webhook/webhook_db.h"
#include "webhook/webhook_endpoints.h"
#include "webhook/webhook_sender.h"

enum {
    SENDER_PARTITIONS_MAX = 1024,
    SENDER_SCANS_MAX = 4,
    SENDER_DELIVERIES_MAX = 20000, /* in memory; then nothing more is taken */
    SENDER_ROWS_MAX = 100,         /* of an endpoint; then it leaves the head */
    SENDER_QUEUED_MAX = 1000,      /* likewise; less, the fuller the memory is */
    SENDER_QUEUED_LEAST = 16,
    SENDER_FAILURES_MAX = 5, /* in a row; likewise, and it rests */
    SENDER_CHAIN_BUCKETS = 1 << 14
};
#define SENDER_CHANGES_MAX 1000 /* read at once, so that neither memory nor the loop feels how many endpoints there are */

/* ---- windows ---- */

/* An event that was taken. */
struct taken {
    struct taken *next;
    int64_t offset;
    int64_t at_us;  /* of its message */
    size_t pending; /* deliveries; 0: done */
};

struct window {
    struct taken *first;
    struct taken *last;
    int64_t position; /* the next offset to take */
};

/* An endpoint that is not at the head of a partition. Events below next_offset are done for it. */
enum lag_state { LAG_WAITING, LAG_SCANNING, LAG_FULL, LAG_JOINED };

struct lag {
    struct endpoint *endpoint;
    struct sender_partition *partition;
    struct lag *next_of_partition;
    struct lag *next_of_endpoint;
    enum lag_state state;
    int64_t next_offset;
    int64_t stored; /* as the database has it; -1: not at all */
    int64_t storing;
    bool is_storing;
    bool is_lost;   /* events that it has not got are out of the log; not stored yet */
    bool is_ending; /* with what is being stored it is none any more */
    int64_t full;   /* of LAG_FULL: what the scan gave it is below; when that is done it waits for the next scan */
    int64_t joined; /* the head has it from this offset on */
};

struct sender_partition {
    int32_t number;
    bool is_assigned;
    bool is_read; /* its offset, since it was assigned */
    bool is_loaded;
    int64_t unloaded_us; /* of one that is assigned and not loaded: since then; wall clock */
    bool has_row;        /* of its offset, once that was looked for */
    bool is_scanned;
    bool is_scan_fetched;
    int64_t stored;   /* the head's offset, as the database has it */
    int64_t storing;  /* on its way there */
    int64_t until_us; /* what was to be sent of before is acknowledged, kept, or left to cursors; wall clock */
    int64_t stored_until_us;
    int64_t reported_us;  /* when taken_until was stored last, steady clock */
    int64_t end;          /* where the head has last met the partition's end; -1: not yet */
    int64_t log_begin;    /* for one without a row */
    int64_t log_end;      /* likewise; -1: to be looked up; 0: Kafka did not say */
    int64_t ranged_us;    /* when where the log begins was looked up last, steady clock */
    bool is_head_outside; /* of the log: where that begins is to be looked up */
    bool is_scan_outside;
    int64_t another_log_us; /* the head's log is known since then to be gone, for another one; steady clock; 0: it is not */
    struct window head;
    struct window scan;
    int64_t held_since_us; /* somebody waits for what is not done of the last scan; steady clock; 0: nobody */
    struct lag *lags;
};

/* ---- deliveries ---- */

enum delivery_state { DELIVERY_QUEUED, DELIVERY_SENDING, DELIVERY_KEEPING };

struct delivery {
    struct delivery *next; /* in its chain, or in what is to be stored */
    struct chain *chain;   /* NULL: what it was for is gone, and its outcome is of no use */
    struct endpoint *endpoint;
    struct webhook_event *event;
    struct sender_partition *partition;
    struct taken *taken; /* NULL: it is a row that is tried again */
    struct webhook_sender *sender;
    struct http_client_request *request;
    struct delivery *next_sending;
    struct delivery *previous_sending;
    enum delivery_state state;
    int64_t offset;
    int attempts;
    /* what is to be stored of it */
    int64_t next_us;   /* wall clock; 0: none */
    int64_t failed_us; /* wall clock; 0: it was acknowledged, or not tried */
    int status;
    const char *error;
};

struct chain {
    struct endpoint *endpoint;
    struct sender_partition *partition;
    int64_t schedule_id;
    struct chain *next_in_bucket;
    struct chain *next_of_endpoint;
    struct chain *previous_of_endpoint;
    struct chain *next_ready;
    struct delivery *first;
    struct delivery *last;
    size_t rows;            /* in the database, and on their way there */
    struct delivery *retry; /* the row that is tried again */
    uint64_t finished;      /* its number among all that was stored of retries, the last time */
    bool is_ready;
    bool is_sending;
};

/* How an endpoint fared since it was stored. */
enum { OUTCOME_RECENT_MAX = 20 };

struct outcome {
    struct endpoint *endpoint; /* a reference */
    struct outcome *next;      /* of those that are to be stored */
    struct {
        int64_t at_us;
        int status;
    } recent[OUTCOME_RECENT_MAX]; /* successes, the latest last */
    size_t recent_len;
    int64_t success_us;
    int64_t failures; /* since the last success */
    int64_t first_failure_us;
    int64_t last_failure_us;
    int status;
    const char *error;
};

struct delivery_list {
    struct delivery *first;
    struct delivery *last;
};

/* A message that waits for who is a member of what. */
struct staged {
    struct webhook_event *event; /* NULL: it is about nothing that anybody wants, or there is none */
    struct sender_partition *partition;
    int64_t offset;
    int64_t at_us;
    bool is_scan;
    bool is_end; /* no message, but the end of the partition */
};

enum { STAGED_MAX = 256 };

struct membership {
    int64_t user_id;
    int64_t org_id;
};

struct ping;
struct pg_array;
struct range_lookup;
struct replay;

struct webhook_sender {
    struct event_base *base;
    const struct webhook_sender_config *config;
    struct http_client_config http_config;
    struct http_client *http;
    struct pg_config pg_configs[2];
    struct webhook_db *writes; /* what is stored, and what is read for an assignment */
    struct webhook_db *reads;  /* what is asked in between */
    struct endpoints *endpoints;
    int64_t revision;                    /* the last change of endpoints that was read */
    struct sender_partition *partitions; /* SENDER_PARTITIONS_MAX */
    struct event *tick;

    /* taking */
    rd_kafka_t *head;
    rd_kafka_t *scan;
    int wake_fd;
    struct event *wake;
    bool is_paused;
    bool is_minding_due;
    struct staged staged[STAGED_MAX];
    size_t staged_len;
    size_t retries; /* rows of all endpoints that are tried, or wait for it in memory */
    bool is_looking_up;
    bool is_lookup_failed;
    struct membership *memberships;
    size_t memberships_len;
    size_t memberships_capacity;
    struct range_lookup *ranges; /* NULL: nothing is being looked up */

    /* loading */
    bool is_loading;
    bool is_load_wanted;
    bool is_polling;
    bool is_asking_due;
    uint64_t finishes; /* of retries, that were stored */
    uint64_t finishes_when_asked;
    bool is_asking_pings;
    struct ping *pings; /* under way */
    struct replay *replay;
    size_t pings_len;
    bool are_endpoints_known;  /* all changes have been read */
    size_t changes_len;        /* of the page that is being read */
    struct endpoint *unplaced; /* whose cursors are to be read */

    /* sending */
    struct chain *chains[SENDER_CHAIN_BUCKETS];
    struct endpoint *ring; /* the last of the ring; NULL: it is empty */
    size_t ring_len;
    bool is_running;
    bool is_breaking_off;
    struct delivery *sending; /* whose requests are under way */
    size_t in_flight;         /* requests */
    uint16_t in_flight_of_hosts[ENDPOINT_HOSTS];
    uint16_t in_flight_of_owners[ENDPOINT_OWNERS];
    size_t deliveries;

    /* storing */
    struct delivery_list to_keep;
    struct delivery_list to_finish;
    struct delivery_list keeping; /* on their way */
    struct delivery_list finishing;
    struct outcome *new_outcomes;
    struct outcome *new_outcomes_last;
    struct outcome *outcomes; /* on their way */
    bool has_disabling;       /* an endpoint is to be disabled */
    struct endpoint *disabling;
    bool is_storing;
    bool has_failed; /* the last attempt to store */
    uint32_t ticks;
    char published[24]; /* up to where events were published at the last sweep; empty: not known */
    char swept_at[64];  /* when that was, by the database's clock */

    /* giving up */
    bool is_revoking;
    bool owes_answer; /* librdkafka has revoked partitions, and waits for rd_kafka_assign */
    bool is_draining;
    bool is_done;
    int64_t revoke_until_us; /* requests may end until then */
};

/* ---- webhook_chains.c ---- */

/* NULL: there is none; of the second, memory is out. */
struct chain *chain_find(struct webhook_sender *sender, const struct endpoint *endpoint,
                         const struct sender_partition *partition, int64_t schedule_id);
struct chain *chain_get(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition,
                        int64_t schedule_id);
void chain_free_if_empty(struct webhook_sender *sender, struct chain *chain);

/* Its first delivery may be sent, when it is its turn; or may not any more. */
void chain_make_ready(struct webhook_sender *sender, struct chain *chain);
void chain_take_off_ready(struct chain *chain);

/* Endpoints take turns while they can send. */
bool ring_can_send(const struct endpoint *endpoint);
void ring_enter(struct webhook_sender *sender, struct endpoint *endpoint);
void ring_leave(struct webhook_sender *sender, struct endpoint *endpoint);

/* ---- webhook_deliveries.c ---- */

/* An event is for an endpoint: behind the earlier ones of its schedule. False: memory is out, and nothing was done. */
bool sender_deliver(struct webhook_sender *sender, struct endpoint *endpoint, struct webhook_event *event,
                    struct sender_partition *partition, struct taken *taken);

/* A row is due. Nothing happens when its chain is busy with one. */
bool sender_retry(struct webhook_sender *sender, struct endpoint *endpoint, struct webhook_event *event,
                  struct sender_partition *partition, int64_t offset, int attempts);

/* How many deliveries of an endpoint may be in memory: fewer, the fuller that is. */
size_t sender_queued_max(const struct webhook_sender *sender);

/* Sends what may be sent. */
void sender_run(struct webhook_sender *sender);

/* Forgets deliveries of the endpoint that are in memory: of one partition, or of all (NULL). Returns the lowest offset of those, or
 * INT64_MAX. What is being stored is stored. */
int64_t sender_forget(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition);

/* Forgets its chains too, and so what of them is in the database. */
void sender_forget_chains(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition);

/* Ends the requests of all. What they are of is kept as rows, as if they had broken. */
void sender_break_off(struct webhook_sender *sender);

/* The chain of a schedule has so many rows. */
bool sender_set_rows(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition,
                     int64_t schedule_id, size_t rows);

/* What was to be stored of a delivery is stored. */
void sender_on_kept(struct webhook_sender *sender, struct delivery *delivery);
void sender_on_finished(struct webhook_sender *sender, struct delivery *delivery);

/* ---- webhook_windows.c ---- */

struct taken *window_take(struct window *window, int64_t offset, int64_t at_us); /* NULL: out of memory */
void window_complete(struct window *window);                                     /* lets go of what is done at its front */
int64_t window_prefix(const struct window *window);                              /* all below is done */
void window_clear(struct window *window);

/* ---- webhook_lags.c ---- */

struct lag *lag_of(const struct endpoint *endpoint, const struct sender_partition *partition); /* NULL: it is at the head */

/* A cursor was read. */
bool lag_add(struct endpoint *endpoint, struct sender_partition *partition, int64_t next_offset);
void lag_remove(struct lag *lag);

/* Whether the endpoint gets the event at this offset of the head, or of the scan. */
bool lag_lets(const struct endpoint *endpoint, const struct sender_partition *partition, int64_t offset, bool is_scan);

/* The endpoint has as much of the scan as it may have: it keeps that, and gets the rest later. False: it is at the head. */
bool lag_fill(const struct endpoint *endpoint, const struct sender_partition *partition, int64_t offset);

/* The endpoint does not keep up, or fails: in the partition it goes on later, from the first that is not done. */
void sender_leave(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition);

/* The scan has reached what the head takes next: from there on it is the head's. */
void lags_join(struct sender_partition *partition);

/* The log begins at low now. */
void lags_lose(struct sender_partition *partition, int64_t low);

/* Starts and ends scans, and lets those join the head that have reached it. */
void sender_mind_lags(struct webhook_sender *sender);

/* ---- webhook_sender.c ---- */

/* The endpoint is inactive, gone, or begins again: all that is known of it beside its row is forgotten. */
void sender_reset_endpoint(struct webhook_sender *sender, struct endpoint *endpoint);

/* Forgets what is in memory of the partitions, and loads them again: the database knows better. */
void sender_start_over(struct webhook_sender *sender);
void sender_forget_everything(struct webhook_sender *sender);

/* ---- webhook_storing.c ---- */

/* Stores what there is, if nothing is under way. */
void sender_store(struct webhook_sender *sender);
bool sender_has_to_store(const struct webhook_sender *sender);

/* ---- webhook_outcomes.c ---- */

/* How a request to the endpoint went. error: NULL for a success. Without memory it is not counted. */
void outcome_add(struct webhook_sender *sender, struct endpoint *endpoint, int64_t now_us, int status, const char *error);
void sender_drop_outcomes(struct webhook_sender *sender);

/* Into outcomes and disabling: what the next transaction stores. What was taken before and not stored stays. */
void outcomes_take(struct webhook_sender *sender);

/* Their statements, of the unit that was begun; the rows of those; and the unit's end. */
void outcomes_send(struct webhook_sender *sender);
void outcomes_on_rows(void *ctx, const PGresult *rows, int statement); /* ctx: the sender */
void outcomes_on_end(struct webhook_sender *sender, bool is_stored);

/* ---- webhook_changes.c ---- */

/* Reads the next page of changes, and goes on with the load that is wanted behind the last one. */
void sender_poll_changes(struct webhook_sender *sender);

/* The rows of a page; whether there are more behind it. */
void sender_apply_changes(struct webhook_sender *sender, const PGresult *rows);
bool sender_is_page_full(const struct webhook_sender *sender);

/* The cursors of all that have changed have been read: they can be matched. */
void sender_place_all(struct webhook_sender *sender);

/* Triggers as bits, from PostgreSQL's text of an array. */
unsigned webhook_triggers_of(const char *array);

/* ---- webhook_loading.c ---- */

/* Of all endpoints, or of those that have changed. */
void sender_apply_cursors(struct webhook_sender *sender, const PGresult *rows);
void sender_apply_chains(struct webhook_sender *sender, const PGresult *rows);

/* Appends the numbers of the partitions that are assigned; returns how many. */
size_t sender_assigned_numbers(const struct webhook_sender *sender, struct pg_array *numbers);

/* Reads where the partitions that are assigned stand, and what is kept of them; then taking begins. */
void sender_load(struct webhook_sender *sender);
void sender_ask_due(struct webhook_sender *sender);

/* Asks for the memberships of the owners that stand in staged; then sender_on_looked_up. */
void sender_look_up(struct webhook_sender *sender);

/* ---- webhook_taking.c ---- */

bool sender_start_taking(struct webhook_sender *sender);
void sender_stop_taking(struct webhook_sender *sender);
void webhook_read_record(const rd_kafka_message_t *message, struct record *ret_record);

/* One that is assigned by hand. reset: what it does outside of the log, as auto.offset.reset. NULL: it was logged. */
rd_kafka_t *sender_consumer_new(struct webhook_sender *sender, const char *reset);
void sender_take(struct webhook_sender *sender);
void sender_on_looked_up(struct webhook_sender *sender);
void sender_on_loaded(struct webhook_sender *sender); /* fetching begins */
void sender_assign_head(struct webhook_sender *sender);
void sender_assign_scans(struct webhook_sender *sender);
void sender_release_staged(struct webhook_sender *sender);
void sender_mind_revoking(struct webhook_sender *sender);
struct sender_partition *sender_partition_at(struct webhook_sender *sender, int32_t number);
bool sender_is_full(const struct webhook_sender *sender);

/* Where the log begins that an offset was outside of. Whether the head was: it is to be assigned again then, and the scans in every case. */
bool sender_on_log_begin(struct webhook_sender *sender, struct sender_partition *partition, int64_t low);

/* ---- webhook_ranges.c ---- */

/* Looks up what Kafka alone knows of partitions: where a new one ends, and the log that an offset is outside of. Whether there is any. */
bool sender_mind_ranges(struct webhook_sender *sender);
void sender_stop_ranges(struct webhook_sender *sender);

/* ---- webhook_request.c ---- */

struct webhook_message {
    struct slice id;
    struct slice traceparent; /* may be empty */
    struct slice replay;      /* the job that it is of; empty: none */
    struct slice body;        /* lives until the request is done */
};

/* Starts a request to the endpoint. False: out of memory, or a secret cannot be opened (then *ret_error is why). */
bool webhook_post(struct webhook_sender *sender, struct endpoint *endpoint, const struct webhook_message *message,
                  void (*done)(void *ctx, const struct http_client_answer *answer), void *ctx,
                  struct http_client_request **ret_request, const char **ret_error);

/* The same for a delivery, which ctx is then. */
bool sender_request(struct webhook_sender *sender, struct delivery *delivery,
                    void (*done)(void *ctx, const struct http_client_answer *answer), const char **ret_error);

/* ---- webhook_pings.c ---- */

/* Takes test requests that are asked for. */
void sender_ask_pings(struct webhook_sender *sender);
void sender_drop_pings(struct webhook_sender *sender);

/* ---- webhook_replay.c ---- */

bool sender_start_replay(struct webhook_sender *sender);
void sender_stop_replay(struct webhook_sender *sender);

/* Goes on with the replay at hand, or takes one that is asked for. */
void sender_mind_replay(struct webhook_sender *sender);

/* ---- webhook_metrics.c ---- */

void sender_metrics_register(struct webhook_sender *sender);
void sender_count_attempt(const struct http_client_answer *answer);
void sender_count_disabled(bool is_failing);
void sender_count_lost(int64_t events);

#endif

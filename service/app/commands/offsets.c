#include "app/commands/handlers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands/batch_search.h"
#include "app/database.h"

enum { TIMEOUT_MS = 10000 };

static const char effect[] = "The replica that has the partition continues there within some seconds";

struct log_range {
    int64_t low;
    int64_t high;
};

static bool query_range(rd_kafka_t *client, const char *topic, int32_t partition, struct log_range *ret_range)
{
    rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(client, topic, partition, &ret_range->low, &ret_range->high, TIMEOUT_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "schedule-service: %s [%" PRId32 "]: %s\n", topic, partition, rd_kafka_err2str(error));
    }
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static const char *state_of(int64_t next, const struct log_range *range)
{
    if (next == 0) return range->low == 0 ? "from_the_start" : "from_the_earliest";
    return next < range->low || next > range->high ? "OUTSIDE_OF_THE_LOG" : "ok";
}

static int show(const struct config *config, rd_kafka_t *client, PGconn *conn)
{
    const char *const params[] = {config->commands_topic, config->directory_topic};
    PGresult *rows = database_query(conn,
                                    "SELECT partition, next_offset, topic FROM command_offsets WHERE topic IN ($1, $2)"
                                    " ORDER BY topic, partition",
                                    2, params);
    if (rows == NULL) return 1;
    bool ok = true;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct log_range range;
        int64_t next = strtoll(PQgetvalue(rows, i, 1), NULL, 10);
        int32_t partition = (int32_t)strtol(PQgetvalue(rows, i, 0), NULL, 10);
        const char *topic = PQgetvalue(rows, i, 2);
        ok = query_range(client, topic, partition, &range);
        if (!ok) break;
        printf("topic=%s partition=%" PRId32 " next_offset=%" PRId64 " log_start=%" PRId64 " log_end=%" PRId64
               " lag=%" PRId64 " state=%s\n",
               topic, partition, next, range.low, range.high, range.high - (next > range.low ? next : range.low),
               state_of(next, &range));
    }
    PQclear(rows);
    return ok ? 0 : 1;
}

/* The offset that --to names; false after saying what is wrong with it. */
static bool resolve(rd_kafka_t *client, const char *topic, int32_t partition, const char *to, int64_t *ret_offset)
{
    struct log_range range;
    if (!query_range(client, topic, partition, &range)) return false;
    char *end = NULL;
    errno = 0;
    *ret_offset = strtoll(to, &end, 10);
    bool is_number = errno == 0 && end != to && *end == '\0';
    if (strcmp(to, "earliest") == 0) *ret_offset = range.low;
    else if (strcmp(to, "latest") == 0) *ret_offset = range.high;
    else if (!is_number || *ret_offset < range.low || *ret_offset > range.high) {
        fprintf(stderr, "schedule-service: --to must be earliest, latest or an offset from %" PRId64 " to %" PRId64 "\n",
                range.low, range.high);
        return false;
    }
    return true;
}

/* What was asked for. */
struct order {
    const char *topic;
    int32_t partition;
    const char *to;
};

static int reset(const struct config *config, const struct order *order, rd_kafka_t *client, PGconn *conn)
{
    (void)config;
    char partition_text[16];
    char offset_text[24];
    int64_t offset;
    if (!resolve(client, order->topic, order->partition, order->to, &offset)) return 1;
    snprintf(partition_text, sizeof(partition_text), "%" PRId32, order->partition);
    snprintf(offset_text, sizeof(offset_text), "%" PRId64, offset);
    const char *const params[] = {order->topic, partition_text, offset_text};
    PGresult *result = database_query(conn,
                                      "INSERT INTO command_offsets AS o (topic, partition, next_offset) VALUES ($1, $2, $3) "
                                      "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
                                      3, params);
    if (result == NULL) return 1;
    PQclear(result);
    printf(
        "topic=%s partition=%s next_offset=%s\n%s; commands that were stored before are recognised by their ids, directory "
        "entries are applied again.\n",
        order->topic, partition_text, offset_text, effect);
    return 0;
}

/* Where the service would read on; false after saying why that is not known. */
static bool find_next(const struct order *order, rd_kafka_t *client, PGconn *conn, const char *partition_text,
                      int64_t *ret_stored, int64_t *ret_next)
{
    struct log_range range;
    const char *const params[] = {order->topic, partition_text};
    PGresult *rows =
        database_query(conn, "SELECT next_offset FROM command_offsets WHERE topic = $1 AND partition = $2::integer", 2,
                       params);
    if (rows == NULL) return false;
    bool is_known = PQntuples(rows) == 1;
    if (is_known) *ret_stored = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    if (!is_known) {
        database_fail("partition %s of %s was never read", partition_text, order->topic);
        return false;
    }
    if (!query_range(client, order->topic, order->partition, &range)) return false;
    *ret_next = *ret_stored > range.low ? *ret_stored : range.low;
    return true;
}

/* Moves the stored offset behind the batch that stands in its way, unless it has moved meanwhile. */
static int skip(const struct config *config, const struct order *order, rd_kafka_t *client, PGconn *conn)
{
    char partition_text[16];
    char stored_text[24];
    char next_text[24];
    int64_t stored;
    int64_t from;
    struct batch_range range;
    snprintf(partition_text, sizeof(partition_text), "%" PRId32, order->partition);
    if (!find_next(order, client, conn, partition_text, &stored, &from)) return 1;
    enum batch_found found = batch_search(config, order->topic, order->partition, from, &range);
    if (found == BATCH_UNKNOWN) return 1;
    if (found == BATCH_READABLE) {
        return database_fail("what is at offset %" PRId64 " can be read: nothing was skipped", from);
    }
    snprintf(stored_text, sizeof(stored_text), "%" PRId64, stored);
    snprintf(next_text, sizeof(next_text), "%" PRId64, range.next);
    const char *const params[] = {order->topic, partition_text, stored_text, next_text};
    PGresult *rows = database_query(conn,
                                    "UPDATE command_offsets SET next_offset = $4 WHERE topic = $1 AND "
                                    "partition = $2::integer AND next_offset = $3::bigint RETURNING 1",
                                    4, params);
    if (rows == NULL) return 1;
    bool moved = PQntuples(rows) == 1;
    PQclear(rows);
    if (!moved) return database_fail("the stored offset has moved meanwhile: nothing was skipped");
    printf("topic=%s partition=%s skipped_from=%" PRId64 " next_offset=%s\n%s.\n", order->topic, partition_text, range.first,
           next_text, effect);
    return 0;
}

/* --topic is the commands' where none is given. */
static bool read_order(const struct command_call *call, struct order *ret_order)
{
    const struct config *config = call->config;
    const char *topic = call->values[OPT_TOPIC] == NULL ? config->commands_topic : call->values[OPT_TOPIC];
    *ret_order = (struct order){topic, (int32_t)strtol(call->values[OPT_PARTITION], NULL, 10), call->values[OPT_TO_OFFSET]};
    bool is_read = strcmp(topic, config->commands_topic) == 0 || strcmp(topic, config->directory_topic) == 0;
    if (!is_read) database_fail("--topic must be %s or %s", config->commands_topic, config->directory_topic);
    return is_read;
}

static rd_kafka_t *new_client(const struct config *config, const char *isolation_level)
{
    const struct kafka_property isolation = {"isolation.level", isolation_level};
    rd_kafka_conf_t *conf = kafka_conf_new(&config->kafka, &isolation, 1);
    return conf == NULL ? NULL : kafka_client_new(RD_KAFKA_PRODUCER, conf);
}

/* What is shown is what the metric of the lag shows: all that is in the log. */
int offsets_show_command(const struct command_call *call)
{
    rd_kafka_t *client = new_client(call->config, "read_uncommitted");
    int code = client == NULL ? 1 : show(call->config, client, call->db);
    if (client != NULL) rd_kafka_destroy(client);
    return code;
}

/* What is set is read on from: all that can be read. */
static int run_order(const struct command_call *call,
                     int (*carry_out)(const struct config *config, const struct order *order, rd_kafka_t *client,
                                      PGconn *conn))
{
    struct order order;
    if (!read_order(call, &order)) return 2;
    rd_kafka_t *client = new_client(call->config, "read_committed");
    int code = client == NULL ? 1 : carry_out(call->config, &order, client, call->db);
    if (client != NULL) rd_kafka_destroy(client);
    return code;
}

int offsets_reset_command(const struct command_call *call)
{
    return run_order(call, reset);
}

int offsets_skip_command(const struct command_call *call)
{
    return run_order(call, skip);
}

#include "app/offsets_command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/database.h"

enum { TIMEOUT_MS = 10000 };

static const char usage[] =
    "usage: schedule-service offsets show\n"
    "       schedule-service offsets reset [--topic TOPIC] --partition N --to OFFSET|earliest|latest\n";

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
    bool is_reset; /* else: show */
    const char *topic;
    int32_t partition;
    const char *to;
};

static int reset(const struct order *order, rd_kafka_t *client, PGconn *conn)
{
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
        "topic=%s partition=%s next_offset=%s\nRestart the replica that has the partition; commands that were stored before "
        "are recognised by their ids, directory entries are applied again.\n",
        order->topic, partition_text, offset_text);
    return 0;
}

/* --topic is the commands' where none is given. */
static bool parse(const struct config *config, int argc, char **argv, struct order *ret_order)
{
    static const struct option options[] = {{"partition", required_argument, NULL, 'p'},
                                            {"to", required_argument, NULL, 't'},
                                            {"topic", required_argument, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    const char *partition = NULL;
    const char *to = NULL;
    const char *topic = NULL;
    if (argc < 1) return false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'p') partition = optarg;
        else if (c == 't') to = optarg;
        else if (c == 'n') topic = optarg;
        else return false;
    }
    if (topic == NULL) topic = config->commands_topic;
    *ret_order = (struct order){.is_reset = strcmp(argv[0], "reset") == 0, .topic = topic, .to = to};
    if (!ret_order->is_reset) return strcmp(argv[0], "show") == 0;
    char *end = NULL;
    long number = partition == NULL ? -1 : strtol(partition, &end, 10);
    ret_order->partition = (int32_t)number;
    if (strcmp(topic, config->commands_topic) != 0 && strcmp(topic, config->directory_topic) != 0) return false;
    return number >= 0 && number <= INT32_MAX && *end == '\0' && to != NULL;
}

int offsets_command_run(const struct config *config, int argc, char **argv)
{
    struct order order;
    if (!parse(config, argc, argv, &order)) return fputs(usage, stderr), 2;
    PGconn *conn = database_connect(config->database_url);
    rd_kafka_conf_t *conf = kafka_conf_new(&config->kafka, NULL, 0);
    rd_kafka_t *client = conf == NULL ? NULL : kafka_client_new(RD_KAFKA_PRODUCER, conf);
    int code = 1;
    if (conn != NULL && client != NULL) {
        code = order.is_reset ? reset(&order, client, conn) : show(config, client, conn);
    }
    if (client != NULL) rd_kafka_destroy(client);
    PQfinish(conn);
    return code;
}

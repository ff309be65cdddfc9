#include "app/commands/handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PARTITIONS_DEFAULT = 8,
    TIMEOUT_MS = 20000,
    ATTEMPT_MS = 5000,
    ATTEMPTS_MAX = 6,
    TOPICS_MAX = 5,
    REASON_SIZE = 256,
    CHECK_EVERY_MS = 100,
    UNKNOWN_MAX = 300,
    OTHER_MAX = 30
};

/* An admin request: for topics to be made, or for the settings of one. */
struct request {
    rd_kafka_NewTopic_t **topics;
    size_t topics_len;
    rd_kafka_ConfigResource_t *resource; /* NULL: topics */
};

static void request_send(rd_kafka_t *client, rd_kafka_queue_t *queue, const struct request *request,
                         const rd_kafka_AdminOptions_t *options)
{
    rd_kafka_ConfigResource_t *resource = request->resource;
    if (resource == NULL) rd_kafka_CreateTopics(client, request->topics, request->topics_len, options, queue);
    else rd_kafka_DescribeConfigs(client, &resource, 1, options, queue);
}

static bool is_unanswered(rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    return error == RD_KAFKA_RESP_ERR__TIMED_OUT || error == RD_KAFKA_RESP_ERR__TRANSPORT;
}

/* Sends a request until it is answered: a cluster that is just back may know no controller yet, or lose the request, and librdkafka
 * does not ask for either again. The answer, which the caller destroys; NULL after saying why there is none. */
static rd_kafka_event_t *ask(rd_kafka_t *client, rd_kafka_queue_t *queue, const struct request *request, const char *what)
{
    char reason[REASON_SIZE];
    rd_kafka_event_t *event = NULL;
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_ANY);
    rd_kafka_AdminOptions_set_request_timeout(options, ATTEMPT_MS, reason, sizeof(reason));
    for (int i = 0; i < ATTEMPTS_MAX && (event == NULL || is_unanswered(event)); i++) {
        if (event != NULL) rd_kafka_event_destroy(event);
        request_send(client, queue, request, options);
        event = rd_kafka_queue_poll(queue, -1);
    }
    rd_kafka_AdminOptions_destroy(options);
    if (event == NULL || rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) return event;
    fprintf(stderr, "schedule-service: %s: %s\n", what, rd_kafka_event_error_string(event));
    rd_kafka_event_destroy(event);
    return NULL;
}

/* How new topics are made; of numbers that were not given the brokers' are taken. */
struct shape {
    int partitions;
    int replicas;           /* -1: not given */
    const char *min_insync; /* NULL: not given */
};

static rd_kafka_NewTopic_t *new_topic(const char *name, const struct shape *shape, const char *const settings[][2])
{
    char reason[REASON_SIZE];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, shape->partitions, shape->replicas, reason, sizeof(reason));
    if (topic == NULL) fprintf(stderr, "schedule-service: topic %s: %s\n", name, reason);
    for (size_t i = 0; topic != NULL && settings[i][0] != NULL; i++) {
        rd_kafka_NewTopic_set_config(topic, settings[i][0], settings[i][1]);
    }
    if (topic != NULL && shape->min_insync != NULL) {
        rd_kafka_NewTopic_set_config(topic, "min.insync.replicas", shape->min_insync);
    }
    return topic;
}

/* Prints what became of each topic; one that is there already is fine. */
static bool report_created(const rd_kafka_event_t *event)
{
    size_t count = 0;
    bool ok = true;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result((rd_kafka_event_t *)event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
        const char *name = rd_kafka_topic_result_name(results[i]);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
            printf("made topic %s\n", name);
        } else if (error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            printf("found topic %s\n", name);
        } else {
            fprintf(stderr, "schedule-service: topic %s: %s\n", name, rd_kafka_topic_result_error_string(results[i]));
            ok = false;
        }
    }
    return ok;
}

static bool create(rd_kafka_t *client, rd_kafka_queue_t *queue, const struct config *config, const struct shape *shape)
{
    static const char *const plain[][2] = {{NULL, NULL}};
    /* What the service writes is stamped by the broker, which refuses a writer whose clock is an hour ahead of its own. A dead
     * letter is a whole message and some headers: it must fit where the message did. */
    static const char *const roomy[][2] = {{"max.message.bytes", "16777216"},
                                           {"message.timestamp.type", "LogAppendTime"},
                                           {NULL, NULL}};
    static const char *const progress[][2] = {{"cleanup.policy", "compact"},
                                              {"message.timestamp.type", "LogAppendTime"},
                                              {NULL, NULL}};
    static const char *const compacted[][2] = {{"cleanup.policy", "compact"}, {NULL, NULL}};
    const struct shape single = {1, shape->replicas, shape->min_insync};
    rd_kafka_NewTopic_t *topics[TOPICS_MAX] = {
        new_topic(config->commands_topic, shape, plain),
        new_topic(config->events_topic, shape, roomy),
        new_topic(config->dead_letter_topic, shape, roomy),
        new_topic(config->progress_topic, &single, progress),
    };
    size_t len = 4;
    if (config->directory_topic[0] != '\0') topics[len++] = new_topic(config->directory_topic, shape, compacted);
    bool ok = true;
    for (size_t i = 0; i < len; i++) ok = ok && topics[i] != NULL;
    if (ok) {
        const struct request request = {topics, len, NULL};
        rd_kafka_event_t *event = ask(client, queue, &request, "topics not made");
        ok = event != NULL && report_created(event);
        if (event != NULL) rd_kafka_event_destroy(event);
    }
    for (size_t i = 0; i < len; i++) {
        if (topics[i] != NULL) rd_kafka_NewTopic_destroy(topics[i]);
    }
    return ok;
}

/* A topic's setting, as far as the broker that answered knows it; borrowed from the event. NULL: it does not. */
static const char *setting_of(const rd_kafka_event_t *event, const char *name)
{
    size_t resources_len = 0;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)event),
                                                  &resources_len);
    for (size_t i = 0; i < resources_len; i++) {
        size_t entries_len = 0;
        const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[i], &entries_len);
        for (size_t j = 0; j < entries_len; j++) {
            if (strcmp(rd_kafka_ConfigEntry_name(entries[j]), name) == 0) return rd_kafka_ConfigEntry_value(entries[j]);
        }
    }
    return NULL;
}

/* Asks the broker for all settings of a topic. NULL when it did not answer; that was said. The caller destroys it. */
static rd_kafka_event_t *describe(rd_kafka_t *client, rd_kafka_queue_t *queue, const char *topic)
{
    const struct request request = {NULL, 0, rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic)};
    rd_kafka_event_t *event = ask(client, queue, &request, "a topic cannot be checked");
    rd_kafka_ConfigResource_destroy(request.resource);
    return event;
}

/* What a topic does with old records, as far as the broker knows. */
enum policy { POLICY_UNKNOWN, POLICY_COMPACT, POLICY_OTHER };

/* False when the broker did not answer; that was said. */
static bool ask_policy(rd_kafka_t *client, rd_kafka_queue_t *queue, const char *topic, enum policy *ret_policy)
{
    rd_kafka_event_t *event = describe(client, queue, topic);
    if (event == NULL) return false;
    const char *policy = setting_of(event, "cleanup.policy");
    if (policy == NULL) *ret_policy = POLICY_UNKNOWN;
    else *ret_policy = strcmp(policy, "compact") == 0 ? POLICY_COMPACT : POLICY_OTHER;
    rd_kafka_event_destroy(event);
    return true;
}

/* The broker that is asked may not have heard yet of a topic that was just made, or (before KRaft) of its settings. */
static bool check_compacted(rd_kafka_t *client, rd_kafka_queue_t *queue, const char *topic, const char *why)
{
    enum policy policy = POLICY_UNKNOWN;
    for (int unknown = 0, other = 0; unknown < UNKNOWN_MAX && other < OTHER_MAX; usleep(CHECK_EVERY_MS * 1000)) {
        if (!ask_policy(client, queue, topic, &policy)) return false;
        if (policy == POLICY_COMPACT) return true;
        unknown += policy == POLICY_UNKNOWN;
        other += policy == POLICY_OTHER;
    }
    if (policy == POLICY_UNKNOWN)
        fprintf(stderr, "schedule-service: topic %s cannot be checked: its broker does not know it\n", topic);
    else fprintf(stderr, "schedule-service: topic %s must have cleanup.policy=compact: %s\n", topic, why);
    return false;
}

static bool check(rd_kafka_t *client, rd_kafka_queue_t *queue, const struct config *config)
{
    return check_compacted(client, queue, config->progress_topic,
                           "without it the relay's progress is deleted in time, and events come twice") &&
           (config->directory_topic[0] == '\0' ||
            check_compacted(
                client, queue, config->directory_topic,
                "without it entries that do not change expire, and a consumer that reads from the start misses them"));
}

/* ---- copies ---- */

/* Of the topic's first partition; 0: the broker does not know the topic. */
static int replicas_of(rd_kafka_t *client, const char *name)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    int replicas = 0;
    if (topic != NULL && rd_kafka_metadata(client, 0, topic, &metadata, TIMEOUT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const struct rd_kafka_metadata_topic *found = metadata->topic_cnt > 0 ? &metadata->topics[0] : NULL;
        if (found != NULL && found->partition_cnt > 0) replicas = found->partitions[0].replica_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic != NULL) rd_kafka_topic_destroy(topic);
    return replicas;
}

static bool has_one_insync(rd_kafka_t *client, rd_kafka_queue_t *queue, const char *name)
{
    rd_kafka_event_t *event = describe(client, queue, name);
    const char *value = event == NULL ? NULL : setting_of(event, "min.insync.replicas");
    bool is_one = value != NULL && strcmp(value, "1") == 0;
    if (event != NULL) rd_kafka_event_destroy(event);
    return is_one;
}

/* What one broker holds alone is lost with it, whatever the producer waits for. */
static void warn_of_single_copies(rd_kafka_t *client, rd_kafka_queue_t *queue, const char *name)
{
    int replicas = replicas_of(client, name);
    if (replicas == 1) {
        fprintf(stderr, "schedule-service: warning: topic %s has 1 replica: its records are lost with that broker\n", name);
    } else if (replicas > 1 && has_one_insync(client, queue, name)) {
        fprintf(
            stderr,
            "schedule-service: warning: topic %s has min.insync.replicas=1: records that were confirmed are lost when the "
            "broker that has them fails before the others have caught up\n",
            name);
    }
}

static void warn(rd_kafka_t *client, rd_kafka_queue_t *queue, const struct config *config)
{
    const char *const names[TOPICS_MAX] = {config->commands_topic, config->events_topic, config->dead_letter_topic,
                                           config->progress_topic, config->directory_topic};
    for (size_t i = 0; i < TOPICS_MAX; i++) {
        if (names[i][0] != '\0') warn_of_single_copies(client, queue, names[i]);
    }
}

static int number_of(const struct command_call *call, enum command_option option, int fallback)
{
    return call->values[option] == NULL ? fallback : (int)strtol(call->values[option], NULL, 10);
}

int topics_command(const struct command_call *call)
{
    const struct shape shape = {number_of(call, OPT_PARTITIONS, PARTITIONS_DEFAULT),
                                number_of(call, OPT_REPLICATION_FACTOR, -1), call->values[OPT_MIN_INSYNC_REPLICAS]};
    rd_kafka_conf_t *conf = kafka_conf_new(&call->config->kafka, NULL, 0);
    rd_kafka_t *client = conf == NULL ? NULL : kafka_client_new(RD_KAFKA_PRODUCER, conf);
    if (client == NULL) return 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    bool ok = create(client, queue, call->config, &shape) && check(client, queue, call->config);
    if (ok) warn(client, queue, call->config);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return ok ? 0 : 1;
}

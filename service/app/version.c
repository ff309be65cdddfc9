#include "app/version.h"

#include <event2/event.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
#include <openssl/crypto.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/metrics.h"
#include "driver/zone_files.h"

const char *version_text(void)
{
    return BUILD_VERSION " (" BUILD_REVISION ")";
}

const char *version_number(void)
{
    return BUILD_VERSION;
}

void version_print(FILE *out)
{
    const char *path = getenv("TZDATA"); /* there need be no good configuration to ask for versions */
    char zones[ZONE_VERSION_SIZE];
    zone_files_read_version(path == NULL ? TZDATA_PATH : path, zones);
    fprintf(out, "schedule-service %s\n", version_text());
    fprintf(out, "librdkafka %s\nlibevent %s\nlibpq %d.%d\nprotobuf-c %s\njansson %s\n%s\ntzdata %s\n",
            rd_kafka_version_str(), event_get_version(), PQlibVersion() / 10000, PQlibVersion() % 10000,
            protobuf_c_version(), JANSSON_VERSION, OpenSSL_version(OPENSSL_VERSION), zones);
}

void version_metric_register(void)
{
    static struct metric build_info = {.type = METRIC_GAUGE,
                                       .name = "schedule_build_info",
                                       .labels = "version=\"" BUILD_VERSION "\",revision=\"" BUILD_REVISION "\"",
                                       .help = "1; the labels say what runs.",
                                       .value = 1};
    metrics_register(&build_info);
}

/* The binary's subcommands. Each gets the configuration and returns the exit code: 0 done, 1 failed, 2 used wrongly. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/admin.h"
#include "app/config.h"
#include "app/hours_command.h"
#include "app/import.h"
#include "app/migrate.h"
#include "app/offsets_command.h"
#include "app/rebuild.h"
#include "app/serve.h"
#include "app/topics.h"
#include "app/version.h"
#include "driver/log.h"
#include "driver/tls.h"
#include "store/offsets.h"

static int run_serve(const struct config *config, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return serve_run(config);
}

static int run_migrate(const struct config *config, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return migrate_run(config->database_url, config->slot);
}

static int run_topics(const struct config *config, int argc, char **argv)
{
    const int partitions_default = 8;
    if (argc == 1) return topics_run(config, partitions_default);
    long partitions = argc == 3 && strcmp(argv[1], "--partitions") == 0 ? strtol(argv[2], NULL, 10) : 0;
    if (partitions >= 1 && partitions <= OFFSETS_PARTITIONS_MAX) return topics_run(config, (int)partitions);
    fprintf(stderr, "usage: schedule-service topics [--partitions N]\n");
    return 2;
}

static int run_offsets(const struct config *config, int argc, char **argv)
{
    return offsets_command_run(config, argc - 1, argv + 1);
}

static int run_rebuild(const struct config *config, int argc, char **argv)
{
    return rebuild_run(config, argc - 1, argv + 1);
}

/* What http_server_new will make of the files. */
static bool has_usable_tls(const struct config *config)
{
    struct buf reason;
    if (config->http_tls_certificate[0] == '\0') return true;
    buf_init(&reason, 1 << 13);
    SSL_CTX *context = tls_context_new(config->http_tls_certificate, config->http_tls_key, &reason);
    if (context == NULL) fprintf(stderr, "schedule-service: %.*s\n", (int)reason.len, reason.data);
    tls_context_free(context);
    buf_done(&reason);
    return context != NULL;
}

static int run_check_config(const struct config *config, int argc, char **argv)
{
    if (!has_usable_tls(config)) return 2;
    if (argc == 2 && strcmp(argv[1], "--table") == 0) config_print_table(stdout);
    else config_print(config, stdout);
    return 0;
}

static int run_admin(const struct config *config, int argc, char **argv)
{
    return admin_run(config, argc, argv);
}

static int run_import(const struct config *config, int argc, char **argv)
{
    (void)argv;
    if (argc == 1) return import_run(config, stdin);
    fprintf(stderr, "usage: schedule-service import < FILE\n");
    return 2;
}

struct command {
    const char *name;
    int (*run)(const struct config *config, int argc, char **argv); /* argv[0] is the subcommand */
    const char *doc;
};

static const struct command commands[] = {
    {"serve", run_serve, "run the service"},
    {"migrate", run_migrate, "bring the database's schema up to this build"},
    {"topics", run_topics, "make and check the Kafka topics"},
    {"offsets", run_offsets, "show or reset the stored offsets"},
    {"rebuild", run_rebuild, "make the lost replication slot and its events anew"},
    {"import", run_import, "apply directory entries from standard input, one JSON object a line"},
    {"check-config", run_check_config, "check and print the configuration; --table: its documentation"},
};

static int run_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    version_print();
    return 0;
}

/* Those that need no server, and so no configuration. */
static const struct {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the subcommand */
    const char *doc;
} plain_commands[] = {
    {"hours", hours_command_run, "print the hours of a schedule on standard input as instants"},
    {"version", run_version, "print the versions of this build and its libraries"},
};

/* The directory and its keys: app/admin.c knows their words. */
static const struct command admin_command = {.run = run_admin};

enum {
    COMMANDS = sizeof(commands) / sizeof(commands[0]),
    PLAIN_COMMANDS = sizeof(plain_commands) / sizeof(plain_commands[0])
};

static int usage(void)
{
    fprintf(stderr, "usage: schedule-service COMMAND\n");
    for (size_t i = 0; i < COMMANDS; i++) fprintf(stderr, "  %-13s %s\n", commands[i].name, commands[i].doc);
    admin_usage(stderr);
    for (size_t i = 0; i < PLAIN_COMMANDS; i++) {
        fprintf(stderr, "  %-13s %s\n", plain_commands[i].name, plain_commands[i].doc);
    }
    return 2;
}

static void configure_log(const struct config *config)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    enum log_level level = LOG_LEVEL_DEBUG;
    while (level < LOG_LEVEL_ERROR && strcmp(levels[level], config->log_level) != 0) level++;
    log_configure(level, strcmp(config->log_format, "json") == 0);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct config config;
    struct buf errors;
    buf_init(&errors, 1 << 16);
    bool ok = config_load(&config, &errors);
    int code = 2;
    if (ok) {
        configure_log(&config);
        code = command->run(&config, argc, argv);
    } else {
        fprintf(stderr, "schedule-service: the configuration has faults:\n%.*s", (int)errors.len, errors.data);
    }
    buf_done(&errors);
    config_done(&config);
    return code;
}

int main(int argc, char **argv)
{
    mallopt(M_ARENA_MAX, 2); /* librdkafka's many threads would each keep free memory of their own */
    if (argc < 2) return usage();
    for (size_t i = 0; i < PLAIN_COMMANDS; i++) {
        if (strcmp(argv[1], plain_commands[i].name) == 0) return plain_commands[i].run(argc - 1, argv + 1);
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) return run(&commands[i], argc - 1, argv + 1);
    }
    return admin_has(argv[1]) ? run(&admin_command, argc - 1, argv + 1) : usage();
}

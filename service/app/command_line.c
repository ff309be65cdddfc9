#include "app/command_line.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "app/command_option.h"
#include "app/config_typo.h"
#include "app/database.h"
#include "app/version.h"
#include "driver/log.h"

enum { FIRST_KEY = 256 /* of options; argp takes smaller ones for letters */, HELP_BYTES_MAX = 16 << 10 };

static void print_version(FILE *out, struct argp_state *state)
{
    (void)state;
    version_print(out);
}

/* ---- one command's options ---- */

/* The options that must be given, for the usage line. */
static void describe_required(const struct command *command, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (int i = 0; i < OPTIONS_LEN && len < size; i++) {
        const struct command_option_row *row = &command_option_rows[i];
        if (!(command->required & OPTION_BIT(i))) continue;
        len += (size_t)snprintf(text + len, size - len, "%s--%s=%s", len == 0 ? "" : " ", row->name, row->placeholder);
    }
}

struct parse {
    const struct command *command;
    struct command_call *call;
};

static void take_option(const struct parse *parse, enum command_option option, char *value, struct argp_state *state)
{
    const struct command_option_row *row = &command_option_rows[option];
    const char *fault = row->placeholder == NULL ? NULL : row->fault_of(value);
    if (fault != NULL) argp_error(state, "--%s %s", row->name, fault);
    parse->call->values[option] = value == NULL ? "" : value;
}

static void check_complete(const struct parse *parse, struct argp_state *state)
{
    for (int i = 0; i < OPTIONS_LEN; i++) {
        if ((parse->command->required & OPTION_BIT(i)) && parse->call->values[i] == NULL) {
            argp_error(state, "--%s is missing", command_option_rows[i].name);
        }
    }
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    const struct parse *parse = state->input;
    if (key == ARGP_KEY_ARG) argp_error(state, "unexpected argument '%s'", value);
    else if (key == ARGP_KEY_END) check_complete(parse, state);
    else if (key >= FIRST_KEY && key < FIRST_KEY + OPTIONS_LEN) {
        take_option(parse, (enum command_option)(key - FIRST_KEY), value, state);
    } else return ARGP_ERR_UNKNOWN;
    return 0;
}

static void parse_options(const struct command *command, int argc, char **argv, struct command_call *call)
{
    struct argp_option options[OPTIONS_LEN + 1] = {0};
    struct parse parse = {command, call};
    char required[256];
    size_t len = 0;
    describe_required(command, required, sizeof(required));
    for (int i = 0; i < OPTIONS_LEN; i++) {
        const struct command_option_row *row = &command_option_rows[i];
        if (!((command->required | command->optional) & OPTION_BIT(i))) continue;
        options[len++] =
            (struct argp_option){.name = row->name, .key = FIRST_KEY + i, .arg = row->placeholder, .doc = row->doc};
    }
    const struct argp argp = {.options = len == 0 ? NULL : options,
                              .parser = parse_option,
                              .args_doc = required,
                              .doc = command->doc};
    argp_parse(&argp, argc, argv, 0, NULL, &parse);
}

/* ---- which command ---- */

/* Whether the command's words begin with those given, or are those. */
static bool has_first_word(const struct command *command, const char *word)
{
    size_t len = strlen(word);
    return strncmp(command->words, word, len) == 0 && (command->words[len] == ' ' || command->words[len] == '\0');
}

/* The commands that begin with the word (NULL: all), one a line. The caller frees it. */
static char *list_commands(const char *word)
{
    char *text = calloc(1, HELP_BYTES_MAX);
    FILE *out = text == NULL ? NULL : fmemopen(text, HELP_BYTES_MAX - 1, "w");
    if (out == NULL) return text;
    fprintf(out, "Commands:");
    for (const struct command *command = commands; command->words != NULL; command++) {
        if (word == NULL || has_first_word(command, word)) fprintf(out, "\n  %-20s %s", command->words, command->doc);
    }
    fclose(out);
    return text;
}

struct choice {
    const char *first_word; /* of two, when it was given already */
    int index;              /* of the word that names the command; 0: none */
};

static error_t parse_word(int key, char *value, struct argp_state *state)
{
    struct choice *choice = state->input;
    (void)value;
    if (key == ARGP_KEY_NO_ARGS) argp_error(state, "a command is missing");
    if (key != ARGP_KEY_ARG) return ARGP_ERR_UNKNOWN;
    choice->index = state->next - 1;
    state->next = state->argc; /* what follows is the command's */
    return 0;
}

static char *filter_help(int key, const char *text, void *input)
{
    const struct choice *choice = input;
    return key == ARGP_KEY_HELP_EXTRA ? list_commands(choice->first_word) : (char *)text;
}

/* The index of the next word, behind options that end the process. */
static int find_word(int argc, char **argv, const char *first_word)
{
    struct choice choice = {.first_word = first_word};
    const struct argp argp = {.parser = parse_word, .args_doc = "COMMAND [OPTION...]", .help_filter = filter_help};
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice);
    return choice.index;
}

static const struct command *find_command(const char *words)
{
    const struct command *command = commands;
    while (command->words != NULL && strcmp(command->words, words) != 0) command++;
    return command->words == NULL ? NULL : command;
}

static bool is_first_of_two(const char *word)
{
    for (const struct command *command = commands; command->words != NULL; command++) {
        if (has_first_word(command, word) && strchr(command->words, ' ') != NULL) return true;
    }
    return false;
}

/* ---- running it ---- */

static void configure_log(const struct config *config)
{
    log_configure(log_level_of(config->log_level), strcmp(config->log_format, "json") == 0);
}

static int run_with_database(const struct command *command, struct command_call *call)
{
    call->db = database_connect(call->config->database_url);
    int code = call->db == NULL ? 1 : command->handler(call);
    PQfinish(call->db);
    return code;
}

static int run_with_config(const struct command *command, struct command_call *call)
{
    struct config config;
    struct buf errors;
    buf_init(&errors, 1 << 16);
    bool ok = config_load(&config, &errors);
    ok = kafka_properties_check(&config.kafka, &errors) && ok;
    int code = 2;
    call->config = &config;
    if (ok) {
        configure_log(&config);
        code = command->needs == NEEDS_DATABASE ? run_with_database(command, call) : command->handler(call);
    } else {
        fprintf(stderr, "schedule-service: the configuration has faults:\n%.*s", (int)errors.len, errors.data);
        config_print_typos(stderr);
    }
    buf_done(&errors);
    config_done(&config);
    call->config = NULL;
    return code;
}

int command_line_run(int argc, char **argv)
{
    char name[64] = "schedule-service"; /* and the command's words: what argp's messages begin with */
    argp_program_version_hook = print_version;
    argp_err_exit_status = 2;
    argv[0] = name;
    int word = find_word(argc, argv, NULL);
    size_t prefix_len = strlen(name) + 1;
    const char *given = argv[word];
    snprintf(name, sizeof(name), "schedule-service %s", given);
    if (is_first_of_two(given)) {
        argc -= word;
        argv += word;
        argv[0] = name;
        word = find_word(argc, argv, given);
        snprintf(name, sizeof(name), "schedule-service %s %s", given, argv[word]);
    }
    const struct command *command = find_command(name + prefix_len);
    if (command == NULL) {
        fprintf(stderr, "schedule-service: unknown command '%s'\nTry `schedule-service --help' for the usage.\n",
                name + prefix_len);
        return 2;
    }
    struct command_call call = {0};
    argv[word] = name;
    parse_options(command, argc - word, argv + word, &call);
    return command->needs == NEEDS_NOTHING ? command->handler(&call) : run_with_config(command, &call);
}

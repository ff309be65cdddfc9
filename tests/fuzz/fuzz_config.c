/* The environment, one variable a line. What is accepted is accepted again as check-config prints it, and prints the same. */
#include <stdio.h>
#include <unistd.h>

#include "app/config.h"
#include "fuzz.h"

enum { VARIABLES_MAX = 128 };

/* What is printed of a secret of ours is no value of it: an address stands for a database's, and a key for the others. */
static char *unhidden_new(struct slice line)
{
    static const char hidden[] = "=***";
    static const char property[] = "RDKAFKA_";
    static const char key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    size_t len = sizeof(hidden) - 1;
    bool is_ours = line.len < sizeof(property) - 1 || memcmp(line.data, property, sizeof(property) - 1) != 0;
    bool is_hidden = is_ours && line.len >= len && memcmp(line.data + line.len - len, hidden, len) == 0;
    const char *value = memmem(line.data, line.len, "DATABASE_URL", 12) != NULL ? "dbname=d" : key;
    char *text = NULL;
    MUST(asprintf(&text, "%.*s%s", (int)(is_hidden ? line.len - 3 : line.len), line.data, is_hidden ? value : "") >= 0);
    return text;
}

/* No input names a file that is there: their content is of no use here. */
static char *variable_new(struct slice line)
{
    static const char file[] = "_FILE=";
    char *text = unhidden_new(line);
    size_t len = sizeof(file) - 1;
    size_t equals = strcspn(text, "=");
    size_t end = text[equals] == '\0' ? 0 : equals + 1;
    if (end < len || memcmp(text + end - len, file, len) != 0 || text[end] == '\0') return text;
    char *none = NULL;
    MUST(asprintf(&none, "%.*s/dev/null", (int)end, text) > 0);
    free(text);
    return none;
}

static void load(struct slice text, struct config *ret_config, struct buf *ret_errors)
{
    char **before = environ;
    char *variables[VARIABLES_MAX + 1];
    size_t len = 0;
    while (text.len > 0 && len < VARIABLES_MAX) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t line = end == NULL ? text.len : (size_t)(end - text.data);
        variables[len++] = variable_new((struct slice){text.data, line});
        line += end != NULL;
        text = (struct slice){text.data + line, text.len - line};
    }
    variables[len] = NULL;
    environ = variables;
    bool ok = config_load(ret_config, ret_errors);
    environ = before;
    MUST(!ret_errors->failed && ok == (ret_errors->len == 0));
    while (len > 0) free(variables[--len]);
}

static char *print(const struct config *config, size_t *ret_len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_len);
    MUST(out != NULL);
    config_print(config, out);
    fclose(out);
    return text;
}

static void round_trip(const struct config *config)
{
    struct config again;
    struct buf errors;
    size_t len;
    size_t len_again;
    buf_init(&errors, 1 << 20);
    char *text = print(config, &len);
    load((struct slice){text, len}, &again, &errors);
    MUST(errors.len == 0);
    char *text_again = print(&again, &len_again);
    MUST(slice_equal((struct slice){text, len}, (struct slice){text_again, len_again}));
    config_done(&again);
    buf_done(&errors);
    free(text);
    free(text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct buf errors;
    buf_init(&errors, 1 << 20);
    load(slice_of_input(data, size), &config, &errors);
    if (errors.len == 0) {
        MUST(strcmp(config.event_format, "protobuf") == 0 || strcmp(config.event_format, "json") == 0);
        MUST(config.roles != 0);
        round_trip(&config);
    }
    config_done(&config);
    buf_done(&errors);
    return 0;
}

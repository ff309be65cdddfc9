/* What a request says of a webhook or asks to be sent again: the first byte says which, the rest is the body. What is read keeps every limit,
 * and fits the statements that it goes to. */
#include "api/http_webhook_input.h"
#include "codec/json_text.h"
#include "fuzz.h"

enum { CREATE, CHANGE, REPLAY, KINDS };

/* "{A,B}", of names that need no quotes. */
static void check_array(struct slice array)
{
    if (array.data == NULL) return;
    MUST(array.len >= 2 && array.data[0] == '{' && array.data[array.len - 1] == '}' && array.data[array.len] == '\0');
    for (size_t i = 1; i < array.len - 1; i++) {
        char c = array.data[i];
        MUST((c >= 'A' && c <= 'Z') || c == '_' || (c == ',' && array.data[i - 1] >= 'A' && array.data[i - 1] <= 'Z'));
    }
}

static void check_text(struct slice text)
{
    MUST(text.data == NULL || text.data[text.len] == '\0');
}

static void check_webhook(const struct webhook_input *input, bool is_change)
{
    check_array(input->triggers);
    check_text(input->url);
    check_text(input->secret);
    check_text(input->format);
    MUST(input->secret.len <= WEBHOOK_SECRET_BYTES_MAX && (input->has_secret || input->secret.len == 0));
    MUST(input->secret.len == 0 || webhook_secret_is_usable(input->secret));
    MUST(!input->is_active || input->has_active);
    MUST(is_change || (input->url.data != NULL && input->triggers.data != NULL && input->has_active));
}

static void check_replay(const struct replay_input *input)
{
    check_array(input->triggers);
    MUST((input->from_time.data != NULL) != (input->from_event.data != NULL));
    check_text(input->from_time);
    check_text(input->from_event);
    check_text(input->to_time);
}

static void read_body(const json_t *body, int kind, struct arena *arena)
{
    struct webhook_input webhook;
    struct replay_input replay;
    struct violations violations = {0};
    enum status status = kind == REPLAY ? replay_input_read(body, arena, &replay, &violations)
                                        : webhook_input_read(body, kind == CHANGE, arena, &webhook, &violations);
    MUST(status == STATUS_OK ? violations.len == 0 : status == STATUS_INVALID && violations.len > 0);
    if (status != STATUS_OK) return;
    if (kind == REPLAY) check_replay(&replay);
    else check_webhook(&webhook, kind == CHANGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_fault fault;
    json_t *body = NULL;
    if (size == 0 || json_text_parse(slice_of_input(data + 1, size - 1), &body, &fault) != STATUS_OK) return 0;
    struct arena *arena = arena_new(16 << 20);
    if (arena != NULL && json_is_object(body)) read_body(body, data[0] % KINDS, arena);
    arena_free(arena);
    json_decref(body);
    return 0;
}

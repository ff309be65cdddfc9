/* What a request says of a webhook, or asks to be sent again, read from its body in the order and words of the reference. Pure. */
#ifndef API_HTTP_WEBHOOK_INPUT_H
#define API_HTTP_WEBHOOK_INPUT_H

#include <jansson.h>

#include "core/arena.h"
#include "core/schedule.h"
#include "webhook/webhook_signature.h"

/* Texts borrow from the body or live in the arena, and end with a NUL. Data NULL: not given, which only a change may leave so. */
struct webhook_input {
    struct slice url;
    struct slice triggers; /* as an array of PostgreSQL: "{A,B}" */
    bool has_active;
    bool is_active;
    bool has_secret;
    struct slice secret; /* length 0: none */
    struct slice format;
    bool has_delegation_trigger; /* one that only organizations may have */
};

/* STATUS_OK; STATUS_INVALID adds every violation; STATUS_NO_MEMORY or STATUS_TOO_LARGE: the arena is full. */
enum status webhook_input_read(const json_t *body, bool is_change, struct arena *arena, struct webhook_input *ret_input,
                               struct violations *violations);

struct replay_input {
    struct slice from_time; /* either this or from_event; data NULL: the other */
    struct slice from_event;
    struct slice to_time;  /* data NULL: now */
    struct slice triggers; /* likewise: those of the webhook */
};

enum status replay_input_read(const json_t *body, struct arena *arena, struct replay_input *ret_input,
                              struct violations *violations);

#endif

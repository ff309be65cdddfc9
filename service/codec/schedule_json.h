/* Schedules in the contract's JSON: a sender's body in, the stored columns and the answered object out. */
#ifndef CODEC_SCHEDULE_JSON_H
#define CODEC_SCHEDULE_JSON_H

#include <jansson.h>

#include "core/buf.h"
#include "core/schedule.h"

/* Takes from a JSON value what a schedule body may hold; other members are passed over. A value that is no object counts as
 * an empty one. The input's text borrows from body. False when the arena is full. */
bool schedule_input_from_json(const json_t *body, struct arena *arena, struct schedule_input *ret_input);

/* A member that should be text; data borrows from value. */
struct input_text input_text_from_json(const json_t *value);

/* Appends `[{"days":["Monday"],"startTime":"09:00","endTime":"17:00"}]`, the form of the database column and of answers. */
void availability_write_json(struct buf *out, const struct schedule *schedule);

/* Appends `[{"date":"2024-05-20","startTime":"18:00","endTime":"21:00"}]`, likewise. */
void overrides_write_json(struct buf *out, const struct schedule *schedule);

/* A schedule as it is stored; the two lists are already JSON. */
struct schedule_row {
    int64_t id;
    int64_t owner_id;
    int64_t org_id; /* 0: none */
    struct slice name;
    struct slice time_zone;
    struct slice availability_json;
    struct slice overrides_json;
    bool is_default;
    int64_t version;
};

/* The row of a stored schedule. Its lists are written into the two buffers, which are the caller's: the row borrows from them and from the
 * schedule, and is of no use when one has failed. */
struct schedule_row schedule_row_of(const struct stored_schedule *stored, struct buf *availability, struct buf *overrides);

/* Reads the row's lists back, which kept the rules when they were stored; what the schedule holds lives in the arena, its name and time zone
 * are the row's. STATUS_OK, STATUS_UNDECODABLE or STATUS_NO_MEMORY. */
enum status schedule_of_row(const struct schedule_row *row, struct arena *arena, struct schedule *ret_schedule);

/* Appends the object of the contract's section 3, keys in its order: id, ownerId, name, timeZone, availability, isDefault, overrides. */
void schedule_write_json(struct buf *out, const struct schedule_row *row);

/* Appends a JSON string with its quotes; text is valid UTF-8. */
void json_write_string(struct buf *out, struct slice text);

#endif

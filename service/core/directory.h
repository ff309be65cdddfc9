/* The directory and its rules: the organizations, users and teams that schedules belong to, as the services that own them publish them.
 * An entry of any shape (struct directory_input) goes in; a checked one comes out, or the complete list of what is wrong with it.
 * The topic, the bulk import and the commands by hand all use this one function. Pure: no I/O, no clock, no log. */
#ifndef CORE_DIRECTORY_H
#define CORE_DIRECTORY_H

#include "core/schedule.h"

/* The greatest id: what is left above it keeps the automatic ids from running out. */
#define DIRECTORY_ID_MAX INT64_C(999999999999999999)

enum directory_type {
    DIRECTORY_NONE,
    DIRECTORY_ORGANIZATION,
    DIRECTORY_USER,
    DIRECTORY_MEMBERSHIP,
    DIRECTORY_TEAM,
    DIRECTORY_TEAM_MEMBERSHIP
};

/* "organization", "user", "membership", "team" or "team-membership"; DIRECTORY_NONE for anything else. */
enum directory_type directory_type_parse(struct slice name);
struct slice directory_type_name(enum directory_type type);

/* The fields of all types, ids first. Each type has some of them; what identifies an entry are always ids. */
enum directory_field {
    DIRECTORY_ID,
    DIRECTORY_ORG_ID,
    DIRECTORY_TEAM_ID,
    DIRECTORY_USER_ID,
    DIRECTORY_IDS,
    DIRECTORY_NAME = DIRECTORY_IDS,
    DIRECTORY_TIME_ZONE,
    DIRECTORY_ROLE,
    DIRECTORY_FIELDS
};

/* "id", "orgId", ... */
struct slice directory_field_name(enum directory_field field);

/* Whether entries of this type have the field; of a removal only what identifies them. */
bool directory_has(enum directory_type type, bool is_removal, enum directory_field field);

/* Fields that the type has not got are 0 and empty. Text is borrowed. */
struct directory_entry {
    enum directory_type type;
    bool is_removal;
    int64_t ids[DIRECTORY_IDS];
    struct slice name;
    struct slice time_zone; /* IANA spelling; data NULL: absent, the stored one stays */
    struct slice role;      /* "OWNER", "ADMIN" or "MEMBER" */
};

/* ---- what a sender said, before any rule ---- */

struct directory_input {
    struct input_text key; /* of the record; ABSENT where there are no records */
    struct input_text type;
    struct input_bool remove; /* ABSENT: false */
    struct input_id ids[DIRECTORY_IDS];
    struct input_text name;
    struct input_text time_zone;
    struct input_text role;
};

/* ---- the verdict ---- */

/* Checks what was sent. STATUS_OK sets *ret_entry; STATUS_INVALID leaves at least one violation in *violations, which comes
 * empty; STATUS_TOO_LARGE when the arena is full; STATUS_NO_MEMORY. The entry's text is the input's own, not a copy. */
enum status directory_check(const struct directory_input *input, const struct time_zones *zones, struct arena *arena,
                            struct directory_entry *ret_entry, struct violations *violations);

/* An entry's identity as text: "membership/1/5", data NULL when the arena is full. */
struct slice directory_key_format(const struct directory_entry *entry, struct arena *arena);

/* Takes type and ids from a key of that form; the rest of the input is a removal's. False when it names no entry. */
bool directory_key_parse(struct slice key, struct directory_input *ret_input);

#endif

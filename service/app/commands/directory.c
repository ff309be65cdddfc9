/* The directory by hand. A change goes the way of the topic's and the import's: core/directory.c checks an entry,
 * apply_directory() applies it. By hand nothing may be referred to that is not there, and nothing is added twice. */
#include <ctype.h>
#include <stdlib.h>

#include "app/commands/handlers.h"
#include "app/commands/removal.h"
#include "app/commands/rows.h"
#include "app/database.h"
#include "codec/directory_codec.h"
#include "driver/zone_files.h"

enum { ROLE_SIZE = 8, SQL_SIZE = 128, ENTRY_MAX_BYTES = 64 << 10 };

/* What an id of each kind is of. */
static const struct {
    const char *table;
    const char *noun;
} objects[DIRECTORY_IDS] = {
    [DIRECTORY_ORG_ID] = {"organizations", "organization"},
    [DIRECTORY_TEAM_ID] = {"teams", "team"},
    [DIRECTORY_USER_ID] = {"users", "user"},
};

/* The object that an entry of this type is itself; DIRECTORY_ID for memberships. */
static enum directory_field object_of(enum directory_type type)
{
    return type == DIRECTORY_ORGANIZATION ? DIRECTORY_ORG_ID
           : type == DIRECTORY_TEAM       ? DIRECTORY_TEAM_ID
           : type == DIRECTORY_USER       ? DIRECTORY_USER_ID
                                          : DIRECTORY_ID;
}

/* ---- from options to an entry ---- */

static struct input_text text_of(const char *value)
{
    return (struct input_text){value == NULL ? INPUT_ABSENT : INPUT_GIVEN, slice_of(value)};
}

static struct input_id id_of(const char *value)
{
    return (struct input_id){value == NULL ? 0 : strtoll(value, NULL, 10), true};
}

static struct directory_input input_of(const struct command_call *call, enum directory_type type, bool is_removal,
                                       char role[static ROLE_SIZE])
{
    const char *const *values = call->values;
    size_t len = 0;
    for (const char *p = values[OPT_ROLE]; p != NULL && *p != '\0' && len < ROLE_SIZE - 1; p++) {
        role[len++] = (char)toupper((unsigned char)*p);
    }
    return (struct directory_input){
        .type = {INPUT_GIVEN, directory_type_name(type)},
        .remove = {INPUT_GIVEN, is_removal},
        .ids = {[DIRECTORY_ID] = id_of(values[OPT_ID]),
                [DIRECTORY_ORG_ID] = id_of(values[OPT_ORG]),
                [DIRECTORY_TEAM_ID] = id_of(values[OPT_TEAM]),
                [DIRECTORY_USER_ID] = id_of(values[OPT_USER])},
        .name = text_of(values[OPT_NAME]),
        .time_zone = text_of(values[OPT_TIME_ZONE]),
        .role = {INPUT_GIVEN, {role, len}},
    };
}

/* False after saying what is wrong. The entry's text is in the arena, the input, or static. */
static bool check(const struct directory_input *input, const char *tzdata, struct arena *arena,
                  struct directory_entry *ret_entry)
{
    struct violations violations = {0};
    bool has_zone = input->time_zone.kind == INPUT_GIVEN;
    struct zone_files *zones = has_zone ? zone_files_new(tzdata) : NULL;
    if (has_zone && zones == NULL) return false;
    enum status status = directory_check(input, has_zone ? zone_files_names(zones) : NULL, arena, ret_entry, &violations);
    if (status == STATUS_OK && has_zone) ret_entry->time_zone = arena_copy(arena, ret_entry->time_zone);
    zone_files_free(zones);
    for (size_t i = 0; i < violations.len; i++) {
        database_fail("%.*s", (int)violations.items[i].message.len, violations.items[i].message.data);
    }
    return status == STATUS_OK;
}

/* ---- the database ---- */

/* What a query answered: -1 on an error, which was said; else whether it is true. Takes the result. */
static int answer_of(PGresult *result)
{
    int answer = result == NULL ? -1 : PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return answer;
}

static int ask(PGconn *db, const char *sql, const char *const *param)
{
    return answer_of(database_query(db, sql, 1, param));
}

/* Whether the object is there; one with an empty name is known from others alone and still to be added. */
static int is_there(PGconn *db, enum directory_field object, int64_t id, bool named)
{
    char sql[SQL_SIZE];
    char text[24];
    snprintf(sql, sizeof(sql), "SELECT EXISTS (SELECT FROM %s WHERE id = $1::bigint%s)", objects[object].table,
             named ? " AND name <> ''" : "");
    snprintf(text, sizeof(text), "%lld", (long long)id);
    return ask(db, sql, &(const char *){text});
}

static bool references_are_there(PGconn *db, const struct directory_entry *entry)
{
    for (enum directory_field field = DIRECTORY_ORG_ID; field < DIRECTORY_IDS; field++) {
        if (entry->ids[field] == 0) continue;
        int there = is_there(db, field, entry->ids[field], false);
        if (there == 0) database_fail("there is no %s with id %lld", objects[field].noun, (long long)entry->ids[field]);
        if (there != 1) return false;
    }
    return true;
}

static bool is_new(PGconn *db, const struct directory_entry *entry)
{
    enum directory_field object = object_of(entry->type);
    if (object == DIRECTORY_ID) return true;
    int there = is_there(db, object, entry->ids[DIRECTORY_ID], true);
    if (there == 1) database_fail("%s %lld is there already", objects[object].noun, (long long)entry->ids[DIRECTORY_ID]);
    return there == 0;
}

/* ---- the verbs; json is the entry's ---- */

/* Whether it changed anything; -1 on an error, which was said. One that names what is being removed waits for the end of that. */
static int apply(PGconn *db, const char *json)
{
    return answer_of(database_check(removal_try(db, "SELECT apply_directory($1::json, now())", 1, &json)));
}

static int add_entry(PGconn *db, const struct directory_entry *entry, const char *json)
{
    static const char *const show_sql[] = {
        [DIRECTORY_ORGANIZATION] = "SELECT id, name FROM organizations WHERE id = ($1::json ->> 'id')::bigint",
        [DIRECTORY_USER] = "SELECT id, name, time_zone FROM users WHERE id = ($1::json ->> 'id')::bigint",
        [DIRECTORY_MEMBERSHIP] =
            "SELECT org_id AS org, user_id AS user, lower(role::text) AS role FROM memberships"
            " WHERE org_id = ($1::json ->> 'orgId')::bigint AND user_id = ($1::json ->> 'userId')::bigint",
        [DIRECTORY_TEAM] = "SELECT id, org_id AS org, name FROM teams WHERE id = ($1::json ->> 'id')::bigint",
        [DIRECTORY_TEAM_MEMBERSHIP] =
            "SELECT team_id AS team, user_id AS user, lower(role::text) AS role FROM team_memberships"
            " WHERE team_id = ($1::json ->> 'teamId')::bigint AND user_id = ($1::json ->> 'userId')::bigint",
    };
    if (!references_are_there(db, entry) || !is_new(db, entry) || apply(db, json) < 0) return 1;
    return rows_print_query(db, show_sql[entry->type], 1, &json);
}

static int remove_entry(PGconn *db, const struct directory_entry *entry, const char *json)
{
    int changed = apply(db, json);
    if (changed == 0) database_fail("there is no such %s", directory_type_name(entry->type).data);
    return changed == 1 ? 0 : 1;
}

static int with_entry(const struct command_call *call, enum directory_type type, bool is_removal)
{
    char role[ROLE_SIZE];
    struct directory_input input = input_of(call, type, is_removal, role);
    struct directory_entry entry;
    struct buf json;
    int code = 1;
    struct arena *arena = arena_new(ENTRY_MAX_BYTES);
    buf_init(&json, ENTRY_MAX_BYTES);
    if (arena != NULL && check(&input, call->config->tzdata, arena, &entry)) {
        directory_write_json(&json, &entry);
        buf_append_char(&json, '\0');
        if (json.failed) database_fail("out of memory");
        else code = (is_removal ? remove_entry : add_entry)(call->db, &entry, json.data);
    }
    buf_done(&json);
    arena_free(arena);
    return code;
}

/* With the next automatic id where none is given. */
static int add_object(const struct command_call *given, enum directory_type type)
{
    struct command_call call = *given;
    char sql[SQL_SIZE];
    if (call.values[OPT_ID] != NULL) return with_entry(given, type, false);
    snprintf(sql, sizeof(sql), "SELECT nextval('%s_id_seq')", objects[object_of(type)].table);
    PGresult *next = database_query(call.db, sql, 0, NULL);
    if (next == NULL) return 1;
    call.values[OPT_ID] = PQgetvalue(next, 0, 0);
    int code = with_entry(&call, type, false);
    PQclear(next);
    return code;
}

/* The object is gone at once; what was in it goes in steps. */
static int remove_object(const struct command_call *call, enum directory_type type)
{
    int code = with_entry(call, type, true);
    if (code != 0 || call->values[OPT_NO_WAIT] != NULL) return code;
    return removal_await(call->db, directory_type_name(type).data, call->values[OPT_ID]) ? 0 : 1;
}

int org_add_command(const struct command_call *call)
{
    return add_object(call, DIRECTORY_ORGANIZATION);
}

int org_remove_command(const struct command_call *call)
{
    return remove_object(call, DIRECTORY_ORGANIZATION);
}

int user_add_command(const struct command_call *call)
{
    return add_object(call, DIRECTORY_USER);
}

int user_remove_command(const struct command_call *call)
{
    return remove_object(call, DIRECTORY_USER);
}

int member_add_command(const struct command_call *call)
{
    return with_entry(call, DIRECTORY_MEMBERSHIP, false);
}

int member_remove_command(const struct command_call *call)
{
    return with_entry(call, DIRECTORY_MEMBERSHIP, true);
}

int team_add_command(const struct command_call *call)
{
    return add_object(call, DIRECTORY_TEAM);
}

int team_remove_command(const struct command_call *call)
{
    return with_entry(call, DIRECTORY_TEAM, true);
}

int team_member_add_command(const struct command_call *call)
{
    return with_entry(call, DIRECTORY_TEAM_MEMBERSHIP, false);
}

int team_member_remove_command(const struct command_call *call)
{
    return with_entry(call, DIRECTORY_TEAM_MEMBERSHIP, true);
}

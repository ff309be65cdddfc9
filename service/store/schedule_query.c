#include "store/schedule_query.h"

#include <stdlib.h>

enum column {
    ID,
    OWNER_ID,
    ORG_ID,
    NAME,
    TIME_ZONE,
    AVAILABILITY,
    OVERRIDES,
    IS_DEFAULT,
    VERSION,
    BYTES,           /* of a list up to here */
    STANDING = BYTES /* of a get */
};

#define SCHEDULE_COLUMNS                                                                      \
    "s.id, s.owner_id, s.org_id, s.name, s.time_zone, s.availability::text AS availability, " \
    "s.overrides::text AS overrides, d.schedule_id IS NOT NULL AS is_default, s.version"
#define SCHEDULE_TABLES "schedules s LEFT JOIN default_schedules d ON d.owner_id = s.owner_id AND d.schedule_id = s.id"

/* About what one takes in an answer. */
#define SCHEDULE_BYTES "(octet_length(s.availability::text) + octet_length(s.overrides::text) + octet_length(s.name) + 200)"

/* The running total says where the list is to be cut; the row that crosses it still comes and tells so. */
#define LIST_SQL(condition_)                                                                  \
    "SELECT * FROM (SELECT " SCHEDULE_COLUMNS ","                                             \
    " sum(" SCHEDULE_BYTES ") OVER (ORDER BY s.id) AS bytes, " SCHEDULE_BYTES " AS own_bytes" \
    " FROM " SCHEDULE_TABLES " WHERE " condition_ ") AS list"                                 \
    " WHERE bytes - own_bytes <= $1::bigint ORDER BY id"

/* A page is chosen by ids alone, so that only what is answered is read whole. */
#define PAGE_SQL(more_tables_)                                                                      \
    LIST_SQL("s.id = ANY (ARRAY(SELECT p.id FROM schedules p"                                       \
             " JOIN memberships m ON m.org_id = $2::bigint AND m.user_id = p.owner_id" more_tables_ \
             " WHERE p.org_id = $2::bigint OR p.org_id IS NULL ORDER BY p.id LIMIT $3::bigint OFFSET $4::bigint))")

#define GET_SQL(id_)                                                                                          \
    "SELECT " SCHEDULE_COLUMNS ", schedule_standing(nullif($1::bigint, 0), $2::bigint, s.org_id, s.owner_id)" \
    " FROM " SCHEDULE_TABLES " WHERE s.id = " id_

/* Those of an organization that is being removed are not there. */
const char list_user_schedules_sql[] =
    LIST_SQL("s.owner_id = $3::bigint AND ($2::bigint = 0 OR s.org_id = $2::bigint OR s.org_id IS NULL)"
             " AND NOT EXISTS (SELECT FROM removals r WHERE r.type = 'organization' AND r.id = s.org_id)");
const char list_org_schedules_sql[] = PAGE_SQL("");
const char list_team_schedules_sql[] =
    PAGE_SQL(" JOIN team_memberships t ON t.team_id = $5::bigint AND t.user_id = p.owner_id");
const char get_schedule_sql[] = GET_SQL("$3::bigint");
const char get_default_schedule_sql[] = GET_SQL("(SELECT schedule_id FROM default_schedules WHERE owner_id = $2::bigint)");

/* Null reads as 0. */
static int64_t int_at(const PGresult *result, int row, enum column column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static struct slice text_at(const PGresult *result, int row, enum column column)
{
    return (struct slice){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

struct schedule_row schedule_row_read(const PGresult *result, int row)
{
    return (struct schedule_row){
        .id = int_at(result, row, ID),
        .owner_id = int_at(result, row, OWNER_ID),
        .org_id = int_at(result, row, ORG_ID),
        .name = text_at(result, row, NAME),
        .time_zone = text_at(result, row, TIME_ZONE),
        .availability_json = text_at(result, row, AVAILABILITY),
        .overrides_json = text_at(result, row, OVERRIDES),
        .is_default = slice_equal(text_at(result, row, IS_DEFAULT), SLICE("t")),
        .version = int_at(result, row, VERSION),
    };
}

bool schedules_are_cut(const PGresult *result, int64_t max_bytes)
{
    int len = PQntuples(result);
    return len > 0 && int_at(result, len - 1, BYTES) > max_bytes;
}

enum schedule_standing schedule_standing_read(const PGresult *result)
{
    if (PQntuples(result) == 0) return SCHEDULE_NONE;
    struct slice name = text_at(result, 0, STANDING);
    if (slice_equal(name, SLICE("own"))) return SCHEDULE_OWN;
    return slice_equal(name, SLICE("other")) ? SCHEDULE_OTHERS : SCHEDULE_NONE;
}

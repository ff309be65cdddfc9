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
    ACCESS,        /* of a get */
    FITS = ACCESS, /* of a list, in each row */
    IS_CUT,
    HAS_MORE,
    USER_ID = ACCESS, /* of people, as the next three */
    IS_MEMBER,
    ASKED_ID,
    PEOPLE_CUT
};

#define SCHEDULE_COLUMNS                                                                      \
    "s.id, s.owner_id, s.org_id, s.name, s.time_zone, s.availability::text AS availability, " \
    "s.overrides::text AS overrides, d.schedule_id IS NOT NULL AS is_default, s.version"
#define SCHEDULE_TABLES "schedules s LEFT JOIN default_schedules d ON d.owner_id = s.owner_id AND d.schedule_id = s.id"

/* The ids are looked at first, of one more than is taken; rows are read whole only when all of them fit. There is always a row: a list
 * without any has one of nulls. */
#define LIST_SQL(chosen_)                                                                                           \
    "WITH chosen AS (SELECT coalesce(array_agg(id ORDER BY id), '{}') AS ids"                                       \
    " FROM (" chosen_ " LIMIT $3::bigint + 1 OFFSET $4::bigint) AS page),"                                          \
    " counted AS (SELECT ids[: $3::bigint] AS ids, schedules_that_fit(ids[: $3::bigint], $1::bigint) AS fits,"      \
    " cardinality(ids) > $3::bigint AS has_more FROM chosen)"                                                       \
    " SELECT l.*, t.fits, t.fits < cardinality(t.ids) AS is_cut, t.has_more FROM counted t LEFT JOIN"               \
    " (SELECT " SCHEDULE_COLUMNS " FROM " SCHEDULE_TABLES " WHERE s.id = ANY ((SELECT ids FROM counted)::bigint[])" \
    " AND (SELECT fits = cardinality(ids) FROM counted)) AS l ON true ORDER BY l.id"

#define PAGE_SQL(more_tables_)                                                                      \
    LIST_SQL("SELECT p.id FROM schedules p"                                                         \
             " JOIN memberships m ON m.org_id = $2::bigint AND m.user_id = p.owner_id" more_tables_ \
             " WHERE (p.org_id = $2::bigint OR p.org_id IS NULL) AND p.id > $5::bigint ORDER BY p.id")

#define GET_SQL(id_)                                                                                        \
    "SELECT " SCHEDULE_COLUMNS ", schedule_access(nullif($1::bigint, 0), $2::bigint, s.org_id, s.owner_id)" \
    " FROM " SCHEDULE_TABLES " WHERE s.id = " id_

/* What of a member's schedules s the organization $2 may see. Those of one that is being removed are not there. */
#define MAY_SEE                                                     \
    "($2::bigint = 0 OR s.org_id = $2::bigint OR s.org_id IS NULL)" \
    " AND NOT EXISTS (SELECT FROM removals r WHERE r.type = 'organization' AND r.id = s.org_id)"

const char list_user_schedules_sql[] = LIST_SQL(
    "SELECT s.id FROM schedules s WHERE s.owner_id = $6::bigint AND s.id > $5::bigint AND " MAY_SEE " ORDER BY s.id");
const char list_org_schedules_sql[] = PAGE_SQL("");
const char list_team_schedules_sql[] =
    PAGE_SQL(" JOIN team_memberships t ON t.team_id = $6::bigint AND t.user_id = p.owner_id");
const char get_schedule_sql[] = GET_SQL("$3::bigint");
const char get_default_schedule_sql[] = GET_SQL("(SELECT schedule_id FROM default_schedules WHERE owner_id = $2::bigint)");

/* Whose they are is asked here and not with schedule_access, which plans its parts again for each person. */
const char list_people_sql[] =
    "WITH asked AS (SELECT user_id, asked_id, EXISTS (SELECT FROM memberships m WHERE m.org_id = $2::bigint"
    " AND m.user_id = pair.user_id) AS is_member"
    " FROM (SELECT ($5::bigint[])[2 * i - 1] AS user_id, ($5::bigint[])[2 * i] AS asked_id"
    " FROM generate_series(1, cardinality($5::bigint[]) / 2) AS i) AS pair"
    " UNION ALL (SELECT t.user_id, 0, true FROM team_memberships t"
    " JOIN memberships m ON m.org_id = $2::bigint AND m.user_id = t.user_id"
    " WHERE t.team_id = $3::bigint ORDER BY t.user_id LIMIT $4::bigint)),"
    " read AS MATERIALIZED (SELECT " SCHEDULE_COLUMNS ", a.user_id, a.is_member, a.asked_id"
    " FROM asked a LEFT JOIN default_schedules own ON own.owner_id = a.user_id LEFT JOIN (" SCHEDULE_TABLES ")"
    " ON a.is_member AND s.owner_id = a.user_id AND " MAY_SEE
    " AND NOT EXISTS (SELECT FROM removals r WHERE r.type = 'user' AND r.id = a.user_id)"
    " AND s.id = CASE a.asked_id WHEN 0 THEN own.schedule_id ELSE a.asked_id END),"
    " counted AS (SELECT sum(octet_length(availability) + octet_length(overrides)) > $1::bigint AS is_cut FROM read)"
    " SELECT r.*, t.is_cut FROM read r CROSS JOIN counted t ORDER BY r.user_id"
    " LIMIT (SELECT CASE WHEN is_cut THEN 1 END FROM counted)";

/* Null reads as 0. */
static int64_t int_at(const PGresult *result, int row, enum column column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static struct slice text_at(const PGresult *result, int row, enum column column)
{
    return (struct slice){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

static bool is_true(const PGresult *result, int row, enum column column)
{
    return slice_equal(text_at(result, row, column), SLICE("t"));
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
        .is_default = is_true(result, row, IS_DEFAULT),
        .version = int_at(result, row, VERSION),
    };
}

struct schedule_list schedule_list_read(const PGresult *result)
{
    return (struct schedule_list){.len = (size_t)int_at(result, 0, FITS),
                                  .is_cut = is_true(result, 0, IS_CUT),
                                  .has_more = is_true(result, 0, HAS_MORE)};
}

struct people_list people_list_read(const PGresult *result)
{
    int len = PQntuples(result);
    return (struct people_list){.len = (size_t)len, .is_cut = len > 0 && is_true(result, 0, PEOPLE_CUT)};
}

struct person_row person_row_read(const PGresult *result, int row)
{
    return (struct person_row){
        .user_id = int_at(result, row, USER_ID),
        .is_member = is_true(result, row, IS_MEMBER),
        .asked_id = int_at(result, row, ASKED_ID),
        .schedule = schedule_row_read(result, row),
    };
}

enum schedule_access schedule_access_read(const PGresult *result)
{
    if (PQntuples(result) == 0) return SCHEDULE_NONE;
    struct slice name = text_at(result, 0, ACCESS);
    if (slice_equal(name, SLICE("own"))) return SCHEDULE_OWN;
    return slice_equal(name, SLICE("other")) ? SCHEDULE_OTHERS : SCHEDULE_NONE;
}

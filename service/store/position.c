#include "store/position.h"

#include "driver/pg_array.h"

void position_read(const PGresult *result, int first_column, struct position *ret_position)
{
    int64_t columns[POSITION_COLUMNS_LEN];
    for (int i = 0; i < POSITION_COLUMNS_LEN; i++) columns[i] = pg_get_int8(PQgetvalue(result, 0, first_column + i));
    *ret_position = (struct position){columns[0], columns[1], columns[2], columns[3]};
}

static bool is_same_history(const struct position *position, const struct position_mark *mark)
{
    return position->system_id == mark->system_id && position->timeline == mark->timeline;
}

bool position_is_at(const struct position *position, const struct position_mark *mark)
{
    return mark->timeline != 0 && is_same_history(position, mark) && position->inserted >= mark->durable;
}

/* A crash may take back records that were not durable, and what is flushed may end within one that nobody completes: only the end of
 * a record that is flushed since stays for good. */
void position_note(const struct position *position, struct position_mark *mark)
{
    if (!is_same_history(position, mark) || position->inserted < mark->durable) *mark = (struct position_mark){0};
    mark->system_id = position->system_id;
    mark->timeline = position->timeline;
    if (position->flushed >= mark->inserted) mark->durable = mark->inserted;
    mark->inserted = position->inserted;
}

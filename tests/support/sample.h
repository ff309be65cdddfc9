/* The commands of the benchmarks, numbered: the same number always makes the same schedule, and whoever needs its rows or its
 * event makes them from the command. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/uuid.h"

enum { SAMPLE_OWNERS = 10000, SAMPLE_BYTES_MAX = 512 };

/* The owner of a number: SAMPLE_OWNERS owners by turns, from the first on. */
int64_t sample_owner(int64_t number, int64_t first_owner);

/* Packs a CreateSchedule; returns its length. Its id is a UUIDv7 of now that holds the number. Names, zones, hours and overrides
 * differ from one to the next. */
size_t sample_pack(int64_t number, int64_t org_id, int64_t first_owner, uint8_t ret_value[SAMPLE_BYTES_MAX]);

/* The same for an UpdateSchedule of a schedule, with another name and other hours, and for a DeleteSchedule. */
size_t sample_pack_update(int64_t number, int64_t org_id, int64_t owner, int64_t schedule_id,
                          uint8_t ret_value[SAMPLE_BYTES_MAX]);
size_t sample_pack_delete(int64_t number, int64_t org_id, int64_t owner, int64_t schedule_id,
                          uint8_t ret_value[SAMPLE_BYTES_MAX]);

/* The number that an id holds. */
int64_t sample_number(const struct uuid *command_id);

#endif

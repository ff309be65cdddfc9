/* The rule of a time zone as POSIX writes it in TZ, with RFC 9636's extension of hours to -167..167: `EST5EDT,M3.2.0,M11.1.0`. It is what a
 * TZif file says of the years behind its table. */
#ifndef CORE_POSIX_TZ_H
#define CORE_POSIX_TZ_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum posix_tz_day { DAY_JULIAN, DAY_ZERO_BASED, DAY_OF_MONTH };

/* When in a year the clocks change. */
struct posix_tz_change {
    enum posix_tz_day kind;
    int day;        /* JULIAN: 1 to 365, 29 February is not counted; ZERO_BASED: 0 to 365 */
    int month;      /* OF_MONTH: 1 to 12, */
    int week;       /* 1 to 5, the last, */
    int weekday;    /* and 0 Sunday to 6 */
    int32_t time_s; /* behind that day's midnight, by the clocks that end with it */
};

struct posix_tz {
    int32_t standard_offset_s; /* east of UTC is positive, unlike in the text */
    bool has_dst;              /* else the rest is not set */
    int32_t dst_offset_s;
    struct posix_tz_change to_dst;
    struct posix_tz_change to_standard;
};

/* False when the text is no such rule. One with daylight saving time has to say when it is. */
bool posix_tz_parse(struct slice text, struct posix_tz *ret_rule);

/* The reading of the change in the year (1 to 9999), by the clocks that end with it, as seconds since 1970-01-01T00:00:00 on them. */
int64_t posix_tz_change_s(const struct posix_tz_change *change, int year);

#endif

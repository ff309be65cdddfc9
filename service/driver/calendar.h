/* Hours as an iCalendar object (RFC 5545), made with libical: one VFREEBUSY or several, FREE where there are hours and BUSY-UNAVAILABLE in
 * between. */
#ifndef DRIVER_CALENDAR_H
#define DRIVER_CALENDAR_H

#include <stdint.h>

#include "core/buf.h"

struct calendar;

/* now_s becomes the DTSTAMP. NULL: no memory, or no libical. */
struct calendar *calendar_new(int64_t now_s);
void calendar_free(struct calendar *calendar);

/* The next VFREEBUSY begins at start_s; its free ranges come in ascending order, and it ends at end_s. */
void calendar_begin(struct calendar *calendar, const char *uid, int64_t start_s);
void calendar_add_free(struct calendar *calendar, int64_t start_s, int64_t end_s);
void calendar_end(struct calendar *calendar, int64_t end_s);

/* Appends the whole; fails the buffer when memory was out at any time. */
void calendar_write(struct buf *out, const struct calendar *calendar);

#endif

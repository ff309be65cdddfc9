/* Times of day and calendar dates as the contract writes them: "HH:MM" and "YYYY-MM-DD", nothing else. */
#ifndef CORE_CIVIL_H
#define CORE_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum { TIME_TEXT_LEN = 5, DATE_TEXT_LEN = 10 };

/* Exactly two digits, a colon, two digits, 00:00 to 23:59; *ret_minute is the minute of the day, 0 to 1439. */
bool time_parse(struct slice text, uint16_t *ret_minute);

/* Writes "HH:MM" without a terminator. */
void time_format(uint16_t minute, char text[TIME_TEXT_LEN]);

struct date {
    uint16_t year; /* 1 to 9999 */
    uint8_t month; /* 1 to 12 */
    uint8_t day;   /* 1 to 31 */
};

/* Exactly YYYY-MM-DD, a day that the Gregorian calendar has. Year 0000 is refused: PostgreSQL has none. */
bool date_parse(struct slice text, struct date *ret_date);

/* Writes "YYYY-MM-DD" without a terminator. */
void date_format(struct date date, char text[DATE_TEXT_LEN]);

/* Days from 1970-01-01 to the date, and back: proleptic Gregorian calendar. date_of takes days whose year is 1 to 9999. */
int32_t days_of(struct date date);
struct date date_of(int32_t days);

/* The day of what a clock reads, in seconds since 1970-01-01T00:00 on that clock. */
int32_t day_of_reading(int64_t local_s);

/* 0 Monday to 6 Sunday, of days since 1970-01-01. */
int weekday_of(int32_t days);

#endif

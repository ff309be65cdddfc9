#include "sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "driver/clock.h"
#include "schedules/v1/create_schedule.pb-c.h"
#include "schedules/v1/delete_schedule.pb-c.h"
#include "schedules/v1/update_schedule.pb-c.h"

/* Where a version 7 UUID holds what is neither time, version nor variant in whole bytes. */
enum { NUMBER_AT = 9, NUMBER_BYTES = 7, RANDOM_AT = 6 };

static ProtobufCBinaryData text(const char *value)
{
    return (ProtobufCBinaryData){strlen(value), (uint8_t *)value};
}

int64_t sample_owner(int64_t number, int64_t first_owner)
{
    return first_owner + number % SAMPLE_OWNERS;
}

int64_t sample_number(const struct uuid *command_id)
{
    int64_t number = 0;
    memcpy(&number, command_id->bytes + NUMBER_AT, NUMBER_BYTES);
    return number;
}

static void make_id(int64_t number, char ret_id[UUID_TEXT_LEN + 1])
{
    uint8_t random[10] = {0};
    memcpy(random + NUMBER_AT - RANDOM_AT, &number, NUMBER_BYTES);
    struct uuid uuid = uuid_v7((uint64_t)clock_wall_us() / 1000, random);
    uuid_format(&uuid, ret_id);
    ret_id[UUID_TEXT_LEN] = '\0';
}

size_t sample_pack(int64_t number, int64_t org_id, int64_t first_owner, uint8_t ret_value[SAMPLE_BYTES_MAX])
{
    static const char *const zones[] = {"Europe/Rome",      "America/New_York", "Asia/Kolkata",  "Africa/Nairobi",
                                        "Australia/Sydney", "Europe/London",    "Asia/Shanghai", "America/Sao_Paulo"};
    Schedules__V1__Weekday days[] = {1, 2, 3, 4, 5};
    Schedules__V1__AvailabilityWindow first = SCHEDULES__V1__AVAILABILITY_WINDOW__INIT;
    Schedules__V1__AvailabilityWindow second = SCHEDULES__V1__AVAILABILITY_WINDOW__INIT;
    Schedules__V1__AvailabilityWindow *windows[] = {&first, &second};
    Schedules__V1__Availability availability = SCHEDULES__V1__AVAILABILITY__INIT;
    Schedules__V1__DateOverride override = SCHEDULES__V1__DATE_OVERRIDE__INIT;
    Schedules__V1__DateOverride *overrides[] = {&override};
    Schedules__V1__CreateSchedule command = SCHEDULES__V1__CREATE_SCHEDULE__INIT;
    char id[UUID_TEXT_LEN + 1];
    char name[40];
    make_id(number, id);
    snprintf(name, sizeof(name), "Working hours %" PRId64, number);
    /* One in four has a second window, one in eight a day off. */
    first.n_days = number % 4 == 0 ? 3 : 5;
    first.days = days;
    first.start_time = text("09:00");
    first.end_time = text("17:00");
    second.n_days = 2;
    second.days = days + 3;
    second.start_time = text("12:30");
    second.end_time = text("20:00");
    availability.n_windows = number % 4 == 0 ? 2 : 1;
    availability.windows = windows;
    override.date = text("2027-12-24");
    override.start_time = text("00:00");
    override.end_time = text("00:00");
    command.n_overrides = number % 8 == 0 ? 1 : 0;
    command.overrides = overrides;
    command.command_id = text(id);
    command.org_id = org_id;
    command.user_id = sample_owner(number, first_owner);
    command.name = text(name);
    command.time_zone = text(zones[number / 3 % 8]);
    command.availability = &availability;
    return schedules__v1__create_schedule__pack(&command, ret_value);
}

size_t sample_pack_update(int64_t number, int64_t org_id, int64_t owner, int64_t schedule_id,
                          uint8_t ret_value[SAMPLE_BYTES_MAX])
{
    Schedules__V1__Weekday days[] = {1, 2, 3, 4};
    Schedules__V1__AvailabilityWindow window = SCHEDULES__V1__AVAILABILITY_WINDOW__INIT;
    Schedules__V1__AvailabilityWindow *windows[] = {&window};
    Schedules__V1__Availability availability = SCHEDULES__V1__AVAILABILITY__INIT;
    Schedules__V1__UpdateSchedule command;
    char id[UUID_TEXT_LEN + 1];
    char name[40];
    make_id(number, id);
    snprintf(name, sizeof(name), "Other hours %" PRId64, number);
    schedules__v1__update_schedule__init(&command);
    window.n_days = sizeof(days) / sizeof(days[0]);
    window.days = days;
    window.start_time = text("08:30");
    window.end_time = text("18:00");
    availability.n_windows = 1;
    availability.windows = windows;
    command.command_id = text(id);
    command.org_id = org_id;
    command.user_id = owner;
    command.schedule_id = schedule_id;
    command.optional_name_case = SCHEDULES__V1__UPDATE_SCHEDULE__OPTIONAL_NAME_NAME;
    command.name = text(name);
    command.availability = &availability;
    return schedules__v1__update_schedule__pack(&command, ret_value);
}

size_t sample_pack_delete(int64_t number, int64_t org_id, int64_t owner, int64_t schedule_id,
                          uint8_t ret_value[SAMPLE_BYTES_MAX])
{
    Schedules__V1__DeleteSchedule command = SCHEDULES__V1__DELETE_SCHEDULE__INIT;
    char id[UUID_TEXT_LEN + 1];
    make_id(number, id);
    command.command_id = text(id);
    command.org_id = org_id;
    command.user_id = owner;
    command.schedule_id = schedule_id;
    return schedules__v1__delete_schedule__pack(&command, ret_value);
}

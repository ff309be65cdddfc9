/* The hours of several people under way, between the handler that reads and plans their schedules (http_people.c) and the answer that is swept
 * from the plans (http_people_answer.c). */
#ifndef API_HTTP_PEOPLE_H
#define API_HTTP_PEOPLE_H

#include "api/http_exchange.h"
#include "api/http_people_query.h"
#include "core/combine.h"
#include "driver/calendar.h"

struct person {
    struct person_row row; /* its texts are in the arena */
    const char *fault;     /* the class of why there are no hours; NULL: there are */
    struct slice message;
};

struct people {
    struct people_query query;
    struct http_api *api;
    struct arena *rows;
    size_t held_bytes;
    struct person *items;
    size_t len;
    /* what is begun again with other zone data */
    char zone_data[ZONE_VERSION_SIZE]; /* "": not begun */
    struct arena *plans;
    struct slice view_name;
    const struct zone *view;
    struct hours_range within;
    size_t planned;                             /* so many items are */
    struct combine_person combined[PEOPLE_MAX]; /* those that have hours */
    int64_t ids[PEOPLE_MAX];                    /* of the same */
    size_t combined_len;
    size_t each; /* of PEOPLE_EACH: whose hours are swept; else 0 */
    struct combine_rule rule;
    struct combine_walk walks[PEOPLE_MAX];
    struct combine combine;
    struct buf body;
    struct calendar *calendar; /* NULL: the answer is JSON */
    int64_t written;
    struct hours_range found;
    size_t explained;      /* the sources of so many people of the one that was found are written */
    const char *separator; /* before the next source */
    bool (*next)(struct exchange *exchange);
};

/* Sweeps over the plans from now on, with exchange->people->next. True: call that; false: the request was answered. */
bool people_start_answer(struct exchange *exchange);

/* Answers for a body that could not be built: too large, or no memory. False. */
bool people_refuse_body(struct exchange *exchange);

#endif

/* A replay as the database has it: what is to be sent once more, and how far that is. */
#ifndef WEBHOOK_WEBHOOK_REPLAY_JOB_H
#define WEBHOOK_WEBHOOK_REPLAY_JOB_H

#include "core/uuid.h"
#include "webhook/webhook_sender_state.h"

enum { REPLAY_EVENT_ID_SIZE = 136 };

/* Of a partition: the next offset to take, which is an event's that is being sent, and the one behind the last. */
struct replay_place {
    int64_t next;
    int64_t end;
};

struct replay_job {
    struct endpoint *endpoint; /* a reference; NULL: there is no job */
    char id[UUID_TEXT_LEN + 1];
    char from_event
        [REPLAY_EVENT_ID_SIZE]; /* the event that it begins with, while it looks for that; empty: its time is known */
    int64_t from_ms;
    int64_t to_ms;
    unsigned triggers;
    struct replay_place places[SENDER_PARTITIONS_MAX];
    int32_t places_len; /* partitions of the topic; 0: it has not begun */
    int64_t delivered;
    int64_t failed;
    int status;        /* of the last attempt; 0: none */
    const char *error; /* of that, or why the job failed; NULL: none */
    bool is_ended;
    bool has_failed;
};

bool replay_job_is_searching(const struct replay_job *job);

/* Sends "replay", of the unit that was begun: for the oldest job of the owner whose turn is behind that of `owner`. */
void replay_job_ask(struct webhook_sender *sender, int64_t owner);

/* The rows of that, into a job that has no endpoint. It has none still where there is no job that can be run. While it is searching the ends of its
 * places are not known. */
void replay_job_read(struct replay_job *job, const struct webhook_sender *sender, const PGresult *rows);

/* Sends how far it is, of the unit that was begun. */
void replay_job_send(struct webhook_sender *sender, const struct replay_job *job);

#endif

/* What happened to a piece of work, and what to do about it. One list holds every status with its class and text;
 * adapters translate their library's errors into it once, at their edge. */
#ifndef CORE_STATUS_H
#define CORE_STATUS_H

#include <stdbool.h>

/* What the caller does next: nothing, retry later, inform the sender, or stop and inform the operator. */
enum status_class { STATUS_CLASS_DONE, STATUS_CLASS_RETRY, STATUS_CLASS_REJECT, STATUS_CLASS_STOP };

#define STATUS_LIST(X)                                                                \
    X(STATUS_OK, DONE, "done")                                                        \
    X(STATUS_DUPLICATE, DONE, "already done earlier, with the same result")           \
    X(STATUS_UNAVAILABLE, RETRY, "a server this needs is away")                       \
    X(STATUS_OVERLOADED, RETRY, "a queue is at its maximum")                          \
    X(STATUS_TIMEOUT, RETRY, "took longer than its deadline")                         \
    X(STATUS_UNKNOWN_OUTCOME, RETRY, "it is not known whether this happened")         \
    X(STATUS_UNDECODABLE, REJECT, "the bytes are not a command")                      \
    X(STATUS_TOO_LARGE, REJECT, "takes more room than one message may")               \
    X(STATUS_INVALID, REJECT, "a rule is violated")                                   \
    X(STATUS_NOT_A_MEMBER, REJECT, "the user is not part of the organization")        \
    X(STATUS_CONFLICT, REJECT, "the command id was used before with other content")   \
    X(STATUS_NOT_FOUND, REJECT, "there is no such schedule")                          \
    X(STATUS_NOT_THE_OWNER, REJECT, "the schedule is somebody else's")                \
    X(STATUS_OTHER_VERSION, REJECT, "the schedule has another version")               \
    X(STATUS_UNDER_WAY, REJECT, "another request with the same key is under way")     \
    X(STATUS_AT_LIMIT, REJECT, "the user has as many schedules as one may have")      \
    X(STATUS_UNSTORABLE, REJECT, "the database refuses the row")                      \
    X(STATUS_OFFSET_MOVED, STOP, "another consumer has moved the partition's offset") \
    X(STATUS_NO_MEMORY, STOP, "out of memory")                                        \
    X(STATUS_FAILED, STOP, "failed in a way that a retry does not mend")

enum status {
#define X(name, class_, text) name,
    STATUS_LIST(X)
#undef X
};

enum status_class status_class(enum status status);

/* A short English text for logs; static. */
const char *status_text(enum status status);

#endif

#include "core/status.h"

static const struct {
    enum status_class class_;
    const char *text;
} statuses[] = {
#define X(name, class_, text) [name] = {STATUS_CLASS_##class_, text},
    STATUS_LIST(X)
#undef X
};

enum status_class status_class(enum status status)
{
    return statuses[status].class_;
}

const char *status_text(enum status status)
{
    return statuses[status].text;
}

#include "driver/failpoint.h"

#ifdef FAILPOINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void failpoint_reach(const char *name)
{
    static _Atomic int passes;
    const char *wanted = getenv("FAILPOINT");
    size_t len = strlen(name);
    if (wanted == NULL || strncmp(wanted, name, len) != 0) return;
    if (wanted[len] != '\0' && wanted[len] != ':') return;
    int pass = wanted[len] == ':' ? atoi(wanted + len + 1) : 1;
    if (atomic_fetch_add(&passes, 1) + 1 == pass) raise(SIGKILL);
}
#endif

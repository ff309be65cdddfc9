/* A process that is to end ends, whatever it waits for. */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

#include "app/stop_limit.h"

static void a_process_that_waits_for_ever_ends_at_its_limit(void **state)
{
    enum { LATE_S = 60 };
    int status = 0;
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(LATE_S); /* ends by a signal, should the limit do nothing */
        stop_limit_start(1);
        for (;;) pause();
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_waits_for_ever_ends_at_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Preloaded into a process it puts its wall clock off, by as many seconds as the file CLOCK_FILE holds (an int64_t in the
 * machine's byte order), from one reading to the next when the file changes. Steady clocks stay, and who waits until a time of
 * that clock (librdkafka, by cnd_timedwait) waits as long as it meant to. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_s;

__attribute__((constructor)) static void open_offset(void)
{
    const char *path = getenv("CLOCK_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*offset_s), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) offset_s = mapped;
    if (fd >= 0) close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    long failed = syscall(SYS_clock_gettime, clock, ret_now);
    if (failed == 0 && offset_s != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        ret_now->tv_sec += *offset_s;
    }
    return (int)failed;
}

int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    *ret_now = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

int timespec_get(struct timespec *ret_now, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, ret_now) == 0 ? base : 0;
}

time_t time(time_t *ret_now)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret_now != NULL) *ret_now = now.tv_sec;
    return now.tv_sec;
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    int (*wait)(cnd_t *, mtx_t *, const struct timespec *) = NULL;
    struct timespec real = *until;
    *(void **)&wait = dlsym(RTLD_NEXT, "cnd_timedwait");
    if (offset_s != NULL) real.tv_sec -= *offset_s;
    return wait(condition, mutex, &real);
}

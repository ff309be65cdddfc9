#include "app/process_metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "driver/clock.h"
#include "driver/metrics.h"

static struct metric resident = {.type = METRIC_GAUGE,
                                 .name = "process_resident_memory_bytes",
                                 .labels = "",
                                 .help = "Resident memory."};
static struct metric descriptors = {.type = METRIC_GAUGE,
                                    .name = "process_open_fds",
                                    .labels = "",
                                    .help = "Open descriptors."};
static struct metric cpu = {.type = METRIC_COUNTER,
                            .name = "process_cpu_seconds_total",
                            .labels = "",
                            .scale = 1e-6,
                            .help = "User and system CPU time."};

static struct metric descriptors_max = {.type = METRIC_GAUGE,
                                        .name = "process_max_fds",
                                        .labels = "",
                                        .help = "Maximum of open descriptors."};
static struct metric started = {.type = METRIC_GAUGE,
                                .name = "process_start_time_seconds",
                                .labels = "",
                                .help = "When the process started, in seconds since 1970."};

static int64_t resident_bytes(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    const char *second = fgets(line, sizeof(line), file) == NULL ? NULL : strchr(line, ' '); /* total, resident, ... */
    fclose(file);
    return second == NULL ? 0 : strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static int64_t open_descriptors(void)
{
    int64_t count = -3; /* ".", ".." and the directory itself */
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) return 0;
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count;
}

static void collect(void *ctx)
{
    struct rusage usage;
    struct rlimit limit = {0};
    (void)ctx;
    getrusage(RUSAGE_SELF, &usage);
    metric_set(&resident, resident_bytes());
    metric_set(&descriptors, open_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) metric_set(&descriptors_max, (int64_t)limit.rlim_cur);
    metric_set(&cpu, (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
                         usage.ru_stime.tv_usec);
}

void process_metrics_register(void)
{
    metrics_register(&resident);
    metrics_register(&descriptors);
    metrics_register(&descriptors_max);
    metrics_register(&cpu);
    metrics_register(&started);
    metric_set(&started, clock_wall_us() / 1000000);
    metrics_on_collect(collect, NULL);
}

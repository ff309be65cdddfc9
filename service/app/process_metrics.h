/* What the process itself uses, as metrics: resident memory, descriptors, CPU time; and since when it runs, for which it is
 * registered at its start. Source: proc(5), getrusage(2). */
#ifndef APP_PROCESS_METRICS_H
#define APP_PROCESS_METRICS_H

void process_metrics_register(void);

#endif

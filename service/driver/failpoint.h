/* Places where a test can end the process as kill -9 would. Only in builds with -DFAILPOINTS; else nothing is left of
 * them. The environment variable FAILPOINT names the point, and after a colon on which pass it fires ("name:3"). */
#ifndef DRIVER_FAILPOINT_H
#define DRIVER_FAILPOINT_H

#ifdef FAILPOINTS
void failpoint_reach(const char *name);
#define FAILPOINT(name) failpoint_reach(name)
#else
#define FAILPOINT(name) ((void)0)
#endif

#endif

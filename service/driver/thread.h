/* Threads beside the main one, which alone gets signals. */
#ifndef DRIVER_THREAD_H
#define DRIVER_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Starts one with all signals blocked. False: the system has none to give. */
bool thread_start(pthread_t *ret_thread, void *(*run)(void *ctx), void *ctx);

#endif

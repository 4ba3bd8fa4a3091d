/* Threads that take no signal: those are for the threads that were there before. */
#ifndef RF_THREAD_H
#define RF_THREAD_H

#include <pthread.h>

/* Starts a thread that nobody waits for, or with `thread` one to be joined. 0, or an errno. */
int rf_thread_start(void *(*run)(void *), void *arg, pthread_t *thread);

#endif

/* Threads that nobody waits for. */
#ifndef RF_THREAD_H
#define RF_THREAD_H

/* Runs `run` on a detached thread that takes no signal: they are for the threads that were there before. 0, or an errno. */
int rf_thread_start(void *(*run)(void *), void *arg);

#endif

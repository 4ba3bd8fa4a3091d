#include "core/thread.h"

#include <signal.h>

int rf_thread_start(void *(*run)(void *), void *arg, pthread_t *thread) {
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t detached;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, thread ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread ? thread : &detached, &attributes, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

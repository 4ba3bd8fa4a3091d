#include "core/cancel.h"

#include "core/clock.h"
#include "core/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ASK_AGAIN_MS = 250, ASK_TIMES = 40 };

struct rf_cancel_slot {
    struct rf_cancel_slot *next;
    struct rf_cancel *cancel;
    void (*ask)(void *arg);
    void (*drop)(void *arg);
    void *arg;
    atomic_bool busy;
    int holders; /* this and `gone` are guarded by the token's mutex */
    bool gone;   /* unregistered */
};

struct rf_cancel {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct rf_cancel_slot *slots;
    int holders;
    atomic_bool requested;
};

struct rf_cancel *rf_cancel_new(void) {
    struct rf_cancel *cancel = calloc(1, sizeof *cancel);
    if (!cancel) return NULL;
    pthread_mutex_init(&cancel->mutex, NULL);
    rf_clock_condition(&cancel->changed);
    cancel->holders = 1;
    return cancel;
}

struct rf_cancel *rf_cancel_hold(struct rf_cancel *cancel) {
    pthread_mutex_lock(&cancel->mutex);
    cancel->holders++;
    pthread_mutex_unlock(&cancel->mutex);
    return cancel;
}

void rf_cancel_release(struct rf_cancel *cancel) {
    if (!cancel) return;
    pthread_mutex_lock(&cancel->mutex);
    bool last = --cancel->holders == 0;
    pthread_mutex_unlock(&cancel->mutex);
    if (!last) return;
    pthread_cond_destroy(&cancel->changed);
    pthread_mutex_destroy(&cancel->mutex);
    free(cancel);
}

static void release_slot(struct rf_cancel_slot *slot) {
    if (--slot->holders > 0) return;
    slot->drop(slot->arg);
    free(slot);
}

/* One thread a connection: a server that does not answer delays no other. */
static void *ask_server(void *arg) {
    struct rf_cancel_slot *slot = arg;
    struct rf_cancel *cancel = slot->cancel;
    pthread_mutex_lock(&cancel->mutex);
    for (int i = 0; i < ASK_TIMES && !slot->gone; i++) {
        pthread_mutex_unlock(&cancel->mutex);
        if (atomic_load(&slot->busy)) slot->ask(slot->arg);
        struct timespec until = rf_clock_after(ASK_AGAIN_MS);
        pthread_mutex_lock(&cancel->mutex);
        while (!slot->gone && pthread_cond_timedwait(&cancel->changed, &cancel->mutex, &until) == 0) continue;
    }
    release_slot(slot);
    pthread_mutex_unlock(&cancel->mutex);
    rf_cancel_release(cancel);
    return NULL;
}

/* The caller holds the mutex. Without a thread the flag alone still ends the run at its next wait. */
static void start_asking(struct rf_cancel *cancel, struct rf_cancel_slot *slot) {
    slot->holders++;
    cancel->holders++;
    if (rf_thread_start(ask_server, slot, NULL) == 0) return;
    slot->holders--;
    cancel->holders--;
}

void rf_cancel_request(struct rf_cancel *cancel) {
    pthread_mutex_lock(&cancel->mutex);
    if (!atomic_exchange(&cancel->requested, true))
        for (struct rf_cancel_slot *slot = cancel->slots; slot; slot = slot->next) start_asking(cancel, slot);
    pthread_cond_broadcast(&cancel->changed);
    pthread_mutex_unlock(&cancel->mutex);
}

bool rf_cancel_requested(struct rf_cancel *cancel) {
    return atomic_load(&cancel->requested);
}

struct rf_cancel_slot *rf_cancel_register(struct rf_cancel *cancel, void (*ask)(void *arg),
                                          void (*drop)(void *arg), void *arg) {
    struct rf_cancel_slot *slot = calloc(1, sizeof *slot);
    if (!slot) {
        drop(arg);
        return NULL;
    }
    slot->cancel = cancel;
    slot->ask = ask;
    slot->drop = drop;
    slot->arg = arg;
    slot->holders = 1;
    pthread_mutex_lock(&cancel->mutex);
    slot->next = cancel->slots;
    cancel->slots = slot;
    pthread_mutex_unlock(&cancel->mutex);
    return slot;
}

void rf_cancel_set_busy(struct rf_cancel_slot *slot, bool busy) {
    if (slot) atomic_store(&slot->busy, busy);
}

void rf_cancel_unregister(struct rf_cancel *cancel, struct rf_cancel_slot *slot) {
    if (!slot) return;
    pthread_mutex_lock(&cancel->mutex);
    atomic_store(&slot->busy, false);
    for (struct rf_cancel_slot **at = &cancel->slots; *at; at = &(*at)->next) {
        if (*at != slot) continue;
        *at = slot->next;
        break;
    }
    slot->gone = true;
    release_slot(slot);
    pthread_cond_broadcast(&cancel->changed);
    pthread_mutex_unlock(&cancel->mutex);
}

void rf_cancel_wait(struct rf_cancel *cancel, int timeout_ms) {
    struct timespec until = rf_clock_after(timeout_ms);
    pthread_mutex_lock(&cancel->mutex);
    while (!atomic_load(&cancel->requested))
        if (pthread_cond_timedwait(&cancel->changed, &cancel->mutex, &until) != 0) break;
    pthread_mutex_unlock(&cancel->mutex);
}

void rf_cancel_pause(struct rf_cancel *cancel, int timeout_ms) {
    enum { LEAST_MS = 1000 / RF_TRIES_BEHIND_CANCEL };
    int64_t started = rf_clock_ms();
    rf_cancel_wait(cancel, timeout_ms);
    int64_t left = (timeout_ms < LEAST_MS ? timeout_ms : LEAST_MS) - (rf_clock_ms() - started);
    if (left > 0) nanosleep(&(struct timespec){.tv_nsec = (long)left * 1000000}, NULL);
}

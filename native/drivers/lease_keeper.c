#include "drivers/lease_keeper.h"

#include <pthread.h>
#include <stdlib.h>

struct rf_lease_keeper {
    double lease_seconds;
    struct rf_lease_renewal renewal;
    struct rf_cancel *stop; /* the keeper's own token: requested by rf_lease_keeper_stop */
    pthread_t thread;
};

/* A renewal that fails is tried again: what decides is the fence at the commit, not the keeper. */
static void *keep(void *arg) {
    struct rf_lease_keeper *keeper = arg;
    int third_ms = (int)(keeper->lease_seconds * 1000 / 3), pause_ms = third_ms;
    for (;;) {
        rf_cancel_wait(keeper->stop, pause_ms);
        if (rf_cancel_requested(keeper->stop)) break;
        struct rf_error ignored;
        pause_ms = keeper->renewal.renew(keeper->renewal.self, keeper->stop, &ignored) == RF_OK ? third_ms : third_ms / 10 + 1;
    }
    keeper->renewal.drop(keeper->renewal.self);
    return NULL;
}

enum rf_code rf_lease_keeper_start(double lease_seconds, const struct rf_lease_renewal *renewal, struct rf_lease_keeper **out, struct rf_error *err) {
    struct rf_lease_keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper) *keeper = (struct rf_lease_keeper){.lease_seconds = lease_seconds, .renewal = *renewal, .stop = rf_cancel_new()};
    if (keeper && keeper->stop && pthread_create(&keeper->thread, NULL, keep, keeper) == 0) {
        *out = keeper;
        return RF_OK;
    }
    renewal->drop(renewal->self);
    if (keeper) rf_cancel_release(keeper->stop);
    free(keeper);
    return rf_no_memory(err);
}

void rf_lease_keeper_stop(struct rf_lease_keeper *keeper) {
    if (!keeper) return;
    rf_cancel_request(keeper->stop);
    pthread_join(keeper->thread, NULL);
    rf_cancel_release(keeper->stop);
    free(keeper);
}

#include "drivers/lease_keeper.h"

#include <pthread.h>
#include <stdlib.h>

struct rf_lease_keeper {
    const struct rf_lease_ops *ops;
    void *self;
    double lease_seconds;
    struct rf_cancel *stop; /* the keeper's own token: requested by rf_lease_keeper_stop */
    pthread_t thread;
};

static void *keep(void *arg) {
    struct rf_lease_keeper *keeper = arg;
    int third_ms = (int)(keeper->lease_seconds * 1000 / 3), pause_ms = third_ms;
    for (;;) {
        rf_cancel_wait(keeper->stop, pause_ms);
        if (rf_cancel_requested(keeper->stop)) break;
        struct rf_error ignored;
        pause_ms = keeper->ops->renew(keeper->self, keeper->stop, &ignored) == RF_OK ? third_ms : third_ms / 10 + 1;
    }
    keeper->ops->drop(keeper->self);
    return NULL;
}

enum rf_code rf_lease_keeper_start(const struct rf_lease_ops *ops, void *self, double lease_seconds, struct rf_lease_keeper **out, struct rf_error *err) {
    if (!self) return rf_no_memory(err);
    struct rf_lease_keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper) *keeper = (struct rf_lease_keeper){.ops = ops, .self = self, .lease_seconds = lease_seconds, .stop = rf_cancel_new()};
    if (keeper && keeper->stop && pthread_create(&keeper->thread, NULL, keep, keeper) == 0) {
        *out = keeper;
        return RF_OK;
    }
    if (keeper) rf_cancel_release(keeper->stop);
    free(keeper);
    ops->drop(self);
    return rf_no_memory(err);
}

void rf_lease_keeper_stop(struct rf_lease_keeper *keeper) {
    if (!keeper) return;
    rf_cancel_request(keeper->stop);
    pthread_join(keeper->thread, NULL);
    rf_cancel_release(keeper->stop);
    free(keeper);
}

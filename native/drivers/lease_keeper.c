#include "drivers/lease_keeper.h"

#include "core/sql.h"
#include "drivers/postgres.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct rf_lease_keeper {
    const struct rf_job *job;
    int64_t load_id;
    struct rf_cancel *stop; /* the keeper's own token: requested by rf_lease_keeper_stop */
    struct rf_pg pg;
    pthread_t thread;
};

static enum rf_code connect_once(struct rf_lease_keeper *keeper, struct rf_error *err) {
    if (!rf_pg_is_lost(&keeper->pg)) return RF_OK;
    const struct rf_job *job = keeper->job;
    rf_pg_close(&keeper->pg);
    RF_TRY(rf_pg_open(&keeper->pg, RF_SIDE_TARGET, job->target, job->application, job->connect_timeout, keeper->stop, err));
    return rf_pg_execute(&keeper->pg, "set lock_timeout", "SET lock_timeout = '1s'", 0, NULL, NULL, err);
}

static enum rf_code renew(struct rf_lease_keeper *keeper, struct rf_error *err) {
    RF_TRY(connect_once(keeper, err));
    char load_id[24], seconds[32];
    snprintf(load_id, sizeof load_id, "%" PRId64, keeper->load_id);
    snprintf(seconds, sizeof seconds, "%g", keeper->job->lease_seconds);
    const char *params[] = {keeper->job->target_label, load_id, seconds};
    struct rf_text sql = {0};
    rf_sql_renew_lease(keeper->job, &sql);
    return rf_pg_execute_text(&keeper->pg, "renew the lease", &sql, 3, params, NULL, err);
}

/* A renewal that fails is tried again: what decides is the fence at the commit, not the keeper. */
static void *keep(void *arg) {
    struct rf_lease_keeper *keeper = arg;
    int third_ms = (int)(keeper->job->lease_seconds * 1000 / 3), pause_ms = third_ms;
    for (;;) {
        rf_cancel_wait(keeper->stop, pause_ms);
        if (rf_cancel_requested(keeper->stop)) break;
        struct rf_error ignored;
        pause_ms = renew(keeper, &ignored) == RF_OK ? third_ms : third_ms / 10 + 1;
    }
    rf_pg_close(&keeper->pg);
    return NULL;
}

enum rf_code rf_lease_keeper_start(const struct rf_job *job, int64_t load_id, struct rf_lease_keeper **out, struct rf_error *err) {
    struct rf_lease_keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper) return rf_no_memory(err);
    *keeper = (struct rf_lease_keeper){.job = job, .load_id = load_id, .stop = rf_cancel_new()};
    if (!keeper->stop || pthread_create(&keeper->thread, NULL, keep, keeper) != 0) {
        rf_cancel_release(keeper->stop);
        free(keeper);
        return rf_no_memory(err);
    }
    *out = keeper;
    return RF_OK;
}

void rf_lease_keeper_stop(struct rf_lease_keeper *keeper) {
    if (!keeper) return;
    rf_cancel_request(keeper->stop);
    pthread_join(keeper->thread, NULL);
    rf_cancel_release(keeper->stop);
    free(keeper);
}

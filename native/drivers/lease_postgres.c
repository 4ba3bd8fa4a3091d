/* The lease of a table: who may load it, and how a later run takes it over. */
#include "core/sql.h"
#include "drivers/catalog_postgres.h"
#include "drivers/lease_keeper.h"
#include "drivers/sink_postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE_POLL_MS = 100, TAKE_OVER_S = 30 };

/* Who holds the table, as far as it shows. */
struct lease_holder {
    char run_id[1024];
    char application[128];
    char pid[24];
    char backend_start[64];
    int try_number;
    bool shows;
    bool expired;
};

/* Takes the table's lease if nobody holds it. */
static enum rf_code try_lease(struct rf_sink_postgres *sink, bool *got, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    char try_number[24], map_index[24], seconds[32];
    rf_integer_text(try_number, sizeof try_number, job->try_number);
    rf_integer_text(map_index, sizeof map_index, job->map_index);
    snprintf(seconds, sizeof seconds, "%g", job->lease_seconds);
    const char *params[] = {job->target_label, job->run_id, try_number, map_index, job->application, seconds};
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_take_lease(job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "take the lease", &sql, 6, params, &result, err));
    *got = PQntuples(result) == 1;
    enum rf_code code = RF_OK;
    if (*got) {
        sink->load_id = rf_pg_integer(result, 0, 0);
        code = rf_pg_text(result, 0, 1, sink->arena, &sink->pid, err);
        if (code == RF_OK) code = rf_pg_text(result, 0, 2, sink->arena, &sink->backend_start, err);
    }
    PQclear(result);
    return code;
}

static enum rf_code read_holder(struct rf_sink_postgres *sink, struct lease_holder *holder, struct rf_error *err) {
    const char *params[] = {sink->job->target_label};
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_read_holder(sink->job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "read the lease", &sql, 1, params, &result, err));
    holder->shows = PQntuples(result) == 1;
    if (holder->shows) {
        rf_copy_text(holder->run_id, sizeof holder->run_id, PQgetvalue(result, 0, 0));
        holder->try_number = (int)rf_pg_integer(result, 0, 1);
        rf_copy_text(holder->application, sizeof holder->application, PQgetvalue(result, 0, 2));
        rf_copy_text(holder->pid, sizeof holder->pid, PQgetvalue(result, 0, 3));
        rf_copy_text(holder->backend_start, sizeof holder->backend_start, PQgetvalue(result, 0, 4));
        holder->expired = rf_pg_flag(result, 0, 5);
    }
    PQclear(result);
    return RF_OK;
}

/* A later try of the same run: its scheduler has given the earlier one up. */
static bool is_superseded(const struct rf_sink_postgres *sink, const struct lease_holder *holder) {
    return strcmp(holder->run_id, sink->job->run_id) == 0 && holder->try_number < sink->job->try_number;
}

enum rf_code rf_postgres_end_backend(struct rf_sink_postgres *sink, const char *pid, const char *backend_start, struct rf_error *err) {
    const char *params[] = {pid, backend_start};
    return rf_pg_execute(&sink->pg, "end the session of the lease's holder", RF_SQL_END_BACKEND, 2, params, NULL, err);
}

static enum rf_code busy(const struct rf_sink_postgres *sink, const struct lease_holder *holder, struct rf_error *err) {
    rf_fail(err, RF_BUSY, "%s is held by run \"%s\", try %d (%s, pid %s of the target), and was not free within %g s", sink->job->target_label,
            *holder->run_id ? holder->run_id : "unknown", holder->try_number, *holder->application ? holder->application : "unknown application",
            *holder->pid ? holder->pid : "unknown", sink->job->lock_timeout);
    return rf_hint(err, "Wait for that run, raise lock_timeout, or end its session with pg_terminate_backend.");
}

static enum rf_code wait_for_lease(struct rf_sink_postgres *sink, struct rf_error *err) {
    struct lease_holder holder = {0};
    for (double waited = 0;; waited += LEASE_POLL_MS / 1000.0) {
        bool got;
        RF_TRY(try_lease(sink, &got, err));
        if (got) return RF_OK;
        RF_TRY(read_holder(sink, &holder, err));
        bool take_over = holder.shows && (holder.expired || is_superseded(sink, &holder));
        if (take_over) RF_TRY(rf_postgres_end_backend(sink, holder.pid, holder.backend_start, err));
        if (waited >= sink->job->lock_timeout + (take_over ? TAKE_OVER_S : 0)) return busy(sink, &holder, err);
        rf_cancel_wait(sink->cancel, LEASE_POLL_MS);
    }
}

/* ---- renewing ---- */

struct renewal {
    const struct rf_job *job;
    int64_t load_id;
    struct rf_pg pg;
};

static enum rf_code connect_once(struct renewal *renewal, struct rf_cancel *stop, struct rf_error *err) {
    if (!rf_pg_is_lost(&renewal->pg)) return RF_OK;
    const struct rf_job *job = renewal->job;
    rf_pg_close(&renewal->pg);
    RF_TRY(rf_pg_open(&renewal->pg, RF_SIDE_TARGET, job->target, job->application, job->connect_timeout, stop, err));
    return rf_pg_execute(&renewal->pg, "set lock_timeout", "SET lock_timeout = '1s'", 0, NULL, NULL, err);
}

static enum rf_code renew(void *self, struct rf_cancel *stop, struct rf_error *err) {
    struct renewal *renewal = self;
    RF_TRY(connect_once(renewal, stop, err));
    char load_id[24], seconds[32];
    rf_integer_text(load_id, sizeof load_id, renewal->load_id);
    snprintf(seconds, sizeof seconds, "%g", renewal->job->lease_seconds);
    const char *params[] = {renewal->job->target_label, load_id, seconds};
    struct rf_text sql = {0};
    rf_sql_renew_lease(renewal->job, &sql);
    return rf_pg_execute_text(&renewal->pg, "renew the lease", &sql, 3, params, NULL, err);
}

static void drop_renewal(void *self) {
    struct renewal *renewal = self;
    rf_pg_close(&renewal->pg);
    free(renewal);
}

static enum rf_code start_keeper(struct rf_sink_postgres *sink, struct rf_error *err) {
    struct renewal *renewal = calloc(1, sizeof *renewal);
    if (!renewal) return rf_no_memory(err);
    *renewal = (struct renewal){.job = sink->job, .load_id = sink->load_id};
    return rf_lease_keeper_start(sink->job->lease_seconds, &(struct rf_lease_renewal){.renew = renew, .drop = drop_renewal, .self = renewal}, &sink->keeper, err);
}

enum rf_code rf_postgres_take_lease(void *self, int64_t *load_id, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    RF_TRY(wait_for_lease(sink, err));
    *load_id = sink->load_id;
    return start_keeper(sink, err);
}

enum rf_code rf_postgres_fence(struct rf_sink_postgres *sink, struct rf_error *err) {
    char load_id[24];
    rf_integer_text(load_id, sizeof load_id, sink->load_id);
    const char *params[] = {sink->job->target_label, load_id};
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_fence(sink->job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "check the lease", &sql, 2, params, &result, err));
    bool ours = PQntuples(result) == 1;
    PQclear(result);
    return ours ? RF_OK : rf_fail(err, RF_FENCED, "a newer run took %s over; this one commits nothing", sink->job->target_label);
}

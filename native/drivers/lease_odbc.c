/* The lease of a table behind ODBC: who may load it, and how a later run takes it over.
 *
 * In a database with sessions: the session's named lock is the sign of life, the lease's row names the holder and expires, and
 * that row locked is the fence, as in PostgreSQL (lease_postgres.c). In a file the transaction is all three.
 */
#include "core/sql_plain.h"
#include "drivers/lease_keeper.h"
#include "drivers/sink_odbc.h"

#include <stdlib.h>
#include <string.h>

enum { LEASE_POLL_MS = 100, TAKE_OVER_S = 30 };

/* Who holds the table, as far as it shows. */
struct lease_holder {
    char run_id[256];
    char application[128];
    char pid[24];
    int try_number;
    bool shows;
    bool expired;
};

static void copy_cell(char *to, size_t size, const struct rf_result *rows, int column) {
    const char *cell = rf_result_cell(rows, 0, column);
    rf_copy_text(to, size, cell ? cell : "");
}

static enum rf_code read_holder(struct rf_sink_odbc *sink, struct lease_holder *holder, struct rf_error *err) {
    struct rf_text lease = {0}, expired = {0};
    struct rf_result rows;
    rf_plain_read_lease(sink->row, sink->job, &lease);
    RF_TRY(rf_odbc_read(sink, "read the lease", &lease, &rows, err));
    holder->shows = rows.n_rows == 1;
    copy_cell(holder->pid, sizeof holder->pid, &rows, 1);
    copy_cell(holder->run_id, sizeof holder->run_id, &rows, 2);
    holder->try_number = (int)rf_result_integer(&rows, 0, 3);
    copy_cell(holder->application, sizeof holder->application, &rows, 4);
    rf_plain_has_expired(sink->row, sink->job, &expired);
    RF_TRY(rf_odbc_read(sink, "look whether the lease has expired", &expired, &rows, err));
    holder->expired = rows.n_rows == 1;
    return RF_OK;
}

static enum rf_code name_holder(struct rf_sink_odbc *sink, struct rf_error *err) {
    int64_t n_rows = 0;
    struct rf_text take = {0}, make = {0}, named = {0}, read = {0};
    struct rf_result rows;
    rf_plain_take_lease(sink->row, sink->job, &take);
    RF_TRY(rf_odbc_execute(sink, "take the lease", &take, &n_rows, err));
    if (n_rows == 0) {
        rf_plain_make_lease(sink->row, sink->job, &make);
        RF_TRY(rf_odbc_execute(sink, "take the lease", &make, NULL, err));
    }
    if (sink->row->once_named) {
        rf_text_add(&named, sink->row->once_named);
        RF_TRY(rf_odbc_execute(sink, "set up the session", &named, NULL, err));
    }
    rf_plain_read_lease(sink->row, sink->job, &read);
    RF_TRY(rf_odbc_read(sink, "read the lease", &read, &rows, err));
    sink->load_id = rf_result_integer(&rows, 0, 0);
    return sink->load_id > 0 ? RF_OK : rf_fail(err, RF_INTERNAL, "the target gave no load id");
}

static enum rf_code try_lease(struct rf_sink_odbc *sink, bool *got, struct rf_error *err) {
    struct rf_result rows;
    RF_TRY(rf_odbc_ask(sink, "take the table's lock", sink->row->lock, &rows, err));
    *got = rf_result_flag(&rows, 0, 0);
    return *got ? name_holder(sink, err) : RF_OK;
}

/* A later try of the same run: its scheduler has given the earlier one up. */
static bool is_superseded(const struct rf_sink_odbc *sink, const struct lease_holder *holder) {
    return strcmp(holder->run_id, sink->job->run_id) == 0 && holder->try_number < sink->job->try_number;
}

/* Of the lock itself it is asked who holds it: the row may name a session that is gone. */
enum rf_code rf_odbc_end_holder(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct rf_result rows;
    struct rf_text sql = {0};
    RF_TRY(rf_odbc_ask(sink, "look for the lock's holder", sink->row->holder, &rows, err));
    const char *pid = rf_result_cell(&rows, 0, 0);
    if (!pid) return RF_OK;
    rf_dialect_around(sink->row->end_session, pid, &sql);
    enum rf_code code = rf_odbc_execute(sink, "end the session of the lease's holder", &sql, NULL, err);
    return code == RF_AUTH || code == RF_CANCELLED ? code : RF_OK; /* it may end by itself meanwhile */
}

static enum rf_code busy(const struct rf_sink_odbc *sink, const struct lease_holder *holder, struct rf_error *err) {
    rf_fail(err, RF_BUSY, "%s is held by run \"%s\", try %d (%s, session %s of the target), and was not free within %g s", sink->job->target_label,
            *holder->run_id ? holder->run_id : "unknown", holder->try_number, *holder->application ? holder->application : "unknown application",
            *holder->pid ? holder->pid : "unknown", sink->job->lock_timeout);
    return rf_hint(err, "Wait for that run, raise lock_timeout, or end its session.");
}

static enum rf_code wait_for_lease(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct lease_holder holder = {0};
    for (double waited = 0;; waited += LEASE_POLL_MS / 1000.0) {
        bool got;
        RF_TRY(try_lease(sink, &got, err));
        if (got) return RF_OK;
        RF_TRY(read_holder(sink, &holder, err));
        bool take_over = holder.shows && (holder.expired || is_superseded(sink, &holder));
        if (take_over) RF_TRY(rf_odbc_end_holder(sink, err));
        if (waited >= sink->job->lock_timeout + (take_over ? TAKE_OVER_S : 0)) return busy(sink, &holder, err);
        rf_cancel_wait(sink->cancel, LEASE_POLL_MS);
    }
}

/* ---- renewing ---- */

/* A sink of its own, of which nothing is used but the session. */
struct renewal {
    struct rf_sink_odbc sink;
    struct rf_arena arena;
};

static enum rf_code renew(void *self, struct rf_cancel *stop, struct rf_error *err) {
    struct renewal *renewal = self;
    struct rf_sink_odbc *sink = &renewal->sink;
    struct rf_text sql = {0};
    sink->odbc.cancel = stop;
    if (sink->odbc.is_lost || !sink->odbc.is_open) RF_TRY(rf_odbc_connect(sink, err));
    rf_plain_renew_lease(sink->row, sink->job, sink->load_id, &sql);
    return rf_odbc_execute(sink, "renew the lease", &sql, NULL, err);
}

static void drop_renewal(void *self) {
    struct renewal *renewal = self;
    renewal->sink.session.ops->close(renewal->sink.session.self);
    rf_arena_free(&renewal->arena);
    free(renewal);
}

static enum rf_code start_keeper(struct rf_sink_odbc *sink, struct rf_error *err) {
    enum { ARENA_BYTES = 1 << 20 };
    struct renewal *renewal = calloc(1, sizeof *renewal);
    if (!renewal) return rf_no_memory(err);
    rf_arena_init(&renewal->arena, ARENA_BYTES);
    renewal->sink = (struct rf_sink_odbc){.job = sink->job, .arena = &renewal->arena, .load_id = sink->load_id, .uri = sink->uri};
    renewal->sink.odbc = (struct rf_odbc){.uri = &renewal->sink.uri, .driver = sink->job->driver, .connect_timeout_s = sink->job->connect_timeout};
    renewal->sink.session = rf_session_over_odbc(&renewal->sink.odbc);
    return rf_lease_keeper_start(sink->job->lease_seconds, &(struct rf_lease_renewal){.renew = renew, .drop = drop_renewal, .self = renewal}, &sink->keeper, err);
}

/* ---- the lease ---- */

static enum rf_code take_file(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    RF_TRY(rf_odbc_wait_for_file(sink, true, err));
    RF_TRY(rf_odbc_create_control(sink, err));
    rf_plain_next_load_id(sink->row, sink->job, &sql);
    RF_TRY(rf_odbc_read(sink, "give out the load id", &sql, &rows, err));
    sink->load_id = rf_result_integer(&rows, 0, 0);
    return sink->load_id > 0 ? RF_OK : rf_fail(err, RF_INTERNAL, "the target gave no load id");
}

enum rf_code rf_odbc_take_lease(void *self, int64_t *load_id, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    if (sink->uri.path) RF_TRY(take_file(sink, err));
    else RF_TRY(wait_for_lease(sink, err));
    *load_id = sink->load_id;
    return sink->uri.path ? RF_OK : start_keeper(sink, err);
}

enum rf_code rf_odbc_fence(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    if (sink->row->file_is_lease) return RF_OK;
    rf_plain_fence(sink->row, sink->job, sink->load_id, &sql);
    RF_TRY(rf_odbc_read(sink, "check the lease", &sql, &rows, err));
    return rows.n_rows == 1 ? RF_OK : rf_fail(err, RF_FENCED, "a newer run took %s over; this one commits nothing", sink->job->target_label);
}

#include "drivers/readers_postgres.h"

#include "core/copy_binary.h"
#include "core/sql.h"
#include "drivers/catalog_postgres.h"

#include <string.h>

enum { LEAST_BATCH_BYTES = 65536 };

/* ---- starting ---- */

/* An address may lead to several servers, and elsewhere a snapshot of the same name is another one: names are made of
 * the numbers of sessions. */
static enum rf_code check_together(struct rf_pg *pg, const char *leader, struct rf_error *err) {
    const char *params[] = {leader};
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(pg, "look for the leader", RF_SQL_IS_TOGETHER, 1, params, &result, err));
    bool together = rf_pg_flag(result, 0, 0);
    PQclear(result);
    return together ? RF_OK : rf_fail(err, RF_SOURCE, "a reader came to another server than its leader");
}

/* The lock is asked for without waiting: behind someone who waits for the leader's it would never be granted. */
static enum rf_code set_up_reader(struct rf_readers *readers, struct rf_pg *pg, const PGresult *exported, struct rf_error *err) {
    const struct rf_job *job = readers->job;
    struct rf_text settings = {0}, take_over = {0}, lock = {0};
    RF_TRY(rf_pg_open(pg, RF_SIDE_SOURCE, job->source, job->application, job->connect_timeout, readers->sessions[0]->cancel, err));
    RF_TRY(rf_pg_execute(pg, "begin", RF_SQL_BEGIN_READ, 0, NULL, NULL, err));
    rf_sql_source_settings(job, pg->version, &settings);
    RF_TRY(rf_pg_execute_script(pg, "set up the transaction", &settings, err));
    RF_TRY(rf_pg_watch_client(pg, err));
    rf_sql_take_over_snapshot(PQgetvalue(exported, 0, 0), &take_over);
    RF_TRY(rf_pg_execute_text(pg, "take the snapshot over", &take_over, 0, NULL, NULL, err));
    RF_TRY(check_together(pg, PQgetvalue(exported, 0, 1), err));
    rf_sql_lock_source_now(job, &lock);
    return rf_pg_execute_text(pg, "lock the table", &lock, 0, NULL, NULL, err);
}

static enum rf_code add_readers(struct rf_readers *readers, int wanted, const PGresult *exported, struct rf_error *err) {
    while (readers->n < wanted) {
        struct rf_pg *pg = &readers->others[readers->n - 1];
        enum rf_code code = set_up_reader(readers, pg, exported, err);
        if (code == RF_OK) {
            pg->bare = !rf_sends_csv(readers->plan);
            readers->sessions[readers->n++] = pg;
            continue;
        }
        rf_pg_close(pg);
        if (code == RF_CANCELLED || code == RF_NO_MEMORY) return code;
        break;
    }
    return RF_OK;
}

static enum rf_code open_others(struct rf_readers *readers, struct rf_error *err) {
    int wanted = readers->job->connections < readers->plan->n_parts ? readers->job->connections : readers->plan->n_parts;
    PGresult *exported = NULL;
    RF_TRY(rf_pg_execute(readers->sessions[0], "export the snapshot", RF_SQL_EXPORT_SNAPSHOT, 0, NULL, &exported, err));
    enum rf_code code = add_readers(readers, wanted, exported, err);
    PQclear(exported);
    return code;
}

/* The next part for a reader; none left leaves it idle. */
static enum rf_code start_part(struct rf_readers *readers, int reader, struct rf_error *err) {
    readers->reading[reader] = readers->next_part < readers->plan->n_parts;
    if (!readers->reading[reader]) return RF_OK;
    struct rf_text sql = {0};
    size_t bytes = (size_t)readers->job->batch_bytes / (size_t)readers->n;
    rf_sql_read_part(readers->plan, readers->next_part++, &sql);
    enum rf_code code = rf_text_check(&sql, err);
    if (code == RF_OK) code = rf_pg_copy_send(readers->sessions[reader], sql.data, bytes < LEAST_BATCH_BYTES ? LEAST_BATCH_BYTES : bytes, err);
    rf_text_free(&sql);
    return code;
}

enum rf_code rf_readers_start(struct rf_readers *readers, struct rf_pg *leader, const struct rf_job *job, const struct rf_plan *plan,
                              struct rf_error *err) {
    *readers = (struct rf_readers){.job = job, .plan = plan, .sessions = {leader}, .n = 1,
                                 .stage = rf_sends_csv(plan) ? RF_READERS_ROWS : RF_READERS_HEADER};
    RF_TRY(open_others(readers, err));
    leader->bare = !rf_sends_csv(plan);
    for (int i = 0; i < readers->n; i++) RF_TRY(start_part(readers, i, err));
    return RF_OK;
}

/* ---- reading ---- */

/* Takes what one reader has. A part that ended counts, and its reader begins the next. */
static enum rf_code ask(struct rf_readers *readers, int reader, struct rf_batch *batch, struct rf_error *err) {
    bool dry;
    *batch = (struct rf_batch){0};
    if (!readers->reading[reader]) return RF_OK;
    RF_TRY(rf_pg_copy_try(readers->sessions[reader], batch, &dry, err));
    if (dry || batch->n_bytes > 0) return RF_OK;
    readers->rows += batch->n_rows;
    return start_part(readers, reader, err);
}

static bool all_ended(const struct rf_readers *readers) {
    for (int i = 0; i < readers->n; i++)
        if (readers->reading[i]) return false;
    return true;
}

static enum rf_code wait_for_readers(struct rf_readers *readers, struct rf_error *err) {
    struct rf_pg *waiting[RF_MOST_SESSIONS];
    int n = 0;
    for (int i = 0; i < readers->n; i++)
        if (readers->reading[i]) waiting[n++] = readers->sessions[i];
    return rf_pg_wait_any(waiting, n, err);
}

static enum rf_code end_rows(struct rf_readers *readers, struct rf_batch *batch) {
    *batch = (struct rf_batch){.n_rows = readers->rows};
    rf_readers_close(readers);
    return RF_OK;
}

static enum rf_code next_rows(struct rf_readers *readers, struct rf_batch *batch, struct rf_error *err) {
    for (;;) {
        int part = readers->next_part;
        for (int i = 0; i < readers->n; i++) {
            int reader = (readers->turn + i) % readers->n;
            RF_TRY(ask(readers, reader, batch, err));
            if (batch->n_bytes == 0) continue;
            readers->turn = (reader + 1) % readers->n;
            return RF_OK;
        }
        if (all_ended(readers)) break;
        if (part == readers->next_part) RF_TRY(wait_for_readers(readers, err));
    }
    if (rf_sends_csv(readers->plan)) return end_rows(readers, batch);
    readers->stage = RF_READERS_TRAILER;
    *batch = (struct rf_batch){.bytes = rf_copy_trailer, .n_bytes = RF_COPY_TRAILER_BYTES};
    return RF_OK;
}

enum rf_code rf_readers_next(struct rf_readers *readers, struct rf_batch *batch, struct rf_error *err) {
    switch (readers->stage) {
    case RF_READERS_HEADER:
        readers->stage = RF_READERS_ROWS;
        *batch = (struct rf_batch){.bytes = rf_copy_header, .n_bytes = RF_COPY_HEADER_BYTES};
        return RF_OK;
    case RF_READERS_ROWS: return next_rows(readers, batch, err);
    case RF_READERS_TRAILER:
    case RF_READERS_IDLE: break;
    }
    return end_rows(readers, batch);
}

void rf_readers_close(struct rf_readers *readers) {
    if (readers->n == 0) return;
    for (int i = 1; i < readers->n; i++) rf_pg_close(readers->sessions[i]);
    readers->sessions[0]->bare = false;
    readers->n = 0;
    readers->stage = RF_READERS_IDLE;
}

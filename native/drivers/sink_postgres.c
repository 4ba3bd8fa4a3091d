/* Loading into PostgreSQL: one session, one transaction from the first row to the load record.
 *
 * The session's advisory lock is the sign that the holder of a table's lease is alive; the lease's row, locked
 * before the merge touches a row, is the fence. A session that dies lets go of both.
 */
#include "core/conversion.h"
#include "core/record.h"
#include "core/merge.h"
#include "core/sql.h"
#include "core/sql_alter.h"
#include "drivers/catalog_postgres.h"
#include "drivers/doubt.h"
#include "drivers/sink_postgres.h"
#include "drivers/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBT_LOCK_S = 5 };

/* ---- the target as it stands ---- */

static bool matches_keys(const struct rf_job *job, const struct rf_unique_key *key, const struct rf_source_facts *source) {
    if (key->n != rf_target_key_columns(job, source) || !key->not_null) return false; /* NULL conflicts with nothing */
    for (int i = 0; i < key->n; i++)
        if (!rf_target_is_of_key(job, source, key->names[i])) return false;
    return true;
}

/* Then nobody asks what a new table would have. */
static bool is_as_at_source(const struct rf_source_facts *source, const struct rf_target_facts *facts) {
    bool same = true;
    for (int i = 0; same && i < source->n_columns; i++) {
        int at = rf_find_column(facts->columns, facts->n_columns, source->columns[i].name);
        same = at >= 0 && strcmp(facts->columns[at].type, source->columns[i].type) == 0 && strcmp(facts->columns[at].identity, source->columns[i].identity) == 0;
    }
    return same;
}

static enum rf_code describe_existing(struct rf_sink_postgres *sink, int64_t oid, const struct rf_source_facts *source,
                                      struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_unique_key *keys;
    int n;
    RF_TRY(rf_pg_columns(&sink->pg, oid, sink->arena, &facts->columns, &facts->n_columns, NULL, NULL, err));
    RF_TRY(rf_pg_unique_keys(&sink->pg, oid, sink->arena, &keys, &n, err));
    for (int i = 0; i < n; i++) facts->key_unique |= matches_keys(sink->job, &keys[i], source);
    for (int i = 0; i < n; i++)
        if (keys[i].primary) facts->key_name = keys[i].name;
    facts->is_ours = rf_has_metadata(facts);
    return is_as_at_source(source, facts) ? RF_OK : rf_pg_twins(&sink->pg, source->columns, source->n_columns, sink->arena, &facts->twins, err);
}

static enum rf_code read_catalogs(struct rf_sink_postgres *sink, const struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    struct rf_relation relation;
    RF_TRY(rf_pg_server(&sink->pg, sink->arena, &facts->server, NULL, err));
    RF_TRY(rf_pg_relation(&sink->pg, job->target_schema, job->target_table, sink->arena, &relation, err));
    facts->exists = relation.oid != 0;
    facts->file = relation.file;
    if (facts->exists && relation.kind != 'r' && relation.kind != 'p')
        return rf_fail(err, RF_CONFIG, "%s exists on the target and is not a table", job->target_label);
    if (facts->exists) return describe_existing(sink, relation.oid, source, facts, err);
    facts->n_columns = source->n_columns;
    return rf_pg_twins(&sink->pg, source->columns, source->n_columns, sink->arena, &facts->columns, err);
}

/* Types are printed with their schemas only while the search path is bare; triggers of the target may rely on its own. */
static enum rf_code describe_target(void *self, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    *facts = (struct rf_target_facts){0};
    RF_TRY(rf_pg_execute(&sink->pg, "set the search path", "SET search_path = pg_catalog", 0, NULL, NULL, err));
    RF_TRY(read_catalogs(sink, source, facts, err));
    RF_TRY(rf_convert_columns(sink->job, source, facts, err));
    return rf_pg_execute(&sink->pg, "reset the search path", "RESET search_path", 0, NULL, NULL, err);
}

/* ---- loading ---- */

static enum rf_code execute_made(struct rf_sink_postgres *sink, const char *role, rf_statement_maker *make, PGresult **result, struct rf_error *err) {
    struct rf_text sql = {0};
    make(sink->plan, &sql);
    return rf_pg_execute_text(&sink->pg, role, &sql, 0, NULL, result, err);
}

static enum rf_code execute_alteration(void *self, const char *role, struct rf_text *sql, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    return rf_pg_execute_text(&sink->pg, role, sql, 0, NULL, NULL, err);
}

static enum rf_code begin_load(void *self, const struct rf_plan *plan, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    sink->plan = plan;
    RF_TRY(rf_alter_target(plan, RF_ALTER_BEFORE_BEGIN, execute_alteration, sink, err));
    RF_TRY(rf_pg_execute(&sink->pg, "begin", "BEGIN", 0, NULL, NULL, err));
    RF_TRY(rf_alter_target(plan, RF_ALTER_BEFORE_ROWS, execute_alteration, sink, err));
    if (plan->first_load) RF_TRY(execute_made(sink, "create the target table", rf_sql_create_target, NULL, err));
    if (!plan->straight) RF_TRY(execute_made(sink, "create the stage", rf_sql_create_stage, NULL, err));
    struct rf_text sql = {0};
    rf_sql_write(plan, &sql);
    return rf_pg_copy_in(&sink->pg, "load rows", &sql, err);
}

static enum rf_code write_batch(void *self, const struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    return rf_pg_copy_write(&sink->pg, batch, err);
}

/* Ends the rows and waits for keys. */
static enum rf_code begin_keys(void *self, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    RF_TRY(rf_pg_copy_end(&sink->pg, &sink->rows_staged, err));
    sink->keys_follow = true;
    RF_TRY(execute_made(sink, "create the stage of keys", rf_sql_create_keys, NULL, err));
    struct rf_text sql = {0};
    rf_sql_write_keys(sink->plan, &sql);
    return rf_pg_copy_in(&sink->pg, "load keys", &sql, err);
}

static enum rf_code end_copies(struct rf_sink_postgres *sink, struct rf_counts *counts, struct rf_error *err) {
    if (!sink->keys_follow) return rf_pg_copy_end(&sink->pg, &counts->staged, err);
    counts->staged = sink->rows_staged;
    return rf_pg_copy_end(&sink->pg, &counts->keys_staged, err);
}

static enum rf_code count(void *self, const char *role, rf_statement_maker *make, int64_t *first, int64_t *second, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(execute_made(self, role, make, &result, err));
    *first = rf_pg_integer(result, 0, 0);
    if (second) *second = rf_pg_integer(result, 0, 1);
    PQclear(result);
    return RF_OK;
}

static enum rf_code change(void *self, const char *role, rf_statement_maker *make, int64_t *n_rows, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(execute_made(self, role, make, &result, err));
    *n_rows = strtoll(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return RF_OK;
}

static enum rf_code read_text(void *self, const char *role, rf_statement_maker *make, const char **text, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    PGresult *result = NULL;
    RF_TRY(execute_made(sink, role, make, &result, err));
    enum rf_code code = rf_pg_text(result, 0, 0, sink->arena, text, err);
    PQclear(result);
    return code;
}

static enum rf_code merge(void *self, struct rf_counts *counts, struct rf_error *err) {
    return count(self, "merge", rf_sql_merge, &counts->inserted, &counts->updated, err);
}

static const struct rf_merge_ops merge_ops = {.count = count, .change = change, .text = read_text, .merge = merge};

static enum rf_code merge_rows(void *self, const struct rf_plan *plan, struct rf_counts *counts, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    RF_TRY(end_copies(sink, counts, err));
    RF_TRY(rf_postgres_fence(sink, err));
    RF_TRY(rf_alter_target(plan, RF_ALTER_BEFORE_MERGE, execute_alteration, sink, err));
    if (plan->first_load) RF_TRY(execute_made(sink, "seal the new table", rf_sql_seal_target, NULL, err));
    if (!plan->straight) return rf_merge_stage(plan, &merge_ops, sink, counts, err);
    counts->inserted = counts->staged;
    return RF_OK;
}

/* ---- record and commit ---- */

static enum rf_code record_load(void *self, const struct rf_report *report, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    struct rf_record record;
    if (report->verification.done) RF_TRY(rf_postgres_limit_idling(sink, sink->job->lease_seconds, err));
    enum rf_code code = rf_record_load(report, &record, err);
    if (code == RF_OK) code = rf_postgres_insert_record(sink, &record, err);
    rf_record_drop(&record);
    return code;
}

static enum rf_code look_up(struct rf_sink_postgres *sink, bool *found, struct rf_error *err) {
    char load_id[24];
    rf_integer_text(load_id, sizeof load_id, sink->load_id);
    const char *params[] = {sink->job->target_label, load_id};
    struct rf_text timeout = {0}, lock = {0}, find = {0};
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(&sink->pg, "begin", "BEGIN", 0, NULL, NULL, err));
    rf_sql_lock_timeout(DOUBT_LOCK_S, &timeout);
    RF_TRY(rf_pg_execute_text(&sink->pg, "set lock_timeout", &timeout, 0, NULL, NULL, err));
    rf_sql_fence(sink->job, &lock);
    RF_TRY(rf_pg_execute_text(&sink->pg, "wait for the earlier session", &lock, 2, params, NULL, err));
    rf_sql_find_load(sink->job, &find);
    RF_TRY(rf_pg_execute_text(&sink->pg, "look the load up", &find, 2, params, &result, err));
    *found = PQntuples(result) == 1;
    PQclear(result);
    return rf_pg_execute(&sink->pg, "end", "COMMIT", 0, NULL, NULL, err);
}

/* The look-up's own transaction failed when its lock was not granted. */
static void end_earlier_session(struct rf_sink_postgres *sink) {
    struct rf_error ignored;
    if (rf_pg_execute(&sink->pg, "roll back", "ROLLBACK", 0, NULL, NULL, &ignored) == RF_OK)
        (void)rf_postgres_end_backend(sink, sink->pid, sink->backend_start, &ignored);
}

/* The old session may still be committing: it holds the lease's row until it has ended, so that row is locked first and the record
 * looked up after. A session that hangs is ended. */
static enum rf_outcome ask(void *self) {
    struct rf_sink_postgres *sink = self;
    struct rf_error why;
    bool found = false;
    rf_pg_close(&sink->pg);
    enum rf_code code = rf_postgres_connect_target(sink, &why);
    if (code == RF_CANCELLED) return RF_UNKNOWN;
    if (code == RF_OK) code = look_up(sink, &found, &why);
    if (code == RF_OK) return found ? RF_COMMITTED : RF_NOT_COMMITTED;
    if (code == RF_BUSY) end_earlier_session(sink);
    return RF_ASK_AGAIN;
}

static enum rf_code resolve_doubt(struct rf_sink_postgres *sink, struct rf_error *err) {
    const struct rf_doubt doubt = {.cancel = sink->cancel, .label = sink->job->target_label, .load_id = sink->load_id, .ask = ask, .self = sink};
    return rf_resolve_doubt(&doubt, err);
}

static enum rf_code commit_load(void *self, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    if (rf_cancel_requested(sink->cancel)) return rf_cancelled(err);
    sink->pg.past_cancel = true;
    PGresult *result = NULL;
    enum rf_code code = rf_pg_execute(&sink->pg, "commit", "COMMIT", 0, NULL, &result, err);
    bool rolled_back = code == RF_OK && strcmp(PQcmdStatus(result), "COMMIT") != 0;
    PQclear(result);
    if (rolled_back) return rf_fail(err, RF_INTERNAL, "the target rolled the load back");
    /* Only the server can say that it did not commit. */
    if (code != RF_OK && (rf_pg_is_lost(&sink->pg) || !*err->sqlstate)) code = resolve_doubt(sink, err);
    return code;
}

/* ---- comparing and closing ---- */

static enum rf_code read_target(void *self, const char *sql, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    RF_TRY(rf_postgres_limit_idling(sink, 0, err));
    return rf_pg_copy_out(&sink->pg, sql, (size_t)sink->job->batch_bytes, err);
}

/* As texts on both sides, since there is no telling what the bytes of every type say. */
static enum rf_code read_rows_of_target(void *self, const struct rf_plan *plan, struct rf_compared *compared, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    struct rf_form *forms = rf_arena_take(sink->arena, (size_t)plan->source->n_columns * sizeof *forms);
    if (!forms) return rf_no_memory(err);
    for (int i = 0; i < plan->source->n_columns; i++) forms[i] = (struct rf_form){.wire = RF_WIRE_TEXT, .element = RF_WIRE_TEXT};
    compared->sent = compared->given = forms;
    struct rf_text sql = {0};
    rf_sql_target_texts(plan, &sql);
    enum rf_code code = rf_text_check(&sql, err);
    if (code == RF_OK) code = read_target(sink, sql.data, err);
    rf_text_free(&sql);
    return code;
}

static enum rf_code next_of_target(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    return rf_pg_copy_next(&sink->pg, batch, err);
}

const struct rf_sink_ops rf_sink_postgres_ops = {
    .open = rf_postgres_open_target,
    .lease = rf_postgres_take_lease,
    .newest = rf_postgres_newest_load,
    .describe = describe_target,
    .begin = begin_load,
    .write = write_batch,
    .keys = begin_keys,
    .merge = merge_rows,
    .record = record_load,
    .commit = commit_load,
    .read = read_target,
    .read_rows = read_rows_of_target,
    .next = next_of_target,
    .state = rf_postgres_state,
    .reset = rf_postgres_reset,
    .inspect = rf_postgres_inspect,
    .close = rf_postgres_close_target,
};

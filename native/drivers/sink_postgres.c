/* Loading into PostgreSQL: one session, one transaction from the first row to the load record.
 *
 * The session's advisory lock is the sign that the holder of a table's lease is alive; the lease's row, locked
 * before the merge touches a row, is the fence. A session that dies lets go of both.
 */
#include "core/passthrough.h"
#include "core/sql.h"
#include "drivers/catalog_postgres.h"
#include "drivers/drivers.h"
#include "drivers/lease_keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE_POLL_MS = 100, TAKE_OVER_S = 30, BOOTSTRAP_TRIES = 5, BOOTSTRAP_LOCK_S = 60, DOUBT_TRIES = 30, DOUBT_PAUSE_MS = 1000, DOUBT_LOCK_S = 5 };

static void integer_text(char *to, size_t size, int64_t value) {
    snprintf(to, size, "%" PRId64, value);
}

/* ---- open and bootstrap ------------------------------------------------------------------------------------------------ */

/* The lease's lock belongs to a session, and a pooler that hands sessions out by transaction has none to give. */
static enum rf_code refuse_pooler(struct rf_sink_postgres *sink, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(&sink->pg, "ask for the backend", RF_SQL_BACKEND_PID, 0, NULL, &result, err));
    bool direct = rf_pg_integer(result, 0, 0) == PQbackendPID(sink->pg.conn);
    PQclear(result);
    if (direct) return RF_OK;
    rf_fail(err, RF_CONFIG, "the target is reached through a connection pooler");
    return rf_hint(err, "Give the address of the server itself: a load needs one session from its lease to its commit.");
}

static enum rf_code connect_target(struct rf_sink_postgres *sink, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    RF_TRY(rf_pg_open(&sink->pg, RF_SIDE_TARGET, job->target, job->application, job->connect_timeout, sink->cancel, err));
    RF_TRY(refuse_pooler(sink, err));
    struct rf_text settings = {0};
    rf_sql_target_session(job, sink->pg.version, &settings);
    return rf_pg_execute_script(&sink->pg, "set up the session", &settings, err);
}

struct presence {
    bool schema, loads, leases;
};

static enum rf_code look_for_control(struct rf_sink_postgres *sink, struct presence *there, struct rf_error *err) {
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_control_exists(sink->job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "look for the control tables", &sql, 0, NULL, &result, err));
    *there = (struct presence){.loads = rf_pg_integer(result, 0, 0) > 0, .leases = rf_pg_integer(result, 0, 1) > 0, .schema = rf_pg_flag(result, 0, 2)};
    PQclear(result);
    return RF_OK;
}

/* IF NOT EXISTS asks for the right to create even where nothing is to be created, and two sessions still
 * collide: the catalog is asked under a lock. */
static enum rf_code create_schema(struct rf_sink_postgres *sink, const char *schema, struct rf_error *err) {
    const char *params[] = {schema};
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(&sink->pg, "look for a schema", RF_SQL_SCHEMA_EXISTS, 1, params, &result, err));
    bool there = PQntuples(result) > 0;
    PQclear(result);
    if (there) return RF_OK;
    struct rf_text sql = {0};
    rf_sql_create_schema(schema, &sql);
    return rf_pg_execute_text(&sink->pg, "create a schema", &sql, 0, NULL, NULL, err);
}

static enum rf_code create_under_lock(struct rf_sink_postgres *sink, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    const char *params[] = {job->control_schema};
    RF_TRY(rf_pg_execute(&sink->pg, "begin", "BEGIN", 0, NULL, NULL, err));
    struct rf_text timeout = {0};
    rf_sql_lock_timeout(BOOTSTRAP_LOCK_S, &timeout);
    RF_TRY(rf_pg_execute_text(&sink->pg, "set lock_timeout", &timeout, 0, NULL, NULL, err));
    RF_TRY(rf_pg_execute(&sink->pg, "lock the bootstrap", RF_SQL_LOCK_NAME, 1, params, NULL, err));
    struct presence there;
    RF_TRY(look_for_control(sink, &there, err));
    RF_TRY(create_schema(sink, job->control_schema, err));
    if (job->target_schema) RF_TRY(create_schema(sink, job->target_schema, err));
    if (!there.loads) {
        struct rf_text sql = {0};
        rf_sql_create_control(job, &sql);
        RF_TRY(rf_pg_execute_script(&sink->pg, "create the control tables", &sql, err));
    }
    return rf_pg_execute(&sink->pg, "commit", "COMMIT", 0, NULL, NULL, err);
}

/* Someone else, without our lock, may create the same names at this moment. */
static bool is_collision(const struct rf_error *err) {
    static const char *const states[] = {"23505", "42P06", "42P07", "42710", "XX000"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(err->sqlstate, states[i]) == 0) return true;
    return false;
}

static enum rf_code bootstrap(struct rf_sink_postgres *sink, struct rf_error *err) {
    for (int tries = 0;; tries++) {
        enum rf_code code = create_under_lock(sink, err);
        if (code == RF_OK) break;
        struct rf_error ignored;
        if (rf_pg_execute(&sink->pg, "roll back", "ROLLBACK", 0, NULL, NULL, &ignored) != RF_OK) return code;
        if (tries == BOOTSTRAP_TRIES || !is_collision(err)) return code;
    }
    sink->has_control = true;
    return RF_OK;
}

static enum rf_code needs_bootstrap(struct rf_sink_postgres *sink, bool *needed, struct rf_error *err) {
    struct presence there;
    RF_TRY(look_for_control(sink, &there, err));
    sink->has_control = there.loads && there.leases;
    *needed = !sink->has_control;
    if (*needed || !sink->job->target_schema) return RF_OK;
    const char *params[] = {sink->job->target_schema};
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(&sink->pg, "look for a schema", RF_SQL_SCHEMA_EXISTS, 1, params, &result, err));
    *needed = PQntuples(result) == 0;
    PQclear(result);
    return RF_OK;
}

static enum rf_code open_sink(void *self, bool prepare, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    bool needed;
    RF_TRY(connect_target(sink, err));
    RF_TRY(needs_bootstrap(sink, &needed, err));
    if (prepare) return needed ? bootstrap(sink, err) : RF_OK;
    /* Looking without writing: one snapshot for the newest record and the rows. */
    return rf_pg_execute(&sink->pg, "begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL, err);
}

/* ---- lease -------------------------------------------------------------------------------------------------------------------- */

/* Who holds the table, as far as it shows. */
struct lease_holder {
    char run_id[256];
    char application[128];
    char pid[24];
    char backend_start[64];
    int try_number;
    bool shows;
    bool expired;
};

static enum rf_code try_lock(struct rf_sink_postgres *sink, bool *got, struct rf_error *err) {
    const char *params[] = {sink->job->target_label};
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(&sink->pg, "lock the table's lease", RF_SQL_TRY_LEASE_LOCK, 1, params, &result, err));
    *got = rf_pg_flag(result, 0, 0);
    PQclear(result);
    return RF_OK;
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

static enum rf_code end_backend(struct rf_sink_postgres *sink, const char *pid, const char *backend_start, struct rf_error *err) {
    const char *params[] = {pid, backend_start};
    return rf_pg_execute(&sink->pg, "end the session of the lease's holder", RF_SQL_END_BACKEND, 2, params, NULL, err);
}

static enum rf_code busy(const struct rf_sink_postgres *sink, const struct lease_holder *holder, struct rf_error *err) {
    rf_fail(err, RF_BUSY, "%s is held by run \"%s\", try %d (%s, pid %s of the target), and was not free within %g s", sink->job->target_label,
            *holder->run_id ? holder->run_id : "unknown", holder->try_number, *holder->application ? holder->application : "unknown application",
            *holder->pid ? holder->pid : "unknown", sink->job->lock_timeout);
    return rf_hint(err, "Wait for that run, raise lock_timeout, or end its session with pg_terminate_backend.");
}

static enum rf_code wait_for_lock(struct rf_sink_postgres *sink, struct rf_error *err) {
    struct lease_holder holder = {0};
    for (double waited = 0;; waited += LEASE_POLL_MS / 1000.0) {
        bool got;
        RF_TRY(try_lock(sink, &got, err));
        if (got) return RF_OK;
        RF_TRY(read_holder(sink, &holder, err));
        bool take_over = holder.shows && (holder.expired || is_superseded(sink, &holder));
        if (take_over) RF_TRY(end_backend(sink, holder.pid, holder.backend_start, err));
        if (waited >= sink->job->lock_timeout + (take_over ? TAKE_OVER_S : 0)) return busy(sink, &holder, err);
        rf_cancel_wait(sink->cancel, LEASE_POLL_MS);
    }
}

static enum rf_code write_lease(struct rf_sink_postgres *sink, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    char try_number[24], map_index[24], seconds[32];
    integer_text(try_number, sizeof try_number, job->try_number);
    integer_text(map_index, sizeof map_index, job->map_index);
    snprintf(seconds, sizeof seconds, "%g", job->lease_seconds);
    const char *params[] = {job->target_label, job->run_id, try_number, map_index, job->application, seconds};
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_take_lease(job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "take the lease", &sql, 6, params, &result, err));
    sink->load_id = rf_pg_integer(result, 0, 0);
    enum rf_code code = rf_pg_text(result, 0, 1, sink->arena, &sink->pid, err);
    if (code == RF_OK) code = rf_pg_text(result, 0, 2, sink->arena, &sink->backend_start, err);
    PQclear(result);
    return code;
}

static enum rf_code lease_table(void *self, int64_t *load_id, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    RF_TRY(wait_for_lock(sink, err));
    RF_TRY(write_lease(sink, err));
    *load_id = sink->load_id;
    return rf_lease_keeper_start(sink->job, sink->load_id, &sink->keeper, err);
}

/* ---- state ------------------------------------------------------------------------------------------------------------------------ */

static enum rf_code fill_load(const PGresult *result, struct rf_arena *arena, struct rf_load *load, struct rf_error *err) {
    load->load_id = rf_pg_integer(result, 0, 0);
    load->is_reset = rf_pg_flag(result, 0, 1);
    RF_TRY(rf_pg_text(result, 0, 2, arena, &load->source_table, err));
    RF_TRY(rf_pg_text(result, 0, 3, arena, &load->identity.system, err));
    load->identity.timeline = (int)rf_pg_integer(result, 0, 4);
    RF_TRY(rf_pg_text(result, 0, 5, arena, &load->identity.database, err));
    load->identity.table_oid = rf_pg_integer(result, 0, 6);
    RF_TRY(rf_pg_text(result, 0, 7, arena, &load->snapshot, err));
    RF_TRY(rf_pg_text(result, 0, 8, arena, &load->lsn, err));
    RF_TRY(rf_pg_text(result, 0, 9, arena, &load->fingerprint, err));
    RF_TRY(rf_pg_text(result, 0, 10, arena, &load->extracted_at, err));
    return rf_pg_text(result, 0, 11, arena, &load->hard_deletes, err);
}

static enum rf_code read_newest(struct rf_sink_postgres *sink, struct rf_load *last, struct rf_error *err) {
    const char *params[] = {sink->job->target_label};
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_newest_load(sink->job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "read the newest load record", &sql, 1, params, &result, err));
    enum rf_code code = PQntuples(result) == 1 ? fill_load(result, sink->arena, last, err) : RF_OK;
    PQclear(result);
    return code;
}

static enum rf_code read_run_total(struct rf_sink_postgres *sink, struct rf_run_total *total, struct rf_error *err) {
    const char *params[] = {sink->job->target_label, sink->job->source_label, sink->job->run_id};
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_run_total(sink->job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "read the run's earlier loads", &sql, 3, params, &result, err));
    total->loads = rf_pg_integer(result, 0, 0);
    total->counts = (struct rf_counts){
        .read = rf_pg_integer(result, 0, 1), .staged = rf_pg_integer(result, 0, 1), .inserted = rf_pg_integer(result, 0, 2),
        .updated = rf_pg_integer(result, 0, 3), .deleted = rf_pg_integer(result, 0, 4), .duplicates = rf_pg_integer(result, 0, 5),
        .stale = rf_pg_integer(result, 0, 6), .bytes = rf_pg_integer(result, 0, 7)};
    PQclear(result);
    return RF_OK;
}

static enum rf_code newest_load(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    *last = (struct rf_load){0};
    *total = (struct rf_run_total){0};
    if (!sink->has_control) return RF_OK;
    RF_TRY(read_newest(sink, last, err));
    return read_run_total(sink, total, err);
}

/* ---- the target as it stands --------------------------------------------------------------------------------------------------------- */

static bool has_column(const struct rf_target_facts *facts, const char *name) {
    for (int i = 0; i < facts->n_columns; i++)
        if (strcmp(facts->columns[i].name, name) == 0) return true;
    return false;
}

static bool is_key(const struct rf_source_facts *source, const char *name) {
    for (int k = 0; k < source->n_keys; k++)
        if (strcmp(source->columns[source->keys[k]].name, name) == 0) return true;
    return false;
}

static bool matches_keys(const struct rf_unique_key *key, const struct rf_source_facts *source) {
    if (key->n != source->n_keys) return false;
    for (int i = 0; i < key->n; i++)
        if (!is_key(source, key->names[i])) return false;
    return true;
}

static enum rf_code describe_existing(struct rf_sink_postgres *sink, int64_t oid, const struct rf_source_facts *source,
                                      struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_unique_key *keys;
    int n;
    RF_TRY(rf_pg_columns(&sink->pg, oid, sink->arena, &facts->columns, &facts->n_columns, NULL, NULL, err));
    RF_TRY(rf_pg_unique_keys(&sink->pg, oid, sink->arena, &keys, &n, err));
    for (int i = 0; i < n; i++) facts->key_unique |= matches_keys(&keys[i], source);
    facts->is_ours = has_column(facts, "_extracted_at") && has_column(facts, "_load_id") && has_column(facts, "_deleted_at");
    return RF_OK;
}

static enum rf_code read_catalogs(struct rf_sink_postgres *sink, const struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    struct rf_relation relation;
    RF_TRY(rf_pg_server(&sink->pg, sink->arena, &facts->server, err));
    RF_TRY(rf_pg_relation(&sink->pg, job->target_schema, job->target_table, sink->arena, &relation, err));
    facts->exists = relation.oid != 0;
    if (facts->exists && relation.kind != 'r' && relation.kind != 'p')
        return rf_fail(err, RF_CONFIG, "%s exists on the target and is not a table", job->target_label);
    if (facts->exists) return describe_existing(sink, relation.oid, source, facts, err);
    facts->n_columns = source->n_columns;
    return rf_pg_twins(&sink->pg, source->columns, source->n_columns, sink->arena, &facts->columns, err);
}

/* Types are printed with their schemas only while the search path is bare; triggers of the target may rely on its own. */
static enum rf_code describe_target(void *self, const struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    *facts = (struct rf_target_facts){0};
    RF_TRY(rf_pg_execute(&sink->pg, "set the search path", "SET search_path = pg_catalog", 0, NULL, NULL, err));
    RF_TRY(read_catalogs(sink, source, facts, err));
    return rf_pg_execute(&sink->pg, "reset the search path", "RESET search_path", 0, NULL, NULL, err);
}

/* ---- loading ------------------------------------------------------------------------------------------------------------------------------ */

typedef void statement_maker(const struct rf_plan *plan, struct rf_text *out);

static enum rf_code execute_made(struct rf_sink_postgres *sink, const char *role, statement_maker *make, PGresult **result, struct rf_error *err) {
    struct rf_text sql = {0};
    make(sink->plan, &sql);
    return rf_pg_execute_text(&sink->pg, role, &sql, 0, NULL, result, err);
}

static enum rf_code begin_load(void *self, const struct rf_plan *plan, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    sink->plan = plan;
    RF_TRY(rf_pg_execute(&sink->pg, "begin", "BEGIN", 0, NULL, NULL, err));
    sink->in_load = true;
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

/* Locks the lease's row before any row of the target: two merges that locked it later could deadlock on rows. */
static enum rf_code fence(struct rf_sink_postgres *sink, struct rf_error *err) {
    char load_id[24];
    integer_text(load_id, sizeof load_id, sink->load_id);
    const char *params[] = {sink->job->target_label, load_id};
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_fence(sink->job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "check the lease", &sql, 2, params, &result, err));
    bool ours = PQntuples(result) == 1;
    PQclear(result);
    return ours ? RF_OK : rf_fail(err, RF_FENCED, "a newer run took %s over; this one commits nothing", sink->job->target_label);
}

static enum rf_code take_count(struct rf_sink_postgres *sink, const char *role, statement_maker *make, int64_t *first, int64_t *second, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(execute_made(sink, role, make, &result, err));
    *first = rf_pg_integer(result, 0, 0);
    if (second) *second = rf_pg_integer(result, 0, 1);
    PQclear(result);
    return RF_OK;
}

static enum rf_code refuse_duplicates(struct rf_sink_postgres *sink, int64_t duplicates, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(execute_made(sink, "name duplicate keys", rf_sql_duplicate_keys, &result, err));
    rf_fail(err, RF_DATA, "%" PRId64 " rows of %s repeat a key: %s", duplicates, sink->job->source_label, PQgetvalue(result, 0, 0));
    PQclear(result);
    return rf_hint(err, "Name columns that identify a row in \"keys\", or set on_duplicate to \"newest\".");
}

static enum rf_code close_rows(struct rf_sink_postgres *sink, const char *role, statement_maker *make, int64_t *deleted, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(execute_made(sink, role, make, &result, err));
    *deleted += strtoll(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return RF_OK;
}

static enum rf_code merge_stage(struct rf_sink_postgres *sink, struct rf_counts *counts, struct rf_error *err) {
    const struct rf_plan *plan = sink->plan;
    if (plan->dedupe || plan->mark_gone) RF_TRY(take_count(sink, "count the stage", rf_sql_count_stage, &counts->gone, &counts->duplicates, err));
    if (counts->duplicates > 0 && plan->job->on_duplicate == RF_DUPLICATE_FAIL) return refuse_duplicates(sink, counts->duplicates, err);
    RF_TRY(take_count(sink, "merge", rf_sql_merge, &counts->inserted, &counts->updated, err));
    bool short_of = counts->inserted + counts->updated + counts->duplicates + counts->gone < counts->staged;
    if (short_of) RF_TRY(take_count(sink, "count stale rows", rf_sql_count_stale, &counts->stale, NULL, err));
    if (plan->mark_gone) RF_TRY(close_rows(sink, "close rows that left the filter", rf_sql_close_gone, &counts->deleted, err));
    if (plan->close_absent) RF_TRY(close_rows(sink, "close absent rows", rf_sql_close_absent, &counts->deleted, err));
    return RF_OK;
}

static enum rf_code merge_rows(void *self, const struct rf_plan *plan, struct rf_counts *counts, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    RF_TRY(rf_pg_copy_end(&sink->pg, &counts->staged, err));
    RF_TRY(fence(sink, err));
    if (plan->first_load) RF_TRY(execute_made(sink, "seal the new table", rf_sql_seal_target, NULL, err));
    if (!plan->straight) return merge_stage(sink, counts, err);
    counts->inserted = counts->staged;
    return RF_OK;
}

/* ---- record and commit ---------------------------------------------------------------------------------------------------------------------- */

enum { RECORD_PARAMS = 28, INTEGER_TEXTS = 14 };

static enum rf_code insert_record(struct rf_sink_postgres *sink, const char *const *params, struct rf_error *err) {
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_insert_load(sink->job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "insert the load record", &sql, RECORD_PARAMS, params, &result, err));
    bool one = strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    return one ? RF_OK : rf_fail(err, RF_FENCED, "a newer load of %s is recorded; this one commits nothing", sink->job->target_label);
}

/* An open transaction that idles is one whose client has stopped; while rows are compared it waits for the source. */
static enum rf_code limit_idling(struct rf_sink_postgres *sink, double seconds, struct rf_error *err) {
    struct rf_text sql = {0};
    rf_sql_idle_limit(seconds, &sql);
    return rf_pg_execute_text(&sink->pg, "limit the time to idle", &sql, 0, NULL, NULL, err);
}

static enum rf_code record_load(void *self, const struct rf_report *report, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    const struct rf_plan *plan = report->plan;
    const struct rf_job *job = plan->job;
    const struct rf_source_facts *source = plan->source;
    const struct rf_counts *counts = &report->this_try;
    const int64_t values[INTEGER_TEXTS] = {plan->load_id, job->try_number, report->increment, job->map_index, source->identity.timeline,
                                           source->identity.table_oid, counts->read, counts->inserted, counts->updated, counts->deleted,
                                           counts->duplicates, counts->stale, counts->bytes, 0};
    char texts[INTEGER_TEXTS][24];
    for (int i = 0; i < INTEGER_TEXTS; i++) integer_text(texts[i], sizeof texts[i], values[i]);
    if (report->verification.done) RF_TRY(limit_idling(sink, job->lease_seconds, err));
    char *json = rf_report_json(report);
    if (!json) return rf_no_memory(err);
    const char *params[RECORD_PARAMS] = {
        job->target_label, texts[0], "load", job->source_label, job->source_name, job->run_id, texts[1], texts[2], texts[3], plan->capture,
        plan->completeness, plan->hard_deletes, source->snapshot.text, source->identity.system, texts[4], source->identity.database, texts[5],
        source->snapshot.lsn, source->fingerprint, plan->extracted_at, texts[6], texts[7], texts[8], texts[9], texts[10], texts[11], texts[12], json};
    enum rf_code code = insert_record(sink, params, err);
    free(json);
    return code;
}

static enum rf_code look_up(struct rf_sink_postgres *sink, bool *found, struct rf_error *err) {
    char load_id[24];
    integer_text(load_id, sizeof load_id, sink->load_id);
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
        (void)end_backend(sink, sink->pid, sink->backend_start, &ignored);
}

/* The answer to COMMIT was lost. The old session may still be committing: it holds the lease's row until it has
 * ended, so that row is locked first and the record looked up after. A session that hangs is ended. */
static enum rf_code resolve_doubt(struct rf_sink_postgres *sink, struct rf_error *err) {
    struct rf_error lost = *err;
    enum rf_code code = RF_TARGET;
    bool found = false;
    for (int tries = 0; code != RF_OK && tries < DOUBT_TRIES; tries++) {
        rf_pg_close(&sink->pg);
        if (tries > 0) rf_cancel_wait(sink->cancel, DOUBT_PAUSE_MS);
        code = connect_target(sink, err);
        if (code == RF_CANCELLED) break;
        if (code == RF_OK) code = look_up(sink, &found, err);
        if (code == RF_BUSY) end_earlier_session(sink);
    }
    if (code != RF_OK) {
        rf_hint(&lost, "Whether load %" PRId64 " of %s was committed could not be found out; the next try looks first.", sink->load_id, sink->job->target_label);
        *err = lost;
        return err->code;
    }
    if (found) return RF_OK;
    *err = lost;
    return err->code;
}

static enum rf_code commit_load(void *self, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    if (rf_cancel_requested(sink->cancel)) return rf_fail(err, RF_CANCELLED, "the run was cancelled");
    sink->pg.past_cancel = true;
    PGresult *result = NULL;
    enum rf_code code = rf_pg_execute(&sink->pg, "commit", "COMMIT", 0, NULL, &result, err);
    bool rolled_back = code == RF_OK && strcmp(PQcmdStatus(result), "COMMIT") != 0;
    PQclear(result);
    if (rolled_back) return rf_fail(err, RF_INTERNAL, "the target rolled the load back");
    if (code != RF_OK && rf_pg_is_lost(&sink->pg)) code = resolve_doubt(sink, err);
    sink->in_load = false;
    return code;
}

/* ---- comparing and closing --------------------------------------------------------------------------------------------------------------------- */

static enum rf_code read_target(void *self, const char *sql, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    RF_TRY(limit_idling(sink, 0, err));
    return rf_pg_copy_out(&sink->pg, "read for comparing", sql, (size_t)sink->job->batch_bytes, err);
}

static enum rf_code next_of_target(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    return rf_pg_copy_next(&sink->pg, batch, err);
}

/* Closing the session rolls an open load back and lets go of the lease's lock. */
static void close_sink(void *self) {
    struct rf_sink_postgres *sink = self;
    rf_lease_keeper_stop(sink->keeper);
    sink->keeper = NULL;
    rf_pg_close(&sink->pg);
}

const struct rf_sink_ops rf_sink_postgres_ops = {
    .open = open_sink,
    .lease = lease_table,
    .newest = newest_load,
    .describe = describe_target,
    .begin = begin_load,
    .write = write_batch,
    .merge = merge_rows,
    .record = record_load,
    .commit = commit_load,
    .read = read_target,
    .next = next_of_target,
    .close = close_sink,
};

/* ---- verbs without a run ---------------------------------------------------------------------------------------------------------------------------- */

static enum rf_code copy_field(const PGresult *result, char **json, struct rf_error *err) {
    *json = strdup(PQgetvalue(result, 0, 0));
    return *json ? RF_OK : rf_no_memory(err);
}

static enum rf_code list_loads(struct rf_sink_postgres *sink, char **json, struct rf_error *err) {
    RF_TRY(open_sink(sink, false, err));
    if (!sink->has_control) {
        *json = strdup("{\"loads\":[]}");
        return *json ? RF_OK : rf_no_memory(err);
    }
    const char *params[] = {sink->job->target_label};
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_list_loads(sink->job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "list the load records", &sql, 1, params, &result, err));
    enum rf_code code = copy_field(result, json, err);
    PQclear(result);
    return code;
}

enum rf_code rf_postgres_state(const struct rf_job *job, struct rf_cancel *cancel, char **json, struct rf_error *err) {
    struct rf_sink_postgres sink = {.job = job, .cancel = cancel};
    enum rf_code code = list_loads(&sink, json, err);
    close_sink(&sink);
    return code;
}

/* Records are only ever added: a reset is one more, after which the next run reads everything. */
static enum rf_code add_reset(struct rf_sink_postgres *sink, char **json, struct rf_error *err) {
    int64_t load_id;
    char text[24], answer[64];
    RF_TRY(open_sink(sink, true, err));
    RF_TRY(lease_table(sink, &load_id, err));
    integer_text(text, sizeof text, load_id);
    const char *params[RECORD_PARAMS] = {sink->job->target_label, text, "reset", sink->job->source_label, sink->job->source_name, sink->job->run_id, "1", "1", "-1"};
    RF_TRY(insert_record(sink, params, err));
    snprintf(answer, sizeof answer, "{\"load_id\":%s}", text);
    *json = strdup(answer);
    return *json ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_postgres_reset(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena, char **json, struct rf_error *err) {
    struct rf_sink_postgres sink = {.job = job, .cancel = cancel, .arena = arena};
    enum rf_code code = add_reset(&sink, json, err);
    close_sink(&sink);
    return code;
}

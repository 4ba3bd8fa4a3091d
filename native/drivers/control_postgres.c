/* The control tables of a target: making them, reading the newest load record, adding one. */
#include "core/sql.h"
#include "drivers/catalog_postgres.h"
#include "drivers/lease_keeper.h"
#include "drivers/sink_postgres.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOOTSTRAP_TRIES = 5, BOOTSTRAP_LOCK_S = 60, BOOTSTRAP_IDLE_S = 10 };

void rf_integer_text(char *to, size_t size, int64_t value) {
    snprintf(to, size, "%" PRId64, value);
}

/* ---- open and bootstrap ---- */

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

enum rf_code rf_postgres_connect_target(struct rf_sink_postgres *sink, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    RF_TRY(rf_pg_open_in_time(&sink->pg, RF_SIDE_TARGET, job->target, job->application, job->connect_timeout, job->lock_timeout, sink->cancel, err));
    RF_TRY(refuse_pooler(sink, err));
    struct rf_text settings = {0};
    rf_sql_target_session(job, sink->pg.version, &settings);
    RF_TRY(rf_pg_execute_script(&sink->pg, "set up the session", &settings, err));
    return rf_pg_watch_client(&sink->pg, err);
}

/* An open transaction that idles is one whose client has stopped, or one that waits for the source. */
enum rf_code rf_postgres_limit_idling(struct rf_sink_postgres *sink, double seconds, struct rf_error *err) {
    struct rf_text sql = {0};
    rf_sql_idle_limit(seconds, &sql);
    return rf_pg_execute_text(&sink->pg, "limit the time to idle", &sql, 0, NULL, NULL, err);
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
    RF_TRY(rf_postgres_limit_idling(sink, BOOTSTRAP_IDLE_S, err)); /* a run that stops here holds up all others, and no lease shows it */
    RF_TRY(rf_pg_execute(&sink->pg, "lock the bootstrap", RF_SQL_LOCK_NAME, 1, params, NULL, err));
    struct presence there;
    RF_TRY(look_for_control(sink, &there, err));
    RF_TRY(create_schema(sink, job->control_schema, err));
    if (job->target_schema) RF_TRY(create_schema(sink, job->target_schema, err));
    if (!there.loads || !there.leases) {
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

enum rf_code rf_postgres_open_target(void *self, bool prepare, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    bool needed;
    RF_TRY(rf_postgres_connect_target(sink, err));
    RF_TRY(needs_bootstrap(sink, &needed, err));
    if (prepare) return needed ? bootstrap(sink, err) : RF_OK;
    /* Looking without writing: one snapshot for the newest record and the rows. */
    RF_TRY(rf_pg_execute(&sink->pg, "begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL, err));
    return rf_postgres_limit_idling(sink, 0, err); /* it holds nothing, and the source may be waited for */
}

void rf_postgres_close_target(void *self) {
    struct rf_sink_postgres *sink = self;
    rf_lease_keeper_stop(sink->keeper);
    sink->keeper = NULL;
    rf_pg_close(&sink->pg);
}

/* ---- state ---- */

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
    RF_TRY(rf_pg_text(result, 0, 10, arena, &load->chosen, err));
    RF_TRY(rf_pg_text(result, 0, 11, arena, &load->proven, err));
    RF_TRY(rf_pg_text(result, 0, 12, arena, &load->target_file, err));
    load->loads_since_audit = rf_pg_integer(result, 0, 13);
    load->loads_since_sweep = rf_pg_integer(result, 0, 14);
    load->missed = rf_pg_integer(result, 0, 15);
    RF_TRY(rf_pg_text(result, 0, 16, arena, &load->cursor, err));
    load->doubted = rf_pg_flag(result, 0, 17);
    RF_TRY(rf_pg_text(result, 0, 18, arena, &load->watermark, err));
    RF_TRY(rf_pg_text(result, 0, 19, arena, &load->extracted_at, err));
    return rf_pg_text(result, 0, 20, arena, &load->mode, err);
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

enum rf_code rf_postgres_newest_load(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    *last = (struct rf_load){0};
    *total = (struct rf_run_total){0};
    if (!sink->has_control) return RF_OK;
    RF_TRY(read_newest(sink, last, err));
    return read_run_total(sink, total, err);
}

enum rf_code rf_postgres_insert_record(struct rf_sink_postgres *sink, const struct rf_record *record, struct rf_error *err) {
    struct rf_text sql = {0};
    PGresult *result = NULL;
    rf_sql_insert_load(sink->job, &sql);
    RF_TRY(rf_pg_execute_text(&sink->pg, "insert the load record", &sql, RF_RECORD_VALUES, record->values, &result, err));
    bool one = strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    return one ? RF_OK : rf_fail(err, RF_FENCED, "a newer load of %s is recorded; this one commits nothing", sink->job->target_label);
}

/* ---- without a run ---- */

static enum rf_code copy_field(const PGresult *result, char **json, struct rf_error *err) {
    *json = strdup(PQgetvalue(result, 0, 0));
    return *json ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_postgres_state(void *self, char **json, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    RF_TRY(rf_postgres_open_target(sink, false, err));
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

/* The insert commits by itself: from here on its outcome is waited for, as that of a COMMIT is. */
static enum rf_code insert_reset(struct rf_sink_postgres *sink, struct rf_observer observer, int64_t load_id, struct rf_error *err) {
    struct rf_record record;
    rf_record_reset(sink->job, load_id, &record);
    if (observer.on_step) observer.on_step(observer.context, RF_STEP_COMMIT, 0, 0);
    if (rf_cancel_requested(sink->cancel)) return rf_fail(err, RF_CANCELLED, "the reset was cancelled");
    sink->pg.past_cancel = true;
    return rf_postgres_insert_record(sink, &record, err);
}

/* Records are only ever added: a reset is one more, after which the next run reads everything. */
enum rf_code rf_postgres_reset(void *self, struct rf_observer observer, char **json, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    int64_t load_id;
    RF_TRY(rf_postgres_open_target(sink, true, err));
    RF_TRY(rf_postgres_take_lease(sink, &load_id, err));
    RF_TRY(rf_record_tell(load_id, json, err));
    return insert_reset(sink, observer, load_id, err);
}

#include "core/sql.h"

#include "core/dialect.h"
#include "core/sql_target.h"

#include <inttypes.h>
#include <string.h>

/* ---- sessions and control tables ---- */

/* The bare search path keeps out functions that others may have put where the role's own path finds them first; rows are
 * merged under the role's, which triggers may need. A stopped or vanished client must not keep the table: an idle transaction ends with the lease, a dead
 * connection within a minute. A lock that someone else holds is waited for as long as the job says. */
void rf_sql_target_session(const struct rf_job *job, int server_version, struct rf_text *out) {
    rf_text_addf(out,
                 "SET search_path = pg_catalog; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex';"
                 " SET extra_float_digits = 1; SET statement_timeout = 0; SET default_transaction_isolation = 'read committed';"
                 " SET idle_in_transaction_session_timeout = %" PRId64 "; SET max_parallel_workers_per_gather = 0; SET jit = off;"
                 " SET client_min_messages = error",
                 (int64_t)(job->lease_seconds * 1000));
    rf_text_addf(out, "; SET lock_timeout = %" PRId64, rf_lock_timeout_ms(job->lock_timeout));
    /* A load that is told as committed survives a crash of the server, whatever its sessions do by default. */
    rf_text_add(out, "; SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'");
    if (server_version >= 140000) rf_text_add(out, "; SET idle_session_timeout = 0");
    if (server_version >= 170000) rf_text_add(out, "; SET transaction_timeout = 0");
}

static void add_control(const struct rf_job *job, const char *table, struct rf_text *out) {
    rf_text_qualified(out, job->control_schema, table);
}

void rf_sql_control_exists(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FILTER (WHERE c.relname = 'loads' AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'rows_missed')), count(*) FILTER (WHERE c.relname = 'leases'), count(n.oid) > 0"
                     " FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') WHERE n.nspname = ");
    rf_text_literal(out, job->control_schema);
}

void rf_sql_create_control(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "CREATE TABLE IF NOT EXISTS ");
    add_control(job, "loads", out);
    rf_text_add(out,
                " (target_table text NOT NULL, load_id bigint NOT NULL, kind text NOT NULL, source_table text, source_name text,"
                " run_id text, try_number int, increment int, map_index int, capture text, completeness text, hard_deletes text,"
                " snapshot text, source_system text, source_timeline int, source_database text, source_table_oid bigint, source_lsn text,"
                " fingerprint text, extracted_at timestamptz, rows_read bigint, rows_inserted bigint, rows_updated bigint,"
                " rows_deleted bigint, rows_duplicate bigint, rows_stale bigint, bytes_read bigint, report jsonb,"
                " committed_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (target_table, load_id)); ALTER TABLE ");
    add_control(job, "loads", out);
    /* What a table of an earlier release lacks. */
    rf_text_add(out,
                " ADD COLUMN IF NOT EXISTS chosen text, ADD COLUMN IF NOT EXISTS proven_snapshot text, ADD COLUMN IF NOT EXISTS watermark timestamptz,"
                " ADD COLUMN IF NOT EXISTS cursor_columns text, ADD COLUMN IF NOT EXISTS doubted boolean, ADD COLUMN IF NOT EXISTS target_file text, ADD COLUMN IF NOT EXISTS loads_since_audit bigint, ADD COLUMN IF NOT EXISTS loads_since_sweep bigint,"
                " ADD COLUMN IF NOT EXISTS rows_missed bigint; CREATE TABLE IF NOT EXISTS ");
    add_control(job, "leases", out);
    rf_text_add(out,
                " (target_table text PRIMARY KEY, load_id bigint NOT NULL, run_id text NOT NULL, try_number int NOT NULL, map_index int,"
                " application text, pid int NOT NULL, backend_start timestamptz, taken_at timestamptz NOT NULL,"
                " expires_at timestamptz NOT NULL)");
}

const char RF_SQL_LOCK_NAME[] = "SELECT pg_advisory_xact_lock(hashtextextended('rowferry ' || $1, 0))";

const char RF_SQL_SCHEMA_EXISTS[] = "SELECT 1 FROM pg_namespace WHERE nspname = $1";

void rf_sql_create_schema(const char *schema, struct rf_text *out) {
    rf_text_add(out, "CREATE SCHEMA ");
    rf_text_identifier(out, schema);
}

/* ---- lease and fence ---- */

/* One statement takes the lock and names its holder: a run that stopped between two could not be taken over. No row
 * comes back while another holds the lock. Load ids never fall back, not even when the leases table was emptied by hand. */
void rf_sql_take_lease(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "WITH locked AS MATERIALIZED (SELECT pg_try_advisory_lock(hashtextextended('rowferry lease ' || $1, 0)) AS got) INSERT INTO ");
    add_control(job, "leases", out);
    rf_text_add(out, " AS held (target_table, load_id, run_id, try_number, map_index, application, pid, backend_start, taken_at, expires_at)"
                     " SELECT $1, 1 + coalesce((SELECT max(load_id) FROM ");
    add_control(job, "loads", out);
    rf_text_add(out,
                " WHERE target_table = $1), 0), $2, $3::int, nullif($4::int, -1), $5, pg_backend_pid(),"
                " (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()), clock_timestamp(),"
                " clock_timestamp() + make_interval(secs => $6::float8) FROM locked WHERE got"
                " ON CONFLICT (target_table) DO UPDATE SET load_id = greatest(held.load_id + 1, excluded.load_id), run_id = excluded.run_id,"
                " try_number = excluded.try_number, map_index = excluded.map_index, application = excluded.application, pid = excluded.pid,"
                " backend_start = excluded.backend_start, taken_at = excluded.taken_at, expires_at = excluded.expires_at"
                " RETURNING load_id, pid, backend_start");
}

void rf_sql_read_holder(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT run_id, try_number, application, pid, backend_start, EXISTS (SELECT FROM ");
    add_control(job, "leases", out);
    rf_text_add(out, " WHERE target_table = $1 AND expires_at < clock_timestamp() FOR UPDATE SKIP LOCKED) FROM ");
    add_control(job, "leases", out);
    rf_text_add(out, " WHERE target_table = $1");
}

const char RF_SQL_END_BACKEND[] =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int AND backend_start = $2::timestamptz";

void rf_sql_idle_limit(double seconds, struct rf_text *out) {
    rf_text_addf(out, "SET LOCAL idle_in_transaction_session_timeout = %" PRId64, (int64_t)(seconds * 1000));
}

void rf_sql_renew_lease(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "UPDATE ");
    add_control(job, "leases", out);
    rf_text_add(out, " SET expires_at = clock_timestamp() + make_interval(secs => $3::float8) WHERE target_table = $1 AND load_id = $2::bigint RETURNING 1");
}

void rf_sql_fence(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT 1 FROM ");
    add_control(job, "leases", out);
    rf_text_add(out, " WHERE target_table = $1 AND load_id = $2::bigint FOR UPDATE");
}

/* ---- load records ---- */

static const char ISO_TIME[] = "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"'";

static void add_utc(const char *expression, struct rf_text *out) {
    rf_text_addf(out, "to_char((%s) AT TIME ZONE 'UTC', %s)", expression, ISO_TIME);
}

/* A reset forgets what was read, not where and when: the time of extraction must not fall back, and a standby
 * may still be behind. So those come from the newest load proper. */
void rf_sql_newest_load(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT n.load_id, n.kind = 'reset', n.source_table, l.source_system, l.source_timeline, l.source_database, l.source_table_oid,"
                     " n.snapshot, l.source_lsn, n.fingerprint, n.chosen, n.proven_snapshot, n.target_file,"
                     " n.loads_since_audit, n.loads_since_sweep, n.rows_missed, n.cursor_columns, coalesce(n.doubted, false), ");
    add_utc("n.watermark", out);
    rf_text_add(out, ", ");
    add_utc("l.extracted_at", out);
    rf_text_add(out, ", n.report ->> 'mode' FROM ");
    add_control(job, "loads", out);
    rf_text_add(out, " n LEFT JOIN LATERAL (SELECT * FROM ");
    add_control(job, "loads", out);
    rf_text_add(out, " WHERE target_table = $1 AND kind = 'load' ORDER BY load_id DESC LIMIT 1) l ON true"
                     " WHERE n.target_table = $1 ORDER BY n.load_id DESC LIMIT 1");
}

void rf_sql_run_total(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*), coalesce(sum(rows_read), 0), coalesce(sum(rows_inserted), 0), coalesce(sum(rows_updated), 0),"
                     " coalesce(sum(rows_deleted), 0), coalesce(sum(rows_duplicate), 0), coalesce(sum(rows_stale), 0), coalesce(sum(bytes_read), 0) FROM ");
    add_control(job, "loads", out);
    rf_text_add(out, " WHERE target_table = $1 AND source_table = $2 AND run_id = $3 AND kind = 'load'");
}

void rf_sql_insert_load(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "INSERT INTO ");
    add_control(job, "loads", out);
    rf_text_add(out,
                " (target_table, load_id, kind, source_table, source_name, run_id, try_number, increment, map_index, capture,"
                " completeness, hard_deletes, snapshot, source_system, source_timeline, source_database, source_table_oid, source_lsn,"
                " fingerprint, extracted_at, rows_read, rows_inserted, rows_updated, rows_deleted, rows_duplicate, rows_stale,"
                " bytes_read, report, chosen, proven_snapshot, watermark, loads_since_audit, loads_since_sweep, rows_missed, cursor_columns, doubted, target_file) SELECT $1, $2::bigint, $3, $4, $5, $6, $7::int, $8::int, nullif($9::int, -1), $10, $11, $12, $13, $14,"
                " $15::int, $16, $17::bigint, $18, $19, $20::timestamptz, $21::bigint, $22::bigint, $23::bigint, $24::bigint, $25::bigint,"
                " $26::bigint, $27::bigint, $28::jsonb, $29, $30, $31::timestamptz, $32::bigint, $33::bigint, $34::bigint, $35, $36::boolean,"
                " (SELECT pg_catalog.concat(c.oid, '/', pg_relation_filenode(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ");
    rf_text_literal(out, job->target_schema);
    rf_text_add(out, " AND c.relname = ");
    rf_text_literal(out, job->target_table);
    rf_text_add(out, ") WHERE NOT EXISTS (SELECT FROM ");
    add_control(job, "loads", out);
    rf_text_add(out, " WHERE target_table = $1 AND load_id >= $2::bigint)");
}

void rf_sql_find_load(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT 1 FROM ");
    add_control(job, "loads", out);
    rf_text_add(out, " WHERE target_table = $1 AND load_id = $2::bigint");
}

/* By their keys, which an index has: years of records are not read for the newest ten. */
void rf_sql_add_listed_loads(const struct rf_job *job, struct rf_text *loads, const char *word, struct rf_text *out) {
    out->failed |= loads->failed;
    if (!out->failed) rf_text_add(out, loads->data);
    if (!out->failed && job->newest > 0)
        rf_text_addf(out,
                     " %s (target_table, load_id) IN (SELECT target_table, load_id FROM (SELECT target_table, load_id,"
                     " row_number() OVER (PARTITION BY target_table ORDER BY load_id DESC) AS place FROM %s) n WHERE place <= %d)",
                     word, loads->data, job->newest);
    rf_text_free(loads);
}

void rf_sql_list_loads(const struct rf_job *job, struct rf_text *out) {
    struct rf_text loads = {0};
    add_control(job, "loads", &loads);
    rf_text_add(&loads, " l WHERE ($1::text IS NULL OR target_table = $1)");
    rf_text_add(out, "SELECT json_build_object('loads', coalesce(json_agg(to_jsonb(l) ORDER BY target_table, load_id DESC), '[]')) FROM ");
    rf_sql_add_listed_loads(job, &loads, "AND", out);
}

/* ---- the load ---- */

/* What differs where the databases' forms are alike. */
static const struct dialect {
    const char *temporary;     /* where temporary tables are */
    const char *temporary_end; /* of their CREATE: they go with the transaction, or with the session */
    const char *place;         /* type of a row's place in its source table, ordered as places are */
    const char *arrival;       /* rises with the rows of a stage, in the order in which they came */
    const char *row_end;       /* makes two rows comparable */
    const char *differs;
    bool names_rows; /* whatever leaves one row of several makes 0 of a float that is -0: it is told by its arrival and read itself */
    bool locks_rows; /* as they come: in the order of keys two writers do not wait for each other */
} DIALECTS[] = {
    [RF_DIALECT_POSTGRES] = {"pg_temp", " ON COMMIT DROP", "tid", "ctid", "::text", " <> ", false, true}, /* as texts: not every type has an equality */
    [RF_DIALECT_DUCKDB] = {"temp", "", "blob", "rowid", "", " IS DISTINCT FROM ", true, false},
};

static const struct dialect *dialect_of(const struct rf_plan *plan) {
    return &DIALECTS[plan->target->dialect];
}

void rf_sql_add_target(const struct rf_plan *plan, struct rf_text *out) {
    const struct rf_dialect_row *row = rf_dialect_row(plan->target->dialect);
    if (row) rf_dialect_table(row, plan->job->target_schema, plan->job->target_table, out);
    else rf_text_qualified(out, plan->job->target_schema, plan->job->target_table);
}

void rf_sql_add_stage(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_addf(out, "%s.\"" RF_STAGE "\"", dialect_of(plan)->temporary, plan->load_id);
}

/* "a", "b" — or with a prefix: t."a", t."b" */
void rf_sql_add_columns(const struct rf_plan *plan, const char *prefix, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        rf_text_add(out, prefix);
        rf_text_identifier(out, plan->source->columns[i].name);
    }
}

static const char *key_name(const struct rf_plan *plan, int k) {
    return plan->source->columns[plan->source->keys[k]].name;
}

void rf_sql_add_keys(const struct rf_plan *plan, struct rf_text *out) {
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, ", ");
        rf_text_identifier(out, key_name(plan, k));
    }
}

/* Of a key's versions each load brings one. */
void rf_sql_add_primary_key(const struct rf_plan *plan, const char *before, struct rf_text *out) {
    if (plan->source->n_keys == 0) return;
    rf_text_addf(out, "%sPRIMARY KEY (", before);
    rf_sql_add_keys(plan, out);
    rf_text_add(out, rf_keeps_versions(plan) ? ", \"_load_id\")" : ")");
}

void rf_sql_add_key_match(const struct rf_plan *plan, struct rf_text *out) {
    for (int k = 0; k < plan->source->n_keys; k++) {
        rf_text_add(out, k > 0 ? " AND t." : "t.");
        rf_text_identifier(out, key_name(plan, k));
        rf_text_add(out, " = s.");
        rf_text_identifier(out, key_name(plan, k));
    }
}

/* A load brings one version of a key at most, so that their numbers order them. */
void rf_sql_add_newest_version(const struct rf_plan *plan, struct rf_text *out) {
    if (!rf_keeps_versions(plan) || rf_settles(plan)) return;
    rf_text_add(out, " AND NOT EXISTS (SELECT 1 FROM ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " newer WHERE ");
    for (int k = 0; k < plan->source->n_keys; k++) {
        rf_text_add(out, "newer.");
        rf_text_identifier(out, key_name(plan, k));
        rf_text_add(out, " = t.");
        rf_text_identifier(out, key_name(plan, k));
        rf_text_add(out, " AND ");
    }
    rf_text_add(out, "newer.\"_load_id\" > t.\"_load_id\")");
}

void rf_sql_add_live_condition(const struct rf_plan *plan, struct rf_text *out) {
    if (plan->compares_load) {
        rf_text_addf(out, " WHERE \"_load_id\" = %" PRId64, plan->load_id);
        return;
    }
    rf_text_addf(out, "%s WHERE \"_deleted_at\" IS NULL", rf_keeps_versions(plan) ? " t" : "");
    rf_sql_add_newest_version(plan, out);
}

/* A column default fills the metadata of a straight load: it costs no bytes on the wire. */
void rf_sql_create_target(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "CREATE TABLE ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " (");
    for (int i = 0; i < plan->source->n_columns; i++) {
        rf_text_identifier(out, plan->source->columns[i].name);
        rf_text_addf(out, " %s%s, ", rf_target_column(plan, i)->type, plan->source->columns[i].not_null ? " NOT NULL" : "");
    }
    rf_text_add(out, "\"_extracted_at\" timestamptz NOT NULL DEFAULT ");
    rf_text_literal(out, plan->extracted_at);
    rf_text_addf(out, ", \"_load_id\" bigint NOT NULL DEFAULT %" PRId64 ", \"_deleted_at\" timestamptz", plan->load_id);
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_source_xid\" bigint");
    if (!plan->straight) rf_sql_add_primary_key(plan, ", ", out);
    rf_text_add(out, ")");
}

/* One pass over the new table; the key is built once instead of row by row. */
void rf_sql_seal_target(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "ALTER TABLE ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " ALTER \"_extracted_at\" DROP DEFAULT, ALTER \"_load_id\" DROP DEFAULT");
    if (plan->straight) rf_sql_add_primary_key(plan, ", ADD ", out);
}

static bool is_given(const struct rf_plan *plan) {
    return plan->reading == RF_READ_GIVEN;
}

/* The stage has the source's types where the target's are wider: receiving would round, merging widens. */
static const char *staged_type(const struct rf_plan *plan, int i) {
    const struct rf_column *from = &plan->source->columns[i];
    if (rf_fit(plan, i) != RF_FITS_WIDER) return rf_target_column(plan, i)->type;
    return from->arrives_as ? from->arrives_as : from->type;
}

/* A place in the source; behind the time of a cursor, bytes. */
static const char *place_type(const struct rf_plan *plan) {
    const char *place = dialect_of(plan)->place;
    return rf_orders_by_cursor(plan) && strcmp(place, "tid") == 0 ? "bytea" : place;
}

void rf_sql_create_stage(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "CREATE TEMPORARY TABLE ");
    rf_text_addf(out, "\"" RF_STAGE "\" (", plan->load_id);
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        rf_text_identifier(out, plan->source->columns[i].name);
        rf_text_addf(out, " %s", staged_type(plan, i));
    }
    if (plan->dedupe && !is_given(plan)) rf_text_addf(out, ", \"_rowferry_age\" int4, \"_rowferry_place\" %s", place_type(plan));
    if (plan->audit) rf_text_add(out, ", \"_rowferry_late\" bool");
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_rowferry_xid\" bigint");
    if (plan->mark_gone) rf_text_add(out, ", \"_rowferry_gone\" bool");
    rf_text_addf(out, ")%s", dialect_of(plan)->temporary_end);
}

void rf_sql_write(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "COPY ");
    if (!plan->straight) {
        rf_sql_add_stage(plan, out);
        rf_text_add(out, " FROM STDIN (FORMAT binary)");
        return;
    }
    rf_sql_add_target(plan, out);
    rf_text_add(out, " (");
    rf_sql_add_columns(plan, "", out);
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_source_xid\"");
    rf_text_add(out, ") FROM STDIN (FORMAT binary, FREEZE)");
}

/* A staged column as the target's type: keys are compared as the target compares them. */
static void add_staged_value(const struct rf_plan *plan, int i, struct rf_text *out) {
    rf_text_identifier(out, plan->source->columns[i].name);
    if (rf_fit(plan, i) == RF_FITS_WIDER) rf_text_addf(out, "::%s", rf_target_column(plan, i)->type);
}

/* The same under its own name. */
static void add_staged(const struct rf_plan *plan, int i, struct rf_text *out) {
    add_staged_value(plan, i, out);
    if (rf_fit(plan, i) != RF_FITS_WIDER) return;
    rf_text_add(out, " AS ");
    rf_text_identifier(out, plan->source->columns[i].name);
}

static void add_staged_columns(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        add_staged(plan, i, out);
    }
}

static void add_staged_key_values(const struct rf_plan *plan, struct rf_text *out) {
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, ", ");
        add_staged_value(plan, plan->source->keys[k], out);
    }
}

static void add_staged_keys(const struct rf_plan *plan, struct rf_text *out) {
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, ", ");
        add_staged(plan, plan->source->keys[k], out);
    }
}

/* Of the rows of one key the newest comes first. Rows of a stream are as new as they came late: COPY into a table of its
 * own transaction looks for no free space in earlier pages, so that places in the stage rise with the rows; DuckDB is told to
 * keep their order. */
static void add_newest_first(const struct rf_plan *plan, struct rf_text *out) {
    if (is_given(plan)) rf_text_addf(out, "%s DESC", dialect_of(plan)->arrival);
    else rf_text_add(out, "\"_rowferry_age\", \"_rowferry_place\" DESC");
}

static void add_live(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, " FROM ");
    rf_sql_add_stage(plan, out);
    if (plan->mark_gone) rf_text_add(out, " WHERE NOT \"_rowferry_gone\"");
}

static void add_newest_by_name(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, " FROM ");
    rf_sql_add_stage(plan, out);
    rf_text_addf(out, " WHERE %s IN (SELECT DISTINCT ON (", dialect_of(plan)->arrival);
    add_staged_key_values(plan, out);
    rf_text_addf(out, ") %s", dialect_of(plan)->arrival);
    add_live(plan, out);
    rf_text_add(out, " ORDER BY ");
    add_staged_key_values(plan, out);
    rf_text_add(out, ", ");
    add_newest_first(plan, out);
    rf_text_add(out, ")");
}

/* The rows of the stage to merge: one for each key. DuckDB would sort whole rows for an order that nobody needs. */
void rf_sql_add_live_rows(const struct rf_plan *plan, struct rf_text *out) {
    bool by_name = plan->dedupe && dialect_of(plan)->names_rows, distinct = plan->dedupe && !by_name;
    rf_text_add(out, "SELECT ");
    if (distinct) {
        rf_text_add(out, "DISTINCT ON (");
        rf_sql_add_keys(plan, out);
        rf_text_add(out, ") ");
    }
    add_staged_columns(plan, out);
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_rowferry_xid\"");
    if (by_name) {
        add_newest_by_name(plan, out);
        return;
    }
    add_live(plan, out);
    bool any_order = (plan->job->mode == RF_MODE_REPLACE || rf_settles(plan)) && !distinct;
    if (any_order || !dialect_of(plan)->locks_rows) return;
    rf_text_add(out, " ORDER BY ");
    rf_sql_add_keys(plan, out);
    if (!distinct) return;
    rf_text_add(out, ", ");
    add_newest_first(plan, out);
}

/* The keys too: equal is not identical, as 1.0 and 1.00 are, or the cases of a citext. */
static void add_assignments(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        rf_text_identifier(out, plan->source->columns[i].name);
        rf_text_add(out, " = excluded.");
        rf_text_identifier(out, plan->source->columns[i].name);
        rf_text_add(out, ", ");
    }
    for (int i = 0; i < plan->n_dropped; i++) {
        rf_text_identifier(out, plan->dropped[i]);
        rf_text_add(out, " = NULL, ");
    }
    rf_text_add(out, "\"_extracted_at\" = excluded.\"_extracted_at\", \"_load_id\" = excluded.\"_load_id\", \"_deleted_at\" = NULL");
}

/* Whether a row is new shows in the returned row: documented as old.* from 18 on; before, a row that ON
 * CONFLICT updated carries its lock in xmax and an inserted one carries none. */
static void add_is_new(const struct rf_plan *plan, struct rf_text *out) {
    if (plan->target->server.version < 180000) {
        rf_text_add(out, "t.xmax = 0");
        return;
    }
    rf_text_add(out, "old.");
    rf_text_identifier(out, key_name(plan, 0));
    rf_text_add(out, " IS NULL");
}

/* Up to the values of the columns of a row of `side`, of _extracted_at and of _load_id; those of `more` follow. */
static void begin_insert(const struct rf_plan *plan, const char *alias, const char *more, const char *side, struct rf_text *out) {
    rf_text_add(out, "INSERT INTO ");
    rf_sql_add_target(plan, out);
    rf_text_addf(out, "%s (", alias);
    rf_sql_add_columns(plan, "", out);
    rf_text_addf(out, ", \"_extracted_at\", \"_load_id\"%s) SELECT ", more);
    rf_sql_add_columns(plan, side, out);
    rf_text_add(out, ", ");
    rf_text_literal(out, plan->extracted_at);
    rf_text_addf(out, "::timestamptz, %" PRId64 "::bigint", plan->load_id);
}

void rf_sql_merge(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "WITH merged AS (");
    begin_insert(plan, " AS t", "", "s.", out);
    rf_text_add(out, " FROM (");
    rf_sql_add_live_rows(plan, out);
    rf_text_add(out, ") s ON CONFLICT (");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, ") DO UPDATE SET ");
    add_assignments(plan, out);
    rf_text_add(out, " WHERE t.\"_load_id\" < excluded.\"_load_id\" RETURNING ");
    add_is_new(plan, out);
    rf_text_add(out, " AS is_new) SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM merged");
}

/* ---- replacing ---- */

/* Readers see the rows of before until the commit; neither TRUNCATE, which locks them out, nor DROP, by which grants go. */
void rf_sql_delete_all(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "DELETE FROM ");
    rf_sql_add_target(plan, out);
}

void rf_sql_insert_all(const struct rf_plan *plan, struct rf_text *out) {
    begin_insert(plan, "", "", "s.", out);
    rf_text_add(out, " FROM (");
    rf_sql_add_live_rows(plan, out);
    rf_text_add(out, ") s");
}

void rf_sql_count_stage(const struct rf_plan *plan, struct rf_text *out) {
    const char *live = plan->mark_gone ? "NOT \"_rowferry_gone\"" : "true";
    rf_text_addf(out, "SELECT count(*) FILTER (WHERE NOT live), count(*) FILTER (WHERE live) - (SELECT count(*) FROM (SELECT DISTINCT ");
    add_staged_keys(plan, out);
    rf_text_add(out, " FROM ");
    rf_sql_add_stage(plan, out);
    rf_text_addf(out, " WHERE %s) k) FROM (SELECT %s AS live FROM ", live, live);
    rf_sql_add_stage(plan, out);
    rf_text_add(out, ") s");
}

void rf_sql_count_stale(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM (");
    rf_sql_add_live_rows(plan, out);
    rf_text_add(out, ") s JOIN ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t ON ");
    rf_sql_add_key_match(plan, out);
    rf_text_addf(out, " WHERE t.\"_load_id\" > %" PRId64, plan->load_id);
}

void rf_sql_duplicate_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT string_agg(k, ', ') FROM (SELECT ROW(");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, ")::text AS k FROM (SELECT ");
    add_staged_keys(plan, out);
    rf_text_add(out, " FROM ");
    rf_sql_add_stage(plan, out);
    if (plan->mark_gone) rf_text_add(out, " WHERE NOT \"_rowferry_gone\"");
    rf_text_add(out, ") s");
    rf_text_add(out, " GROUP BY ");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, " HAVING count(*) > 1 ORDER BY 1 LIMIT 5) d");
}

/* ---- rows that are gone ---- */

/* Where versions are kept, that a row is gone is its last one: its values of before, and when it was found to be. */
static void add_last_versions(const struct rf_plan *plan, const char *from, struct rf_text *out) {
    begin_insert(plan, "", ", \"_deleted_at\", \"_source_xid\"", "t.", out);
    rf_text_add(out, ", ");
    rf_text_literal(out, plan->extracted_at);
    rf_text_add(out, "::timestamptz, t.\"_source_xid\" FROM ");
    rf_sql_add_target(plan, out);
    rf_text_addf(out, " t%s%s WHERE t.\"_load_id\" < %" PRId64 " AND t.\"_deleted_at\" IS NULL", from ? ", " : "", from ? from : "", plan->load_id);
    rf_sql_add_newest_version(plan, out);
}

/* A closed row carries this load's metadata, so that models see that it changed. Begins a statement over `t`, joined
 * with what follows. */
static void add_closing(const struct rf_plan *plan, const char *from, struct rf_text *out) {
    bool remove = plan->job->on_delete == RF_DELETE_REMOVE;
    if (rf_keeps_versions(plan)) {
        add_last_versions(plan, from, out);
        return;
    }
    rf_text_add(out, remove ? "DELETE FROM " : "UPDATE ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t");
    if (!remove) {
        rf_text_add(out, " SET \"_deleted_at\" = ");
        rf_text_literal(out, plan->extracted_at);
        rf_text_add(out, ", \"_extracted_at\" = ");
        rf_text_literal(out, plan->extracted_at);
        rf_text_addf(out, ", \"_load_id\" = %" PRId64, plan->load_id);
    }
    if (from) rf_text_addf(out, " %s %s", remove ? "USING" : "FROM", from);
    rf_text_addf(out, " WHERE t.\"_load_id\" < %" PRId64, plan->load_id);
    if (!remove) rf_text_add(out, " AND t.\"_deleted_at\" IS NULL");
}

void rf_sql_close_gone(const struct rf_plan *plan, struct rf_text *out) {
    struct rf_text gone = {0};
    rf_text_add(&gone, "(SELECT DISTINCT ");
    rf_sql_add_keys(plan, &gone);
    rf_text_add(&gone, " FROM ");
    rf_sql_add_stage(plan, &gone);
    rf_text_add(&gone, " WHERE \"_rowferry_gone\") s");
    if (gone.failed) out->failed = true;
    else add_closing(plan, gone.data, out);
    rf_text_free(&gone);
    rf_text_add(out, " AND ");
    rf_sql_add_key_match(plan, out);
}

void rf_sql_add_unless_in(const struct rf_plan *plan, rf_statement_maker *stage, struct rf_text *out) {
    rf_text_add(out, " AND NOT EXISTS (SELECT 1 FROM ");
    stage(plan, out);
    rf_text_add(out, " s WHERE ");
    rf_sql_add_key_match(plan, out);
    rf_text_add(out, ")");
}

/* The merge just stamped every row that the source still has: what carries an older load is absent there. */
void rf_sql_close_absent(const struct rf_plan *plan, struct rf_text *out) {
    add_closing(plan, NULL, out);
    if (rf_keeps_versions(plan)) rf_sql_add_unless_in(plan, rf_sql_add_stage, out); /* a row that is as it was got no new version */
}

void rf_sql_add_key_stage(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_addf(out, "%s.\"" RF_KEY_STAGE "\"", dialect_of(plan)->temporary, plan->load_id);
}

void rf_sql_create_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_addf(out, "CREATE TEMPORARY TABLE \"" RF_KEY_STAGE "\" (", plan->load_id);
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, ", ");
        rf_text_identifier(out, key_name(plan, k));
        rf_text_addf(out, " %s", staged_type(plan, plan->source->keys[k]));
    }
    rf_text_addf(out, ")%s", dialect_of(plan)->temporary_end);
}

void rf_sql_write_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "COPY ");
    rf_sql_add_key_stage(plan, out);
    rf_text_add(out, " FROM STDIN (FORMAT binary)");
}

void rf_sql_sweep(const struct rf_plan *plan, struct rf_text *out) {
    add_closing(plan, NULL, out);
    rf_sql_add_unless_in(plan, rf_sql_add_key_stage, out);
}

void rf_sql_count_live(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT (SELECT count(*) FROM ");
    if (plan->dedupe) {
        rf_text_add(out, "(SELECT DISTINCT ");
        rf_sql_add_keys(plan, out);
        rf_text_add(out, " FROM ");
    }
    rf_sql_add_key_stage(plan, out);
    if (plan->dedupe) rf_text_add(out, ") k");
    rf_text_add(out, "), (SELECT count(*) FROM ");
    rf_sql_add_target(plan, out);
    rf_sql_add_live_condition(plan, out);
    rf_text_add(out, ")");
}

/* ---- what the cursor had missed ---- */

/* Where the target is wider the staged value is taken as its. */
static void add_row_text(const struct rf_plan *plan, const char *side, bool staged, struct rf_text *out) {
    rf_text_add(out, "ROW(");
    for (int i = 0; i < plan->source->n_columns; i++) {
        rf_text_add(out, i > 0 ? ", " : "");
        rf_text_add(out, side);
        rf_text_identifier(out, plan->source->columns[i].name);
        if (staged) rf_text_addf(out, "::%s", rf_target_column(plan, i)->type);
    }
    rf_text_addf(out, ")%s", dialect_of(plan)->row_end);
}

/* The staged rows, one for each key. */
static void add_newest_rows(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "(SELECT DISTINCT ON (");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, ") * FROM ");
    rf_sql_add_stage(plan, out);
    rf_text_add(out, " ORDER BY ");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, ", \"_rowferry_age\", \"_rowferry_place\" DESC)");
}

/* Before the merge. A late row that the target already has as it is was brought by an earlier run. */
void rf_sql_count_missed(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM ");
    if (plan->dedupe) add_newest_rows(plan, out);
    else rf_sql_add_stage(plan, out);
    rf_text_add(out, " s LEFT JOIN ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t ON ");
    rf_sql_add_key_match(plan, out);
    rf_sql_add_newest_version(plan, out);
    rf_text_add(out, " WHERE s.\"_rowferry_late\" AND ");
    if (plan->mark_gone) rf_text_add(out, "CASE WHEN s.\"_rowferry_gone\" THEN t.\"_load_id\" IS NOT NULL AND t.\"_deleted_at\" IS NULL ELSE ");
    rf_text_add(out, "(t.\"_load_id\" IS NULL OR t.\"_deleted_at\" IS NOT NULL OR ");
    add_row_text(plan, "t.", false, out);
    rf_text_add(out, dialect_of(plan)->differs);
    add_row_text(plan, "s.", true, out);
    rf_text_add(out, plan->mark_gone ? ") END" : ")");
}

/* ---- comparing ---- */

void rf_sql_target_values(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    rf_sql_add_columns(plan, "", out);
    rf_text_add(out, " FROM ");
    rf_sql_add_target(plan, out);
    rf_sql_add_live_condition(plan, out);
}

/* ---- appending ---- */

/* Of a row `t` of the target and one `s` of the stage. */
#define SAME_XID "(t.\"_source_xid\" = s.\"_rowferry_xid\" AND s.\"_rowferry_xid\" > 0)"

/* To DuckDB -0 is 0, and not distinct from it; their texts differ. */
static void add_signed_zeros(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        const char *type = rf_target_column(plan, i)->type, *name = plan->source->columns[i].name;
        if (!strstr(type, "DOUBLE") && !strstr(type, "FLOAT")) continue;
        rf_text_add(out, " OR CAST(t.");
        rf_text_identifier(out, name);
        rf_text_add(out, " AS VARCHAR) IS DISTINCT FROM CAST(s.");
        rf_text_identifier(out, name);
        rf_text_add(out, " AS VARCHAR)");
    }
}

/* The newest version of the staged row's key, as t. PostgreSQL would join a few staged rows with all versions of all keys twice, and finds each in
 * the key's index when it is asked for one; of a full read the join is the shorter way, and DuckDB makes one of either. */
static void add_newest_of_key(const struct rf_plan *plan, struct rf_text *out) {
    bool looks_up = !plan->full_read && plan->target->dialect == RF_DIALECT_POSTGRES;
    if (looks_up) rf_text_add(out, "(SELECT * FROM ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t WHERE ");
    rf_sql_add_key_match(plan, out);
    if (looks_up) {
        rf_text_add(out, " ORDER BY t.\"_load_id\" DESC LIMIT 1) t WHERE ");
        return;
    }
    rf_sql_add_newest_version(plan, out);
    rf_text_add(out, " AND ");
}

void rf_sql_add_is_known(const struct rf_plan *plan, rf_statement_maker *differ, struct rf_text *out) {
    rf_text_add(out, "EXISTS (SELECT 1 FROM ");
    add_newest_of_key(plan, out);
    rf_text_add(out, "t.\"_deleted_at\" IS NULL AND (");
    if (!plan->full_read) rf_text_add(out, SAME_XID " OR ");
    rf_text_add(out, "NOT (");
    differ(plan, out);
    rf_text_add(out, ")))");
}

static void add_values_differ(const struct rf_plan *plan, struct rf_text *out) {
    add_row_text(plan, "t.", false, out);
    rf_text_add(out, dialect_of(plan)->differs);
    add_row_text(plan, "s.", true, out);
    if (dialect_of(plan)->names_rows) add_signed_zeros(plan, out);
}

void rf_sql_append(const struct rf_plan *plan, struct rf_text *out) {
    begin_insert(plan, "", ", \"_source_xid\"", "s.", out);
    rf_text_add(out, ", s.\"_rowferry_xid\" FROM (");
    rf_sql_add_live_rows(plan, out);
    rf_text_add(out, ") s");
    if (rf_settles(plan)) return;
    rf_text_add(out, " WHERE NOT ");
    rf_sql_add_is_known(plan, add_values_differ, out);
}

void rf_sql_has_rows(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM (SELECT 1 FROM ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " LIMIT 1) t");
}

void rf_sql_count_known(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM (");
    rf_sql_add_live_rows(plan, out);
    rf_text_add(out, ") s WHERE ");
    rf_sql_add_is_known(plan, add_values_differ, out);
}

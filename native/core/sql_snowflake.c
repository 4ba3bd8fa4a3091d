#include "core/sql_snowflake.h"

#include "core/dialect.h"
#include "core/listing.h"
#include "core/snowflake_names.h"
#include "core/sql_target.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FILES "rowferry_files_%" PRId64

/* Now in UTC, whatever the session's zone. */
#define NOW "SYSDATE()"

/* ---- names ---- */

static void add_qualified(const struct rf_job *job, const char *schema, const char *name, struct rf_text *out) {
    rf_snowflake_identifier(out, job->target_database);
    rf_text_add(out, ".");
    rf_snowflake_identifier(out, schema);
    rf_text_add(out, ".");
    rf_snowflake_identifier(out, name);
}

static void add_control(const struct rf_job *job, const char *table, struct rf_text *out) {
    add_qualified(job, job->control_schema, table, out);
}

void rf_snowflake_add_target(const struct rf_plan *plan, struct rf_text *out) {
    add_qualified(plan->job, plan->job->target_schema, plan->job->target_table, out);
}

/* A name with the load's number in it. */
static void add_numbered(const struct rf_plan *plan, const char *name, struct rf_text *out) {
    char text[64];
    snprintf(text, sizeof text, "%s_%" PRId64, name, plan->load_id);
    rf_snowflake_identifier(out, text);
}

static void add_stage(const struct rf_plan *plan, struct rf_text *out) {
    add_numbered(plan, "rowferry_stage", out);
}

static void add_key_stage(const struct rf_plan *plan, struct rf_text *out) {
    add_numbered(plan, "rowferry_keys", out);
}

static void add_files(const struct rf_plan *plan, const char *folder, struct rf_text *out) {
    rf_text_addf(out, "@rowferry_files_%" PRId64 "/%s", plan->load_id, folder);
}

static const struct rf_column *column(const struct rf_plan *plan, int i) {
    return &plan->source->columns[i];
}

static const struct rf_column *key(const struct rf_plan *plan, int k) {
    return column(plan, plan->source->keys[k]);
}

static void add_list(const struct rf_plan *plan, const char *prefix, bool keys_only, struct rf_text *out) {
    int n = keys_only ? plan->source->n_keys : plan->source->n_columns;
    for (int i = 0; i < n; i++) {
        rf_text_addf(out, "%s%s", i > 0 ? ", " : "", prefix);
        rf_snowflake_identifier(out, keys_only ? key(plan, i)->name : column(plan, i)->name);
    }
}

static void add_columns(const struct rf_plan *plan, const char *prefix, struct rf_text *out) {
    add_list(plan, prefix, false, out);
}

static void add_keys(const struct rf_plan *plan, const char *prefix, struct rf_text *out) {
    add_list(plan, prefix, true, out);
}

/* t."K" = s."K" for each column of the key */
static void add_key_match(const struct rf_plan *plan, struct rf_text *out) {
    for (int k = 0; k < plan->source->n_keys; k++) {
        rf_text_add(out, k > 0 ? " AND t." : "t.");
        rf_snowflake_identifier(out, key(plan, k)->name);
        rf_text_add(out, " = s.");
        rf_snowflake_identifier(out, key(plan, k)->name);
    }
}

static void add_time(const char *time, struct rf_text *out) {
    rf_text_escaped_literal(out, time);
    rf_text_add(out, "::TIMESTAMP_TZ");
}

/* ---- sessions ---- */

void rf_snowflake_session(const struct rf_job *job, struct rf_text *out) {
    struct rf_text tag = {0};
    rf_text_addf(&tag, "%s; run %s", job->application, job->run_id);
    out->failed |= tag.failed;
    rf_text_add(out, "ALTER SESSION SET TIMEZONE = 'UTC', TIMESTAMP_INPUT_FORMAT = 'AUTO', DATE_INPUT_FORMAT = 'AUTO', TIME_INPUT_FORMAT = 'AUTO',"
                     " BINARY_INPUT_FORMAT = 'HEX', QUOTED_IDENTIFIERS_IGNORE_CASE = FALSE, ERROR_ON_NONDETERMINISTIC_MERGE = TRUE,"
                     " ABORT_DETACHED_QUERY = TRUE, ");
    rf_text_addf(out, "LOCK_TIMEOUT = %" PRId64 ", QUERY_TAG = ", (int64_t)job->lock_timeout + 1);
    rf_text_escaped_literal(out, tag.data ? tag.data : "");
    rf_text_free(&tag);
}

const char RF_SNOWFLAKE_SESSION[] = "SELECT CURRENT_SESSION()::VARCHAR";

const char RF_SNOWFLAKE_ACCOUNT[] = "SELECT CURRENT_USER(), CURRENT_VERSION(), CURRENT_ROLE()";

const char RF_SNOWFLAKE_TRANSACTION[] = "SELECT CURRENT_TRANSACTION()::VARCHAR";

void rf_snowflake_abort(const char *transaction, struct rf_text *out) {
    rf_text_addf(out, "SELECT SYSTEM$ABORT_TRANSACTION(%s)", transaction);
}

void rf_snowflake_end_session(const char *session, struct rf_text *out) {
    rf_text_addf(out, "SELECT SYSTEM$ABORT_SESSION(%s)", session);
}

/* ---- control tables ---- */

static void add_catalog(const struct rf_job *job, const char *view, struct rf_text *out) {
    rf_snowflake_identifier(out, job->target_database);
    rf_text_addf(out, ".INFORMATION_SCHEMA.%s", view);
}

static void add_has_schema(const struct rf_job *job, const char *schema, struct rf_text *out) {
    rf_text_add(out, "(SELECT COUNT(*) > 0 FROM ");
    add_catalog(job, "SCHEMATA", out);
    rf_text_add(out, " WHERE SCHEMA_NAME = ");
    rf_snowflake_name_literal(out, schema);
    rf_text_add(out, ")::VARCHAR");
}

void rf_snowflake_schemas(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    add_has_schema(job, job->control_schema, out);
    rf_text_add(out, ", (SELECT COUNT(*) = 2 FROM ");
    add_catalog(job, "TABLES", out);
    rf_text_add(out, " WHERE TABLE_SCHEMA = ");
    rf_snowflake_name_literal(out, job->control_schema);
    rf_text_add(out, " AND TABLE_NAME IN ('LOADS', 'LEASES'))::VARCHAR, ");
    if (job->target_schema) add_has_schema(job, job->target_schema, out);
    else rf_text_add(out, "'false'");
}

void rf_snowflake_create_schema(const struct rf_job *job, const char *schema, struct rf_text *out) {
    rf_text_add(out, "CREATE SCHEMA IF NOT EXISTS ");
    rf_snowflake_identifier(out, job->target_database);
    rf_text_add(out, ".");
    rf_snowflake_identifier(out, schema);
}

void rf_snowflake_drop_schema(const struct rf_job *job, const char *schema, struct rf_text *out) {
    rf_text_add(out, "DROP SCHEMA IF EXISTS ");
    rf_snowflake_identifier(out, job->target_database);
    rf_text_add(out, ".");
    rf_snowflake_identifier(out, schema);
    rf_text_add(out, " CASCADE");
}

void rf_snowflake_create_loads(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "CREATE TABLE IF NOT EXISTS ");
    add_control(job, "loads", out);
    rf_text_add(out,
                " (target_table VARCHAR NOT NULL, load_id NUMBER(19,0) NOT NULL, kind VARCHAR NOT NULL, source_table VARCHAR, source_name VARCHAR,"
                " run_id VARCHAR, try_number NUMBER(10,0), increment NUMBER(10,0), map_index NUMBER(10,0), capture VARCHAR, completeness VARCHAR, hard_deletes VARCHAR,"
                " snapshot VARCHAR, source_system VARCHAR, source_timeline NUMBER(10,0), source_database VARCHAR, source_table_oid NUMBER(10,0), source_lsn VARCHAR,"
                " fingerprint VARCHAR, extracted_at TIMESTAMP_TZ, rows_read NUMBER(19,0), rows_inserted NUMBER(19,0), rows_updated NUMBER(19,0),"
                " rows_deleted NUMBER(19,0), rows_duplicate NUMBER(19,0), rows_stale NUMBER(19,0), bytes_read NUMBER(19,0), report VARIANT, chosen VARCHAR,"
                " proven_snapshot VARCHAR, watermark TIMESTAMP_TZ, loads_since_audit NUMBER(19,0), loads_since_sweep NUMBER(19,0), rows_missed NUMBER(19,0),"
                " cursor_columns VARCHAR, doubted BOOLEAN, committed_at TIMESTAMP_TZ NOT NULL, target_file VARCHAR, PRIMARY KEY (target_table, load_id))");
}

void rf_snowflake_create_leases(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "CREATE TABLE IF NOT EXISTS ");
    add_control(job, "leases", out);
    rf_text_add(out,
                " (target_table VARCHAR NOT NULL, load_id NUMBER(19,0) NOT NULL, token VARCHAR, run_id VARCHAR NOT NULL, try_number NUMBER(10,0) NOT NULL,"
                " map_index NUMBER(10,0), application VARCHAR, session_id VARCHAR, taken_at TIMESTAMP_NTZ NOT NULL, expires_at TIMESTAMP_NTZ NOT NULL,"
                " PRIMARY KEY (target_table))");
}

/* ---- the lease ---- */

static void add_of_target(const struct rf_job *job, const char *table, struct rf_text *out) {
    add_control(job, table, out);
    rf_text_add(out, " WHERE target_table = ");
    rf_text_escaped_literal(out, job->target_label);
}

static void add_expiry(const struct rf_job *job, struct rf_text *out) {
    rf_text_addf(out, "DATEADD(MILLISECOND, %" PRId64 ", " NOW ")", (int64_t)(job->lease_seconds * 1000));
}

static void add_lease_row(const struct rf_job *job, const char *token, const char *session, struct rf_text *out) {
    const char *values[] = {job->target_label, token, job->run_id};
    static const char *const names[] = {"target_table", "token", "run_id"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        rf_text_escaped_literal(out, values[i]);
        rf_text_addf(out, " AS %s, ", names[i]);
    }
    rf_text_addf(out, "%d AS try_number, ", job->try_number);
    if (job->map_index < 0) rf_text_add(out, "NULL");
    else rf_text_addf(out, "%d", job->map_index);
    rf_text_add(out, " AS map_index, ");
    rf_text_escaped_literal(out, job->application);
    rf_text_add(out, " AS application, ");
    rf_text_escaped_literal(out, session);
    rf_text_add(out, " AS session_id, " NOW " AS taken_at, ");
    add_expiry(job, out);
    rf_text_add(out, " AS expires_at, 1 + GREATEST(COALESCE((SELECT MAX(load_id) FROM ");
    add_of_target(job, "loads", out);
    rf_text_add(out, "), 0), COALESCE((SELECT MAX(load_id) FROM ");
    add_of_target(job, "leases", out);
    rf_text_add(out, "), 0)) AS load_id");
}

/* Load ids never fall back, not even when the leases were emptied by hand. Two takers at once may both be told so; whose
 * token then stands in the row has it, and the record asks for that token. */
void rf_snowflake_take_lease(const struct rf_job *job, const char *token, const char *session, struct rf_text *out) {
    rf_text_add(out, "MERGE INTO ");
    add_control(job, "leases", out);
    rf_text_add(out, " t USING (SELECT ");
    add_lease_row(job, token, session, out);
    rf_text_add(out, ") s ON t.target_table = s.target_table WHEN MATCHED AND (t.token IS NULL OR t.expires_at < " NOW " OR (t.run_id = ");
    rf_text_escaped_literal(out, job->run_id);
    rf_text_addf(out, " AND t.try_number < %d)) THEN UPDATE SET load_id = s.load_id, token = s.token, run_id = s.run_id, try_number = s.try_number,"
                      " map_index = s.map_index, application = s.application, session_id = s.session_id, taken_at = s.taken_at, expires_at = s.expires_at"
                      " WHEN NOT MATCHED THEN INSERT (target_table, load_id, token, run_id, try_number, map_index, application, session_id, taken_at, expires_at)"
                      " VALUES (s.target_table, s.load_id, s.token, s.run_id, s.try_number, s.map_index, s.application, s.session_id, s.taken_at, s.expires_at)",
                 job->try_number);
}

/* Keys are not enforced: of two rows that were inserted at once this one counts, to everybody. */
#define HOLDER " ORDER BY load_id DESC, token DESC NULLS LAST LIMIT 1"

void rf_snowflake_read_lease(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT load_id::VARCHAR, token, run_id, try_number::VARCHAR, application, session_id FROM ");
    add_of_target(job, "leases", out);
    rf_text_add(out, HOLDER);
}

static void add_lease_change(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "UPDATE ");
    add_control(job, "leases", out);
    rf_text_add(out, " SET ");
}

static void add_lease_condition(const struct rf_job *job, const char *token, struct rf_text *out) {
    rf_text_add(out, " WHERE target_table = ");
    rf_text_escaped_literal(out, job->target_label);
    rf_text_add(out, " AND token = ");
    rf_text_escaped_literal(out, token);
}

void rf_snowflake_renew_lease(const struct rf_job *job, const char *token, struct rf_text *out) {
    add_lease_change(job, out);
    rf_text_add(out, "expires_at = ");
    add_expiry(job, out);
    add_lease_condition(job, token, out);
}

void rf_snowflake_give_back(const struct rf_job *job, const char *token, struct rf_text *out) {
    add_lease_change(job, out);
    rf_text_add(out, "token = NULL");
    add_lease_condition(job, token, out);
}

/* ---- load records ---- */

#define ISO_TIME "'YYYY-MM-DD\"T\"HH24:MI:SS.FF6'"

static void add_utc(const char *time, struct rf_text *out) {
    rf_text_addf(out, "TO_CHAR(CONVERT_TIMEZONE('UTC', %s), " ISO_TIME ") || '+00:00'", time);
}

/* A reset forgets what was read, not where and when: those come from the newest load proper. */
void rf_snowflake_newest_load(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT n.load_id::VARCHAR, (n.kind = 'reset')::VARCHAR, n.source_table, l.source_system, l.source_timeline::VARCHAR, l.source_database,"
                     " l.source_table_oid::VARCHAR, n.snapshot, l.source_lsn, n.fingerprint, n.chosen, n.proven_snapshot, n.target_file,"
                     " n.loads_since_audit::VARCHAR, n.loads_since_sweep::VARCHAR, n.rows_missed::VARCHAR, n.cursor_columns, COALESCE(n.doubted, FALSE)::VARCHAR, ");
    add_utc("n.watermark", out);
    rf_text_add(out, ", ");
    add_utc("l.extracted_at", out);
    rf_text_add(out, ", n.report:mode::VARCHAR FROM (SELECT * FROM ");
    add_of_target(job, "loads", out);
    rf_text_add(out, " ORDER BY load_id DESC LIMIT 1) n LEFT JOIN (SELECT * FROM ");
    add_of_target(job, "loads", out);
    rf_text_add(out, " AND kind = 'load' ORDER BY load_id DESC LIMIT 1) l ON l.target_table = n.target_table");
}

void rf_snowflake_run_total(const struct rf_job *job, struct rf_text *out) {
    static const char *const sums[] = {"rows_read", "rows_inserted", "rows_updated", "rows_deleted", "rows_duplicate", "rows_stale", "bytes_read"};
    rf_text_add(out, "SELECT COUNT(*)::VARCHAR");
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) rf_text_addf(out, ", COALESCE(SUM(%s), 0)::VARCHAR", sums[i]);
    rf_text_add(out, " FROM ");
    add_of_target(job, "loads", out);
    rf_text_add(out, " AND kind = 'load' AND source_table = ");
    rf_text_escaped_literal(out, job->source_label);
    rf_text_add(out, " AND run_id = ");
    rf_text_escaped_literal(out, job->run_id);
}

void rf_snowflake_file(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT COUNT(*)::VARCHAR || ' rows, load ' || COALESCE(MAX(\"_LOAD_ID\"), 0)::VARCHAR FROM ");
    add_qualified(job, job->target_schema, job->target_table, out);
}

enum { RECORD_KIND = 2, RECORD_MAP_INDEX = 8, RECORD_REPORT = 27 };

static void add_record_value(const struct rf_record *record, int i, struct rf_text *out) {
    bool unmapped = i == RECORD_MAP_INDEX && strcmp(record->values[i], "-1") == 0;
    bool is_json = i == RECORD_REPORT && record->values[i];
    if (is_json) rf_text_add(out, "PARSE_JSON(");
    rf_text_escaped_literal(out, unmapped ? NULL : record->values[i]);
    if (is_json) rf_text_add(out, ")");
    rf_text_add(out, ", ");
}

void rf_snowflake_insert_load(const struct rf_job *job, const struct rf_record *record, const char *token, struct rf_text *out) {
    bool is_load = strcmp(record->values[RECORD_KIND], "load") == 0;
    rf_text_add(out, "INSERT INTO ");
    add_control(job, "loads", out);
    rf_text_add(out, " SELECT ");
    for (int i = 0; i < RF_RECORD_VALUES; i++) add_record_value(record, i, out);
    rf_text_add(out, NOW "::TIMESTAMP_TZ, ");
    rf_text_add(out, is_load ? "(" : "NULL");
    if (is_load) rf_snowflake_file(job, out);
    rf_text_add(out, is_load ? ") WHERE NOT EXISTS (SELECT 1 FROM " : " WHERE NOT EXISTS (SELECT 1 FROM ");
    add_of_target(job, "loads", out);
    rf_text_addf(out, " AND load_id >= %s) AND ", record->values[1]);
    rf_text_escaped_literal(out, token);
    rf_text_add(out, " = (SELECT token FROM ");
    add_of_target(job, "leases", out);
    rf_text_add(out, HOLDER ")");
}

void rf_snowflake_find_load(const struct rf_job *job, int64_t load_id, struct rf_text *out) {
    rf_text_add(out, "SELECT (COUNT(*) = 1)::VARCHAR FROM ");
    add_of_target(job, "loads", out);
    rf_text_addf(out, " AND load_id = %" PRId64, load_id);
}

void rf_snowflake_list_loads(const struct rf_job *job, struct rf_text *out) {
    static const char *const names[] = {
        "target_table", "load_id", "kind", "source_table", "source_name", "run_id", "try_number", "increment", "map_index", "capture", "completeness",
        "hard_deletes", "snapshot", "source_system", "source_timeline", "source_database", "source_table_oid", "source_lsn", "fingerprint", "rows_read",
        "rows_inserted", "rows_updated", "rows_deleted", "rows_duplicate", "rows_stale", "bytes_read", "report", "chosen", "proven_snapshot",
        "loads_since_audit", "loads_since_sweep", "rows_missed", "cursor_columns", "doubted", "target_file"};
    static const char *const times[] = {"extracted_at", "watermark", "committed_at"};
    struct rf_text loads = {0};
    rf_text_add(out, "SELECT TO_JSON(OBJECT_CONSTRUCT_KEEP_NULL(");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) rf_text_addf(out, "'%s', %s, ", names[i], names[i]);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        rf_text_addf(out, "%s'%s', ", i > 0 ? ", " : "", times[i]);
        add_utc(times[i], out);
    }
    rf_text_add(out, "))::VARCHAR FROM ");
    if (job->target_label) add_of_target(job, "loads", &loads);
    else add_control(job, "loads", &loads);
    rf_sql_add_listed_loads(job, &loads, job->target_label ? "AND" : "WHERE", out);
    rf_text_add(out, " ORDER BY target_table, load_id DESC");
}

/* ---- the target as it stands ---- */

static void add_this_table(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, " WHERE TABLE_SCHEMA = ");
    rf_snowflake_name_literal(out, job->target_schema);
    rf_text_add(out, " AND TABLE_NAME = ");
    rf_snowflake_name_literal(out, job->target_table);
}

void rf_snowflake_find_target(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT TO_CHAR(" NOW ", " ISO_TIME ") || '+00:00', CURRENT_VERSION(), (SELECT MAX(TABLE_TYPE) FROM ");
    add_catalog(job, "TABLES", out);
    add_this_table(job, out);
    rf_text_add(out, ")");
}

/* The names of types are those of the table of types: a text is VARCHAR, whatever its length. */
void rf_snowflake_columns(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT COLUMN_NAME, CASE DATA_TYPE WHEN 'NUMBER' THEN 'NUMBER(' || NUMERIC_PRECISION::VARCHAR || ',' || NUMERIC_SCALE::VARCHAR || ')'"
                     " WHEN 'TEXT' THEN 'VARCHAR' ELSE DATA_TYPE END, (IS_NULLABLE = 'NO')::VARCHAR FROM ");
    add_catalog(job, "COLUMNS", out);
    add_this_table(job, out);
    rf_text_add(out, " ORDER BY ORDINAL_POSITION");
}

void rf_snowflake_key(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SHOW PRIMARY KEYS IN TABLE ");
    add_qualified(job, job->target_schema, job->target_table, out);
}

/* ---- the load: DDL ---- */

void rf_snowflake_use_schema(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "USE SCHEMA ");
    rf_snowflake_identifier(out, job->target_database);
    rf_text_add(out, ".");
    rf_snowflake_identifier(out, job->target_schema);
}

/* A copy may do without. Of a key's versions each load brings one. */
static void add_primary_key(const struct rf_plan *plan, struct rf_text *out) {
    if (plan->source->n_keys == 0) return;
    rf_text_add(out, ", PRIMARY KEY (");
    add_keys(plan, "", out);
    rf_text_add(out, rf_keeps_versions(plan) ? ", \"_LOAD_ID\")" : ")");
}

/* Keys are not enforced: the primary key says to people and to the next run what identifies a row. */
void rf_snowflake_create_target(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "CREATE TABLE IF NOT EXISTS ");
    rf_snowflake_add_target(plan, out);
    rf_text_add(out, " (");
    for (int i = 0; i < plan->source->n_columns; i++) {
        rf_snowflake_identifier(out, column(plan, i)->name);
        rf_text_addf(out, " %s%s, ", rf_target_column(plan, i)->type, column(plan, i)->not_null || rf_is_key(plan->source, i) ? " NOT NULL" : "");
    }
    rf_text_add(out, "\"_EXTRACTED_AT\" TIMESTAMP_TZ NOT NULL, \"_LOAD_ID\" NUMBER(19,0) NOT NULL, \"_DELETED_AT\" TIMESTAMP_TZ");
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_SOURCE_XID\" NUMBER(19,0)");
    add_primary_key(plan, out);
    rf_text_add(out, ")");
}

/* The rows of a stream have no age: the later one is the newer, and its place is its number. */
static bool is_given(const struct rf_plan *plan) {
    return plan->reading == RF_READ_GIVEN;
}

static void add_staged_column(const struct rf_column *column, struct rf_text *out) {
    rf_snowflake_identifier(out, column->name);
    rf_text_addf(out, " %s", column->read_by ? "VARCHAR" : column->arrives_as);
}

void rf_snowflake_create_stage(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "CREATE TEMPORARY TABLE ");
    add_stage(plan, out);
    rf_text_add(out, " (");
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        add_staged_column(column(plan, i), out);
    }
    if (is_given(plan)) rf_text_add(out, ", \"_ROWFERRY_PLACE\" NUMBER(19,0)");
    else if (plan->dedupe) rf_text_add(out, ", \"_ROWFERRY_AGE\" NUMBER(10,0), \"_ROWFERRY_PLACE\" VARCHAR");
    if (plan->audit) rf_text_add(out, ", \"_ROWFERRY_LATE\" BOOLEAN");
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_ROWFERRY_XID\" NUMBER(19,0)");
    if (plan->mark_gone) rf_text_add(out, ", \"_ROWFERRY_GONE\" BOOLEAN");
    rf_text_add(out, ")");
}

void rf_snowflake_create_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "CREATE TEMPORARY TABLE ");
    add_key_stage(plan, out);
    rf_text_add(out, " (");
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, ", ");
        add_staged_column(key(plan, k), out);
    }
    rf_text_add(out, ")");
}

void rf_snowflake_create_files(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_addf(out, "CREATE TEMPORARY STAGE " FILES, plan->load_id);
}

/* ---- the load: files ---- */

void rf_snowflake_put(const struct rf_plan *plan, const char *path, const char *folder, struct rf_text *out) {
    rf_text_addf(out, "PUT 'file://%s' ", path);
    add_files(plan, folder, out);
    rf_text_add(out, " SOURCE_COMPRESSION = ZSTD AUTO_COMPRESS = FALSE OVERWRITE = TRUE");
}

/* As PostgreSQL writes CSV: NULL is nothing, '' a pair of quotes, a quote is doubled, and a backslash is a backslash. What
 * does not fit is an error, and never cut or skipped. */
static void add_copy(const struct rf_plan *plan, const char *folder, struct rf_text *out) {
    rf_text_add(out, " FROM ");
    add_files(plan, folder, out);
    rf_text_add(out, "/ FILE_FORMAT = (TYPE = CSV COMPRESSION = ZSTD RECORD_DELIMITER = '\\n' FIELD_DELIMITER = ',' FIELD_OPTIONALLY_ENCLOSED_BY = '\"'"
                     " ESCAPE = NONE ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = () EMPTY_FIELD_AS_NULL = TRUE TRIM_SPACE = FALSE SKIP_BLANK_LINES = FALSE"
                     " ERROR_ON_COLUMN_COUNT_MISMATCH = TRUE REPLACE_INVALID_CHARACTERS = FALSE BINARY_FORMAT = HEX ENCODING = 'UTF8')"
                     " ON_ERROR = ABORT_STATEMENT");
}

void rf_snowflake_copy_rows(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "COPY INTO ");
    add_stage(plan, out);
    add_copy(plan, "rows", out);
}

void rf_snowflake_copy_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "COPY INTO ");
    add_key_stage(plan, out);
    add_copy(plan, "keys", out);
}

void rf_snowflake_count_rows(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT COUNT(*)::VARCHAR FROM ");
    add_stage(plan, out);
}

void rf_snowflake_count_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT COUNT(*)::VARCHAR FROM ");
    add_key_stage(plan, out);
}

/* ---- the load: the stage as the target reads it ---- */

/* A staged text as the type of its column, under its own name. */
static void add_read(const struct rf_column *column, struct rf_text *out) {
    if (!column->read_by) {
        rf_snowflake_identifier(out, column->name);
        return;
    }
    const char *place = strstr(column->read_by, "%s");
    rf_text_add_bytes(out, column->read_by, (size_t)(place - column->read_by));
    rf_snowflake_identifier(out, column->name);
    rf_text_addf(out, "%s AS ", place + 2);
    rf_snowflake_identifier(out, column->name);
}

static void add_read_columns(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        add_read(column(plan, i), out);
    }
}

static void add_read_keys(const struct rf_plan *plan, struct rf_text *out) {
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, ", ");
        add_read(key(plan, k), out);
    }
}

/* Of the rows of one key the newest. */
static void add_newest(const struct rf_plan *plan, struct rf_text *out) {
    if (!plan->dedupe) return;
    rf_text_add(out, " QUALIFY ROW_NUMBER() OVER (PARTITION BY ");
    add_keys(plan, "", out);
    rf_text_add(out, is_given(plan) ? " ORDER BY \"_ROWFERRY_PLACE\" DESC) = 1" : " ORDER BY \"_ROWFERRY_AGE\", \"_ROWFERRY_PLACE\" DESC) = 1");
}

static const char *live(const struct rf_plan *plan) {
    return plan->mark_gone ? " WHERE NOT \"_ROWFERRY_GONE\"" : "";
}

static void add_live_rows(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "(SELECT ");
    add_read_columns(plan, out);
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_ROWFERRY_XID\"");
    rf_text_add(out, " FROM ");
    add_stage(plan, out);
    rf_text_add(out, live(plan));
    add_newest(plan, out);
    rf_text_add(out, ") s");
}

/* ---- the load: merging ---- */

/* The target, or where it holds versions the newest of each key. A load brings one at most, so that their numbers order them. */
static void add_newest_versions(const struct rf_plan *plan, struct rf_text *out) {
    bool one_of_each = rf_keeps_versions(plan) && !rf_settles(plan);
    if (one_of_each) rf_text_add(out, "(SELECT * FROM ");
    rf_snowflake_add_target(plan, out);
    if (!one_of_each) return;
    rf_text_add(out, " QUALIFY ROW_NUMBER() OVER (PARTITION BY ");
    add_keys(plan, "", out);
    rf_text_add(out, " ORDER BY \"_LOAD_ID\" DESC) = 1)");
}

static void add_assignments(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (rf_is_key(plan->source, i)) continue; /* equal is identical here */
        rf_snowflake_identifier(out, column(plan, i)->name);
        rf_text_add(out, " = s.");
        rf_snowflake_identifier(out, column(plan, i)->name);
        rf_text_add(out, ", ");
    }
    for (int i = 0; i < plan->n_dropped; i++) {
        rf_snowflake_identifier(out, plan->dropped[i]);
        rf_text_add(out, " = NULL, ");
    }
    rf_text_add(out, "\"_EXTRACTED_AT\" = ");
    add_time(plan->extracted_at, out);
    rf_text_addf(out, ", \"_LOAD_ID\" = %" PRId64 ", \"_DELETED_AT\" = NULL", plan->load_id);
}

/* Up to the values of the columns of a row of `side`, of _EXTRACTED_AT and of _LOAD_ID; those of `more` follow. */
static void begin_insert(const struct rf_plan *plan, const char *more, const char *side, struct rf_text *out) {
    rf_text_add(out, "INSERT INTO ");
    rf_snowflake_add_target(plan, out);
    rf_text_add(out, " (");
    add_columns(plan, "", out);
    rf_text_addf(out, ", \"_EXTRACTED_AT\", \"_LOAD_ID\"%s) SELECT ", more);
    add_columns(plan, side, out);
    rf_text_add(out, ", ");
    add_time(plan->extracted_at, out);
    rf_text_addf(out, ", %" PRId64, plan->load_id);
}

void rf_snowflake_merge(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "MERGE INTO ");
    rf_snowflake_add_target(plan, out);
    rf_text_add(out, " t USING ");
    add_live_rows(plan, out);
    rf_text_add(out, " ON ");
    add_key_match(plan, out);
    rf_text_addf(out, " WHEN MATCHED AND t.\"_LOAD_ID\" < %" PRId64 " THEN UPDATE SET ", plan->load_id);
    add_assignments(plan, out);
    rf_text_add(out, " WHEN NOT MATCHED THEN INSERT (");
    add_columns(plan, "", out);
    rf_text_add(out, ", \"_EXTRACTED_AT\", \"_LOAD_ID\") VALUES (");
    add_columns(plan, "s.", out);
    rf_text_add(out, ", ");
    add_time(plan->extracted_at, out);
    rf_text_addf(out, ", %" PRId64 ")", plan->load_id);
}

/* INSERT OVERWRITE would do both, and say nothing of how many rows it removed. */
static void delete_all(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "DELETE FROM ");
    rf_snowflake_add_target(plan, out);
}

static void insert_all(const struct rf_plan *plan, struct rf_text *out) {
    begin_insert(plan, "", "s.", out);
    rf_text_add(out, " FROM ");
    add_live_rows(plan, out);
}

/* ---- the load: appending ---- */

/* The staged row is no newest version of its key: see core/sql_target.c. Begins behind the rows of the stage, `s`. */
static void add_known(const struct rf_plan *plan, bool are_known, struct rf_text *out) {
    rf_text_add(out, " LEFT JOIN ");
    add_newest_versions(plan, out);
    rf_text_add(out, " t ON ");
    add_key_match(plan, out);
    rf_text_add(out, " AND t.\"_DELETED_AT\" IS NULL AND (");
    if (!plan->full_read) rf_text_add(out, "(t.\"_SOURCE_XID\" = s.\"_ROWFERRY_XID\" AND s.\"_ROWFERRY_XID\" > 0) OR ");
    rf_text_add(out, "NOT (");
    for (int i = 0; i < plan->source->n_columns; i++) {
        rf_text_add(out, i > 0 ? " OR t." : "t.");
        rf_snowflake_identifier(out, column(plan, i)->name);
        rf_text_add(out, " IS DISTINCT FROM s.");
        rf_snowflake_identifier(out, column(plan, i)->name);
    }
    rf_text_addf(out, ")) WHERE t.\"_LOAD_ID\" IS %sNULL", are_known ? "NOT " : "");
}

static void append(const struct rf_plan *plan, struct rf_text *out) {
    begin_insert(plan, ", \"_SOURCE_XID\"", "s.", out);
    rf_text_add(out, ", s.\"_ROWFERRY_XID\" FROM ");
    add_live_rows(plan, out);
    if (!rf_settles(plan)) add_known(plan, false, out);
}

static void count_known(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT COUNT(*)::VARCHAR FROM ");
    add_live_rows(plan, out);
    add_known(plan, true, out);
}

static void count_appended(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT COUNT(*)::VARCHAR FROM ");
    rf_snowflake_add_target(plan, out);
    rf_text_addf(out, " WHERE \"_LOAD_ID\" = %" PRId64, plan->load_id);
}

void rf_snowflake_count_target(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT (SELECT COUNT(*) FROM ");
    rf_snowflake_add_target(plan, out);
    rf_text_add(out, ")::VARCHAR, (SELECT COUNT(*) FROM ");
    rf_snowflake_add_target(plan, out);
    rf_text_addf(out, " WHERE \"_LOAD_ID\" = %" PRId64 ")::VARCHAR", plan->load_id);
}

/* ---- comparing ---- */

/* As a text Snowflake gives a double with fewer digits than it has. */
static const struct rf_asked ASKED[] = {
    {"VARCHAR", "%s"},
    {"FLOAT", "%s"},
    {"BINARY", "%s"},
    {"VARIANT", "TO_JSON(%s)"},
    {"ARRAY", "TO_JSON(%s)"},
    {"DATE", "TO_CHAR(%s, 'YYYY-MM-DD')"},
    {"TIMESTAMP_TZ", "TO_CHAR(CONVERT_TIMEZONE('UTC', %s), 'YYYY-MM-DD HH24:MI:SS.FF9')"},
    {"TIMESTAMP", "TO_CHAR(%s, 'YYYY-MM-DD HH24:MI:SS.FF9')"},
    {"TIME", "TO_CHAR(%s, 'HH24:MI:SS.FF9')"},
    {"", "%s::VARCHAR"},
};

void rf_snowflake_values(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    for (int i = 0; i < plan->source->n_columns; i++) {
        struct rf_text name = {0};
        if (i > 0) rf_text_add(out, ", ");
        rf_snowflake_identifier(&name, column(plan, i)->name);
        rf_add_asked(ASKED, column(plan, i)->arrives_as, &name, out);
    }
    rf_text_add(out, " FROM ");
    add_newest_versions(plan, out);
    if (plan->compares_load) rf_text_addf(out, " WHERE \"_LOAD_ID\" = %" PRId64, plan->load_id);
    else rf_text_add(out, " WHERE \"_DELETED_AT\" IS NULL");
}

/* ---- what is asked of the stage ---- */

static void count_stage(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT (SELECT COUNT(*) FROM ");
    add_stage(plan, out);
    rf_text_add(out, plan->mark_gone ? " WHERE \"_ROWFERRY_GONE\")::VARCHAR, ((SELECT COUNT(*) FROM " : " WHERE FALSE)::VARCHAR, ((SELECT COUNT(*) FROM ");
    add_stage(plan, out);
    rf_text_addf(out, "%s) - (SELECT COUNT(*) FROM (SELECT DISTINCT ", live(plan));
    add_keys(plan, "", out);
    rf_text_add(out, " FROM ");
    add_stage(plan, out);
    rf_text_addf(out, "%s) k))::VARCHAR", live(plan));
}

static void count_stale(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT COUNT(*)::VARCHAR FROM ");
    add_live_rows(plan, out);
    rf_text_add(out, " JOIN ");
    rf_snowflake_add_target(plan, out);
    rf_text_add(out, " t ON ");
    add_key_match(plan, out);
    rf_text_addf(out, " WHERE t.\"_LOAD_ID\" > %" PRId64, plan->load_id);
}

static void duplicate_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT LISTAGG(k, ', ') FROM (SELECT '(' || ");
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, " || ',' || ");
        rf_snowflake_identifier(out, key(plan, k)->name);
        rf_text_add(out, "::VARCHAR");
    }
    rf_text_add(out, " || ')' AS k FROM ");
    add_stage(plan, out);
    rf_text_addf(out, "%s GROUP BY ", live(plan));
    add_keys(plan, "", out);
    rf_text_add(out, " HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 5) d");
}

/* Before the merge. A late row that the target already has as it is was brought by an earlier run. */
static void count_missed(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT COUNT(*)::VARCHAR FROM (SELECT ");
    add_read_columns(plan, out);
    rf_text_add(out, plan->mark_gone ? ", \"_ROWFERRY_LATE\", \"_ROWFERRY_GONE\" FROM " : ", \"_ROWFERRY_LATE\" FROM ");
    add_stage(plan, out);
    add_newest(plan, out);
    rf_text_add(out, ") s LEFT JOIN ");
    add_newest_versions(plan, out);
    rf_text_add(out, " t ON ");
    add_key_match(plan, out);
    rf_text_add(out, " WHERE s.\"_ROWFERRY_LATE\" AND ");
    if (plan->mark_gone) rf_text_add(out, "CASE WHEN s.\"_ROWFERRY_GONE\" THEN t.\"_LOAD_ID\" IS NOT NULL AND t.\"_DELETED_AT\" IS NULL ELSE ");
    rf_text_add(out, "(t.\"_LOAD_ID\" IS NULL OR t.\"_DELETED_AT\" IS NOT NULL");
    for (int i = 0; i < plan->source->n_columns; i++) {
        rf_text_add(out, " OR t.");
        rf_snowflake_identifier(out, column(plan, i)->name);
        rf_text_add(out, " IS DISTINCT FROM s.");
        rf_snowflake_identifier(out, column(plan, i)->name);
    }
    rf_text_add(out, plan->mark_gone ? ") END" : ")");
}

/* ---- rows that are gone ---- */

static bool removes(const struct rf_plan *plan) {
    return plan->job->on_delete == RF_DELETE_REMOVE;
}

/* A closed row carries this load's metadata, so that models see that it changed. */
static void add_closed(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SET \"_DELETED_AT\" = ");
    add_time(plan->extracted_at, out);
    rf_text_add(out, ", \"_EXTRACTED_AT\" = ");
    add_time(plan->extracted_at, out);
    rf_text_addf(out, ", \"_LOAD_ID\" = %" PRId64, plan->load_id);
}

static void add_open_row(const struct rf_plan *plan, const char *side, struct rf_text *out) {
    rf_text_addf(out, "%s\"_LOAD_ID\" < %" PRId64, side, plan->load_id);
    if (!removes(plan)) rf_text_addf(out, " AND %s\"_DELETED_AT\" IS NULL", side);
}

/* Where versions are kept, that a row is gone is its last one: its values of before, and when it was found to be. */
static void add_last_versions(const struct rf_plan *plan, rf_statement_maker *keys, struct rf_text *out) {
    begin_insert(plan, ", \"_DELETED_AT\", \"_SOURCE_XID\"", "t.", out);
    rf_text_add(out, ", ");
    add_time(plan->extracted_at, out);
    rf_text_add(out, ", t.\"_SOURCE_XID\" FROM ");
    add_newest_versions(plan, out);
    rf_text_add(out, " t JOIN (");
    keys(plan, out);
    rf_text_add(out, ") s ON ");
    add_key_match(plan, out);
    rf_text_add(out, " WHERE ");
    add_open_row(plan, "t.", out);
}

/* Closes the rows of the target whose key is among those that `keys` selects. */
static void add_closing(const struct rf_plan *plan, rf_statement_maker *keys, struct rf_text *out) {
    if (rf_keeps_versions(plan)) {
        add_last_versions(plan, keys, out);
        return;
    }
    rf_text_add(out, "MERGE INTO ");
    rf_snowflake_add_target(plan, out);
    rf_text_add(out, " t USING (");
    keys(plan, out);
    rf_text_add(out, ") s ON ");
    add_key_match(plan, out);
    rf_text_add(out, " WHEN MATCHED AND ");
    add_open_row(plan, "t.", out);
    rf_text_add(out, removes(plan) ? " THEN DELETE" : " THEN UPDATE ");
    if (!removes(plan)) add_closed(plan, out);
}

static void add_gone_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT DISTINCT ");
    add_read_keys(plan, out);
    rf_text_add(out, " FROM ");
    add_stage(plan, out);
    rf_text_add(out, " WHERE \"_ROWFERRY_GONE\"");
}

static void close_gone(const struct rf_plan *plan, struct rf_text *out) {
    add_closing(plan, add_gone_keys, out);
}

/* Keys of open rows that are not in the stage of rows, or of keys. */
static void add_keys_not_in(const struct rf_plan *plan, rf_statement_maker *stage, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    add_keys(plan, "t.", out);
    rf_text_add(out, " FROM ");
    add_newest_versions(plan, out);
    rf_text_add(out, " t WHERE ");
    add_open_row(plan, "t.", out);
    rf_text_add(out, " AND NOT EXISTS (SELECT 1 FROM (SELECT ");
    add_read_keys(plan, out);
    rf_text_add(out, " FROM ");
    stage(plan, out);
    rf_text_add(out, ") s WHERE ");
    add_key_match(plan, out);
    rf_text_add(out, ")");
}

static void add_absent_keys(const struct rf_plan *plan, struct rf_text *out) {
    add_keys_not_in(plan, add_stage, out);
}

static void add_swept_keys(const struct rf_plan *plan, struct rf_text *out) {
    add_keys_not_in(plan, add_key_stage, out);
}

/* The merge just stamped every row that the source still has: what carries an older load is absent there. */
static void close_absent(const struct rf_plan *plan, struct rf_text *out) {
    if (rf_keeps_versions(plan)) { /* a row that is as it was got no new version */
        add_last_versions(plan, add_absent_keys, out);
        return;
    }
    rf_text_add(out, removes(plan) ? "DELETE FROM " : "UPDATE ");
    rf_snowflake_add_target(plan, out);
    rf_text_add(out, " ");
    if (!removes(plan)) add_closed(plan, out);
    rf_text_add(out, removes(plan) ? "WHERE " : " WHERE ");
    add_open_row(plan, "", out);
}

static void sweep(const struct rf_plan *plan, struct rf_text *out) {
    add_closing(plan, add_swept_keys, out);
}

static void count_live(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT (SELECT COUNT(*) FROM (SELECT ");
    rf_text_add(out, plan->dedupe ? "DISTINCT " : "");
    add_keys(plan, "", out);
    rf_text_add(out, " FROM ");
    add_key_stage(plan, out);
    rf_text_add(out, ") k)::VARCHAR, (SELECT COUNT(*) FROM ");
    add_newest_versions(plan, out);
    rf_text_add(out, " WHERE \"_DELETED_AT\" IS NULL)::VARCHAR");
}

static void has_rows(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT COUNT(*)::VARCHAR FROM (SELECT 1 FROM ");
    rf_snowflake_add_target(plan, out);
    rf_text_add(out, " LIMIT 1) t");
}

const struct rf_stage_makers rf_snowflake_makers = {
    .count_stage = count_stage,
    .delete_all = delete_all,
    .insert_all = insert_all,
    .count_target = rf_snowflake_count_target,
    .append = append,
    .has_rows = has_rows,
    .count_known = count_known,
    .count_appended = count_appended,
    .duplicate_keys = duplicate_keys,
    .count_missed = count_missed,
    .count_stale = count_stale,
    .close_gone = close_gone,
    .close_absent = close_absent,
    .sweep = sweep,
    .count_live = count_live,
    .list = rf_list_snowflake,
};

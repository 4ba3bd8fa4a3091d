#include "core/sql_duckdb.h"

#include "core/sql_target.h"

#include <inttypes.h>
#include <string.h>

/* ---- control tables ---- */

const char RF_DUCKDB_SET_ZONE[] = "SET TimeZone = 'UTC'";
const char RF_DUCKDB_LIBRARY[] = "SELECT version(), current_setting('memory_limit'), CAST(current_setting('threads') AS VARCHAR)";

void rf_duckdb_create_schema(const char *schema, struct rf_text *out) {
    rf_text_add(out, "CREATE SCHEMA IF NOT EXISTS ");
    rf_text_identifier(out, schema);
}

static void add_loads(const struct rf_job *job, struct rf_text *out) {
    rf_text_qualified(out, job->control_schema, "loads");
}

/* A function of DuckDB's catalog, narrowed to a table of the open file. */
static void add_catalog(const char *function, const char *name, const char *schema, const char *table, struct rf_text *out) {
    rf_text_addf(out, "%s() WHERE database_name = current_database() AND schema_name = ", function);
    rf_text_literal(out, schema);
    rf_text_addf(out, " AND %s = ", name);
    rf_text_literal(out, table);
}

void rf_duckdb_control_exists(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT (count(*) > 0)::VARCHAR FROM ");
    add_catalog("duckdb_tables", "table_name", job->control_schema, "loads", out);
}

void rf_duckdb_create_control(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "CREATE TABLE IF NOT EXISTS ");
    add_loads(job, out);
    rf_text_add(out,
                " (target_table VARCHAR NOT NULL, load_id BIGINT NOT NULL, kind VARCHAR NOT NULL, source_table VARCHAR, source_name VARCHAR,"
                " run_id VARCHAR, try_number INTEGER, increment INTEGER, map_index INTEGER, capture VARCHAR, completeness VARCHAR, hard_deletes VARCHAR,"
                " snapshot VARCHAR, source_system VARCHAR, source_timeline INTEGER, source_database VARCHAR, source_table_oid BIGINT, source_lsn VARCHAR,"
                " fingerprint VARCHAR, extracted_at TIMESTAMPTZ, rows_read BIGINT, rows_inserted BIGINT, rows_updated BIGINT,"
                " rows_deleted BIGINT, rows_duplicate BIGINT, rows_stale BIGINT, bytes_read BIGINT, report JSON, chosen VARCHAR, proven_snapshot VARCHAR,"
                " watermark TIMESTAMPTZ, loads_since_audit BIGINT, loads_since_sweep BIGINT, rows_missed BIGINT, cursor_columns VARCHAR, doubted BOOLEAN,"
                " committed_at TIMESTAMPTZ NOT NULL, target_file VARCHAR, PRIMARY KEY (target_table, load_id))");
}

static void add_of_target(const struct rf_job *job, struct rf_text *out) {
    add_loads(job, out);
    rf_text_add(out, " WHERE target_table = ");
    rf_text_literal(out, job->target_label);
}

void rf_duckdb_next_load_id(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT (1 + coalesce(max(load_id), 0))::VARCHAR FROM ");
    add_of_target(job, out);
}

#define ISO_TIME "'%Y-%m-%dT%H:%M:%S.%f+00:00'"

void rf_duckdb_newest_load(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT COLUMNS(*)::VARCHAR FROM (SELECT n.load_id, n.kind = 'reset' AS is_reset, n.source_table, l.source_system, l.source_timeline, l.source_database,"
                     " l.source_table_oid, n.snapshot, l.source_lsn, n.fingerprint, n.chosen, n.proven_snapshot, n.target_file,"
                     " n.loads_since_audit, n.loads_since_sweep, n.rows_missed, n.cursor_columns, coalesce(n.doubted, false) AS doubted,"
                     " strftime(n.watermark AT TIME ZONE 'UTC', " ISO_TIME ") AS watermark, strftime(l.extracted_at AT TIME ZONE 'UTC', " ISO_TIME ") AS extracted_at, n.report ->> '$.mode' AS mode"
                     " FROM (SELECT * FROM ");
    add_of_target(job, out);
    rf_text_add(out, " ORDER BY load_id DESC LIMIT 1) n LEFT JOIN (SELECT * FROM ");
    add_of_target(job, out);
    rf_text_add(out, " AND kind = 'load' ORDER BY load_id DESC LIMIT 1) l ON true)");
}

void rf_duckdb_run_total(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT COLUMNS(*)::VARCHAR FROM (SELECT count(*) AS n, coalesce(sum(rows_read), 0) AS rr, coalesce(sum(rows_inserted), 0) AS ri,"
                     " coalesce(sum(rows_updated), 0) AS ru, coalesce(sum(rows_deleted), 0) AS rd, coalesce(sum(rows_duplicate), 0) AS rp,"
                     " coalesce(sum(rows_stale), 0) AS rs, coalesce(sum(bytes_read), 0) AS b FROM ");
    add_of_target(job, out);
    rf_text_add(out, " AND kind = 'load' AND source_table = ");
    rf_text_literal(out, job->source_label);
    rf_text_add(out, " AND run_id = ");
    rf_text_literal(out, job->run_id);
    rf_text_add(out, ")");
}

void rf_duckdb_file(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT concat(count(*), ' rows, load ', coalesce(max(\"_load_id\"), 0)) FROM ");
    rf_text_qualified(out, job->target_schema, job->target_table);
}

enum { RECORD_MAP_INDEX = 8, RECORD_KIND = 2 };

void rf_duckdb_insert_load(const struct rf_job *job, const struct rf_record *record, const char *committed_at, struct rf_text *out) {
    bool is_load = strcmp(record->values[RECORD_KIND], "load") == 0;
    rf_text_add(out, "INSERT INTO ");
    add_loads(job, out);
    rf_text_add(out, " SELECT ");
    for (int i = 0; i < RF_RECORD_VALUES; i++) {
        bool unmapped = i == RECORD_MAP_INDEX && strcmp(record->values[i], "-1") == 0;
        rf_text_literal(out, unmapped ? NULL : record->values[i]);
        rf_text_add(out, ", ");
    }
    rf_text_literal(out, committed_at);
    rf_text_add(out, ", ");
    if (is_load) {
        rf_text_add(out, "(");
        rf_duckdb_file(job, out);
        rf_text_add(out, ")");
    } else {
        rf_text_add(out, "NULL");
    }
    rf_text_add(out, " WHERE NOT EXISTS (SELECT 1 FROM ");
    add_of_target(job, out);
    rf_text_addf(out, " AND load_id >= %s)", record->values[1]);
}

void rf_duckdb_find_load(const struct rf_job *job, int64_t load_id, struct rf_text *out) {
    rf_text_add(out, "SELECT (count(*) = 1)::VARCHAR FROM ");
    add_of_target(job, out);
    rf_text_addf(out, " AND load_id = %" PRId64, load_id);
}

void rf_duckdb_list_loads(const struct rf_job *job, struct rf_text *out) {
    struct rf_text loads = {0};
    if (job->target_label) add_of_target(job, &loads);
    else add_loads(job, &loads);
    rf_text_add(out, "SELECT concat('{\"loads\":', coalesce(to_json(list(l ORDER BY target_table, load_id DESC))::VARCHAR, '[]'), '}') FROM (SELECT * REPLACE ("
                     "strftime(extracted_at AT TIME ZONE 'UTC', " ISO_TIME ") AS extracted_at, strftime(watermark AT TIME ZONE 'UTC', " ISO_TIME ") AS watermark,"
                     " strftime(committed_at AT TIME ZONE 'UTC', " ISO_TIME ") AS committed_at) FROM ");
    rf_sql_add_listed_loads(job, &loads, job->target_label ? "AND" : "WHERE", out);
    rf_text_add(out, ") l");
}

/* ---- the target as it stands ---- */

void rf_duckdb_print_types(const struct rf_column *columns, int n_columns, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    for (int i = 0; i < n_columns; i++) rf_text_addf(out, "%stypeof(NULL::%s)", i > 0 ? ", " : "", columns[i].arrives_as);
}

void rf_duckdb_find_target(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT strftime(now() AT TIME ZONE 'UTC', " ISO_TIME "), version(), (SELECT (count(*) > 0)::VARCHAR FROM ");
    add_catalog("duckdb_tables", "table_name", job->target_schema, job->target_table, out);
    rf_text_add(out, "), (SELECT (count(*) > 0)::VARCHAR FROM ");
    add_catalog("duckdb_views", "view_name", job->target_schema, job->target_table, out);
    rf_text_add(out, "), (SELECT (count(*) > 0)::VARCHAR FROM duckdb_constraints() WHERE database_name = current_database() AND lower(referenced_table) = lower(");
    rf_text_literal(out, job->target_table);
    rf_text_add(out, "))");
}

void rf_duckdb_columns(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT column_name, data_type, (NOT is_nullable)::VARCHAR FROM ");
    add_catalog("duckdb_columns", "table_name", job->target_schema, job->target_table, out);
    rf_text_add(out, " ORDER BY column_index");
}

void rf_duckdb_unique_keys(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT constraint_index::VARCHAR, unnest(constraint_column_names) FROM ");
    add_catalog("duckdb_constraints", "table_name", job->target_schema, job->target_table, out);
    rf_text_add(out, " AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') ORDER BY constraint_index");
}

/* ---- the load ---- */

void rf_duckdb_keep_order(bool kept, struct rf_text *out) {
    rf_text_addf(out, "SET preserve_insertion_order = %s", kept ? "true" : "false");
}

/* Rows that go straight in are unique at the source: their key is cheaper to make once they are there. */
void rf_duckdb_create_target(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "CREATE TABLE ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " (");
    for (int i = 0; i < plan->source->n_columns; i++) {
        rf_text_identifier(out, plan->source->columns[i].name);
        rf_text_addf(out, " %s%s, ", rf_target_column(plan, i)->type, plan->source->columns[i].not_null ? " NOT NULL" : "");
    }
    rf_text_add(out, "\"_extracted_at\" TIMESTAMPTZ NOT NULL, \"_load_id\" BIGINT NOT NULL, \"_deleted_at\" TIMESTAMPTZ");
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_source_xid\" BIGINT");
    if (!plan->straight) rf_sql_add_primary_key(plan, ", ", out);
    rf_text_add(out, ")");
}

void rf_duckdb_add_key(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "ALTER TABLE ");
    rf_sql_add_target(plan, out);
    rf_sql_add_primary_key(plan, " ADD ", out);
}

static void begin_insert(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "INSERT INTO ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " (");
    rf_sql_add_columns(plan, "", out);
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_source_xid\"");
    rf_text_add(out, ", \"_extracted_at\", \"_load_id\") SELECT ");
}

/* What the metadata of each row is. */
static void add_load(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, ", ");
    rf_text_literal(out, plan->extracted_at);
    rf_text_addf(out, "::TIMESTAMPTZ, %" PRId64 " FROM ", plan->load_id);
}

void rf_duckdb_take_rows(const struct rf_plan *plan, struct rf_text *out) {
    if (plan->straight) {
        begin_insert(plan, out);
        rf_text_add(out, "*");
        add_load(plan, out);
    } else {
        rf_text_add(out, "INSERT INTO ");
        rf_sql_add_stage(plan, out);
        rf_text_add(out, " FROM ");
    }
    rf_text_add(out, RF_DUCKDB_ROWS "()");
}

void rf_duckdb_take_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "INSERT INTO ");
    rf_sql_add_key_stage(plan, out);
    rf_text_add(out, " FROM " RF_DUCKDB_ROWS "()");
}

void rf_duckdb_count_target(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*)::VARCHAR FROM ");
    rf_sql_add_target(plan, out);
}

void rf_duckdb_count_stage(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*)::VARCHAR FROM ");
    rf_sql_add_stage(plan, out);
}

void rf_duckdb_count_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*)::VARCHAR FROM ");
    rf_sql_add_key_stage(plan, out);
}

/* Not the keys: what is equal here is identical, and their index stays as it is. */
static void add_assignments(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (rf_is_key(plan->source, i)) continue;
        rf_text_identifier(out, plan->source->columns[i].name);
        rf_text_add(out, " = s.");
        rf_text_identifier(out, plan->source->columns[i].name);
        rf_text_add(out, ", ");
    }
    for (int i = 0; i < plan->n_dropped; i++) {
        rf_text_identifier(out, plan->dropped[i]);
        rf_text_add(out, " = NULL, ");
    }
}

/* It takes less than half the time of an UPDATE. But in a row that is inserted a column that the source lost takes its default, and
 * DuckDB deletes no row that another table refers to, not even to bring it back. */
bool rf_duckdb_merges_by_delete(const struct rf_plan *plan) {
    return plan->n_dropped == 0 && !plan->target->is_referenced;
}

static void add_older(const struct rf_plan *plan, struct rf_text *out) {
    rf_sql_add_live_rows(plan, out);
    rf_text_add(out, ") s WHERE ");
    rf_sql_add_key_match(plan, out);
    rf_text_addf(out, " AND t.\"_load_id\" < %" PRId64, plan->load_id);
}

void rf_duckdb_delete(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "DELETE FROM ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t USING (");
    add_older(plan, out);
}

void rf_duckdb_update(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "UPDATE ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t SET ");
    add_assignments(plan, out);
    rf_text_add(out, "\"_extracted_at\" = ");
    rf_text_literal(out, plan->extracted_at);
    rf_text_addf(out, "::TIMESTAMPTZ, \"_load_id\" = %" PRId64 ", \"_deleted_at\" = NULL FROM (", plan->load_id);
    add_older(plan, out);
}

/* What is not older than this load, which a DELETE has left. */
void rf_duckdb_count_newer(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*)::VARCHAR FROM ");
    rf_sql_add_target(plan, out);
    rf_text_addf(out, " WHERE (\"_load_id\" < %" PRId64 ") IS NOT TRUE", plan->load_id);
}

void rf_duckdb_insert(const struct rf_plan *plan, struct rf_text *out) {
    begin_insert(plan, out);
    rf_sql_add_columns(plan, "s.", out);
    add_load(plan, out);
    rf_text_add(out, "(");
    rf_sql_add_live_rows(plan, out);
    rf_text_add(out, ") s");
}

void rf_duckdb_insert_absent(const struct rf_plan *plan, struct rf_text *out) {
    rf_duckdb_insert(plan, out);
    rf_text_add(out, " WHERE NOT EXISTS (SELECT 1 FROM ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t WHERE ");
    rf_sql_add_key_match(plan, out);
    rf_text_add(out, ")");
}

void rf_duckdb_count_loaded(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_addf(out, "SELECT count(*)::VARCHAR, count(*) FILTER (WHERE \"_load_id\" = %" PRId64 ")::VARCHAR FROM ", plan->load_id);
    rf_sql_add_target(plan, out);
}

void rf_duckdb_count_merged(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*)::VARCHAR FROM ");
    rf_sql_add_target(plan, out);
    rf_text_addf(out, " WHERE \"_load_id\" = %" PRId64, plan->load_id);
}

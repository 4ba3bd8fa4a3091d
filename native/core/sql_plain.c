#include "core/sql_plain.h"

#include "core/sql.h"
#include "core/sql_target.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- control tables ---- */

const struct rf_load_column rf_load_columns[RF_LOAD_COLUMNS] = {
    {"target_table", RF_LOAD_TEXT}, {"load_id", RF_LOAD_INTEGER}, {"kind", RF_LOAD_TEXT}, {"source_table", RF_LOAD_TEXT},
    {"source_name", RF_LOAD_TEXT}, {"run_id", RF_LOAD_TEXT}, {"try_number", RF_LOAD_INTEGER}, {"increment", RF_LOAD_INTEGER},
    {"map_index", RF_LOAD_INTEGER}, {"capture", RF_LOAD_TEXT}, {"completeness", RF_LOAD_TEXT}, {"hard_deletes", RF_LOAD_TEXT},
    {"snapshot", RF_LOAD_TEXT}, {"source_system", RF_LOAD_TEXT}, {"source_timeline", RF_LOAD_INTEGER}, {"source_database", RF_LOAD_TEXT},
    {"source_table_oid", RF_LOAD_INTEGER}, {"source_lsn", RF_LOAD_TEXT}, {"fingerprint", RF_LOAD_TEXT}, {"extracted_at", RF_LOAD_TIME},
    {"rows_read", RF_LOAD_INTEGER}, {"rows_inserted", RF_LOAD_INTEGER}, {"rows_updated", RF_LOAD_INTEGER}, {"rows_deleted", RF_LOAD_INTEGER},
    {"rows_duplicate", RF_LOAD_INTEGER}, {"rows_stale", RF_LOAD_INTEGER}, {"bytes_read", RF_LOAD_INTEGER}, {"report", RF_LOAD_JSON},
    {"chosen", RF_LOAD_TEXT}, {"proven_snapshot", RF_LOAD_TEXT}, {"watermark", RF_LOAD_TIME}, {"loads_since_audit", RF_LOAD_INTEGER},
    {"loads_since_sweep", RF_LOAD_INTEGER}, {"rows_missed", RF_LOAD_INTEGER}, {"cursor_columns", RF_LOAD_TEXT}, {"doubted", RF_LOAD_FLAG},
    {"committed_at", RF_LOAD_TIME}, {"target_file", RF_LOAD_TEXT},
};

enum { TARGET_TABLE = 0, LOAD_ID = 1, KIND = 2, MAP_INDEX = 8 };

static void add_control(const struct rf_dialect_row *row, const struct rf_job *job, const char *table, struct rf_text *out) {
    rf_dialect_table(row, job->control_schema, table, out);
}

void rf_plain_create_schema(const char *schema, struct rf_text *out) {
    rf_text_add(out, "CREATE SCHEMA ");
    rf_text_identifier(out, schema);
}

static const char *type_of(const struct rf_dialect_row *row, enum rf_load_kind kind) {
    switch (kind) {
    case RF_LOAD_INTEGER: return "bigint";
    case RF_LOAD_TIME: return row->instant;
    case RF_LOAD_FLAG: return row->flag;
    case RF_LOAD_JSON: return row->json;
    case RF_LOAD_TEXT: break;
    }
    return row->text;
}

static void add_load_columns(const struct rf_dialect_row *row, struct rf_text *out) {
    for (int i = 0; i < RF_LOAD_COLUMNS; i++) {
        const struct rf_load_column *column = &rf_load_columns[i];
        rf_text_addf(out, "%s%s %s%s", i > 0 ? ", " : "", column->name, i == TARGET_TABLE ? row->name_text : type_of(row, column->kind),
                     i <= KIND ? " NOT NULL" : "");
    }
    rf_text_add(out, ", PRIMARY KEY (target_table, load_id)");
}

static void add_lease_columns(const struct rf_dialect_row *row, struct rf_text *out) {
    rf_text_addf(out, "target_table %s NOT NULL PRIMARY KEY, load_id bigint NOT NULL, run_id %s NOT NULL, try_number bigint NOT NULL, map_index bigint,"
                      " application %s, pid bigint NOT NULL, backend_start %s, taken_at %s NOT NULL, expires_at %s NOT NULL",
                 row->name_text, row->text, row->text, row->instant, row->instant, row->instant);
}

void rf_plain_create_control(const struct rf_dialect_row *row, const struct rf_job *job, int table, struct rf_text *out) {
    rf_text_add(out, "CREATE TABLE IF NOT EXISTS ");
    add_control(row, job, table == 0 ? "loads" : "leases", out);
    rf_text_add(out, " (");
    if (table == 0) add_load_columns(row, out);
    else add_lease_columns(row, out);
    rf_text_addf(out, ")%s", row->table_end);
}

/* ---- lease and fence ---- */

static void add_of_target(const struct rf_dialect_row *row, const struct rf_job *job, const char *table, struct rf_text *out) {
    add_control(row, job, table, out);
    rf_text_add(out, " WHERE target_table = ");
    rf_dialect_literal(row, job->target_label, out);
}

static void add_newest_number(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "coalesce((SELECT max(load_id) FROM ");
    add_of_target(row, job, "loads", out);
    rf_text_add(out, "), 0)");
}

static void add_later(const struct rf_dialect_row *row, double seconds, struct rf_text *out) {
    char text[32];
    struct rf_text number = {0};
    rf_text_addf(&number, "%.3f", seconds);
    rf_copy_text(text, sizeof text, number.data);
    out->failed |= number.failed;
    rf_text_free(&number);
    rf_dialect_around(row->later, text, out);
}

/* A column of the lease's row from what names it to what it becomes. */
static void add_holder(const struct rf_dialect_row *row, const struct rf_job *job, const char *const names[7], struct rf_text *out) {
    rf_text_add(out, names[0]);
    rf_dialect_literal(row, job->run_id, out);
    rf_text_addf(out, "%s%d%s", names[1], job->try_number, names[2]);
    if (job->map_index < 0) rf_text_add(out, "NULL");
    else rf_text_addf(out, "%d", job->map_index);
    rf_text_add(out, names[3]);
    rf_dialect_literal(row, job->application, out);
    rf_text_addf(out, "%s%s%s", names[4], row->now, names[5]);
    add_later(row, job->lease_seconds, out);
    rf_text_add(out, names[6]);
}

void rf_plain_take_lease(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    static const char *const names[] = {", run_id = ", ", try_number = ", ", map_index = ", ", application = ", ", taken_at = ", ", expires_at = ", ""};
    rf_text_add(out, "UPDATE ");
    add_control(row, job, "leases", out);
    rf_text_add(out, " SET load_id = greatest(load_id, ");
    add_newest_number(row, job, out);
    rf_text_add(out, ") + 1");
    add_holder(row, job, names, out);
    rf_text_add(out, ", pid = ");
    size_t comma = strcspn(row->session, ",");
    rf_text_add_bytes(out, row->session, comma);
    rf_text_addf(out, ", backend_start =%s WHERE target_table = ", row->session + comma + 1);
    rf_dialect_literal(row, job->target_label, out);
}

void rf_plain_make_lease(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    static const char *const names[] = {" + 1, ", ", ", ", ", ", ", ", ", ", ", ", "};
    rf_text_add(out, "INSERT INTO ");
    add_control(row, job, "leases", out);
    rf_text_add(out, " (target_table, load_id, run_id, try_number, map_index, application, taken_at, expires_at, pid, backend_start) SELECT ");
    rf_dialect_literal(row, job->target_label, out);
    rf_text_add(out, ", ");
    add_newest_number(row, job, out);
    add_holder(row, job, names, out);
    rf_text_add(out, row->session);
}

void rf_plain_read_lease(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT load_id, pid, run_id, try_number, application FROM ");
    add_of_target(row, job, "leases", out);
}

void rf_plain_has_expired(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT load_id FROM ");
    add_of_target(row, job, "leases", out);
    rf_text_addf(out, " AND expires_at < %s FOR UPDATE SKIP LOCKED", row->now);
}

void rf_plain_renew_lease(const struct rf_dialect_row *row, const struct rf_job *job, int64_t load_id, struct rf_text *out) {
    rf_text_add(out, "UPDATE ");
    add_control(row, job, "leases", out);
    rf_text_add(out, " SET expires_at = ");
    add_later(row, job->lease_seconds, out);
    rf_text_add(out, " WHERE target_table = ");
    rf_dialect_literal(row, job->target_label, out);
    rf_text_addf(out, " AND load_id = %" PRId64, load_id);
}

void rf_plain_fence(const struct rf_dialect_row *row, const struct rf_job *job, int64_t load_id, struct rf_text *out) {
    rf_text_add(out, "SELECT load_id FROM ");
    add_of_target(row, job, "leases", out);
    rf_text_addf(out, " AND load_id = %" PRId64 " FOR UPDATE", load_id);
}

/* ---- load records ---- */

void rf_plain_next_load_id(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    add_newest_number(row, job, out);
    rf_text_add(out, " + 1");
}

/* What was read is of the newest record, where and when of the newest load proper: see rf_sql_newest_load. */
void rf_plain_newest_load(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT n.load_id, CASE WHEN n.kind = 'reset' THEN 'true' ELSE 'false' END, n.source_table, l.source_system, l.source_timeline,"
                     " l.source_database, l.source_table_oid, n.snapshot, l.source_lsn, n.fingerprint, n.chosen, n.proven_snapshot, n.target_file,"
                     " n.loads_since_audit, n.loads_since_sweep, n.rows_missed, n.cursor_columns, CASE WHEN n.doubted THEN 'true' ELSE 'false' END, ");
    rf_dialect_around(row->iso, "n.watermark", out);
    rf_text_add(out, ", ");
    rf_dialect_around(row->iso, "l.extracted_at", out);
    rf_text_addf(out, ", %s FROM (SELECT * FROM ", row->mode);
    add_of_target(row, job, "loads", out);
    rf_text_add(out, " ORDER BY load_id DESC LIMIT 1) n LEFT JOIN (SELECT * FROM ");
    add_of_target(row, job, "loads", out);
    rf_text_add(out, " AND kind = 'load' ORDER BY load_id DESC LIMIT 1) l ON l.target_table = n.target_table");
}

void rf_plain_run_total(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*), coalesce(sum(rows_read), 0), coalesce(sum(rows_inserted), 0), coalesce(sum(rows_updated), 0),"
                     " coalesce(sum(rows_deleted), 0), coalesce(sum(rows_duplicate), 0), coalesce(sum(rows_stale), 0), coalesce(sum(bytes_read), 0) FROM ");
    add_of_target(row, job, "loads", out);
    rf_text_add(out, " AND kind = 'load' AND source_table = ");
    rf_dialect_literal(row, job->source_label, out);
    rf_text_add(out, " AND run_id = ");
    rf_dialect_literal(row, job->run_id, out);
}

static void add_json(const struct rf_dialect_row *row, const char *value, struct rf_text *out) {
    rf_text_add(out, row->casts ? "CAST(" : "");
    rf_dialect_literal(row, value, out);
    if (row->casts) rf_text_addf(out, " AS %s)", row->json);
}

static void add_value(const struct rf_dialect_row *row, const struct rf_record *record, int i, struct rf_text *out) {
    const char *value = record->values[i];
    if (i == MAP_INDEX && value && strcmp(value, "-1") == 0) value = NULL;
    if (rf_load_columns[i].kind == RF_LOAD_TIME) rf_dialect_time(row, value, out);
    else if (rf_load_columns[i].kind == RF_LOAD_FLAG) rf_text_add(out, value ? value : "NULL"); /* a keyword */
    else if (rf_load_columns[i].kind == RF_LOAD_JSON) add_json(row, value, out);
    else rf_dialect_literal(row, value, out);
}

void rf_plain_insert_load(const struct rf_dialect_row *row, const struct rf_job *job, const struct rf_record *record, struct rf_text *out) {
    rf_text_add(out, "INSERT INTO ");
    add_control(row, job, "loads", out);
    rf_text_add(out, " (");
    for (int i = 0; i < RF_LOAD_COLUMNS; i++) rf_text_addf(out, "%s%s", i > 0 ? ", " : "", rf_load_columns[i].name);
    rf_text_add(out, ") SELECT ");
    for (int i = 0; i < RF_RECORD_VALUES; i++) {
        add_value(row, record, i, out);
        rf_text_add(out, ", ");
    }
    rf_text_addf(out, "%s, ", row->now);
    if (strcmp(record->values[KIND], "load") == 0) rf_dialect_fill(row, row->file, job, out);
    else rf_text_add(out, "NULL");
    rf_text_add(out, " FROM (SELECT 1 AS one) o WHERE NOT EXISTS (SELECT 1 FROM ");
    add_of_target(row, job, "loads", out);
    rf_text_addf(out, " AND load_id >= %s)", record->values[LOAD_ID]);
}

void rf_plain_find_load(const struct rf_dialect_row *row, const struct rf_job *job, int64_t load_id, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM ");
    add_of_target(row, job, "loads", out);
    rf_text_addf(out, " AND load_id = %" PRId64, load_id);
}

void rf_plain_list_loads(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    struct rf_text loads = {0};
    rf_text_add(out, "SELECT ");
    for (int i = 0; i < RF_LOAD_COLUMNS; i++) {
        const struct rf_load_column *column = &rf_load_columns[i];
        if (i > 0) rf_text_add(out, ", ");
        if (column->kind == RF_LOAD_TIME) rf_dialect_around(row->iso, column->name, out);
        else if (column->kind == RF_LOAD_FLAG) rf_text_addf(out, "CASE WHEN %s IS NOT NULL THEN CASE WHEN %s THEN 'true' ELSE 'false' END END", column->name, column->name);
        else rf_text_add(out, column->name);
    }
    rf_text_add(out, " FROM ");
    if (job->target_label) add_of_target(row, job, "loads", &loads);
    else add_control(row, job, "loads", &loads);
    rf_sql_add_listed_loads(job, &loads, job->target_label ? "AND" : "WHERE", out);
    rf_text_add(out, " ORDER BY target_table, load_id DESC");
}

void rf_plain_file(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    rf_dialect_fill(row, row->file, job, out);
}

void rf_plain_count_some(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM (SELECT 1 AS one FROM ");
    rf_dialect_table(row, job->target_schema, job->target_table, out);
    rf_text_add(out, " LIMIT 1) r");
}

/* ---- tables of a load ---- */

static const struct rf_dialect_row *row_of(const struct rf_plan *plan) {
    return rf_dialect_row(plan->target->dialect);
}

static void add_schema_of_stages(const struct rf_plan *plan, struct rf_text *out) {
    const char *temporary = row_of(plan)->temporary;
    if (temporary) rf_text_add(out, temporary);
    else rf_text_identifier(out, plan->job->control_schema);
    rf_text_add(out, ".");
}

static void add_stage(const struct rf_plan *plan, struct rf_text *out) {
    add_schema_of_stages(plan, out);
    rf_text_addf(out, "\"" RF_STAGE "\"", plan->load_id);
}

static void add_key_stage(const struct rf_plan *plan, struct rf_text *out) {
    add_schema_of_stages(plan, out);
    rf_text_addf(out, "\"" RF_KEY_STAGE "\"", plan->load_id);
}

/* Of a row of the stage: does it only say that its key has left the filter? */
#define IS_GONE "\"_rowferry_gone\" <> 0"
#define IS_LIVE "\"_rowferry_gone\" = 0"

/* The rows of a stream have no age: the later one is the newer. */
static bool is_given(const struct rf_plan *plan) {
    return plan->reading == RF_READ_GIVEN;
}

static bool counts_arrivals(const struct rf_plan *plan) {
    return plan->dedupe && is_given(plan) && !row_of(plan)->arrival;
}

static void add_definition(const struct rf_column *column, const char *type, bool not_null, struct rf_text *out) {
    rf_text_identifier(out, column->name);
    rf_text_addf(out, " %s%s", type, not_null ? " NOT NULL" : "");
}

void rf_plain_drop_target(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "DROP TABLE ");
    rf_sql_add_target(plan, out);
}

void rf_plain_create_target(const struct rf_plan *plan, struct rf_text *out) {
    const struct rf_dialect_row *row = row_of(plan);
    rf_text_add(out, "CREATE TABLE ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " (");
    for (int i = 0; i < plan->source->n_columns; i++) {
        const struct rf_column *column = &plan->source->columns[i];
        add_definition(column, rf_target_column(plan, i)->type, column->not_null || rf_is_key(plan->source, i), out);
        rf_text_add(out, ", ");
    }
    rf_text_addf(out, "\"_extracted_at\" %s NOT NULL, \"_load_id\" bigint NOT NULL, \"_deleted_at\" %s%s", row->instant, row->instant, rf_keeps_versions(plan) ? ", \"_source_xid\" bigint" : "");
    rf_sql_add_primary_key(plan, ", ", out);
    rf_text_addf(out, ")%s", row->table_end);
}

/* What a row of the stage carries beside its columns. */
struct extra {
    const char *name;
    const char *type;
};

enum { MOST_EXTRAS = 5 };

static int list_extras(const struct rf_plan *plan, struct extra extras[MOST_EXTRAS]) {
    int n = 0;
    bool versions = plan->dedupe && !is_given(plan);
    if (versions) extras[n++] = (struct extra){"_rowferry_age", "integer"};
    if (versions) extras[n++] = (struct extra){"_rowferry_place", row_of(plan)->bytes};
    if (plan->audit) extras[n++] = (struct extra){"_rowferry_late", "smallint"};
    if (rf_keeps_versions(plan)) extras[n++] = (struct extra){"_rowferry_xid", "bigint"};
    if (plan->mark_gone) extras[n++] = (struct extra){"_rowferry_gone", "smallint"};
    return n;
}

void rf_plain_create_stage(const struct rf_plan *plan, struct rf_text *out) {
    struct extra extras[MOST_EXTRAS];
    int n = list_extras(plan, extras);
    rf_text_add(out, "CREATE TEMPORARY TABLE ");
    if (!row_of(plan)->temporary) add_schema_of_stages(plan, out);
    rf_text_addf(out, "\"" RF_STAGE "\" (", plan->load_id);
    if (counts_arrivals(plan)) rf_text_add(out, "\"_rowferry_arrival\" bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, ");
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        add_definition(&plan->source->columns[i], plan->source->columns[i].arrives_as, false, out);
    }
    for (int i = 0; i < n; i++) rf_text_addf(out, ", \"%s\" %s", extras[i].name, extras[i].type);
    rf_text_addf(out, ")%s", row_of(plan)->table_end);
}

void rf_plain_create_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "CREATE TEMPORARY TABLE ");
    if (!row_of(plan)->temporary) add_schema_of_stages(plan, out);
    rf_text_addf(out, "\"" RF_KEY_STAGE "\" (", plan->load_id);
    for (int k = 0; k < plan->source->n_keys; k++) {
        const struct rf_column *column = &plan->source->columns[plan->source->keys[k]];
        if (k > 0) rf_text_add(out, ", ");
        add_definition(column, column->arrives_as, false, out);
    }
    if (row_of(plan)->index_in_create) {
        rf_text_add(out, ", KEY (");
        rf_sql_add_keys(plan, out);
        rf_text_add(out, ")");
    }
    rf_text_addf(out, ")%s", row_of(plan)->table_end);
}

void rf_plain_index_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "CREATE INDEX ");
    add_schema_of_stages(plan, out);
    rf_text_addf(out, "\"" RF_KEY_STAGE "_index\" ON \"" RF_KEY_STAGE "\" (", plan->load_id, plan->load_id);
    rf_sql_add_keys(plan, out);
    rf_text_add(out, ")");
}

/* ---- rows ---- */

static void add_mark(const struct rf_plan *plan, const char *type, struct rf_text *out) {
    if (row_of(plan)->casts) rf_text_addf(out, "CAST(? AS %s)", type);
    else rf_text_add(out, "?");
}

static void add_marks(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        add_mark(plan, plan->source->columns[i].arrives_as, out);
    }
}

/* By position: a driver would have to read names that hold quotes and marks. */
void rf_plain_insert_row(const struct rf_plan *plan, struct rf_text *out) {
    struct extra extras[MOST_EXTRAS];
    int n = list_extras(plan, extras);
    rf_text_add(out, "INSERT INTO ");
    if (plan->straight) rf_sql_add_target(plan, out);
    else add_stage(plan, out);
    rf_text_add(out, counts_arrivals(plan) ? " VALUES (NULL, " : " VALUES (");
    add_marks(plan, out);
    for (int i = 0; i < n && !plan->straight; i++) {
        rf_text_add(out, ", ");
        add_mark(plan, extras[i].type, out);
    }
    if (plan->straight) {
        rf_text_add(out, ", ");
        rf_dialect_time(row_of(plan), plan->extracted_at, out);
        rf_text_addf(out, ", %" PRId64 ", NULL", plan->load_id);
    }
    if (plan->straight && rf_keeps_versions(plan)) {
        rf_text_add(out, ", ");
        add_mark(plan, "bigint", out);
    }
    rf_text_add(out, ")");
}

void rf_plain_insert_key(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "INSERT INTO ");
    add_key_stage(plan, out);
    rf_text_add(out, " VALUES (");
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, ", ");
        add_mark(plan, plan->source->columns[plan->source->keys[k]].arrives_as, out);
    }
    rf_text_add(out, ")");
}

void rf_plain_count_rows(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM ");
    if (plan->straight) rf_sql_add_target(plan, out);
    else add_stage(plan, out);
}

void rf_plain_count_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM ");
    add_key_stage(plan, out);
}

/* ---- the merge ---- */

static void add_ranked(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, ", ROW_NUMBER() OVER (PARTITION BY ");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, " ORDER BY ");
    if (!is_given(plan)) rf_text_add(out, "\"_rowferry_age\", \"_rowferry_place\" DESC");
    else rf_text_addf(out, "%s DESC", counts_arrivals(plan) ? "\"_rowferry_arrival\"" : row_of(plan)->arrival);
    rf_text_add(out, ") AS \"_rowferry_rank\"");
}

/* The rows of the stage to merge, one for each key, as something to select from. */
static void add_live(const struct rf_plan *plan, struct rf_text *out) {
    if (plan->dedupe) {
        rf_text_add(out, "(SELECT * FROM (SELECT ");
        rf_sql_add_columns(plan, "", out);
        if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_rowferry_xid\"");
        add_ranked(plan, out);
        rf_text_add(out, " FROM ");
    } else if (plan->mark_gone) {
        rf_text_add(out, "(SELECT * FROM ");
    }
    add_stage(plan, out);
    if (plan->mark_gone) rf_text_add(out, " WHERE " IS_LIVE);
    if (plan->dedupe) rf_text_add(out, ") r WHERE \"_rowferry_rank\" = 1)");
    else if (plan->mark_gone) rf_text_add(out, ")");
}

static void add_assignments(const struct rf_plan *plan, const char *side, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        const char *name = plan->source->columns[i].name;
        if (rf_is_key(plan->source, i)) continue;
        rf_text_add(out, side);
        rf_text_identifier(out, name);
        rf_text_add(out, " = s.");
        rf_text_identifier(out, name);
        rf_text_add(out, ", ");
    }
    for (int i = 0; i < plan->n_dropped; i++) {
        rf_text_add(out, side);
        rf_text_identifier(out, plan->dropped[i]);
        rf_text_add(out, " = NULL, ");
    }
    rf_text_addf(out, "%s\"_extracted_at\" = ", side);
    rf_dialect_time(row_of(plan), plan->extracted_at, out);
    rf_text_addf(out, ", %s\"_load_id\" = %" PRId64 ", %s\"_deleted_at\" = NULL", side, plan->load_id, side);
}

/* Each row that it finds it changes, by the load's number at least: found and changed are as many. */
void rf_plain_update(const struct rf_plan *plan, struct rf_text *out) {
    bool joins = row_of(plan)->update_joins;
    rf_text_add(out, "UPDATE ");
    if (joins) {
        add_live(plan, out);
        rf_text_add(out, " s STRAIGHT_JOIN "); /* by the target's key: nothing is known of a stage that was just filled */
    }
    rf_sql_add_target(plan, out);
    rf_text_add(out, " AS t ");
    if (joins) {
        rf_text_add(out, "ON ");
        rf_sql_add_key_match(plan, out);
    }
    rf_text_add(out, joins ? " SET " : "SET ");
    add_assignments(plan, joins ? "t." : "", out);
    if (!joins) {
        rf_text_add(out, " FROM ");
        add_live(plan, out);
        rf_text_add(out, " s");
    }
    rf_text_addf(out, " WHERE t.\"_load_id\" < %" PRId64, plan->load_id);
    if (joins) return;
    rf_text_add(out, " AND ");
    rf_sql_add_key_match(plan, out);
}

/* Where a query may not read what it inserts into without keeping all of it first, the key itself says what is there: such a
 * row is left as it is. */
static void add_unless_there(const struct rf_plan *plan, struct rf_text *out) {
    if (row_of(plan)->update_joins) {
        rf_text_add(out, " ON DUPLICATE KEY UPDATE \"_load_id\" = ");
        rf_sql_add_target(plan, out);
        rf_text_add(out, ".\"_load_id\"");
        return;
    }
    rf_text_add(out, " WHERE NOT EXISTS (SELECT 1 FROM ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t WHERE ");
    rf_sql_add_key_match(plan, out);
    rf_text_add(out, ")");
}

/* Up to the values of the columns of a row of `side`, of _extracted_at and of _load_id; those of `more` follow. */
static void begin_insert(const struct rf_plan *plan, const char *more, const char *side, struct rf_text *out) {
    rf_text_add(out, "INSERT INTO ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " (");
    rf_sql_add_columns(plan, "", out);
    rf_text_addf(out, ", \"_extracted_at\", \"_load_id\"%s) SELECT ", more);
    rf_sql_add_columns(plan, side, out);
    rf_text_add(out, ", ");
    rf_dialect_time(row_of(plan), plan->extracted_at, out);
    rf_text_addf(out, ", %" PRId64, plan->load_id);
}

void rf_plain_insert(const struct rf_plan *plan, struct rf_text *out) {
    begin_insert(plan, "", "s.", out);
    rf_text_add(out, " FROM ");
    add_live(plan, out);
    rf_text_add(out, " s");
    add_unless_there(plan, out);
}

static void add_live_in_target(const struct rf_plan *plan, const char *compared, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM ");
    add_live(plan, out);
    rf_text_add(out, " s JOIN ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t ON ");
    rf_sql_add_key_match(plan, out);
    rf_text_addf(out, " WHERE t.\"_load_id\" %s %" PRId64, compared, plan->load_id);
}

void rf_plain_count_merged(const struct rf_plan *plan, struct rf_text *out) {
    if (!rf_settles(plan)) {
        add_live_in_target(plan, "=", out);
        return;
    }
    rf_text_add(out, "SELECT count(*) FROM ");
    rf_sql_add_target(plan, out);
    rf_text_addf(out, " WHERE \"_load_id\" = %" PRId64, plan->load_id);
}

/* ---- replacing ---- */

void rf_plain_insert_all(const struct rf_plan *plan, struct rf_text *out) {
    begin_insert(plan, "", "s.", out);
    rf_text_add(out, " FROM ");
    add_live(plan, out);
    rf_text_add(out, " s");
}

void rf_plain_count_target(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_addf(out, "SELECT count(*), count(CASE WHEN \"_load_id\" = %" PRId64 " THEN 1 END) FROM ", plan->load_id);
    rf_sql_add_target(plan, out);
}

void rf_plain_count_stale(const struct rf_plan *plan, struct rf_text *out) {
    add_live_in_target(plan, ">", out);
}

void rf_plain_count_stage(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    if (plan->mark_gone) {
        rf_text_add(out, "(SELECT count(*) FROM ");
        add_stage(plan, out);
        rf_text_add(out, " WHERE " IS_GONE ")");
    } else {
        rf_text_add(out, "0");
    }
    rf_text_add(out, ", (SELECT count(*) FROM ");
    add_stage(plan, out);
    if (plan->mark_gone) rf_text_add(out, " WHERE " IS_LIVE);
    rf_text_add(out, ") - (SELECT count(*) FROM (SELECT DISTINCT ");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, " FROM ");
    add_stage(plan, out);
    if (plan->mark_gone) rf_text_add(out, " WHERE " IS_LIVE);
    rf_text_add(out, ") k)");
}

/* (1,a) */
static void add_key_text(const struct rf_plan *plan, struct rf_text *out) {
    for (int k = 0; k < plan->source->n_keys; k++) {
        rf_text_add(out, k > 0 ? " || ',' || CAST(" : "'(' || CAST(");
        rf_text_identifier(out, plan->source->columns[plan->source->keys[k]].name);
        rf_text_addf(out, " AS %s)", row_of(plan)->as_text);
    }
    rf_text_add(out, " || ')'");
}

void rf_plain_duplicate_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    rf_dialect_around(row_of(plan)->listed, "k", out);
    rf_text_add(out, " FROM (SELECT ");
    add_key_text(plan, out);
    rf_text_add(out, " AS k FROM ");
    add_stage(plan, out);
    if (plan->mark_gone) rf_text_add(out, " WHERE " IS_LIVE);
    rf_text_add(out, " GROUP BY ");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, " HAVING count(*) > 1 ORDER BY ");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, " LIMIT 5) d");
}

/* ---- rows that are gone ---- */

static bool removes(const struct rf_plan *plan) {
    return plan->job->on_delete == RF_DELETE_REMOVE;
}

static void add_closed(const struct rf_plan *plan, const char *side, struct rf_text *out) {
    rf_text_addf(out, "%s\"_deleted_at\" = ", side);
    rf_dialect_time(row_of(plan), plan->extracted_at, out);
    rf_text_addf(out, ", %s\"_extracted_at\" = ", side);
    rf_dialect_time(row_of(plan), plan->extracted_at, out);
    rf_text_addf(out, ", %s\"_load_id\" = %" PRId64, side, plan->load_id);
}

/* Of rows of earlier loads, of those that are not closed yet. */
static void add_older(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_addf(out, "t.\"_load_id\" < %" PRId64, plan->load_id);
    if (!removes(plan)) rf_text_add(out, " AND t.\"_deleted_at\" IS NULL");
}

/* Where versions are kept, that a row is gone is its last one: its values of before, and when it was found to be. */
static void add_last_versions(const struct rf_plan *plan, struct rf_text *out) {
    begin_insert(plan, ", \"_deleted_at\", \"_source_xid\"", "t.", out);
    rf_text_add(out, ", ");
    rf_dialect_time(row_of(plan), plan->extracted_at, out);
    rf_text_add(out, ", t.\"_source_xid\" FROM ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " AS t WHERE ");
    add_older(plan, out);
    rf_sql_add_newest_version(plan, out);
}

/* Begins a statement over `t` alone; what it ends with narrows it. */
static void add_closing(const struct rf_plan *plan, struct rf_text *out) {
    if (rf_keeps_versions(plan)) {
        add_last_versions(plan, out);
        return;
    }
    if (!removes(plan)) rf_text_add(out, "UPDATE ");
    else rf_text_add(out, row_of(plan)->update_joins ? "DELETE t FROM " : "DELETE FROM ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " AS t");
    if (!removes(plan)) {
        rf_text_add(out, " SET ");
        add_closed(plan, "", out);
    }
    rf_text_add(out, " WHERE ");
    add_older(plan, out);
}

static void add_gone_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "(SELECT DISTINCT ");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, " FROM ");
    add_stage(plan, out);
    rf_text_add(out, " WHERE " IS_GONE ") s");
}

static void close_gone_by_join(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, removes(plan) ? "DELETE t FROM " : "UPDATE ");
    add_gone_keys(plan, out);
    rf_text_add(out, " STRAIGHT_JOIN ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " AS t ON ");
    rf_sql_add_key_match(plan, out);
    if (!removes(plan)) {
        rf_text_add(out, " SET ");
        add_closed(plan, "t.", out);
    }
    rf_text_add(out, " WHERE ");
    add_older(plan, out);
}

/* The rows are found from their keys, and named by their places. */
void rf_plain_close_gone(const struct rf_plan *plan, struct rf_text *out) {
    const char *place = row_of(plan)->arrival;
    if (rf_keeps_versions(plan)) {
        add_closing(plan, out);
        rf_text_add(out, " AND EXISTS (SELECT 1 FROM ");
        add_stage(plan, out);
        rf_text_add(out, " s WHERE " IS_GONE " AND ");
        rf_sql_add_key_match(plan, out);
        rf_text_add(out, ")");
        return;
    }
    if (row_of(plan)->update_joins) {
        close_gone_by_join(plan, out);
        return;
    }
    add_closing(plan, out);
    rf_text_addf(out, " AND t.%s IN (SELECT u.%s FROM ", place, place);
    add_gone_keys(plan, out);
    rf_text_add(out, " JOIN ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " u ON ");
    for (int k = 0; k < plan->source->n_keys; k++) {
        rf_text_add(out, k > 0 ? " AND u." : "u.");
        rf_text_identifier(out, plan->source->columns[plan->source->keys[k]].name);
        rf_text_add(out, " = s.");
        rf_text_identifier(out, plan->source->columns[plan->source->keys[k]].name);
    }
    rf_text_add(out, ")");
}

/* The merge just stamped every row that the source still has: what carries an older load is absent there. */
void rf_plain_close_absent(const struct rf_plan *plan, struct rf_text *out) {
    add_closing(plan, out);
    if (rf_keeps_versions(plan)) rf_sql_add_unless_in(plan, add_stage, out); /* a row that is as it was got no new version */
}

void rf_plain_sweep(const struct rf_plan *plan, struct rf_text *out) {
    add_closing(plan, out);
    rf_sql_add_unless_in(plan, add_key_stage, out);
}

void rf_plain_count_live(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT (SELECT count(*) FROM (SELECT DISTINCT ");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, " FROM ");
    add_key_stage(plan, out);
    rf_text_add(out, ") k), (SELECT count(*) FROM ");
    rf_sql_add_target(plan, out);
    rf_sql_add_live_condition(plan, out);
    rf_text_add(out, ")");
}

/* ---- what the cursor had missed ---- */

static void add_difference(const struct rf_plan *plan, int i, struct rf_text *out) {
    const struct rf_dialect_row *row = row_of(plan);
    const char *sides[] = {"t.", "s."};
    rf_text_add(out, row->differs.before);
    for (int side = 0; side < 2; side++) {
        if (side > 0) rf_text_add(out, row->differs_between);
        rf_text_addf(out, "%s%s", row->casts ? "CAST(" : "", sides[side]); /* not every type of PostgreSQL's has an equality */
        rf_text_identifier(out, plan->source->columns[i].name);
        if (row->casts) rf_text_addf(out, " AS %s)", row->as_text);
    }
    rf_text_add(out, row->differs.after);
}

static void add_values_differ(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        rf_text_add(out, i > 0 ? " OR " : "");
        add_difference(plan, i, out);
    }
}

/* Before the merge. A late row that the target already has as it is was brought by an earlier run. */
void rf_plain_count_missed(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM ");
    if (plan->dedupe) {
        rf_text_add(out, "(SELECT * FROM (SELECT a.*");
        add_ranked(plan, out);
        rf_text_add(out, " FROM ");
    }
    add_stage(plan, out);
    if (plan->dedupe) rf_text_add(out, " a) r WHERE \"_rowferry_rank\" = 1)");
    rf_text_add(out, " s LEFT JOIN ");
    rf_sql_add_target(plan, out);
    rf_text_add(out, " t ON ");
    rf_sql_add_key_match(plan, out);
    rf_sql_add_newest_version(plan, out);
    rf_text_add(out, " WHERE s.\"_rowferry_late\" <> 0 AND ");
    if (plan->mark_gone) rf_text_add(out, "((s." IS_GONE " AND t.\"_load_id\" IS NOT NULL AND t.\"_deleted_at\" IS NULL) OR (s." IS_LIVE " AND ");
    rf_text_add(out, "(t.\"_load_id\" IS NULL OR t.\"_deleted_at\" IS NOT NULL OR ");
    add_values_differ(plan, out);
    rf_text_add(out, plan->mark_gone ? ")))" : ")");
}

/* ---- appending ---- */

void rf_plain_append(const struct rf_plan *plan, struct rf_text *out) {
    begin_insert(plan, ", \"_source_xid\"", "s.", out);
    rf_text_add(out, ", s.\"_rowferry_xid\" FROM ");
    add_live(plan, out);
    rf_text_add(out, " s");
    if (rf_settles(plan)) return;
    rf_text_add(out, " WHERE NOT ");
    rf_sql_add_is_known(plan, add_values_differ, out);
}

void rf_plain_count_known(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT count(*) FROM ");
    add_live(plan, out);
    rf_text_add(out, " s WHERE ");
    rf_sql_add_is_known(plan, add_values_differ, out);
}

/* ---- comparing ---- */

void rf_plain_idle_limit(const struct rf_dialect_row *row, double seconds, struct rf_text *out) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, (int64_t)ceil(seconds));
    rf_dialect_around(row->idle_limit, text, out);
}

static void add_rows(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    for (int i = 0; i < plan->source->n_columns; i++) {
        struct rf_text name = {0};
        rf_text_add(out, i > 0 ? ", " : "");
        rf_text_identifier(&name, plan->source->columns[i].name);
        rf_add_asked(row_of(plan)->asked, plan->source->columns[i].arrives_as, &name, out);
    }
}

static void add_from(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, " FROM ");
    rf_sql_add_target(plan, out);
    rf_sql_add_live_condition(plan, out);
}

#define CURSOR "rowferry_rows"

/* Without a key there is nothing behind which a page could begin. */
enum rf_paging rf_plain_paging(const struct rf_plan *plan) {
    enum rf_paging paging = row_of(plan)->paging;
    return paging == RF_PAGES_BY_KEY && plan->source->n_keys == 0 ? RF_PAGES_NONE : paging;
}

static bool has(const struct rf_plan *plan, enum rf_paging paging) {
    return rf_plain_paging(plan) == paging;
}

void rf_plain_open_rows(const struct rf_plan *plan, struct rf_text *out) {
    if (!has(plan, RF_PAGES_CURSOR)) return;
    rf_text_add(out, "DECLARE " CURSOR " NO SCROLL CURSOR FOR ");
    add_rows(plan, out);
    add_from(plan, out);
}

void rf_plain_close_rows(const struct rf_plan *plan, struct rf_text *out) {
    if (has(plan, RF_PAGES_CURSOR)) rf_text_add(out, "CLOSE " CURSOR);
}

#define KEY_VARIABLE "@rowferry_key_%d"

/* (a > @1 OR (a = @1 AND (b > @2))), in the order of the key: of such a condition MariaDB makes a range of the primary key. */
static void add_behind(const struct rf_plan *plan, struct rf_text *out) {
    int n = plan->source->n_keys;
    for (int k = 0; k < n; k++) {
        const char *name = plan->source->columns[plan->source->keys[k]].name;
        rf_text_add(out, " (");
        rf_text_identifier(out, name);
        rf_text_addf(out, " > " KEY_VARIABLE, k);
        if (k == n - 1) break;
        rf_text_add(out, " OR (");
        rf_text_identifier(out, name);
        rf_text_addf(out, " = " KEY_VARIABLE " AND", k);
    }
    for (int k = 0; k < 2 * n - 1; k++) rf_text_add(out, ")");
}

static void add_page(const struct rf_plan *plan, bool is_first, int from, int n, struct rf_text *out) {
    add_from(plan, out);
    if (!is_first) rf_text_add(out, " AND");
    if (!is_first) add_behind(plan, out);
    rf_text_add(out, " ORDER BY ");
    rf_sql_add_keys(plan, out);
    rf_text_addf(out, " LIMIT %d OFFSET %d", n, from);
}

void rf_plain_page(const struct rf_plan *plan, bool is_first, struct rf_text *out) {
    if (has(plan, RF_PAGES_CURSOR)) {
        rf_text_addf(out, "FETCH %d FROM " CURSOR, RF_PLAIN_PAGE_ROWS);
        return;
    }
    add_rows(plan, out);
    if (has(plan, RF_PAGES_BY_KEY)) add_page(plan, is_first, 0, RF_PLAIN_PAGE_ROWS, out);
    else add_from(plan, out);
}

void rf_plain_pass_page(const struct rf_plan *plan, bool is_first, struct rf_text *out) {
    if (!has(plan, RF_PAGES_BY_KEY)) return;
    rf_text_add(out, "SELECT ");
    rf_sql_add_keys(plan, out);
    for (int k = 0; k < plan->source->n_keys; k++) rf_text_addf(out, k > 0 ? ", " KEY_VARIABLE : " INTO " KEY_VARIABLE, k);
    add_page(plan, is_first, RF_PLAIN_PAGE_ROWS - 1, 1, out);
}

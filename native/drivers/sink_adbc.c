/* Loading into a DuckDB file through an ADBC driver of ours (duckdb.h): one transaction from the first statement to the load
 * record. Rows go into the new table, or into a temporary one and from there by DELETE or UPDATE, and INSERT.
 *
 * DuckDB reports success where another database would complain: what a statement says it did is compared with what the
 * tables then hold.
 */
#include "drivers/sink_adbc.h"

#include "core/merge.h"
#include "core/sql.h"
#include "core/sql_alter.h"
#include "core/sql_duckdb.h"
#include "core/sql_target.h"
#include "drivers/duckdb.h"
#include "drivers/target.h"

#include <inttypes.h>
#include <string.h>

/* ---- the target as it stands ---- */

/* Sets the type of each column as DuckDB prints it: of what the catalog says of the table, it is compared with. */
static enum rf_code set_types(struct rf_sink_duckdb *sink, struct rf_source_facts *source, const struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    RF_TRY(rf_target_types(sink->job, source, facts, sink->arena, &sink->fields, err));
    rf_duckdb_print_types(source->columns, source->n_columns, &sql);
    RF_TRY(rf_adbc_read(&sink->adbc, "name the types", &sql, sink->arena, &rows, err));
    for (int i = 0; i < source->n_columns; i++) {
        source->columns[i].arrives_as = rf_result_cell(&rows, 0, i);
        if (!source->columns[i].arrives_as) return rf_fail(err, RF_INTERNAL, "the target did not name the type of column \"%s\"", source->columns[i].name);
    }
    return RF_OK;
}

static enum rf_code read_file(struct rf_sink_duckdb *sink, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    rf_duckdb_file(sink->job, &sql);
    RF_TRY(rf_adbc_read(&sink->adbc, "look at the target table", &sql, sink->arena, &rows, err));
    facts->file = rf_result_cell(&rows, 0, 0);
    return RF_OK;
}

static enum rf_code describe_existing(struct rf_sink_duckdb *sink, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text columns = {0}, keys = {0};
    struct rf_result rows;
    rf_duckdb_columns(sink->job, &columns);
    RF_TRY(rf_adbc_read(&sink->adbc, "read the target's columns", &columns, sink->arena, &rows, err));
    RF_TRY(rf_target_columns(&rows, sink->arena, facts, err));
    RF_TRY(set_types(sink, source, facts, err));
    rf_duckdb_unique_keys(sink->job, &keys);
    RF_TRY(rf_adbc_read(&sink->adbc, "read the target's keys", &keys, sink->arena, &rows, err));
    facts->key_unique = rf_target_has_key(sink->job, &rows, source, facts);
    facts->is_ours = rf_has_metadata(facts);
    return facts->is_ours ? read_file(sink, facts, err) : RF_OK;
}

static enum rf_code describe_target(void *self, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    const struct rf_job *job = sink->job;
    struct rf_text sql = {0};
    struct rf_result rows;
    *facts = (struct rf_target_facts){.dialect = RF_DIALECT_DUCKDB, .server = {.utf8 = true, .lc_monetary = ""}};
    rf_duckdb_find_target(job, &sql);
    RF_TRY(rf_adbc_read(&sink->adbc, "look for the target table", &sql, sink->arena, &rows, err));
    facts->server.clock = rf_result_cell(&rows, 0, 0);
    facts->server.version = rf_target_version(rf_result_cell(&rows, 0, 1));
    facts->exists = rf_result_flag(&rows, 0, 2);
    facts->is_referenced = rf_result_flag(&rows, 0, 4);
    if (rf_result_flag(&rows, 0, 3)) return rf_fail(err, RF_CONFIG, "%s exists on the target and is not a table", job->target_label);
    if (facts->exists) return describe_existing(sink, source, facts, err);
    RF_TRY(set_types(sink, source, facts, err));
    return rf_target_twins(source, sink->arena, facts, err);
}

/* ---- loading ---- */

static enum rf_code change(void *self, const char *role, rf_statement_maker *make, int64_t *n_rows, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    make(sink->plan, &sql);
    return rf_adbc_execute(&sink->adbc, role, &sql, n_rows, err);
}

/* Some row groups: rows come in while DuckDB compresses. */
enum { BYTES_AHEAD = 64 * 1024 * 1024 };

static enum rf_code load_rows(void *self, struct ArrowArrayStream *stream, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    if (sink->keys_follow) rf_duckdb_take_keys(sink->plan, &sql);
    else rf_duckdb_take_rows(sink->plan, &sql);
    return rf_adbc_ingest(&sink->adbc, "load rows", &sql, stream, err);
}

static enum rf_code start_ingest(struct rf_sink_duckdb *sink, const struct rf_columns_field *fields, int n_fields, struct rf_error *err) {
    const struct rf_ingest_end end = {.load = load_rows, .self = sink, .cancel = sink->cancel, .most_rows = RF_DUCKDB_VECTOR, .bytes_ahead = BYTES_AHEAD};
    return rf_ingest_start(&end, fields, n_fields, (size_t)sink->job->batch_bytes, &sink->ingest, err);
}

static enum rf_code start_rows(struct rf_sink_duckdb *sink, struct rf_error *err) {
    struct rf_columns_field *fields = NULL;
    int n = 0;
    RF_TRY(rf_target_row_fields(sink->plan, sink->fields, sink->arena, &fields, &n, err));
    return start_ingest(sink, fields, n, err);
}

/* Which of a stream's rows is the later one is told by its place in the stage: one thread has to take them then. */
static enum rf_code keep_order(struct rf_sink_duckdb *sink, bool kept, struct rf_error *err) {
    struct rf_text sql = {0};
    if (!sink->plan->dedupe || sink->plan->reading != RF_READ_GIVEN) return RF_OK;
    rf_duckdb_keep_order(kept, &sql);
    return rf_adbc_execute(&sink->adbc, "keep the order of rows", &sql, NULL, err);
}

static enum rf_code begin_load(void *self, const struct rf_plan *plan, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    sink->plan = plan;
    if (plan->first_load) RF_TRY(change(sink, "create the target table", rf_duckdb_create_target, NULL, err));
    if (!plan->straight) RF_TRY(change(sink, "create the stage", rf_sql_create_stage, NULL, err));
    RF_TRY(keep_order(sink, true, err));
    return start_rows(sink, err);
}

static enum rf_code write_batch(void *self, const struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    return rf_ingest_write(sink->ingest, batch, err);
}

static enum rf_code count(void *self, const char *role, rf_statement_maker *make, int64_t *first, int64_t *second, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    make(sink->plan, &sql);
    RF_TRY(rf_duckdb_read_texts(sink, role, &sql, &rows, err));
    *first = rf_result_integer(&rows, 0, 0);
    if (second) *second = rf_result_integer(&rows, 0, 1);
    return RF_OK;
}

/* The driver's word is not taken for what it loaded. */
static enum rf_code end_ingest(struct rf_sink_duckdb *sink, rf_statement_maker *make, int64_t *n_rows, struct rf_error *err) {
    struct rf_ingest *ingest = sink->ingest;
    sink->ingest = NULL;
    if (ingest) RF_TRY(rf_ingest_end(ingest, err));
    return count(sink, "count what was loaded", make, n_rows, NULL, err);
}

static enum rf_code end_rows(struct rf_sink_duckdb *sink, struct rf_error *err) {
    RF_TRY(end_ingest(sink, sink->plan->straight ? rf_duckdb_count_target : rf_duckdb_count_stage, &sink->rows_staged, err));
    return keep_order(sink, false, err);
}

static enum rf_code begin_keys(void *self, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_columns_field *fields = NULL;
    int n = 0;
    RF_TRY(end_rows(sink, err));
    sink->keys_follow = true;
    RF_TRY(change(sink, "create the stage of keys", rf_sql_create_keys, NULL, err));
    RF_TRY(rf_target_key_fields(sink->plan, sink->fields, sink->arena, &fields, &n, err));
    return start_ingest(sink, fields, n, err);
}

/* ---- merging ---- */

static enum rf_code read_text(void *self, const char *role, rf_statement_maker *make, const char **text, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    make(sink->plan, &sql);
    RF_TRY(rf_duckdb_read_texts(sink, role, &sql, &rows, err));
    *text = rf_result_cell(&rows, 0, 0);
    return RF_OK;
}

/* After a DELETE only rows that are not older can be in the way. To count those takes a millisecond, as their load ids lie in few
 * places; to look for each key takes a twentieth of the whole run. */
static enum rf_code insert(struct rf_sink_duckdb *sink, bool by_delete, int64_t *n_rows, struct rf_error *err) {
    int64_t newer = 0;
    if (by_delete) RF_TRY(count(sink, "count newer rows", rf_duckdb_count_newer, &newer, NULL, err));
    return change(sink, "insert", by_delete && newer == 0 ? rf_duckdb_insert : rf_duckdb_insert_absent, n_rows, err);
}

/* Both statements say how many rows they changed; so do the rows, by the load that they carry. A row that was taken out is
 * among those that come in. */
static enum rf_code update_and_insert(void *self, struct rf_counts *counts, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    int64_t merged = 0;
    bool by_delete = rf_duckdb_merges_by_delete(sink->plan);
    if (!sink->plan->first_load) RF_TRY(change(sink, "update", by_delete ? rf_duckdb_delete : rf_duckdb_update, &counts->updated, err));
    RF_TRY(insert(sink, by_delete, &counts->inserted, err));
    if (by_delete) counts->inserted -= counts->updated;
    RF_TRY(count(sink, "count merged rows", rf_duckdb_count_merged, &merged, NULL, err));
    if (counts->inserted >= 0 && merged == counts->updated + counts->inserted) return RF_OK;
    return rf_fail(err, RF_INTERNAL, "DuckDB says it updated %" PRId64 " and inserted %" PRId64 " rows of %s, and %" PRId64 " rows carry this load",
                   counts->updated, counts->inserted, sink->job->target_label, merged);
}

static const struct rf_merge_ops merge_ops = {.count = count, .change = change, .text = read_text, .merge = update_and_insert};

static enum rf_code execute_alteration(void *self, const char *role, struct rf_text *sql, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    return rf_adbc_execute(&sink->adbc, role, sql, NULL, err);
}

static enum rf_code merge_rows(void *self, const struct rf_plan *plan, struct rf_counts *counts, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    if (sink->keys_follow) RF_TRY(end_ingest(sink, rf_duckdb_count_keys, &counts->keys_staged, err));
    else RF_TRY(end_rows(sink, err));
    counts->staged = sink->rows_staged;
    RF_TRY(rf_alter_target(plan, RF_ALTER_BEFORE_MERGE, execute_alteration, sink, err));
    if (!plan->straight) return rf_merge_stage(plan, &merge_ops, sink, counts, err);
    counts->inserted = counts->staged;
    return plan->source->n_keys > 0 ? change(sink, "add the key", rf_duckdb_add_key, NULL, err) : RF_OK;
}

static enum rf_code record_load(void *self, const struct rf_report *report, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_record record;
    enum rf_code code = rf_record_load(report, &record, err);
    if (code == RF_OK) code = rf_duckdb_add_record(sink, &record, err);
    rf_record_drop(&record);
    return code;
}

/* ---- comparing ---- */

static enum rf_code take_forms(struct rf_sink_duckdb *sink, const struct rf_plan *plan, struct rf_compared *compared, struct rf_error *err) {
    int n = plan->source->n_columns;
    struct rf_form *given = rf_arena_take(sink->arena, (size_t)n * sizeof *given);
    compared->sent = rf_forms_of(sink->fields, n, sink->arena);
    compared->given = given;
    return compared->sent && given ? rf_scan_forms(sink->scan, n, given, err) : rf_no_memory(err);
}

static enum rf_code read_rows_of_target(void *self, const struct rf_plan *plan, struct rf_compared *compared, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    rf_sql_target_values(plan, &sql);
    rf_scan_drop(&sink->scan);
    RF_TRY(rf_scan_start(&sink->adbc, "read the target's rows", &sql, (size_t)sink->job->batch_bytes, &sink->scan, err));
    return take_forms(sink, plan, compared, err);
}

static enum rf_code next_of_target(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    return rf_scan_next(&sink->scan, batch, err);
}

const struct rf_sink_ops rf_sink_duckdb_ops = {
    .open = rf_duckdb_open_target,
    .lease = rf_duckdb_take_lease,
    .newest = rf_duckdb_newest,
    .describe = describe_target,
    .begin = begin_load,
    .write = write_batch,
    .keys = begin_keys,
    .merge = merge_rows,
    .record = record_load,
    .commit = rf_duckdb_commit,
    .read_rows = read_rows_of_target,
    .next = next_of_target,
    .state = rf_duckdb_state,
    .reset = rf_duckdb_reset,
    .inspect = rf_duckdb_inspect,
    .close = rf_duckdb_close_target,
};

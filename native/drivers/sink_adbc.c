/* Loading into a DuckDB file through the ADBC driver in DuckDB's own library: one transaction from the first statement to
 * the load record. Rows go into the new table, or into a temporary one and from there by UPDATE and INSERT.
 *
 * DuckDB reports success where another database would complain: what a statement says it did is compared with what the
 * tables then hold.
 */
#include "drivers/sink_adbc.h"

#include "core/merge.h"
#include "core/sql.h"
#include "core/sql_duckdb.h"
#include "core/sql_target.h"
#include "core/types.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the target as it stands ---- */

static enum rf_code copy_type(const struct rf_type *type, struct rf_arena *arena, const char **out, struct rf_error *err) {
    struct rf_text text = {0};
    rf_type_on_duckdb(type, &text);
    *out = text.failed || !text.data ? NULL : rf_arena_copy(arena, text.data);
    rf_text_free(&text);
    return *out ? RF_OK : rf_no_memory(err);
}

/* What a stream brings nobody casts at its source. */
static enum rf_code check_given(const struct rf_sink_duckdb *sink, const struct rf_source_facts *source, struct rf_error *err) {
    for (int i = 0; sink->job->capture == RF_CAPTURE_GIVEN && i < source->n_columns; i++) {
        if (!source->columns[i].cast) continue;
        rf_fail(err, RF_CONFIG, "column \"%s\" of the stream is of type %s, which DuckDB has no type for", source->columns[i].name, source->columns[i].type);
        return rf_hint(err, "Cast it before, to a decimal of at most 38 digits or to a text.");
    }
    return RF_OK;
}

/* Sets the type of each column as DuckDB prints it: of what the catalog says of the table, it is compared with. */
static enum rf_code set_types(struct rf_sink_duckdb *sink, struct rf_source_facts *source, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_adbc_rows rows;
    RF_TRY(rf_types_of(sink->job, source, sink->arena, &sink->fields, err));
    RF_TRY(check_given(sink, source, err));
    for (int i = 0; i < source->n_columns; i++) {
        sink->fields[i].not_null = false; /* of a row that left the filter nothing but the key is sent */
        RF_TRY(copy_type(&sink->fields[i].type, sink->arena, &source->columns[i].arrives_as, err));
    }
    rf_duckdb_print_types(source->columns, source->n_columns, &sql);
    RF_TRY(rf_adbc_read(&sink->adbc, "name the types", &sql, sink->arena, &rows, err));
    for (int i = 0; i < source->n_columns; i++) {
        source->columns[i].arrives_as = rf_adbc_cell(&rows, 0, i);
        if (!source->columns[i].arrives_as) return rf_fail(err, RF_INTERNAL, "the target did not name the type of column \"%s\"", source->columns[i].name);
    }
    return RF_OK;
}

static enum rf_code make_columns(struct rf_sink_duckdb *sink, int n, struct rf_target_facts *facts, struct rf_error *err) {
    facts->n_columns = n;
    facts->columns = rf_arena_take(sink->arena, (size_t)(n + 1) * sizeof *facts->columns);
    return facts->columns ? RF_OK : rf_no_memory(err);
}

static enum rf_code make_twins(struct rf_sink_duckdb *sink, const struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    RF_TRY(make_columns(sink, source->n_columns, facts, err));
    for (int i = 0; i < source->n_columns; i++) {
        const char *type = source->columns[i].arrives_as;
        facts->columns[i] = (struct rf_column){.name = source->columns[i].name, .type = type, .base = type, .identity = type, .typmod = -1, .not_null = source->columns[i].not_null};
    }
    return RF_OK;
}

/* NULL conflicts with nothing. */
static bool may_be_null(const struct rf_target_facts *facts, const char *name) {
    int at = rf_find_column(facts->columns, facts->n_columns, name);
    return at < 0 || !facts->columns[at].not_null;
}

/* A run of rows with one number is one constraint. */
static bool has_unique_key(const struct rf_adbc_rows *rows, const struct rf_source_facts *source, const struct rf_target_facts *facts) {
    for (int from = 0, to; from < rows->n_rows; from = to) {
        bool matches = true;
        for (to = from; to < rows->n_rows && rf_adbc_integer(rows, to, 0) == rf_adbc_integer(rows, from, 0); to++)
            matches &= rf_is_key(source, rf_find_column(source->columns, source->n_columns, rf_adbc_cell(rows, to, 1))) && !may_be_null(facts, rf_adbc_cell(rows, to, 1));
        if (matches && to - from == source->n_keys) return true;
    }
    return false;
}

static enum rf_code read_file(struct rf_sink_duckdb *sink, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_adbc_rows rows;
    rf_duckdb_file(sink->job, &sql);
    RF_TRY(rf_adbc_read(&sink->adbc, "look at the target table", &sql, sink->arena, &rows, err));
    facts->file = rf_adbc_cell(&rows, 0, 0);
    return RF_OK;
}

static enum rf_code describe_existing(struct rf_sink_duckdb *sink, const struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text columns = {0}, keys = {0};
    struct rf_adbc_rows rows;
    rf_duckdb_columns(sink->job, &columns);
    RF_TRY(rf_adbc_read(&sink->adbc, "read the target's columns", &columns, sink->arena, &rows, err));
    RF_TRY(make_columns(sink, rows.n_rows, facts, err));
    for (int i = 0; i < rows.n_rows; i++) {
        const char *type = rf_adbc_cell(&rows, i, 1);
        facts->columns[i] = (struct rf_column){.name = rf_adbc_cell(&rows, i, 0), .type = type, .base = type, .identity = type, .typmod = -1, .not_null = rf_adbc_flag(&rows, i, 2)};
    }
    rf_duckdb_unique_keys(sink->job, &keys);
    RF_TRY(rf_adbc_read(&sink->adbc, "read the target's keys", &keys, sink->arena, &rows, err));
    facts->key_unique = has_unique_key(&rows, source, facts);
    facts->is_ours = rf_has_metadata(facts);
    return facts->is_ours ? read_file(sink, facts, err) : RF_OK;
}

/* "v2.0.1" → 20001, as PostgreSQL numbers its versions. */
static int number_of(const char *version) {
    int major = 0, minor = 0, patch = 0;
    return version && sscanf(version, "v%d.%d.%d", &major, &minor, &patch) >= 2 ? major * 10000 + minor * 100 + patch : 0;
}

static enum rf_code describe_target(void *self, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    const struct rf_job *job = sink->job;
    struct rf_text sql = {0};
    struct rf_adbc_rows rows;
    *facts = (struct rf_target_facts){.dialect = RF_DIALECT_DUCKDB, .server = {.utf8 = true, .lc_monetary = ""}};
    RF_TRY(set_types(sink, source, err));
    rf_duckdb_find_target(job, &sql);
    RF_TRY(rf_adbc_read(&sink->adbc, "look for the target table", &sql, sink->arena, &rows, err));
    facts->server.clock = rf_adbc_cell(&rows, 0, 0);
    facts->server.version = number_of(rf_adbc_cell(&rows, 0, 1));
    facts->exists = rf_adbc_flag(&rows, 0, 2);
    facts->is_referenced = rf_adbc_flag(&rows, 0, 4);
    if (rf_adbc_flag(&rows, 0, 3)) return rf_fail(err, RF_CONFIG, "%s exists on the target and is not a table", job->target_label);
    return facts->exists ? describe_existing(sink, source, facts, err) : make_twins(sink, source, facts, err);
}

/* ---- loading ---- */

static enum rf_code change(void *self, const char *role, rf_statement_maker *make, int64_t *n_rows, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    make(sink->plan, &sql);
    return rf_adbc_execute(&sink->adbc, role, &sql, n_rows, err);
}

static enum rf_code add_field(struct rf_sink_duckdb *sink, struct rf_columns_field *fields, int *n, const char *name, const char *type, struct rf_error *err) {
    fields[*n] = (struct rf_columns_field){.name = name};
    return rf_type_resolve(type, -1, false, sink->arena, &fields[(*n)++].type, err);
}

/* The fields of a row, in the order in which the source sends them (rf_sql_read). A place, six bytes, is kept as bytes,
 * which are ordered as places are. */
static enum rf_code list_fields(struct rf_sink_duckdb *sink, struct rf_columns_field **out, int *n, struct rf_error *err) {
    enum { MOST_MORE = 4 };
    const struct rf_plan *plan = sink->plan;
    struct rf_columns_field *fields = rf_arena_take(sink->arena, (size_t)(plan->source->n_columns + MOST_MORE) * sizeof *fields);
    if (!fields) return rf_no_memory(err);
    *out = fields;
    *n = plan->source->n_columns;
    for (int i = 0; i < *n; i++) fields[i] = sink->fields[i];
    bool versions = plan->dedupe && plan->reading != RF_READ_GIVEN;
    if (versions) RF_TRY(add_field(sink, fields, n, "_rowferry_age", "int4", err));
    if (versions) RF_TRY(add_field(sink, fields, n, "_rowferry_place", "bytea", err));
    if (plan->audit) RF_TRY(add_field(sink, fields, n, "_rowferry_late", "bool", err));
    if (plan->mark_gone) RF_TRY(add_field(sink, fields, n, "_rowferry_gone", "bool", err));
    return RF_OK;
}

static enum rf_code set_threads(struct rf_sink_duckdb *sink, const char *threads, struct rf_error *err) {
    struct rf_text sql = {0};
    rf_duckdb_set_threads(threads, &sql);
    return rf_adbc_execute(&sink->adbc, "set the threads", &sql, NULL, err);
}

/* With more threads DuckDB makes row groups of each 204,800 rows that are appended, which takes a fifth more work and no less time. */
static enum rf_code start_ingest(struct rf_sink_duckdb *sink, const char *schema, const char *table, const struct rf_columns_field *fields, int n, struct rf_error *err) {
    RF_TRY(set_threads(sink, "1", err));
    return rf_ingest_start(&sink->adbc, schema, table, fields, n, (size_t)sink->job->batch_bytes, &sink->ingest, err);
}

static enum rf_code start_rows(struct rf_sink_duckdb *sink, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    struct rf_columns_field *fields = NULL;
    int n = 0;
    RF_TRY(list_fields(sink, &fields, &n, err));
    snprintf(sink->stage, sizeof sink->stage, RF_STAGE, sink->load_id);
    bool straight = sink->plan->straight;
    return start_ingest(sink, straight ? job->target_schema : NULL, straight ? job->target_table : sink->stage, fields, n, err);
}

static enum rf_code begin_load(void *self, const struct rf_plan *plan, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    sink->plan = plan;
    if (plan->first_load) RF_TRY(change(sink, "create the target table", rf_duckdb_create_target, NULL, err));
    if (!plan->straight) RF_TRY(change(sink, "create the stage", rf_sql_create_stage, NULL, err));
    return start_rows(sink, err);
}

static enum rf_code write_batch(void *self, const struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    return rf_ingest_write(sink->ingest, batch, err);
}

static enum rf_code count(void *self, const char *role, rf_statement_maker *make, int64_t *first, int64_t *second, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    struct rf_adbc_rows rows;
    make(sink->plan, &sql);
    RF_TRY(rf_duckdb_read_texts(sink, role, &sql, &rows, err));
    *first = rf_adbc_integer(&rows, 0, 0);
    if (second) *second = rf_adbc_integer(&rows, 0, 1);
    return RF_OK;
}

/* The driver's word is not taken for what it loaded. */
static enum rf_code end_ingest(struct rf_sink_duckdb *sink, rf_statement_maker *make, int64_t *n_rows, struct rf_error *err) {
    struct rf_ingest *ingest = sink->ingest;
    sink->ingest = NULL;
    if (ingest) RF_TRY(rf_ingest_end(ingest, err));
    RF_TRY(set_threads(sink, sink->uri.threads, err));
    return count(sink, "count what was loaded", make, n_rows, NULL, err);
}

static enum rf_code end_rows(struct rf_sink_duckdb *sink, struct rf_error *err) {
    return end_ingest(sink, sink->plan->straight ? rf_duckdb_count_target : rf_duckdb_count_stage, &sink->rows_staged, err);
}

static enum rf_code begin_keys(void *self, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    const struct rf_source_facts *source = sink->plan->source;
    RF_TRY(end_rows(sink, err));
    sink->keys_follow = true;
    RF_TRY(change(sink, "create the stage of keys", rf_sql_create_keys, NULL, err));
    struct rf_columns_field *fields = rf_arena_take(sink->arena, (size_t)(source->n_keys + 1) * sizeof *fields);
    if (!fields) return rf_no_memory(err);
    for (int k = 0; k < source->n_keys; k++) fields[k] = sink->fields[source->keys[k]];
    snprintf(sink->stage, sizeof sink->stage, RF_KEY_STAGE, sink->load_id);
    return start_ingest(sink, NULL, sink->stage, fields, source->n_keys, err);
}

/* ---- merging ---- */

static enum rf_code read_text(void *self, const char *role, rf_statement_maker *make, const char **text, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    struct rf_adbc_rows rows;
    make(sink->plan, &sql);
    RF_TRY(rf_duckdb_read_texts(sink, role, &sql, &rows, err));
    *text = rf_adbc_cell(&rows, 0, 0);
    return RF_OK;
}

/* Both statements say how many rows they changed; so do the rows, by the load that they carry. A row that was taken out is
 * among those that come in. */
static enum rf_code update_and_insert(void *self, struct rf_counts *counts, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    int64_t merged = 0;
    bool by_delete = rf_duckdb_merges_by_delete(sink->plan);
    if (!sink->plan->first_load) RF_TRY(change(sink, "update", by_delete ? rf_duckdb_delete : rf_duckdb_update, &counts->updated, err));
    RF_TRY(change(sink, "insert", rf_duckdb_insert, &counts->inserted, err));
    if (by_delete) counts->inserted -= counts->updated;
    RF_TRY(count(sink, "count merged rows", rf_duckdb_count_merged, &merged, NULL, err));
    if (counts->inserted >= 0 && merged == counts->updated + counts->inserted) return RF_OK;
    return rf_fail(err, RF_INTERNAL, "DuckDB says it updated %" PRId64 " and inserted %" PRId64 " rows of %s, and %" PRId64 " rows carry this load",
                   counts->updated, counts->inserted, sink->job->target_label, merged);
}

static const struct rf_merge_ops merge_ops = {.count = count, .change = change, .text = read_text, .merge = update_and_insert};

static enum rf_code seal_target(struct rf_sink_duckdb *sink, struct rf_error *err) {
    for (int step = 0; step < RF_DUCKDB_SEALS; step++) {
        struct rf_text sql = {0};
        rf_duckdb_seal_target(sink->plan, step, &sql);
        RF_TRY(rf_adbc_execute(&sink->adbc, "seal the new table", &sql, NULL, err));
    }
    return RF_OK;
}

static enum rf_code merge_rows(void *self, const struct rf_plan *plan, struct rf_counts *counts, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    if (sink->keys_follow) RF_TRY(end_ingest(sink, rf_duckdb_count_keys, &counts->keys_staged, err));
    else RF_TRY(end_rows(sink, err));
    counts->staged = sink->rows_staged;
    if (!plan->straight) return rf_merge_stage(plan, &merge_ops, sink, counts, err);
    counts->inserted = counts->staged;
    return seal_target(sink, err);
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
    rf_scan_drop(sink->scan);
    sink->scan = NULL;
    RF_TRY(rf_scan_start(&sink->adbc, "read the target's rows", &sql, (size_t)sink->job->batch_bytes, &sink->scan, err));
    return take_forms(sink, plan, compared, err);
}

/* Its end makes way for other statements. */
static enum rf_code next_of_target(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    *batch = (struct rf_batch){0};
    if (!sink->scan) return RF_OK;
    RF_TRY(rf_scan_next(sink->scan, batch, err));
    if (batch->n_bytes > 0) return RF_OK;
    rf_scan_drop(sink->scan);
    sink->scan = NULL;
    return RF_OK;
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
    .close = rf_duckdb_close_target,
};

/* Loading into Snowflake: the source's CSV goes into files, the files into a temporary stage, from there into a temporary
 * table; then one transaction merges it and adds the load record.
 *
 * DDL commits what is open, so all of it comes first. What is temporary goes with the session, whoever ends it.
 */
#include "drivers/sink_snowflake.h"

#include "core/merge.h"
#include "core/snowflake_names.h"
#include "core/sql_alter.h"
#include "core/sql_snowflake.h"
#include "core/types.h"
#include "drivers/target.h"

#include <inttypes.h>
#include <string.h>

/* ---- the target as it stands ---- */

/* Two names that Snowflake cannot tell apart would be one column. */
static enum rf_code check_names(const struct rf_source_facts *source, struct rf_error *err) {
    for (int i = 0; i < source->n_columns; i++)
        for (int j = 0; j < i; j++) {
            if (!rf_snowflake_same(source->columns[i].name, source->columns[j].name)) continue;
            rf_fail(err, RF_CONFIG, "columns \"%s\" and \"%s\" of %s have one name on Snowflake, which reads a plain name in capitals", source->columns[j].name,
                    source->columns[i].name, source->name);
            return rf_hint(err, "Leave one of them out with \"columns\".");
        }
    return RF_OK;
}

static enum rf_code set_types(struct rf_sink_snowflake *sink, struct rf_source_facts *source, const struct rf_target_facts *facts, struct rf_error *err) {
    RF_TRY(rf_target_types(sink->job, source, facts, sink->arena, &sink->fields, err));
    for (int i = 0; i < source->n_columns; i++) rf_type_sent_to_snowflake(&sink->fields[i].type, &source->columns[i]);
    return RF_OK;
}

/* The source's name for a column of Snowflake's catalogs; what the source has not, in the form in which jobs write names. */
static enum rf_code name_column(struct rf_sink_snowflake *sink, const struct rf_source_facts *source, const char *in_catalog, const char **name, struct rf_error *err) {
    for (int i = 0; i < source->n_columns; i++) {
        *name = source->columns[i].name;
        if (rf_snowflake_is(*name, in_catalog)) return RF_OK;
    }
    char *copy = rf_arena_copy(sink->arena, in_catalog);
    if (!copy) return rf_no_memory(err);
    rf_snowflake_unfold(copy);
    *name = copy;
    return RF_OK;
}

static enum rf_code read_columns(struct rf_sink_snowflake *sink, const struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    rf_snowflake_columns(sink->job, &sql);
    RF_TRY(rf_snowflake_read(sink, "read the target's columns", &sql, &rows, err));
    RF_TRY(rf_target_columns(&rows, sink->arena, facts, err));
    for (int i = 0; i < rows.n_rows; i++) {
        struct rf_column *column = &facts->columns[i];
        if (!column->name || !column->type) return rf_fail(err, RF_INTERNAL, "the target did not name the columns of %s", sink->job->target_label);
        RF_TRY(name_column(sink, source, column->name, &column->name, err));
    }
    facts->is_ours = rf_has_metadata(facts);
    return RF_OK;
}

/* Snowflake enforces no key: what is declared says what the table was made for. */
static enum rf_code read_key(struct rf_sink_snowflake *sink, const struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    rf_snowflake_key(sink->job, &sql);
    RF_TRY(rf_snowflake_read(sink, "read the target's key", &sql, &rows, err));
    facts->key_unique = rows.n_rows == rf_target_key_columns(sink->job, source);
    for (int i = 0; i < rows.n_rows; i++) {
        const char *name = rf_result_cell(&rows, i, RF_SNOWFLAKE_KEY_COLUMN);
        bool is_key = name && sink->job->mode == RF_MODE_APPEND && rf_snowflake_is("_load_id", name);
        for (int k = 0; name && k < source->n_keys; k++) is_key |= rf_snowflake_is(source->columns[source->keys[k]].name, name);
        facts->key_unique &= is_key;
    }
    return RF_OK;
}

static enum rf_code describe_existing(struct rf_sink_snowflake *sink, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    RF_TRY(read_columns(sink, source, facts, err));
    RF_TRY(set_types(sink, source, facts, err));
    rf_target_take_nulls(source, facts);
    RF_TRY(read_key(sink, source, facts, err));
    if (!facts->is_ours) return RF_OK;
    rf_snowflake_file(sink->job, &sql);
    RF_TRY(rf_snowflake_read(sink, "look at the target table", &sql, &rows, err));
    facts->file = rf_result_cell(&rows, 0, 0);
    return RF_OK;
}

static enum rf_code describe_target(void *self, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    *facts = (struct rf_target_facts){.dialect = RF_DIALECT_SNOWFLAKE, .server = {.utf8 = true, .lc_monetary = ""}};
    RF_TRY(check_names(source, err));
    source->sends_csv = true;
    rf_snowflake_find_target(sink->job, &sql);
    RF_TRY(rf_snowflake_read(sink, "look for the target table", &sql, &rows, err));
    const char *kind = rf_result_cell(&rows, 0, 2);
    facts->server.clock = rf_result_cell(&rows, 0, 0);
    facts->server.version = rf_target_version(rf_result_cell(&rows, 0, 1));
    facts->exists = kind != NULL;
    if (kind && strcmp(kind, "BASE TABLE") != 0) return rf_fail(err, RF_CONFIG, "%s exists on the target and is not a table", sink->job->target_label);
    if (facts->exists) return describe_existing(sink, source, facts, err);
    RF_TRY(set_types(sink, source, facts, err));
    return rf_target_twins(source, sink->arena, facts, err);
}

/* ---- executing ---- */

static enum rf_code change(void *self, const char *role, rf_statement_maker *make, int64_t *n_rows, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_text sql = {0};
    make(sink->plan, &sql);
    return rf_snowflake_execute(sink, role, &sql, n_rows, err);
}

static enum rf_code count(void *self, const char *role, rf_statement_maker *make, int64_t *first, int64_t *second, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    make(sink->plan, &sql);
    RF_TRY(rf_snowflake_read(sink, role, &sql, &rows, err));
    *first = rf_result_integer(&rows, 0, 0);
    if (second) *second = rf_result_integer(&rows, 0, 1);
    return RF_OK;
}

static enum rf_code read_text(void *self, const char *role, rf_statement_maker *make, const char **text, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    make(sink->plan, &sql);
    RF_TRY(rf_snowflake_read(sink, role, &sql, &rows, err));
    *text = rf_result_cell(&rows, 0, 0);
    return RF_OK;
}

/* ---- loading files ---- */

/* The statement may succeed though the file was not sent, and then its answer says so. The ADBC driver fails it instead, and its
 * answer has no row. */
static enum rf_code check_sent(const struct rf_sink_snowflake *sink, const struct rf_spool_file *file, const struct rf_result *sent, struct rf_error *err) {
    for (int i = 0; i < sent->n_rows; i++) {
        const char *status = rf_result_cell(sent, i, RF_SNOWFLAKE_SENT_STATUS), *message = rf_result_cell(sent, i, RF_SNOWFLAKE_SENT_MESSAGE);
        if (status && strcmp(status, "UPLOADED") == 0) continue;
        return rf_fail(err, RF_TARGET, "the file %s of %s was not sent to Snowflake: %s %s", file->name, sink->job->target_label, status ? status : "no status", message ? message : "");
    }
    return RF_OK;
}

/* On a thread of the spool's, while the session does nothing else. */
static enum rf_code put_file(void *self, const char *path, const struct rf_spool_file *file, struct rf_error *err) {
    enum { ANSWER_BYTES = 65536 };
    struct rf_sink_snowflake *sink = self;
    struct rf_text sql = {0};
    struct rf_result sent;
    struct rf_arena arena;
    rf_arena_init(&arena, ANSWER_BYTES);
    rf_snowflake_put(sink->plan, path, sink->into, &sql);
    enum rf_code code = sink->session.ops->read(sink->session.self, "send a file", &sql, &arena, &sent, err);
    if (code == RF_OK) code = check_sent(sink, file, &sent, err);
    rf_arena_free(&arena);
    return code;
}

static enum rf_code start_files(struct rf_sink_snowflake *sink, const char *into, struct rf_error *err) {
    const struct rf_spool_settings settings = {.folder = &sink->folder, .prefix = into, .file_bytes = sink->job->spool_file_bytes,
                                               .send = put_file, .self = sink, .cancel = sink->cancel};
    sink->into = into;
    return rf_spool_start(&settings, &sink->spool, err);
}

/* All DDL of the load: what is temporary goes with the session from here on. */
static enum rf_code create_all(struct rf_sink_snowflake *sink, struct rf_error *err) {
    const struct rf_plan *plan = sink->plan;
    struct rf_text use = {0};
    if (plan->first_load) RF_TRY(change(sink, "create the target table", rf_snowflake_create_target, NULL, err));
    rf_snowflake_use_schema(sink->job, &use);
    RF_TRY(rf_snowflake_execute(sink, "use the target's schema", &use, NULL, err));
    sink->has_temporary = true;
    RF_TRY(change(sink, "create the stage", rf_snowflake_create_stage, NULL, err));
    if (plan->sweep) RF_TRY(change(sink, "create the stage of keys", rf_snowflake_create_keys, NULL, err));
    return change(sink, "create the stage of files", rf_snowflake_create_files, NULL, err);
}

static enum rf_code begin_load(void *self, const struct rf_plan *plan, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    sink->plan = plan;
    RF_TRY(create_all(sink, err));
    RF_TRY(rf_spool_folder_make(sink->job->spool_dir, &sink->folder, err));
    return start_files(sink, "rows", err);
}

static enum rf_code write_batch(void *self, const struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    return rf_spool_write(sink->spool, batch->bytes, batch->n_bytes, err);
}

/* The row of COPY INTO's answer that is about the file; -1 when there is none. */
static int find_file(const struct rf_result *loaded, const char *name) {
    for (int i = 0; i < loaded->n_rows; i++) {
        const char *path = rf_result_cell(loaded, i, RF_SNOWFLAKE_FILE), *slash = path ? strrchr(path, '/') : NULL;
        if (path && strcmp(slash ? slash + 1 : path, name) == 0) return i;
    }
    return -1;
}

/* A success says nothing: each file has to be loaded, with the rows that were written into it. */
static enum rf_code check_files(const struct rf_sink_snowflake *sink, const struct rf_result *loaded, const struct rf_spool_file *files, int n_files, struct rf_error *err) {
    for (int i = 0; i < n_files; i++) {
        int row = find_file(loaded, files[i].name);
        const char *status = row < 0 ? NULL : rf_result_cell(loaded, row, RF_SNOWFLAKE_STATUS);
        int64_t n_rows = row < 0 ? 0 : rf_result_integer(loaded, row, RF_SNOWFLAKE_LOADED);
        if (status && strcmp(status, "LOADED") == 0 && n_rows == files[i].n_rows) continue;
        return rf_fail(err, RF_TARGET, "%" PRId64 " rows were sent for %s in the file %s, and Snowflake loaded %" PRId64 " of them (%s)", files[i].n_rows,
                       sink->job->target_label, files[i].name, n_rows, status ? status : "the file is not there");
    }
    if (loaded->n_rows <= n_files) return RF_OK;
    return rf_fail(err, RF_INTERNAL, "Snowflake loaded %d files for %s, and %d were sent", loaded->n_rows, sink->job->target_label, n_files);
}

static enum rf_code load_files(struct rf_sink_snowflake *sink, rf_statement_maker *copy, struct rf_error *err) {
    const struct rf_spool_file *files = NULL;
    int n_files = 0;
    struct rf_text sql = {0};
    struct rf_result loaded;
    RF_TRY(rf_spool_end(sink->spool, &files, &n_files, err));
    if (n_files == 0) return RF_OK;
    copy(sink->plan, &sql);
    RF_TRY(rf_snowflake_ask(sink, "load the files", &sql, &loaded, err));
    /* A driver that takes COPY INTO for DML keeps its answer to itself: what the stage then holds is counted all the same. */
    return loaded.n_columns > 0 ? check_files(sink, &loaded, files, n_files, err) : RF_OK;
}

static enum rf_code end_files(struct rf_sink_snowflake *sink, rf_statement_maker *copy, rf_statement_maker *count_of, int64_t *n_rows, struct rf_error *err) {
    enum rf_code code = load_files(sink, copy, err);
    rf_spool_drop(sink->spool);
    sink->spool = NULL;
    RF_TRY(code);
    return count(sink, "count what was loaded", count_of, n_rows, NULL, err);
}

static enum rf_code end_rows(struct rf_sink_snowflake *sink, struct rf_error *err) {
    return end_files(sink, rf_snowflake_copy_rows, rf_snowflake_count_rows, &sink->rows_staged, err);
}

static enum rf_code begin_keys(void *self, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    RF_TRY(end_rows(sink, err));
    sink->keys_follow = true;
    return start_files(sink, "keys", err);
}

/* ---- merging ---- */

/* By its number the transaction can be ended should the answer to its COMMIT be lost. */
static enum rf_code number_transaction(struct rf_sink_snowflake *sink, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    rf_text_add(&sql, RF_SNOWFLAKE_TRANSACTION);
    RF_TRY(rf_snowflake_read(sink, "number the transaction", &sql, &rows, err));
    sink->transaction = rf_result_cell(&rows, 0, 0);
    return RF_OK;
}

/* The statement says how many rows it changed; so does the table, by how many rows it has and how many carry this load. */
static enum rf_code merge_into_target(void *self, struct rf_counts *counts, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    int64_t before, stamped, after, merged, changed = 0;
    RF_TRY(count(sink, "count the target", rf_snowflake_count_target, &before, &stamped, err));
    RF_TRY(change(sink, "merge", rf_snowflake_merge, &changed, err));
    RF_TRY(number_transaction(sink, err));
    RF_TRY(count(sink, "count merged rows", rf_snowflake_count_target, &after, &merged, err));
    counts->inserted = after - before;
    counts->updated = merged - counts->inserted;
    if (changed == merged && stamped == 0 && counts->inserted >= 0 && counts->updated >= 0) return RF_OK;
    return rf_fail(err, RF_INTERNAL, "Snowflake says it merged %" PRId64 " rows into %s, which had %" PRId64 " rows and has %" PRId64 ", of which %" PRId64 " carry this load",
                   changed, sink->job->target_label, before, after, merged);
}

static const struct rf_merge_ops merge_ops = {.count = count, .change = change, .text = read_text, .merge = merge_into_target};

static enum rf_code execute_alteration(void *self, const char *role, struct rf_text *sql, struct rf_error *err) {
    return rf_snowflake_execute(self, role, sql, NULL, err);
}

static enum rf_code merge_rows(void *self, const struct rf_plan *plan, struct rf_counts *counts, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    if (sink->keys_follow) RF_TRY(end_files(sink, rf_snowflake_copy_keys, rf_snowflake_count_keys, &counts->keys_staged, err));
    else RF_TRY(end_rows(sink, err));
    counts->staged = sink->rows_staged;
    rf_spool_folder_remove(&sink->folder);
    RF_TRY(rf_alter_target(plan, RF_ALTER_BEFORE_MERGE, execute_alteration, sink, err));
    RF_TRY(sink->session.ops->begin(sink->session.self, err));
    RF_TRY(rf_merge_stage(plan, &merge_ops, sink, counts, err));
    return plan->job->mode == RF_MODE_MERGE ? RF_OK : number_transaction(sink, err);
}

static enum rf_code record_load(void *self, const struct rf_report *report, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_record record;
    enum rf_code code = rf_record_load(report, &record, err);
    if (code == RF_OK) code = rf_snowflake_add_record(sink, &record, err);
    rf_record_drop(&record);
    return code;
}

/* ---- comparing ---- */

static enum rf_code read_rows_of_target(void *self, const struct rf_plan *plan, struct rf_compared *compared, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_text sql = {0};
    RF_TRY(rf_target_compared(plan, sink->fields, true, sink->arena, compared, err));
    rf_snowflake_values(plan, &sql);
    return sink->session.ops->scan(sink->session.self, "read the target's rows", &sql, compared->given, plan->source->n_columns,
                                   (size_t)sink->job->batch_bytes, err);
}

/* Outside of a load each statement sees what is committed when it begins. Once the rows have ended, the newest record must still be
 * the one that was read before them: then they are of that load, and of no later one. */
static enum rf_code check_newest(struct rf_sink_snowflake *sink, struct rf_error *err) {
    struct rf_load now;
    struct rf_run_total ignored;
    if (sink->plan) return RF_OK; /* a load's, in its transaction */
    int64_t before = sink->newest_load_id;
    RF_TRY(rf_snowflake_newest(sink, &now, &ignored, err));
    if (now.load_id == before) return RF_OK;
    rf_fail(err, RF_TARGET, "%s was loaded while it was compared with its source", sink->job->target_label);
    err->retryable = true;
    return rf_hint(err, "Run it again when no load is under way.");
}

static enum rf_code next_of_target(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    RF_TRY(sink->session.ops->next(sink->session.self, batch, err));
    return batch->n_bytes > 0 ? RF_OK : check_newest(sink, err);
}

const struct rf_sink_ops rf_sink_snowflake_ops = {
    .open = rf_snowflake_open_target,
    .lease = rf_snowflake_acquire,
    .newest = rf_snowflake_newest,
    .describe = describe_target,
    .begin = begin_load,
    .write = write_batch,
    .keys = begin_keys,
    .merge = merge_rows,
    .record = record_load,
    .commit = rf_snowflake_commit,
    .read_rows = read_rows_of_target,
    .next = next_of_target,
    .state = rf_snowflake_state,
    .reset = rf_snowflake_reset,
    .inspect = rf_snowflake_inspect,
    .discard = rf_snowflake_discard,
    .close = rf_snowflake_close_target,
};

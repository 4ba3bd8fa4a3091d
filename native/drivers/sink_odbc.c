/* Loading into a database behind ODBC: rows are bound in arrays into the new table, or into a temporary one and from there
 * merged; from the merge to the load record it is one transaction.
 *
 * A database that commits by itself at each CREATE gets its tables before that transaction: an interrupted first load leaves an
 * empty table there. What a driver says of its rows is compared with what the tables then hold.
 */
#include "drivers/sink_odbc.h"

#include "core/copy_binary.h"
#include "core/merge.h"
#include "core/sql_alter.h"
#include "core/sql_plain.h"
#include "drivers/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the target as it stands ---- */

enum { KEY_BYTES = 3072, KEY_OTHER_BYTES = 32, CHARACTER_BYTES = 4 };

static bool is_long(const char *type) {
    return strncmp(type, "longtext", 8) == 0 || strcmp(type, "longblob") == 0;
}

/* What a key of MariaDB's may hold is shared by its texts. */
static enum rf_code shorten_keys(struct rf_sink_odbc *sink, struct rf_source_facts *source, struct rf_error *err) {
    int n_long = 0;
    for (int k = 0; k < source->n_keys; k++) n_long += is_long(source->columns[source->keys[k]].arrives_as);
    for (int k = 0; k < source->n_keys; k++) {
        struct rf_column *column = &source->columns[source->keys[k]];
        if (!is_long(column->arrives_as)) continue;
        int n_bytes = (KEY_BYTES - KEY_OTHER_BYTES * (rf_target_key_columns(sink->job, source) - n_long)) / n_long;
        bool is_text = column->arrives_as[4] == 't';
        char type[96];
        snprintf(type, sizeof type, is_text ? "varchar(%d)%s" : "varbinary(%d)%s", is_text ? n_bytes / CHARACTER_BYTES : n_bytes, column->arrives_as + strlen("longtext"));
        column->arrives_as = rf_arena_copy(sink->arena, type);
        if (!column->arrives_as) return rf_no_memory(err);
    }
    return RF_OK;
}

static enum rf_code set_types(struct rf_sink_odbc *sink, struct rf_source_facts *source, const struct rf_target_facts *facts, struct rf_error *err) {
    RF_TRY(rf_target_types(sink->job, source, facts, sink->arena, &sink->fields, err));
    return facts->dialect == RF_DIALECT_MARIADB ? shorten_keys(sink, source, err) : RF_OK;
}

static void name_key(const struct rf_result *unique_keys, struct rf_target_facts *facts) {
    for (int i = 0; i < unique_keys->n_rows; i++)
        if (rf_result_cell(unique_keys, i, 2)) facts->key_name = rf_result_cell(unique_keys, i, 2);
}

static enum rf_code describe_existing(struct rf_sink_odbc *sink, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    RF_TRY(rf_odbc_ask(sink, "read the target's columns", sink->row->columns, &rows, err));
    RF_TRY(rf_target_columns(&rows, sink->arena, facts, err));
    RF_TRY(set_types(sink, source, facts, err));
    rf_target_take_nulls(source, facts);
    RF_TRY(rf_odbc_ask(sink, "read the target's keys", sink->row->unique_keys, &rows, err));
    facts->key_unique = rf_target_has_key(sink->job, &rows, source, facts);
    if (facts->dialect == RF_DIALECT_PSQLODBC) name_key(&rows, facts);
    facts->is_ours = rf_has_metadata(facts);
    if (!facts->is_ours) return RF_OK;
    rf_plain_file(sink->row, sink->job, &sql);
    RF_TRY(rf_odbc_read(sink, "look at the target table", &sql, &rows, err));
    facts->file = rf_result_cell(&rows, 0, 0);
    return RF_OK;
}

/* What an interrupted first load left behind where CREATE commits: a table of ours, without a row and without a record. It is
 * made anew, since the job may ask for other types by now. */
static enum rf_code find_remains(struct rf_sink_odbc *sink, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    if (!sink->row->ddl_commits || !facts->is_ours || sink->has_loads) return RF_OK;
    rf_plain_count_some(sink->row, sink->job, &sql);
    RF_TRY(rf_odbc_read(sink, "look for rows", &sql, &rows, err));
    sink->has_remains = rf_result_integer(&rows, 0, 0) == 0;
    return RF_OK;
}

static enum rf_code describe_target(void *self, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    const struct rf_job *job = sink->job;
    enum rf_dialect dialect = sink->odbc.dialect;
    struct rf_result rows;
    *facts = (struct rf_target_facts){.dialect = dialect, .server = {.utf8 = true, .lc_monetary = ""}};
    RF_TRY(rf_odbc_ask(sink, "look for the target table", sink->row->find, &rows, err));
    facts->server.clock = rf_result_cell(&rows, 0, 0);
    facts->server.version = rf_target_version(rf_result_cell(&rows, 0, 1));
    facts->exists = rf_result_flag(&rows, 0, 2);
    if (rf_result_flag(&rows, 0, 3)) return rf_fail(err, RF_CONFIG, "%s exists on the target and is not a table", job->target_label);
    if (facts->exists) RF_TRY(describe_existing(sink, source, facts, err));
    else RF_TRY(set_types(sink, source, facts, err));
    if (facts->exists) RF_TRY(find_remains(sink, facts, err));
    if (facts->exists && !sink->has_remains) return RF_OK;
    facts->exists = facts->is_ours = facts->key_unique = false;
    return rf_target_twins(source, sink->arena, facts, err);
}

/* ---- loading ---- */

static enum rf_code change(void *self, const char *role, rf_statement_maker *make, int64_t *n_rows, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_text sql = {0};
    make(sink->plan, &sql);
    return rf_odbc_execute(sink, role, &sql, n_rows, err);
}

static enum rf_code begin_once(struct rf_sink_odbc *sink, struct rf_error *err) {
    return sink->odbc.in_transaction ? RF_OK : sink->session.ops->begin(sink->session.self, err);
}

/* Runs on the ingest's thread. */
static enum rf_code load_table(void *self, struct ArrowArrayStream *stream, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_text insert = {0}, count = {0};
    (sink->keys_follow ? rf_plain_insert_key : rf_plain_insert_row)(sink->plan, &insert);
    (sink->keys_follow ? rf_plain_count_keys : rf_plain_count_rows)(sink->plan, &count);
    return sink->session.ops->append(sink->session.self, sink->keys_follow ? "load keys" : "load rows", &insert, &count, sink->staged, sink->n_staged, stream, err);
}

static enum rf_code start_ingest(struct rf_sink_odbc *sink, struct rf_error *err) {
    const struct rf_ingest_end end = {.load = load_table, .self = sink, .cancel = sink->cancel};
    return rf_ingest_start(&end, sink->staged, sink->n_staged, (size_t)sink->job->batch_bytes, &sink->ingest, err);
}

static enum rf_code enter_schema(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct rf_text sql = {0};
    if (!sink->row->enter) return RF_OK;
    rf_text_add(&sql, sink->row->enter);
    rf_text_identifier(&sql, sink->job->control_schema);
    return rf_odbc_execute(sink, "enter the control schema", &sql, NULL, err);
}

/* A stage that is loaded before the transaction survives it, so that a merge may be tried again. */
static enum rf_code begin_load(void *self, const struct rf_plan *plan, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    sink->plan = plan;
    RF_TRY(enter_schema(sink, err));
    if (!sink->row->ddl_commits) RF_TRY(begin_once(sink, err));
    if (sink->has_remains) RF_TRY(change(sink, "drop the empty table of an earlier try", rf_plain_drop_target, NULL, err));
    if (plan->first_load) RF_TRY(change(sink, "create the target table", rf_plain_create_target, NULL, err));
    if (!plan->straight) RF_TRY(change(sink, "create the stage", rf_plain_create_stage, NULL, err));
    if (plan->straight) RF_TRY(begin_once(sink, err));
    RF_TRY(rf_target_row_fields(plan, sink->fields, sink->arena, &sink->staged, &sink->n_staged, err));
    return start_ingest(sink, err);
}

static enum rf_code write_batch(void *self, const struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    return rf_ingest_write(sink->ingest, batch, err);
}

static enum rf_code count(void *self, const char *role, rf_statement_maker *make, int64_t *first, int64_t *second, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    make(sink->plan, &sql);
    RF_TRY(rf_odbc_read(sink, role, &sql, &rows, err));
    *first = rf_result_integer(&rows, 0, 0);
    if (second) *second = rf_result_integer(&rows, 0, 1);
    return RF_OK;
}

/* The driver's word is not taken for what it loaded. */
static enum rf_code end_ingest(struct rf_sink_odbc *sink, rf_statement_maker *make, int64_t *n_rows, struct rf_error *err) {
    struct rf_ingest *ingest = sink->ingest;
    sink->ingest = NULL;
    if (ingest) RF_TRY(rf_ingest_end(ingest, err));
    return count(sink, "count what was loaded", make, n_rows, NULL, err);
}

static enum rf_code begin_keys(void *self, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    RF_TRY(end_ingest(sink, rf_plain_count_rows, &sink->rows_staged, err));
    sink->keys_follow = true;
    RF_TRY(change(sink, "create the stage of keys", rf_plain_create_keys, NULL, err));
    RF_TRY(rf_target_key_fields(sink->plan, sink->fields, sink->arena, &sink->staged, &sink->n_staged, err));
    return start_ingest(sink, err);
}

static enum rf_code end_ingests(struct rf_sink_odbc *sink, struct rf_counts *counts, struct rf_error *err) {
    if (!sink->keys_follow) return end_ingest(sink, rf_plain_count_rows, &counts->staged, err);
    counts->staged = sink->rows_staged;
    RF_TRY(end_ingest(sink, rf_plain_count_keys, &counts->keys_staged, err));
    return sink->row->index_after ? change(sink, "index the keys", rf_plain_index_keys, NULL, err) : RF_OK;
}

/* ---- merging ---- */

static enum rf_code read_text(void *self, const char *role, rf_statement_maker *make, const char **text, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    make(sink->plan, &sql);
    RF_TRY(rf_odbc_read(sink, role, &sql, &rows, err));
    *text = rf_result_cell(&rows, 0, 0);
    return RF_OK;
}

/* Where the insert passes over rows that are there, what it says it did counts some of those too: the rows themselves say how
 * many carry this load. */
static enum rf_code update_and_insert(void *self, struct rf_counts *counts, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    int64_t merged = 0;
    if (!sink->plan->first_load) RF_TRY(change(sink, "update", rf_plain_update, &counts->updated, err));
    RF_TRY(change(sink, "insert", rf_plain_insert, &counts->inserted, err));
    RF_TRY(count(sink, "count merged rows", rf_plain_count_merged, &merged, NULL, err));
    if (sink->row->update_joins) counts->inserted = merged - counts->updated;
    if (merged == counts->updated + counts->inserted && counts->inserted >= 0) return RF_OK;
    return rf_fail(err, RF_INTERNAL, "%s says it updated %" PRId64 " and inserted %" PRId64 " rows of %s, and %" PRId64 " rows carry this load",
                   sink->row->name, counts->updated, counts->inserted, sink->job->target_label, merged);
}

static const struct rf_merge_ops merge_ops = {.count = count, .change = change, .text = read_text, .merge = update_and_insert};

static enum rf_code execute_alteration(void *self, const char *role, struct rf_text *sql, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    return rf_odbc_execute(sink, role, sql, NULL, err);
}

static enum rf_code alter_target(struct rf_sink_odbc *sink, struct rf_error *err) {
    return rf_alter_target(sink->plan, RF_ALTER_BEFORE_MERGE, execute_alteration, sink, err);
}

static enum rf_code merge_once(struct rf_sink_odbc *sink, struct rf_counts *counts, struct rf_error *err) {
    RF_TRY(begin_once(sink, err));
    RF_TRY(rf_odbc_fence(sink, err));
    if (!sink->row->ddl_commits) RF_TRY(alter_target(sink, err));
    if (!sink->plan->straight) return rf_merge_stage(sink->plan, &merge_ops, sink, counts, err);
    counts->inserted = counts->staged;
    return RF_OK;
}

/* The server ended the transaction for another's sake. */
static bool may_try_again(const struct rf_error *err) {
    return strcmp(err->sqlstate, "40001") == 0;
}

static enum rf_code merge_rows(void *self, const struct rf_plan *plan, struct rf_counts *counts, struct rf_error *err) {
    enum { MOST_TRIES = 4 };
    struct rf_sink_odbc *sink = self;
    RF_TRY(end_ingests(sink, counts, err));
    bool keeps_stage = sink->row->ddl_commits && !plan->straight;
    const struct rf_counts before = *counts;
    if (sink->row->ddl_commits) RF_TRY(alter_target(sink, err));
    for (int tries = 1;; tries++) {
        enum rf_code code = merge_once(sink, counts, err);
        if (code == RF_OK || !keeps_stage || !may_try_again(err) || tries == MOST_TRIES) return code;
        struct rf_error ignored;
        if (sink->session.ops->rollback(sink->session.self, &ignored) != RF_OK) return code;
        *counts = before;
    }
}

/* A text that stayed empty is not sent. */
static enum rf_code send_some(struct rf_sink_odbc *sink, const char *role, struct rf_text *sql, struct rf_error *err) {
    return sql->data || sql->failed ? rf_odbc_execute(sink, role, sql, NULL, err) : RF_OK;
}

/* An open transaction that idles is one whose client has stopped, or one that waits for the source. */
static enum rf_code limit_idling(struct rf_sink_odbc *sink, double seconds, struct rf_error *err) {
    struct rf_text sql = {0};
    if (sink->row->idle_limit.before) rf_plain_idle_limit(sink->row, seconds, &sql);
    return send_some(sink, "limit the time to idle", &sql, err);
}

/* ---- record ---- */

static enum rf_code record_load(void *self, const struct rf_report *report, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_record record;
    if (report->verification.done) RF_TRY(limit_idling(sink, sink->job->lease_seconds, err));
    enum rf_code code = rf_record_load(report, &record, err);
    if (code == RF_OK) code = rf_odbc_add_record(sink, &record, err);
    rf_record_drop(&record);
    return code;
}

/* ---- comparing ---- */

static enum rf_code ask_for_page(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct rf_text sql = {0};
    rf_plain_page(sink->plan, sink->pages.n == 0, &sql);
    sink->pages.n_rows = 0;
    return sink->session.ops->scan(sink->session.self, "read the target's rows", &sql, sink->pages.given, sink->plan->source->n_columns,
                                   (size_t)sink->job->batch_bytes, err);
}

static enum rf_code close_rows(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct rf_text sql = {0};
    if (!sink->pages.given) return RF_OK;
    sink->pages.given = NULL;
    rf_plain_close_rows(sink->plan, &sql);
    return send_some(sink, "close the target's rows", &sql, err);
}

/* While the source is read after this, the transaction idles: a stopped client's lease expires, and whoever takes it ends the session. */
static enum rf_code read_rows_of_target(void *self, const struct rf_plan *plan, struct rf_compared *compared, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_text sql = {0};
    sink->plan = plan;
    if (sink->odbc.in_transaction) RF_TRY(limit_idling(sink, 0, err));
    RF_TRY(rf_target_compared(plan, sink->fields, false, sink->arena, compared, err));
    rf_plain_open_rows(plan, &sql);
    RF_TRY(send_some(sink, "open the target's rows", &sql, err));
    sink->pages = (struct rf_odbc_pages){.given = compared->given};
    return ask_for_page(sink, err);
}

static bool has_more_pages(const struct rf_sink_odbc *sink) {
    return rf_plain_paging(sink->plan) != RF_PAGES_NONE && sink->pages.n_rows == RF_PLAIN_PAGE_ROWS;
}

static enum rf_code pass_page(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct rf_text sql = {0};
    rf_plain_pass_page(sink->plan, sink->pages.n++ == 0, &sql);
    RF_TRY(send_some(sink, "pass the target's rows", &sql, err));
    return ask_for_page(sink, err);
}

/* All pages are one stream, which has one header. */
static enum rf_code next_of_target(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_odbc_pages *pages = &sink->pages;
    *batch = (struct rf_batch){0};
    while (pages->given) {
        RF_TRY(sink->session.ops->next(sink->session.self, batch, err));
        bool is_later = pages->n > 0 && pages->n_rows == 0 && batch->n_bytes > 0;
        pages->n_rows += batch->n_rows;
        if (is_later) {
            batch->bytes += RF_COPY_HEADER_BYTES;
            batch->n_bytes -= RF_COPY_HEADER_BYTES;
        }
        if (batch->n_bytes > 0) return RF_OK;
        RF_TRY(has_more_pages(sink) ? pass_page(sink, err) : close_rows(sink, err));
    }
    return RF_OK;
}

const struct rf_sink_ops rf_sink_odbc_ops = {
    .open = rf_odbc_open_target,
    .lease = rf_odbc_take_lease,
    .newest = rf_odbc_newest_load,
    .describe = describe_target,
    .begin = begin_load,
    .write = write_batch,
    .keys = begin_keys,
    .merge = merge_rows,
    .record = record_load,
    .commit = rf_odbc_commit_load,
    .read_rows = read_rows_of_target,
    .next = next_of_target,
    .state = rf_odbc_state,
    .reset = rf_odbc_reset,
    .inspect = rf_odbc_inspect,
    .close = rf_odbc_close_target,
};

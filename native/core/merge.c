#include "core/merge.h"

#include "core/ground.h"
#include "core/listing.h"
#include "core/sql_duckdb.h"
#include "core/sql_plain.h"
#include "core/sql_snowflake.h"

#include <inttypes.h>

/* By dialects that have DISTINCT ON, FILTER and rows as values, and by those that need neither. */
#define RICH                                                                                                                                       \
    .count_stage = rf_sql_count_stage, .duplicate_keys = rf_sql_duplicate_keys, .count_missed = rf_sql_count_missed,                              \
    .count_stale = rf_sql_count_stale, .close_gone = rf_sql_close_gone, .close_absent = rf_sql_close_absent, .sweep = rf_sql_sweep,              \
    .count_live = rf_sql_count_live, .delete_all = rf_sql_delete_all, .insert_all = rf_sql_insert_all, \
    .append = rf_sql_append, .count_known = rf_sql_count_known, .has_rows = rf_sql_has_rows
static const struct rf_stage_makers POSTGRES = {RICH, .list = rf_list_postgres};
static const struct rf_stage_makers DUCKDB = {RICH, .list = rf_list_duckdb, .count_target = rf_duckdb_count_loaded, .count_appended = rf_duckdb_count_merged};
static const struct rf_stage_makers PLAIN = {
    .count_stage = rf_plain_count_stage, .duplicate_keys = rf_plain_duplicate_keys, .count_missed = rf_plain_count_missed,
    .count_stale = rf_plain_count_stale, .close_gone = rf_plain_close_gone, .close_absent = rf_plain_close_absent, .sweep = rf_plain_sweep,
    .count_live = rf_plain_count_live, .delete_all = rf_sql_delete_all, .insert_all = rf_plain_insert_all, .count_target = rf_plain_count_target,
    .append = rf_plain_append, .count_known = rf_plain_count_known, .has_rows = rf_sql_has_rows, .count_appended = rf_plain_count_merged, .list = rf_list_plain};

const struct rf_stage_makers *rf_stage_makers(const struct rf_plan *plan) {
    if (plan->target->dialect == RF_DIALECT_SNOWFLAKE) return &rf_snowflake_makers;
    if (plan->target->dialect == RF_DIALECT_DUCKDB) return &DUCKDB;
    return rf_dialect_row(plan->target->dialect) ? &PLAIN : &POSTGRES;
}

struct merge {
    const struct rf_plan *plan;
    const struct rf_stage_makers *makers;
    const struct rf_merge_ops *ops;
    void *self;
};

static enum rf_code refuse_duplicates(const struct merge *merge, int64_t duplicates, struct rf_error *err) {
    const char *keys = NULL;
    RF_TRY(merge->ops->text(merge->self, "name duplicate keys", merge->makers->duplicate_keys, &keys, err));
    rf_fail(err, RF_DATA, "%" PRId64 " rows of %s repeat a key: %s", duplicates, merge->plan->job->source_label, keys ? keys : "unknown");
    return rf_hint(err, "Name columns that identify a row in \"keys\", or set on_duplicate to \"newest\".");
}

static enum rf_code count(const struct merge *merge, const char *role, rf_statement_maker *make, int64_t *first, int64_t *second, struct rf_error *err) {
    return merge->ops->count(merge->self, role, make, first, second, err);
}

static enum rf_code close_rows(const struct merge *merge, const char *role, rf_statement_maker *make, int64_t *deleted, struct rf_error *err) {
    int64_t n_rows = 0;
    RF_TRY(merge->ops->change(merge->self, role, make, &n_rows, err));
    *deleted += n_rows;
    return RF_OK;
}

/* The target holds what this load brought, and nothing else. */
static enum rf_code check_replaced(const struct merge *merge, int64_t inserted, struct rf_error *err) {
    int64_t all, of_load;
    if (!merge->makers->count_target) return RF_OK;
    RF_TRY(count(merge, "count the target", merge->makers->count_target, &all, &of_load, err));
    if (all == inserted && of_load == inserted) return RF_OK;
    return rf_fail(err, RF_INTERNAL, "the target says it took %" PRId64 " rows into %s, which has %" PRId64 " rows, of which %" PRId64 " carry this load", inserted,
                   merge->plan->job->target_label, all, of_load);
}

static enum rf_code replace(const struct merge *merge, struct rf_counts *counts, struct rf_error *err) {
    RF_TRY(merge->ops->change(merge->self, "remove the rows of before", merge->makers->delete_all, &counts->deleted, err));
    RF_TRY(merge->ops->change(merge->self, "insert", merge->makers->insert_all, &counts->inserted, err));
    return check_replaced(merge, counts->inserted, err);
}

static enum rf_code check_appended(const struct merge *merge, int64_t inserted, struct rf_error *err) {
    int64_t appended;
    if (!merge->makers->count_appended) return RF_OK;
    RF_TRY(count(merge, "count appended rows", merge->makers->count_appended, &appended, NULL, err));
    if (appended == inserted) return RF_OK;
    return rf_fail(err, RF_INTERNAL, "the target says it took %" PRId64 " rows into %s, of which %" PRId64 " carry this load", inserted, merge->plan->job->target_label, appended);
}

/* Each row that came is a version that no run has read. */
static enum rf_code append_settled(const struct merge *merge, struct rf_counts *counts, struct rf_error *err) {
    const struct rf_plan *plan = merge->plan;
    int64_t has_rows = 0;
    if (rf_must_be_empty(plan)) RF_TRY(count(merge, "look for rows of before", merge->makers->has_rows, &has_rows, NULL, err));
    if (has_rows > 0) return rf_refuse_ground(plan, plan->last->is_reset ? "the state was reset, and the table has rows" : "no load is recorded, and the table has rows", err);
    RF_TRY(merge->ops->change(merge->self, "append", merge->makers->append, &counts->inserted, err));
    return check_appended(merge, counts->inserted, err);
}

/* What is known is counted before: rows that a trigger of the target drops then miss in the sum. Under other load records the newest version
 * may be of a number that this load has not reached. */
static enum rf_code append(const struct merge *merge, struct rf_counts *counts, struct rf_error *err) {
    const struct rf_plan *plan = merge->plan;
    if (rf_settles(plan)) return append_settled(merge, counts, err);
    int64_t known = 0;
    if (plan->last->load_id == 0 && !plan->first_load) RF_TRY(count(merge, "count stale rows", merge->makers->count_stale, &counts->stale, NULL, err));
    if (counts->stale > 0) return RF_OK;
    RF_TRY(count(merge, "count known versions", merge->makers->count_known, &known, NULL, err));
    RF_TRY(merge->ops->change(merge->self, "append", merge->makers->append, &counts->inserted, err));
    counts->duplicates += known;
    return check_appended(merge, counts->inserted, err);
}

/* One row per key. */
static enum rf_code merge_rows(const struct merge *merge, struct rf_counts *counts, struct rf_error *err) {
    RF_TRY(merge->ops->merge(merge->self, counts, err));
    bool short_of = counts->inserted + counts->updated + counts->duplicates + counts->gone < counts->staged;
    return short_of ? count(merge, "count stale rows", merge->makers->count_stale, &counts->stale, NULL, err) : RF_OK;
}

enum rf_code rf_merge_stage(const struct rf_plan *plan, const struct rf_merge_ops *ops, void *self, struct rf_counts *counts, struct rf_error *err) {
    const struct merge merge = {.plan = plan, .makers = rf_stage_makers(plan), .ops = ops, .self = self};
    if (plan->dedupe || plan->mark_gone) RF_TRY(count(&merge, "count the stage", merge.makers->count_stage, &counts->gone, &counts->duplicates, err));
    if (counts->duplicates > 0 && plan->job->on_duplicate == RF_DUPLICATE_FAIL) return refuse_duplicates(&merge, counts->duplicates, err);
    if (plan->job->mode == RF_MODE_REPLACE) return replace(&merge, counts, err);
    if (plan->audit) RF_TRY(count(&merge, "count missed rows", merge.makers->count_missed, &counts->missed, NULL, err));
    RF_TRY(rf_keeps_versions(plan) ? append(&merge, counts, err) : merge_rows(&merge, counts, err));
    if (plan->mark_gone) RF_TRY(close_rows(&merge, "close rows that left the filter", merge.makers->close_gone, &counts->deleted, err));
    if (plan->close_absent) RF_TRY(close_rows(&merge, "close absent rows", merge.makers->close_absent, &counts->deleted, err));
    if (!plan->sweep) return RF_OK;
    RF_TRY(close_rows(&merge, "close swept rows", merge.makers->sweep, &counts->deleted, err));
    return count(&merge, "count live rows", merge.makers->count_live, &counts->live_source, &counts->live_target, err);
}

#include "core/listing.h"

#include "core/dialect.h"
#include "core/merge.h"
#include "core/report.h"
#include "core/settle.h"
#include "core/sql.h"
#include "core/sql_alter.h"
#include "core/sql_duckdb.h"
#include "core/sql_plain.h"
#include "core/sql_snowflake.h"

enum { MOST_STATEMENTS = 24 };

/* The statements of a run, each a text of its own that the caller frees; room for those of the drift too. */
struct rf_listing {
    struct rf_statement *statements;
    struct rf_text *texts;
    int n;
};

static struct rf_text *list(struct rf_listing *listing, const char *server, const char *role) {
    listing->statements[listing->n] = (struct rf_statement){.server = server, .role = role};
    return &listing->texts[listing->n++];
}

static void list_source(const struct rf_plan *plan, struct rf_listing *listing) {
    rf_text_add(list(listing, "source", "begin"), RF_SQL_BEGIN_READ);
    rf_sql_lock_source(plan->job, list(listing, "source", "lock"));
    rf_text_add(list(listing, "source", "snapshot"), RF_SQL_SNAPSHOT);
    if (rf_settles(plan) && rf_needs_survey(plan)) rf_sql_survey(plan, list(listing, "source", "count rows held back"));
    if (plan->n_parts > 0) rf_sql_read_part(plan, 0, list(listing, "source", "read the first of several parts"));
    else rf_sql_read(plan, list(listing, "source", "read"));
    if (plan->sweep) rf_sql_read_keys(plan, list(listing, "source", "read keys"));
}

static void list_alterations(const struct rf_plan *plan, enum rf_alter_when when, struct rf_listing *listing) {
    for (int i = 0; i < plan->n_alterations; i++)
        if (rf_alter_when(plan, i) == when) rf_sql_alter(plan, i, list(listing, "target", "alter table"));
}

/* What brings the stage into the target, where that is the same in all dialects. */
static bool list_mode(const struct rf_plan *plan, struct rf_listing *listing) {
    const struct rf_stage_makers *makers = rf_stage_makers(plan);
    if (plan->job->mode == RF_MODE_MERGE || plan->straight) return false;
    if (rf_keeps_versions(plan)) {
        makers->append(plan, list(listing, "target", "append"));
        return true;
    }
    makers->delete_all(plan, list(listing, "target", "remove the rows of before"));
    makers->insert_all(plan, list(listing, "target", "insert"));
    return true;
}

static void list_closing(const struct rf_plan *plan, struct rf_listing *listing) {
    const struct rf_stage_makers *makers = rf_stage_makers(plan);
    if (plan->mark_gone) makers->close_gone(plan, list(listing, "target", "close rows that left the filter"));
    if (plan->close_absent) makers->close_absent(plan, list(listing, "target", "close absent rows"));
    if (plan->sweep) makers->sweep(plan, list(listing, "target", "sweep"));
    if (plan->sweep) makers->count_live(plan, list(listing, "target", "count live rows"));
}

void rf_list_postgres(const struct rf_plan *plan, struct rf_listing *listing) {
    rf_sql_take_lease(plan->job, list(listing, "target", "lease"));
    list_alterations(plan, RF_ALTER_BEFORE_BEGIN, listing);
    list_alterations(plan, RF_ALTER_BEFORE_ROWS, listing);
    if (plan->first_load) rf_sql_create_target(plan, list(listing, "target", "create table"));
    if (!plan->straight) rf_sql_create_stage(plan, list(listing, "target", "create stage"));
    rf_sql_write(plan, list(listing, "target", plan->straight ? "load" : "load stage"));
    if (plan->sweep) rf_sql_create_keys(plan, list(listing, "target", "create stage of keys"));
    if (plan->sweep) rf_sql_write_keys(plan, list(listing, "target", "load keys"));
    rf_sql_fence(plan->job, list(listing, "target", "fence"));
    list_alterations(plan, RF_ALTER_BEFORE_MERGE, listing);
    if (plan->first_load) rf_sql_seal_target(plan, list(listing, "target", "seal table"));
    if (plan->audit) rf_sql_count_missed(plan, list(listing, "target", "count missed rows"));
    if (!list_mode(plan, listing) && !plan->straight) rf_sql_merge(plan, list(listing, "target", "merge"));
    list_closing(plan, listing);
    rf_sql_insert_load(plan->job, list(listing, "target", "load record"));
    rf_text_add(list(listing, "target", "commit"), "COMMIT");
}

/* The DELETE is followed by the INSERT that is taken where no row is newer. */
static void list_merge_of_duckdb(const struct rf_plan *plan, struct rf_listing *listing) {
    bool by_delete = rf_duckdb_merges_by_delete(plan);
    if (!plan->first_load) (by_delete ? rf_duckdb_delete : rf_duckdb_update)(plan, list(listing, "target", by_delete ? "delete" : "update"));
    (by_delete ? rf_duckdb_insert : rf_duckdb_insert_absent)(plan, list(listing, "target", "insert"));
}

/* The load record is one whole text with its values. */
void rf_list_duckdb(const struct rf_plan *plan, struct rf_listing *listing) {
    if (plan->first_load) rf_duckdb_create_target(plan, list(listing, "target", "create table"));
    if (!plan->straight) rf_sql_create_stage(plan, list(listing, "target", "create stage"));
    rf_duckdb_take_rows(plan, list(listing, "target", plan->straight ? "load" : "load stage"));
    if (plan->sweep) rf_sql_create_keys(plan, list(listing, "target", "create stage of keys"));
    if (plan->sweep) rf_duckdb_take_keys(plan, list(listing, "target", "load keys"));
    list_alterations(plan, RF_ALTER_BEFORE_MERGE, listing);
    if (plan->straight && plan->source->n_keys > 0) rf_duckdb_add_key(plan, list(listing, "target", "add key"));
    if (plan->audit) rf_sql_count_missed(plan, list(listing, "target", "count missed rows"));
    if (!list_mode(plan, listing) && !plan->straight) list_merge_of_duckdb(plan, listing);
    list_closing(plan, listing);
    rf_text_add(list(listing, "target", "commit"), "COMMIT");
}

/* The names of files are those of the first; the lease and the load record are told with their values when they are known. */
void rf_list_snowflake(const struct rf_plan *plan, struct rf_listing *listing) {
    rf_snowflake_use_schema(plan->job, list(listing, "target", "use schema"));
    if (plan->first_load) rf_snowflake_create_target(plan, list(listing, "target", "create table"));
    rf_snowflake_create_stage(plan, list(listing, "target", "create stage"));
    if (plan->sweep) rf_snowflake_create_keys(plan, list(listing, "target", "create stage of keys"));
    rf_snowflake_create_files(plan, list(listing, "target", "create stage of files"));
    rf_snowflake_put(plan, "/tmp/rowferry-spool-…/rows_0001.csv.zst", "rows", list(listing, "target", "send the first file"));
    rf_snowflake_copy_rows(plan, list(listing, "target", "load stage"));
    if (plan->sweep) rf_snowflake_copy_keys(plan, list(listing, "target", "load keys"));
    list_alterations(plan, RF_ALTER_BEFORE_MERGE, listing);
    if (plan->audit) rf_stage_makers(plan)->count_missed(plan, list(listing, "target", "count missed rows"));
    if (!list_mode(plan, listing)) rf_snowflake_merge(plan, list(listing, "target", "merge"));
    list_closing(plan, listing);
}

void rf_list_plain(const struct rf_plan *plan, struct rf_listing *listing) {
    const struct rf_dialect_row *row = rf_dialect_row(plan->target->dialect);
    if (!row->file_is_lease) rf_plain_take_lease(row, plan->job, list(listing, "target", "lease"));
    if (plan->first_load) rf_plain_create_target(plan, list(listing, "target", "create table"));
    if (!plan->straight) rf_plain_create_stage(plan, list(listing, "target", "create stage"));
    rf_plain_insert_row(plan, list(listing, "target", "write"));
    if (plan->sweep) rf_plain_create_keys(plan, list(listing, "target", "create stage of keys"));
    if (plan->sweep) rf_plain_insert_key(plan, list(listing, "target", "write keys"));
    list_alterations(plan, RF_ALTER_BEFORE_MERGE, listing);
    if (plan->audit) rf_plain_count_missed(plan, list(listing, "target", "count missed rows"));
    bool merges = !list_mode(plan, listing) && !plan->straight;
    if (merges && !plan->first_load) rf_plain_update(plan, list(listing, "target", "update"));
    if (merges) rf_plain_insert(plan, list(listing, "target", "insert"));
    list_closing(plan, listing);
}

enum rf_code rf_list_statements(const struct rf_plan *plan, struct rf_arena *arena, char **json, struct rf_error *err) {
    size_t most = (size_t)plan->n_alterations + MOST_STATEMENTS;
    struct rf_listing listing = {.statements = rf_arena_take(arena, most * sizeof *listing.statements), .texts = rf_arena_take(arena, most * sizeof *listing.texts)};
    if (!listing.statements || !listing.texts) return rf_no_memory(err);
    list_source(plan, &listing);
    rf_stage_makers(plan)->list(plan, &listing);
    enum rf_code code = RF_OK;
    for (int i = 0; i < listing.n; i++) {
        if (code == RF_OK) code = rf_text_check(&listing.texts[i], err);
        listing.statements[i].sql = listing.texts[i].data;
    }
    if (code == RF_OK) {
        *json = rf_plan_json(plan, listing.statements, listing.n);
        if (!*json) code = rf_no_memory(err);
    }
    for (int i = 0; i < listing.n; i++) rf_text_free(&listing.texts[i]);
    return code;
}

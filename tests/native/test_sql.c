/* The SQL of a run, word for word where words matter. */
#include "core/sql.h"

#include "facts.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

typedef void maker(const struct rf_plan *plan, struct rf_text *out);

static void makes(struct facts *facts, maker *make, const char *expected) {
    struct rf_text sql = {0};
    make(&facts->plan, &sql);
    assert_string_equal(whole(&sql), expected);
    rf_text_free(&sql);
}

static void mentions(struct facts *facts, maker *make, const char *part) {
    struct rf_text sql = {0};
    make(&facts->plan, &sql);
    assert_contains(whole(&sql), part);
    rf_text_free(&sql);
}

static void make_plan(struct facts *facts, const char *more) {
    make_facts(facts, more);
    assert_code(plan(facts), RF_OK, &facts->err);
}

static void plan_first_load(struct facts *facts, const char *more) {
    make_facts(facts, more);
    never_loaded(facts);
    assert_code(plan(facts), RF_OK, &facts->err);
}

/* ---- load records ------------------------------------------------------------------------------------------- */

static void lists(struct facts *facts, int newest, const char *end) {
    struct rf_text sql = {0};
    facts->job.newest = newest;
    rf_sql_list_loads(&facts->job, &sql);
    const char *found = strstr(whole(&sql), " l WHERE ");
    assert_non_null(found);
    assert_string_equal(found, end);
    rf_text_free(&sql);
}

TEST(of_each_table_the_newest_load_records_are_listed_or_all) {
    struct facts facts;
    make_plan(&facts, "");
    lists(&facts, 0, " l WHERE ($1::text IS NULL OR target_table = $1)");
    lists(&facts, 5, " l WHERE ($1::text IS NULL OR target_table = $1) AND (target_table, load_id) IN (SELECT target_table, load_id FROM"
                     " (SELECT target_table, load_id, row_number() OVER (PARTITION BY target_table ORDER BY load_id DESC) AS place FROM"
                     " \"_rowferry\".\"loads\" l WHERE ($1::text IS NULL OR target_table = $1)) n WHERE place <= 5)");
    drop_facts(&facts);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

TEST(a_whole_heap_is_copied_without_a_query) {
    struct facts facts;
    plan_first_load(&facts, "");
    makes(&facts, rf_sql_read, "COPY \"public\".\"orders\" (\"id\", \"amount\", \"note\") TO STDOUT (FORMAT binary)");
    drop_facts(&facts);
}

static void is_queried(struct facts *facts, const char *end) {
    struct rf_text sql = {0};
    rf_sql_read(&facts->plan, &sql);
    assert_ptr_equal(strstr(whole(&sql), "COPY (SELECT \"id\", \"amount\", \"note\""), whole(&sql));
    assert_contains(whole(&sql), end);
    rf_text_free(&sql);
    drop_facts(facts);
}

TEST(anything_but_a_whole_heap_is_copied_by_a_query) {
    struct facts facts;
    make_facts(&facts, "");
    never_loaded(&facts);
    facts.source.one_heap = false;
    assert_code(plan(&facts), RF_OK, &facts.err);
    is_queried(&facts, "FROM \"public\".\"orders\") TO STDOUT (FORMAT binary)");
    make_facts(&facts, "");
    never_loaded(&facts);
    facts.source.row_security = true;
    assert_code(plan(&facts), RF_OK, &facts.err);
    is_queried(&facts, "FROM \"public\".\"orders\") TO STDOUT (FORMAT binary)");
    make_facts(&facts, "");
    never_loaded(&facts);
    facts.source_columns[2].generated = true;
    assert_code(plan(&facts), RF_OK, &facts.err);
    is_queried(&facts, "FROM \"public\".\"orders\") TO STDOUT (FORMAT binary)");
    plan_first_load(&facts, ",\"where\":\"amount > 0\"");
    is_queried(&facts, " WHERE (\namount > 0\n)) TO STDOUT");
    make_facts(&facts, "");
    never_loaded(&facts);
    without_proven_key(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    is_queried(&facts, ", pg_catalog.age(xmin) AS \"_rowferry_age\", ctid AS \"_rowferry_place\" FROM");
}

TEST(a_column_that_is_cast_keeps_its_name_and_takes_a_query) {
    struct facts facts;
    plan_first_load(&facts, "");
    facts.source_columns[2].cast = "::pg_catalog.text";
    makes(&facts, rf_sql_read,
          "COPY (SELECT \"id\", \"amount\", \"note\"::pg_catalog.text AS \"note\" FROM \"public\".\"orders\") TO STDOUT (FORMAT binary)");
    facts.source_columns[0].cast = "::pg_catalog.text";
    makes(&facts, rf_sql_read_keys, "COPY (SELECT \"id\"::pg_catalog.text AS \"id\" FROM \"public\".\"orders\") TO STDOUT (FORMAT binary)");
    drop_facts(&facts);
}

TEST(changes_are_read_from_the_last_snapshot_on) {
    struct facts facts;
    make_plan(&facts, "");
    makes(&facts, rf_sql_read,
          "COPY (SELECT \"id\", \"amount\", \"note\" FROM \"public\".\"orders\""
          " WHERE ((pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1000'::xid)) AND pg_catalog.age(xmin) >= 0))) TO STDOUT (FORMAT binary)");
    drop_facts(&facts);
}

TEST(a_watermark_beyond_the_first_wrap_is_written_as_the_rows_carry_it) {
    struct facts facts;
    make_facts(&facts, "");
    facts.last.snapshot = facts.last.proven = "8589935592:8589935592:"; /* 2 * 2^32 + 1000 */
    facts.source.snapshot.xmin = 8589935600;
    facts.source.snapshot.xmax = 8589935600;
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_read, "age('1000'::xid)");
    drop_facts(&facts);
}

TEST(of_a_row_that_left_the_filter_only_its_key_is_sent) {
    struct facts facts;
    make_plan(&facts, ",\"where\":\"amount > 0\"");
    makes(&facts, rf_sql_read,
          "COPY (SELECT \"id\", CASE WHEN \"_rowferry_kept\" THEN \"amount\" END, CASE WHEN \"_rowferry_kept\" THEN \"note\" END,"
          " NOT \"_rowferry_kept\" FROM (SELECT \"id\", \"amount\", \"note\", (\namount > 0\n) IS TRUE AS \"_rowferry_kept\""
          " FROM \"public\".\"orders\" WHERE ((pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1000'::xid)) AND pg_catalog.age(xmin) >= 0))) changed) TO STDOUT (FORMAT binary)");
    drop_facts(&facts);
}

TEST(a_filter_that_ends_in_a_comment_swallows_nothing) {
    static maker *const makers[] = {rf_sql_read, rf_sql_source_checksum};
    static const char *const captures[] = {"xmin", "full"};
    for (size_t m = 0; m < N_OF(makers); m++) {
        for (size_t c = 0; c < N_OF(captures); c++) {
            struct facts facts;
            struct rf_text more = {0};
            rf_text_addf(&more, ",\"capture\":\"%s\",\"where\":\"paid -- only these\"", captures[c]);
            make_plan(&facts, whole(&more));
            mentions(&facts, makers[m], "(\npaid -- only these\n)");
            rf_text_free(&more);
            drop_facts(&facts);
        }
    }
}

/* ---- reading by cursor --------------------------------------------------------------------------------------- */

#define FROM "2026-11-22T17:00:00.000000+00:00"
#define UNTIL "2026-11-23T12:30:00.500000+00:00"

/* A plan by cursor from 17:00 on; a test changes its columns and ends. */
static void plan_cursor(struct facts *facts, const char *more) {
    struct rf_text job = {0};
    make_facts(facts, "");
    drop_facts(facts);
    rf_text_addf(&job, ",\"capture\":\"cursor\"%s", more);
    make_facts(facts, whole(&job));
    rf_text_free(&job);
    with_cursor(facts);
    assert_code(plan(facts), RF_OK, &facts->err);
}

/* What stands behind WHERE. */
static void reads_where(struct facts *facts, const char *expected) {
    struct rf_text sql = {0}, clause = {0};
    rf_sql_read(&facts->plan, &sql);
    rf_text_addf(&clause, "FROM \"public\".\"orders\" WHERE %s) TO STDOUT (FORMAT binary)", expected);
    assert_contains(whole(&sql), whole(&clause));
    rf_text_free(&sql);
    rf_text_free(&clause);
}

TEST(a_cursor_is_compared_as_the_type_it_has) {
    struct facts facts;
    plan_cursor(&facts, "");
    reads_where(&facts, "(((\"created_at\" >= '2026-11-22T17:00:00.000000+00:00'::timestamptz) OR (\"updated_at\" >= '2026-11-22T17:00:00.000000+00:00'::timestamptz)))");
    facts.cursor[0].base = "timestamp";
    facts.cursor[1].base = "date"; /* the day that holds the time */
    reads_where(&facts, "(((\"created_at\" >= '2026-11-22T17:00:00.000000'::timestamp) OR (\"updated_at\" >= '2026-11-22'::date)))");
    drop_facts(&facts);
}

TEST(rows_without_any_time_are_read_unless_one_is_always_there) {
    struct facts facts;
    plan_cursor(&facts, "");
    facts.source.n_cursor = 3;
    facts.cursor[2] = (struct rf_cursor_column){.name = "deleted_at", .base = "timestamptz", .says_deleted = true};
    facts.cursor[0].not_null = false;
    struct rf_text sql = {0};
    rf_sql_read(&facts.plan, &sql);
    assert_lacks(whole(&sql), "IS NULL");
    rf_text_free(&sql);
    facts.cursor[1].not_null = false;
    mentions(&facts, rf_sql_read, "(\"deleted_at\" >= '2026-11-22T17:00:00.000000+00:00'::timestamptz) OR (\"created_at\" IS NULL AND \"updated_at\" IS NULL)))");
    facts.cursor[2].says_deleted = false; /* the only sign of a change that was named */
    mentions(&facts, rf_sql_read, " OR (\"created_at\" IS NULL AND \"updated_at\" IS NULL AND \"deleted_at\" IS NULL)))");
    drop_facts(&facts);
}

TEST(a_window_may_be_open_at_either_end_and_holds_no_row_without_a_time) {
    struct facts facts;
    make_facts(&facts, ",\"since\":\"2026-11-22\"");
    with_cursor(&facts);
    facts.source.since = FROM;
    facts.source.until = UNTIL;
    facts.source.n_cursor = 1;
    facts.cursor[0].not_null = false;
    assert_code(plan(&facts), RF_OK, &facts.err);
    reads_where(&facts, "(((\"created_at\" >= '2026-11-22T17:00:00.000000+00:00'::timestamptz AND \"created_at\" < '2026-11-23T12:30:00.500000+00:00'::timestamptz)))");
    facts.cursor[0].base = "date";
    reads_where(&facts, "(((\"created_at\" >= '2026-11-22'::date AND \"created_at\" < '2026-11-23T12:30:00.500000'::timestamp)))");
    facts.plan.until = NULL;
    reads_where(&facts, "(((\"created_at\" >= '2026-11-22'::date)))");
    facts.plan.from = NULL;
    facts.plan.until = UNTIL;
    reads_where(&facts, "(((\"created_at\" < '2026-11-23T12:30:00.500000'::timestamp)))");
    drop_facts(&facts);
}

static void attach_leaves(struct facts *facts) {
    facts->source.fingerprint = FINGERPRINT "leaf 16390 1 heap a\nleaf 16391 2 heap b\n";
    assert_code(plan(facts), RF_OK, &facts->err);
}

TEST(attached_leaves_are_read_whole_beside_what_changed) {
    struct facts facts;
    make_facts(&facts, "");
    attach_leaves(&facts);
    reads_where(&facts, "((pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1000'::xid)) AND pg_catalog.age(xmin) >= 0) OR tableoid IN ('16390'::oid, '16391'::oid))");
    struct rf_text sql = {0};
    rf_sql_source_rows(&facts.plan, 1100, &sql);
    assert_contains(whole(&sql), " OR tableoid IN ('16390'::oid, '16391'::oid)) AS p");
    rf_text_free(&sql);
    drop_facts(&facts);
    plan_cursor(&facts, ",\"where\":\"paid\"");
    attach_leaves(&facts);
    mentions(&facts, rf_sql_read, "::timestamptz)) OR tableoid IN ('16390'::oid, '16391'::oid))) changed)");
    drop_facts(&facts);
}

/* ---- audits --------------------------------------------------------------------------------------------------- */

#define CURSOR_CONDITION "((\"created_at\" >= '2026-11-22T17:00:00.000000+00:00'::timestamptz) OR (\"updated_at\" >= '2026-11-22T17:00:00.000000+00:00'::timestamptz))"

TEST(an_audit_says_of_each_row_whether_the_cursor_would_have_left_it_out) {
    struct facts facts;
    plan_cursor(&facts, ",\"audit\":\"always\"");
    makes(&facts, rf_sql_read,
          "COPY (SELECT \"id\", \"amount\", \"note\", (" CURSOR_CONDITION ") IS NOT TRUE AS \"_rowferry_late\" FROM \"public\".\"orders\""
          " WHERE ((pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1000'::xid)) AND pg_catalog.age(xmin) >= 0))) TO STDOUT (FORMAT binary)");
    attach_leaves(&facts); /* the cursor would have brought these too */
    mentions(&facts, rf_sql_read, ", (" CURSOR_CONDITION " OR tableoid IN ('16390'::oid, '16391'::oid)) IS NOT TRUE AS \"_rowferry_late\"");
    drop_facts(&facts);
}

/* COPY BINARY goes by position alone. */
TEST(an_audit_sends_its_columns_in_the_order_of_the_stage) {
    struct facts facts;
    plan_cursor(&facts, ",\"audit\":\"always\",\"where\":\"paid\"");
    mentions(&facts, rf_sql_read, "CASE WHEN \"_rowferry_kept\" THEN \"note\" END, \"_rowferry_late\", NOT \"_rowferry_kept\" FROM (SELECT");
    mentions(&facts, rf_sql_create_stage, "\"note\" text, \"_rowferry_late\" bool, \"_rowferry_gone\" bool) ON COMMIT DROP");
    drop_facts(&facts);
    plan_cursor(&facts, ",\"audit\":\"always\"");
    without_proven_key(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_read, "\"note\", 0 AS \"_rowferry_age\", coalesce(pg_catalog.set_bit(pg_catalog.timestamptz_send(greatest(\"created_at\"");
    mentions(&facts, rf_sql_read, " || pg_catalog.int4send(2147483647 - pg_catalog.age(xmin)) || pg_catalog.tidsend(ctid) AS \"_rowferry_place\", (" CURSOR_CONDITION ") IS NOT TRUE AS \"_rowferry_late\" FROM");
    mentions(&facts, rf_sql_create_stage, "\"note\" text, \"_rowferry_age\" int4, \"_rowferry_place\" bytea, \"_rowferry_late\" bool)");
    drop_facts(&facts);
}

TEST(a_late_row_was_missed_unless_the_target_has_it_as_it_is) {
    struct facts facts;
    plan_cursor(&facts, ",\"audit\":\"always\"");
    makes(&facts, rf_sql_count_missed,
          "SELECT count(*) FROM pg_temp.\"rowferry_stage_8\" s LEFT JOIN \"raw_postgres\".\"orders\" t ON t.\"id\" = s.\"id\" WHERE s.\"_rowferry_late\""
          " AND (t.\"_load_id\" IS NULL OR t.\"_deleted_at\" IS NOT NULL OR ROW(t.\"id\", t.\"amount\", t.\"note\")::text"
          " <> ROW(s.\"id\"::bigint, s.\"amount\"::numeric(12,4), s.\"note\"::text)::text)");
    drop_facts(&facts);
}

TEST(a_late_row_that_left_the_filter_was_missed_when_the_target_still_has_it) {
    struct facts facts;
    plan_cursor(&facts, ",\"audit\":\"always\",\"where\":\"paid\"");
    mentions(&facts, rf_sql_count_missed, "AND CASE WHEN s.\"_rowferry_gone\" THEN t.\"_load_id\" IS NOT NULL AND t.\"_deleted_at\" IS NULL ELSE (t.\"_load_id\" IS NULL");
    mentions(&facts, rf_sql_count_missed, ")::text) END");
    drop_facts(&facts);
}

TEST(of_late_rows_that_share_a_key_only_the_newest_counts) {
    struct facts facts;
    plan_cursor(&facts, ",\"audit\":\"always\"");
    without_proven_key(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_count_missed,
             "FROM (SELECT DISTINCT ON (\"id\") * FROM pg_temp.\"rowferry_stage_8\" ORDER BY \"id\", \"_rowferry_age\", \"_rowferry_place\" DESC) s LEFT JOIN");
    drop_facts(&facts);
}

/* ---- sweeps ----------------------------------------------------------------------------------------------------- */

TEST(a_sweep_reads_all_keys_that_pass_the_filter_and_no_other_column) {
    struct facts facts;
    plan_cursor(&facts, ",\"sweep\":\"always\"");
    makes(&facts, rf_sql_read_keys, "COPY (SELECT \"id\" FROM \"public\".\"orders\") TO STDOUT (FORMAT binary)");
    drop_facts(&facts);
    plan_cursor(&facts, ",\"sweep\":\"always\",\"where\":\"paid -- now\"");
    facts.source.n_keys = 2;
    facts.keys[0] = 2;
    facts.keys[1] = 0;
    makes(&facts, rf_sql_read_keys, "COPY (SELECT \"note\", \"id\" FROM \"public\".\"orders\" WHERE (\npaid -- now\n)) TO STDOUT (FORMAT binary)");
    makes(&facts, rf_sql_create_keys, "CREATE TEMPORARY TABLE \"rowferry_keys_8\" (\"note\" text, \"id\" bigint) ON COMMIT DROP");
    makes(&facts, rf_sql_write_keys, "COPY pg_temp.\"rowferry_keys_8\" FROM STDIN (FORMAT binary)");
    mentions(&facts, rf_sql_sweep, " s WHERE t.\"note\" = s.\"note\" AND t.\"id\" = s.\"id\")");
    drop_facts(&facts);
}

TEST(a_sweep_closes_rows_of_earlier_loads_whose_key_is_gone) {
    struct facts facts;
    plan_cursor(&facts, ",\"sweep\":\"always\"");
    makes(&facts, rf_sql_sweep,
          "UPDATE \"raw_postgres\".\"orders\" t SET \"_deleted_at\" = '2026-11-22T18:00:00.000000+00:00', \"_extracted_at\" = '2026-11-22T18:00:00.000000+00:00',"
          " \"_load_id\" = 8 WHERE t.\"_load_id\" < 8 AND t.\"_deleted_at\" IS NULL AND NOT EXISTS (SELECT 1 FROM pg_temp.\"rowferry_keys_8\" s WHERE t.\"id\" = s.\"id\")");
    makes(&facts, rf_sql_count_live,
          "SELECT (SELECT count(*) FROM pg_temp.\"rowferry_keys_8\"), (SELECT count(*) FROM \"raw_postgres\".\"orders\" WHERE \"_deleted_at\" IS NULL)");
    without_proven_key(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_count_live, "SELECT (SELECT count(*) FROM (SELECT DISTINCT \"id\" FROM pg_temp.\"rowferry_keys_8\") k), (SELECT");
    drop_facts(&facts);
}

TEST(keys_are_staged_as_the_source_has_them_where_the_target_is_wider) {
    struct facts facts;
    plan_cursor(&facts, ",\"sweep\":\"always\"");
    facts.source_columns[0].type = "integer";
    facts.source_columns[0].base = facts.source_columns[0].identity = "int4";
    mentions(&facts, rf_sql_create_keys, "(\"id\" integer)");
    drop_facts(&facts);
}

/* ---- removing --------------------------------------------------------------------------------------------------- */

TEST(rows_that_are_gone_are_removed_when_the_job_says_so) {
    struct facts facts;
    plan_cursor(&facts, ",\"sweep\":\"always\",\"on_delete\":\"remove\",\"where\":\"paid\"");
    makes(&facts, rf_sql_sweep,
          "DELETE FROM \"raw_postgres\".\"orders\" t WHERE t.\"_load_id\" < 8 AND NOT EXISTS (SELECT 1 FROM pg_temp.\"rowferry_keys_8\" s WHERE t.\"id\" = s.\"id\")");
    makes(&facts, rf_sql_close_gone,
          "DELETE FROM \"raw_postgres\".\"orders\" t USING (SELECT DISTINCT \"id\" FROM pg_temp.\"rowferry_stage_8\" WHERE \"_rowferry_gone\") s"
          " WHERE t.\"_load_id\" < 8 AND t.\"id\" = s.\"id\"");
    makes(&facts, rf_sql_close_absent, "DELETE FROM \"raw_postgres\".\"orders\" t WHERE t.\"_load_id\" < 8");
    drop_facts(&facts);
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

/* Every text of a load whose schema, table, key and column all have a quote in their names. */
static void plan_odd_names(struct facts *facts, bool first) {
    make_facts(facts, ",\"table\":\"\\\"Odd \\\"\\\"schema\\\".\\\"Odd table\\\"\",\"target_table\":\"r.{table}\",\"where\":\"true\"");
    facts->source_columns[0].name = facts->target_columns[0].name = "Key \"uno\"";
    facts->source_columns[1].name = facts->target_columns[1].name = "größe";
    facts->last.source_table = facts->job.source_label;
    if (first) never_loaded(facts);
    without_proven_key(facts);
    assert_code(plan(facts), RF_OK, &facts->err);
}

/* Taking the quoted names away leaves no piece of them behind. */
static void is_quoted_everywhere(const char *sql) {
    static const char *const names[] = {"\"Odd \"\"schema\"", "\"Odd table\"", "\"Key \"\"uno\"\"\"", "\"größe\""};
    static const char *const pieces[] = {"Odd", "Key", "größe", "uno"};
    char rest[8192];
    assert_true(strlen(sql) < sizeof rest);
    memcpy(rest, sql, strlen(sql) + 1);
    for (size_t i = 0; i < N_OF(names); i++)
        for (char *at; (at = strstr(rest, names[i]));) memset(at, '_', strlen(names[i]));
    for (size_t i = 0; i < N_OF(pieces); i++) assert_lacks(rest, pieces[i]);
}

TEST(odd_names_are_quoted_in_every_statement) {
    static maker *const makers[] = {rf_sql_read, rf_sql_create_target, rf_sql_seal_target, rf_sql_create_stage, rf_sql_write, rf_sql_merge, rf_sql_count_stage, rf_sql_count_stale,
                                    rf_sql_duplicate_keys, rf_sql_close_gone, rf_sql_close_absent, rf_sql_source_checksum, rf_sql_target_checksum, rf_sql_target_rows,
                                    rf_sql_read_keys, rf_sql_create_keys, rf_sql_write_keys, rf_sql_sweep, rf_sql_count_live, rf_sql_count_missed};
    for (int first = 0; first < 2; first++) {
        struct facts facts;
        plan_odd_names(&facts, first);
        for (size_t i = 0; i < N_OF(makers); i++) {
            struct rf_text sql = {0};
            makers[i](&facts.plan, &sql);
            is_quoted_everywhere(whole(&sql));
            rf_text_free(&sql);
        }
        struct rf_text sql = {0};
        rf_sql_lock_source(&facts.job, &sql);
        assert_string_equal(whole(&sql), "LOCK TABLE \"Odd \"\"schema\".\"Odd table\" IN ACCESS SHARE MODE");
        rf_text_free(&sql);
        drop_facts(&facts);
    }
}

TEST(the_control_schema_is_quoted_as_a_name_and_as_a_value) {
    struct facts facts;
    struct rf_text sql = {0};
    make_facts(&facts, ",\"control_schema\":\"it's \\\"ours\\\"\"");
    rf_sql_control_exists(&facts.job, &sql);
    assert_contains(whole(&sql), "n.nspname = 'it''s \"ours\"'");
    rf_text_free(&sql);
    rf_sql_create_control(&facts.job, &sql);
    assert_contains(whole(&sql), "CREATE TABLE IF NOT EXISTS \"it's \"\"ours\"\"\".\"loads\" (");
    assert_contains(whole(&sql), "CREATE TABLE IF NOT EXISTS \"it's \"\"ours\"\"\".\"leases\" (");
    rf_text_free(&sql);
    drop_facts(&facts);
}

/* ---- the stage and the merge -------------------------------------------------------------------------------------- */

TEST(a_straight_load_makes_fills_and_seals_the_table) {
    struct facts facts;
    plan_first_load(&facts, "");
    makes(&facts, rf_sql_create_target,
          "CREATE TABLE \"raw_postgres\".\"orders\" (\"id\" bigint NOT NULL, \"amount\" numeric(12,4), \"note\" text, \"_extracted_at\" timestamptz NOT NULL"
          " DEFAULT '2026-11-22T18:00:00.000000+00:00', \"_load_id\" bigint NOT NULL DEFAULT 8, \"_deleted_at\" timestamptz)");
    makes(&facts, rf_sql_write, "COPY \"raw_postgres\".\"orders\" (\"id\", \"amount\", \"note\") FROM STDIN (FORMAT binary, FREEZE)");
    makes(&facts, rf_sql_seal_target,
          "ALTER TABLE \"raw_postgres\".\"orders\" ALTER \"_extracted_at\" DROP DEFAULT, ALTER \"_load_id\" DROP DEFAULT, ADD PRIMARY KEY (\"id\")");
    drop_facts(&facts);
}

TEST(a_merge_takes_newer_rows_alone_and_counts_them) {
    struct facts facts;
    make_plan(&facts, "");
    makes(&facts, rf_sql_create_stage,
          "CREATE TEMPORARY TABLE \"rowferry_stage_8\" (\"id\" bigint, \"amount\" numeric(12,4), \"note\" text) ON COMMIT DROP");
    makes(&facts, rf_sql_write, "COPY pg_temp.\"rowferry_stage_8\" FROM STDIN (FORMAT binary)");
    makes(&facts, rf_sql_merge,
          "WITH merged AS (INSERT INTO \"raw_postgres\".\"orders\" AS t (\"id\", \"amount\", \"note\", \"_extracted_at\", \"_load_id\")"
          " SELECT s.\"id\", s.\"amount\", s.\"note\", '2026-11-22T18:00:00.000000+00:00'::timestamptz, 8::bigint"
          " FROM (SELECT \"id\", \"amount\", \"note\" FROM pg_temp.\"rowferry_stage_8\" ORDER BY \"id\") s ON CONFLICT (\"id\") DO UPDATE SET \"id\" = excluded.\"id\","
          " \"amount\" = excluded.\"amount\", \"note\" = excluded.\"note\", \"_extracted_at\" = excluded.\"_extracted_at\","
          " \"_load_id\" = excluded.\"_load_id\", \"_deleted_at\" = NULL WHERE t.\"_load_id\" < excluded.\"_load_id\""
          " RETURNING old.\"id\" IS NULL AS is_new) SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM merged");
    drop_facts(&facts);
}

TEST(before_18_a_new_row_shows_in_its_xmax) {
    struct facts facts;
    make_facts(&facts, "");
    facts.target.server.version = 170004;
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_merge, "RETURNING t.xmax = 0 AS is_new");
    drop_facts(&facts);
}

TEST(of_rows_that_share_a_key_the_newest_version_wins) {
    struct facts facts;
    make_facts(&facts, "");
    without_proven_key(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_create_stage, "\"note\" text, \"_rowferry_age\" int4, \"_rowferry_place\" tid)");
    mentions(&facts, rf_sql_merge, "FROM (SELECT DISTINCT ON (\"id\") \"id\", \"amount\", \"note\" FROM pg_temp.\"rowferry_stage_8\""
                                   " ORDER BY \"id\", \"_rowferry_age\", \"_rowferry_place\" DESC) s");
    drop_facts(&facts);
}

TEST(of_rows_of_a_stream_that_share_a_key_the_later_wins) {
    struct facts facts;
    make_facts(&facts, "");
    with_stream(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_create_stage, "\"note\" text) ON COMMIT DROP");
    mentions(&facts, rf_sql_merge, "FROM (SELECT DISTINCT ON (\"id\") \"id\", \"amount\", \"note\" FROM pg_temp.\"rowferry_stage_8\""
                                   " ORDER BY \"id\", ctid DESC) s");
    mentions(&facts, rf_sql_create_target, "PRIMARY KEY (\"id\")");
    drop_facts(&facts);
}

TEST(what_is_cast_by_the_merge_is_compared_as_the_target_compares_it) {
    struct facts facts;
    make_facts(&facts, "");
    with_stream(&facts);
    facts.source_columns[0].identity = facts.source_columns[0].type = "text";
    facts.target_columns[0].identity = facts.target_columns[0].type = "uuid";
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_create_stage, "(\"id\" text, ");
    mentions(&facts, rf_sql_merge, "FROM (SELECT DISTINCT ON (\"id\") \"id\"::uuid AS \"id\", \"amount\", \"note\" FROM");
    mentions(&facts, rf_sql_count_stage, "(SELECT DISTINCT \"id\"::uuid AS \"id\" FROM");
    mentions(&facts, rf_sql_duplicate_keys, "SELECT ROW(\"id\")::text AS k FROM (SELECT \"id\"::uuid AS \"id\" FROM pg_temp.\"rowferry_stage_8\") s GROUP BY \"id\"");
    drop_facts(&facts);
}

TEST(rows_that_left_the_filter_are_closed_and_never_merged) {
    struct facts facts;
    make_plan(&facts, ",\"where\":\"amount > 0\"");
    mentions(&facts, rf_sql_create_stage, ", \"_rowferry_gone\" bool) ON COMMIT DROP");
    mentions(&facts, rf_sql_merge, "WHERE NOT \"_rowferry_gone\" ORDER BY");
    makes(&facts, rf_sql_close_gone,
          "UPDATE \"raw_postgres\".\"orders\" t SET \"_deleted_at\" = '2026-11-22T18:00:00.000000+00:00', \"_extracted_at\" = '2026-11-22T18:00:00.000000+00:00',"
          " \"_load_id\" = 8 FROM (SELECT DISTINCT \"id\" FROM pg_temp.\"rowferry_stage_8\" WHERE \"_rowferry_gone\") s"
          " WHERE t.\"_load_id\" < 8 AND t.\"_deleted_at\" IS NULL AND t.\"id\" = s.\"id\"");
    drop_facts(&facts);
}

TEST(a_full_read_closes_what_it_did_not_bring) {
    struct facts facts;
    make_plan(&facts, ",\"capture\":\"full\"");
    makes(&facts, rf_sql_close_absent,
          "UPDATE \"raw_postgres\".\"orders\" t SET \"_deleted_at\" = '2026-11-22T18:00:00.000000+00:00', \"_extracted_at\" = '2026-11-22T18:00:00.000000+00:00',"
          " \"_load_id\" = 8 WHERE t.\"_load_id\" < 8 AND t.\"_deleted_at\" IS NULL");
    drop_facts(&facts);
}

TEST(a_stage_has_the_source_type_only_where_the_merge_widens) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source_columns[2] = (struct rf_column){.name = "note", .type = "character varying(20)", .base = "varchar", .identity = "varchar", .typmod = 24};
    facts.target_columns[1].type = "numeric(14,6)";
    facts.target_columns[1].typmod = ((14 << 16) | 6) + 4;
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_create_stage, "\"amount\" numeric(14,6), \"note\" character varying(20))");
    drop_facts(&facts);
}

TEST(every_dropped_column_is_null_from_now_on) {
    struct facts facts;
    make_facts(&facts, "");
    add_target_column(&facts, "old \"one\"", "text", "text", -1);
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_merge, "\"note\" = excluded.\"note\", \"old \"\"one\"\"\" = NULL, \"_extracted_at\"");
    drop_facts(&facts);
}

TEST(a_key_of_several_columns_is_whole_everywhere) {
    struct facts facts;
    make_facts(&facts, ",\"where\":\"true\"");
    facts.source.n_keys = 2;
    facts.keys[0] = 2;
    facts.keys[1] = 0;
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_merge, "ON CONFLICT (\"note\", \"id\") DO UPDATE SET \"id\" = excluded.\"id\", \"amount\" = excluded.\"amount\", \"note\" = excluded.\"note\", \"_extracted_at\"");
    mentions(&facts, rf_sql_close_gone, " AND t.\"note\" = s.\"note\" AND t.\"id\" = s.\"id\"");
    mentions(&facts, rf_sql_count_stage, "SELECT DISTINCT \"note\", \"id\" FROM");
    mentions(&facts, rf_sql_read, "SELECT \"id\", CASE WHEN \"_rowferry_kept\" THEN \"amount\" END, \"note\",");
    mentions(&facts, rf_sql_target_rows, "ROW(\"note\", \"id\")::text");
    drop_facts(&facts);
}

TEST(a_table_of_nothing_but_its_key_can_be_merged) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source.n_columns = 1;
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_merge, "DO UPDATE SET \"id\" = excluded.\"id\", \"amount\" = NULL, \"note\" = NULL, \"_extracted_at\" = excluded.\"_extracted_at\"");
    never_loaded(&facts);
    facts.target.n_columns = 1;
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_merge, "DO UPDATE SET \"id\" = excluded.\"id\", \"_extracted_at\" = excluded.\"_extracted_at\"");
    drop_facts(&facts);
}

/* The longest names that a server takes; a quote is doubled. */
TEST(the_longest_names_pass_whole_through_every_statement) {
    static char name[64], quoted[160];
    memset(name, 'x', 63);
    name[0] = name[62] = '"';
    snprintf(quoted, sizeof quoted, "\"\"\"%.61s\"\"\"", name + 1);
    static maker *const makers[] = {rf_sql_read, rf_sql_read_keys, rf_sql_create_stage, rf_sql_merge, rf_sql_create_keys, rf_sql_sweep, rf_sql_count_missed, rf_sql_count_live};
    struct facts facts;
    plan_cursor(&facts, ",\"audit\":\"always\",\"sweep\":\"always\"");
    without_proven_key(&facts);
    facts.source_columns[0].name = facts.target_columns[0].name = name;
    facts.cursor[1].name = name;
    facts.last.cursor = "\"created_at\"";
    assert_code(plan(&facts), RF_OK, &facts.err);
    for (size_t i = 0; i < N_OF(makers); i++) mentions(&facts, makers[i], quoted);
    facts.plan.reading = RF_READ_CURSOR;
    facts.plan.from = FROM;
    struct rf_text condition = {0};
    rf_text_addf(&condition, "(%s >= '", quoted);
    mentions(&facts, rf_sql_read, whole(&condition));
    rf_text_free(&condition);
    drop_facts(&facts);
}

/* ---- comparing -------------------------------------------------------------------------------------------------------- */

TEST(both_ends_print_a_row_alike) {
    struct facts facts;
    make_plan(&facts, "");
    makes(&facts, rf_sql_target_rows,
          "COPY (SELECT k, decode(h, 'hex'), p FROM (SELECT ROW(\"id\")::text COLLATE \"C\" AS k, md5(ROW(\"id\", \"amount\", \"note\")::text) AS h, (false) AS p"
          " FROM \"raw_postgres\".\"orders\" WHERE \"_deleted_at\" IS NULL) r ORDER BY k, h) TO STDOUT (FORMAT binary)");
    struct rf_text sql = {0};
    rf_sql_source_rows(&facts.plan, 1000, &sql);
    assert_string_equal(whole(&sql),
                        "COPY (SELECT k, decode(h, 'hex'), p FROM (SELECT ROW(\"id\")::text COLLATE \"C\" AS k, md5(ROW(\"id\", \"amount\", \"note\")::text) AS h,"
                        " ((pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1000'::xid)) AND pg_catalog.age(xmin) >= 0)) AS p"
                        " FROM \"public\".\"orders\") r ORDER BY k, h) TO STDOUT (FORMAT binary)");
    rf_text_free(&sql);
    rf_sql_source_rows(&facts.plan, 0, &sql);
    assert_contains(whole(&sql), "(false) AS p");
    rf_text_free(&sql);
    drop_facts(&facts);
}

TEST(a_value_that_the_target_prints_otherwise_is_cast_at_the_source) {
    struct facts facts;
    make_facts(&facts, "");
    facts.target_columns[0] = (struct rf_column){.name = "id", .type = "numeric", .base = "numeric", .identity = "numeric", .typmod = -1, .not_null = true};
    facts.target_columns[1].type = "numeric(14,6)";
    facts.target_columns[1].typmod = ((14 << 16) | 6) + 4;
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_source_checksum, "ROW(\"id\"::numeric, \"amount\"::numeric(14,6), \"note\")::text");
    mentions(&facts, rf_sql_target_checksum, "ROW(\"id\", \"amount\", \"note\")::text");
    struct rf_text sql = {0};
    rf_sql_source_rows(&facts.plan, 0, &sql);
    assert_contains(whole(&sql), "ROW(\"id\"::numeric)::text COLLATE \"C\" AS k");
    rf_text_free(&sql);
    drop_facts(&facts);
}

TEST(rows_closed_on_the_target_are_not_compared) {
    struct facts facts;
    make_plan(&facts, ",\"where\":\"amount > 0\"");
    mentions(&facts, rf_sql_target_checksum, "FROM \"raw_postgres\".\"orders\" WHERE \"_deleted_at\" IS NULL)");
    mentions(&facts, rf_sql_source_checksum, "FROM \"public\".\"orders\" WHERE (\namount > 0\n))");
    drop_facts(&facts);
}

TEST(values_are_read_as_the_load_sent_them_and_as_the_target_holds_them) {
    struct facts facts;
    make_plan(&facts, ",\"where\":\"amount > 0\"");
    facts.source_columns[1].cast = "::pg_catalog.text";
    struct rf_text sql = {0};
    rf_sql_source_values(&facts.plan, 1000, &sql);
    assert_string_equal(whole(&sql),
                        "COPY (SELECT \"id\", \"amount\"::pg_catalog.text AS \"amount\", \"note\","
                        " ((pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1000'::xid)) AND pg_catalog.age(xmin) >= 0))"
                        " FROM \"public\".\"orders\" WHERE (\namount > 0\n)) TO STDOUT (FORMAT binary)");
    rf_text_free(&sql);
    rf_sql_source_values(&facts.plan, 0, &sql);
    assert_contains(whole(&sql), "\"note\" FROM \"public\".\"orders\" WHERE");
    rf_text_free(&sql);
    makes(&facts, rf_sql_target_values, "SELECT \"id\", \"amount\", \"note\" FROM \"raw_postgres\".\"orders\" WHERE \"_deleted_at\" IS NULL");
    drop_facts(&facts);
}

/* ---- sessions and control tables ---------------------------------------------------------------------------------------- */

TEST(a_session_sets_only_what_its_server_knows) {
    static const struct { int version; bool idle, transaction; } cases[] = {{130000, false, false}, {140000, true, false}, {160009, true, false}, {170000, true, true}, {180001, true, true}};
    struct facts facts;
    make_facts(&facts, "");
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct rf_text source = {0}, target = {0};
        rf_sql_source_settings(&facts.job, cases[i].version, &source);
        rf_sql_target_session(&facts.job, cases[i].version, &target);
        assert_int_equal(strstr(whole(&target), " idle_session_timeout") != NULL, cases[i].idle);
        assert_int_equal(strstr(whole(&source), " transaction_timeout") != NULL, cases[i].transaction);
        assert_int_equal(strstr(whole(&target), " transaction_timeout") != NULL, cases[i].transaction);
        rf_text_free(&source);
        rf_text_free(&target);
    }
    drop_facts(&facts);
}

TEST(what_prints_a_value_is_set_alike_on_both_sides) {
    static const char *const settings[] = {"timezone = 'UTC'", "datestyle = 'ISO, YMD'", "intervalstyle = 'postgres'", "bytea_output = 'hex'", "extra_float_digits = 1"};
    struct facts facts;
    struct rf_text source = {0}, target = {0};
    make_facts(&facts, "");
    rf_sql_source_settings(&facts.job, 180000, &source);
    rf_sql_target_session(&facts.job, 180000, &target);
    for (size_t i = 0; i < N_OF(settings); i++) {
        assert_contains(whole(&source), settings[i]);
        assert_contains(whole(&target), settings[i]);
    }
    rf_text_free(&source);
    rf_text_free(&target);
    drop_facts(&facts);
}

/* Behind a pooler the session serves somebody else next. */
TEST(nothing_set_at_the_source_outlives_the_transaction) {
    struct facts facts;
    struct rf_text sql = {0};
    make_facts(&facts, "");
    rf_sql_source_settings(&facts.job, 180000, &sql);
    for (const char *at = whole(&sql); (at = strstr(at, "SET ")); at += 4) assert_memory_equal(at, "SET LOCAL ", 10);
    rf_text_free(&sql);
    drop_facts(&facts);
}

TEST(a_lock_is_waited_for_at_least_a_millisecond_since_zero_means_for_ever) {
    static const struct { double seconds; int64_t ms; } cases[] = {{0, 1}, {0.0004, 1}, {0.5, 500}, {60, 60000}, {86400, 86400000}};
    for (size_t i = 0; i < N_OF(cases); i++) assert_int_equal(rf_lock_timeout_ms(cases[i].seconds), cases[i].ms);
    struct rf_text sql = {0};
    rf_sql_lock_timeout(0, &sql);
    assert_string_equal(whole(&sql), "SET LOCAL lock_timeout = 1");
    rf_text_free(&sql);
}

/* A number left out would shift every value behind it. The target's file is no parameter: it is looked up. */
TEST(a_load_record_has_a_place_for_each_of_its_values) {
    struct facts facts;
    struct rf_text sql = {0};
    make_facts(&facts, "");
    rf_sql_insert_load(&facts.job, &sql);
    int n_columns = 1;
    for (const char *at = strchr(whole(&sql), '('); *at != ')'; at++) n_columns += *at == ',';
    for (int i = 1; i <= n_columns; i++) {
        char place[16];
        snprintf(place, sizeof place, "$%d", i);
        if (i < n_columns) assert_contains(whole(&sql), place);
        else assert_lacks(whole(&sql), place);
    }
    assert_contains(whole(&sql), "WHERE NOT EXISTS (SELECT FROM \"_rowferry\".\"loads\" WHERE target_table = $1 AND load_id >= $2::bigint)");
    rf_text_free(&sql);
    drop_facts(&facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_each_table_the_newest_load_records_are_listed_or_all),
        cmocka_unit_test(a_whole_heap_is_copied_without_a_query),
        cmocka_unit_test(anything_but_a_whole_heap_is_copied_by_a_query),
        cmocka_unit_test(a_column_that_is_cast_keeps_its_name_and_takes_a_query),
        cmocka_unit_test(changes_are_read_from_the_last_snapshot_on),
        cmocka_unit_test(a_watermark_beyond_the_first_wrap_is_written_as_the_rows_carry_it),
        cmocka_unit_test(of_a_row_that_left_the_filter_only_its_key_is_sent),
        cmocka_unit_test(a_filter_that_ends_in_a_comment_swallows_nothing),
        cmocka_unit_test(odd_names_are_quoted_in_every_statement),
        cmocka_unit_test(the_control_schema_is_quoted_as_a_name_and_as_a_value),
        cmocka_unit_test(a_straight_load_makes_fills_and_seals_the_table),
        cmocka_unit_test(a_merge_takes_newer_rows_alone_and_counts_them),
        cmocka_unit_test(before_18_a_new_row_shows_in_its_xmax),
        cmocka_unit_test(of_rows_that_share_a_key_the_newest_version_wins),
        cmocka_unit_test(of_rows_of_a_stream_that_share_a_key_the_later_wins),
        cmocka_unit_test(what_is_cast_by_the_merge_is_compared_as_the_target_compares_it),
        cmocka_unit_test(rows_that_left_the_filter_are_closed_and_never_merged),
        cmocka_unit_test(a_full_read_closes_what_it_did_not_bring),
        cmocka_unit_test(a_stage_has_the_source_type_only_where_the_merge_widens),
        cmocka_unit_test(every_dropped_column_is_null_from_now_on),
        cmocka_unit_test(a_key_of_several_columns_is_whole_everywhere),
        cmocka_unit_test(a_table_of_nothing_but_its_key_can_be_merged),
        cmocka_unit_test(both_ends_print_a_row_alike),
        cmocka_unit_test(a_value_that_the_target_prints_otherwise_is_cast_at_the_source),
        cmocka_unit_test(rows_closed_on_the_target_are_not_compared),
        cmocka_unit_test(values_are_read_as_the_load_sent_them_and_as_the_target_holds_them),
        cmocka_unit_test(a_session_sets_only_what_its_server_knows),
        cmocka_unit_test(what_prints_a_value_is_set_alike_on_both_sides),
        cmocka_unit_test(nothing_set_at_the_source_outlives_the_transaction),
        cmocka_unit_test(a_lock_is_waited_for_at_least_a_millisecond_since_zero_means_for_ever),
        cmocka_unit_test(a_load_record_has_a_place_for_each_of_its_values),
        cmocka_unit_test(a_cursor_is_compared_as_the_type_it_has),
        cmocka_unit_test(rows_without_any_time_are_read_unless_one_is_always_there),
        cmocka_unit_test(a_window_may_be_open_at_either_end_and_holds_no_row_without_a_time),
        cmocka_unit_test(attached_leaves_are_read_whole_beside_what_changed),
        cmocka_unit_test(an_audit_says_of_each_row_whether_the_cursor_would_have_left_it_out),
        cmocka_unit_test(an_audit_sends_its_columns_in_the_order_of_the_stage),
        cmocka_unit_test(a_late_row_was_missed_unless_the_target_has_it_as_it_is),
        cmocka_unit_test(a_late_row_that_left_the_filter_was_missed_when_the_target_still_has_it),
        cmocka_unit_test(of_late_rows_that_share_a_key_only_the_newest_counts),
        cmocka_unit_test(a_sweep_reads_all_keys_that_pass_the_filter_and_no_other_column),
        cmocka_unit_test(a_sweep_closes_rows_of_earlier_loads_whose_key_is_gone),
        cmocka_unit_test(keys_are_staged_as_the_source_has_them_where_the_target_is_wider),
        cmocka_unit_test(rows_that_are_gone_are_removed_when_the_job_says_so),
        cmocka_unit_test(the_longest_names_pass_whole_through_every_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

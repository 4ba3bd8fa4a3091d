/* What a run does and sends in the modes that do not merge. */
#include "core/merge.h"
#include "core/sql.h"
#include "core/sql_plain.h"

#include "facts.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

#define REPLACE ",\"mode\":\"replace\""
#define APPEND ",\"mode\":\"append\""

static void mentions(struct facts *facts, rf_statement_maker *make, const char *part, bool is_there) {
    struct rf_text sql = {0};
    make(&facts->plan, &sql);
    if (is_there) assert_contains(whole(&sql), part);
    else assert_null(strstr(whole(&sql), part));
    rf_text_free(&sql);
}

static void keeps_versions(struct facts *facts) {
    add_target_column(facts, "_source_xid", "bigint", "int8", -1);
}

static void refuses(struct facts *facts, const char *message, const char *hint) {
    assert_code(plan(facts), RF_CONFIG, &facts->err);
    assert_contains(facts->err.message, message);
    assert_contains(facts->err.hint, hint);
    drop_facts(facts);
}

/* ---- replace ---- */

TEST(a_copy_is_read_in_full_and_comes_in_the_place_of_what_was_there) {
    struct facts facts;
    make_facts(&facts, REPLACE);
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_true(facts.plan.full_read && !facts.plan.reconcile && !facts.plan.close_absent && !facts.plan.sweep);
    assert_string_equal(facts.plan.completeness, "proven");
    assert_string_equal(facts.plan.hard_deletes, "captured");
    mentions(&facts, rf_stage_makers(&facts.plan)->delete_all, "DELETE FROM \"raw_postgres\".\"orders\"", true);
    mentions(&facts, rf_stage_makers(&facts.plan)->insert_all, "ON CONFLICT", false);
    drop_facts(&facts);
}

static void without_key(struct facts *facts) {
    facts->source.n_keys = 0;
    facts->source.key_proven = false;
    facts->target.key_unique = false;
}

TEST(a_copy_needs_no_key_at_either_end) {
    struct facts facts;
    make_facts(&facts, REPLACE);
    without_key(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_false(facts.plan.dedupe);
    mentions(&facts, rf_sql_insert_all, "ORDER BY", false);
    drop_facts(&facts);

    make_facts(&facts, REPLACE);
    never_loaded(&facts);
    without_key(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_true(facts.plan.straight);
    mentions(&facts, rf_sql_create_target, "PRIMARY KEY", false);
    mentions(&facts, rf_sql_seal_target, "PRIMARY KEY", false);
    drop_facts(&facts);
}

TEST(of_a_copy_without_a_key_whole_rows_are_compared) {
    struct facts facts;
    make_facts(&facts, REPLACE);
    without_key(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    mentions(&facts, rf_sql_target_rows, "ROW(\"id\", \"amount\", \"note\")::text COLLATE", true);
    drop_facts(&facts);
}

/* ---- a change of mode ---- */

TEST(another_mode_than_that_of_the_last_load_is_refused_with_the_way_to_change_it) {
    static const struct { const char *now, *then; bool has_versions; const char *hint; } cases[] = {
        {REPLACE, "merge", false, "the next run take it over"},
        {"", "replace", false, "the next run take it over"},
        {APPEND, "merge", false, "drop the table"},
        {"", "append", true, "drop the table"},
        {REPLACE, "append", true, "drop the table"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct facts facts;
        make_facts(&facts, cases[i].now);
        facts.last.mode = cases[i].then;
        if (cases[i].has_versions) keeps_versions(&facts);
        refuses(&facts, "and this job loads it in mode", cases[i].hint);
    }
}

TEST(a_table_of_another_form_is_refused_even_after_a_reset) {
    struct facts facts;
    make_facts(&facts, APPEND);
    refuses(&facts, "has no column _source_xid", "drop the table");
    make_facts(&facts, "");
    keeps_versions(&facts);
    refuses(&facts, "holds versions of rows", "drop the table");
}

TEST(a_mode_that_is_not_known_any_more_is_no_change) {
    struct facts facts;
    make_facts(&facts, REPLACE);
    facts.last.mode = NULL;
    assert_code(plan(&facts), RF_OK, &facts.err);
    drop_facts(&facts);
}

/* ---- append ---- */

static void plan_versions(struct facts *facts, const char *more) {
    char all[256];
    snprintf(all, sizeof all, APPEND "%s", more);
    make_facts(facts, all);
    keeps_versions(facts);
    assert_code(plan(facts), RF_OK, &facts->err);
}

/* Snapshot 1200:1210:; the epoch is in the literal, the distance in 32 bits. */
TEST(a_version_is_sent_with_its_transaction_in_64_bits) {
    struct facts facts;
    plan_versions(&facts, "");
    mentions(&facts, rf_sql_read, "1210::bigint - pg_catalog.age(xmin)::bigint + (SELECT pg_catalog.age('1210'::xid))", true);
    mentions(&facts, rf_sql_read, "BETWEEN 0 AND 2147483646", true);
    facts.source.snapshot.xmax = (UINT64_C(3) << 32) + 5;
    mentions(&facts, rf_sql_read, "12884901893::bigint - pg_catalog.age(xmin)::bigint + (SELECT pg_catalog.age('5'::xid))", true);
    mentions(&facts, rf_sql_read, "age(xmin) <= (SELECT pg_catalog.age('1000'::xid))", true);
    drop_facts(&facts);
}

TEST(a_row_is_known_by_its_transaction_but_in_a_full_read_by_its_values_alone) {
    struct facts facts;
    plan_versions(&facts, "");
    mentions(&facts, rf_sql_append, "t.\"_source_xid\" = s.\"_rowferry_xid\"", true);
    mentions(&facts, rf_sql_append, "t.\"id\" = s.\"id\" ORDER BY t.\"_load_id\" DESC LIMIT 1) t WHERE t.\"_deleted_at\" IS NULL", true);
    drop_facts(&facts);
    plan_versions(&facts, ",\"capture\":\"full\"");
    mentions(&facts, rf_sql_append, "t.\"_source_xid\" = s.\"_rowferry_xid\"", false);
    mentions(&facts, rf_sql_append, "newer.\"id\" = t.\"id\" AND newer.\"_load_id\" > t.\"_load_id\") AND t.\"_deleted_at\" IS NULL", true);
    mentions(&facts, rf_sql_append, "ROW(t.\"id\", t.\"amount\", t.\"note\")::text <> ROW(s.\"id\"", true);
    drop_facts(&facts);
}

TEST(told_in_plain_sql_a_row_is_known_by_the_same_and_any_value_that_differs_is_another_version) {
    struct facts facts;
    make_facts(&facts, APPEND);
    keeps_versions(&facts);
    facts.target.dialect = RF_DIALECT_MARIADB;
    facts.plan = (struct rf_plan){.job = &facts.job, .source = &facts.source, .target = &facts.target, .last = &facts.last, .load_id = 8, .extracted_at = ""};
    mentions(&facts, rf_plain_append, "t.\"_deleted_at\" IS NULL AND ((t.\"_source_xid\" = s.\"_rowferry_xid\" AND s.\"_rowferry_xid\" > 0) OR NOT (", true);
    mentions(&facts, rf_plain_append, "NOT (t.\"id\" <=> s.\"id\") OR NOT (t.\"amount\" <=> s.\"amount\") OR NOT (", true);
    mentions(&facts, rf_plain_append, "LIMIT 1", false);
    facts.plan.full_read = true;
    mentions(&facts, rf_plain_append, "t.\"_source_xid\" = s.\"_rowferry_xid\"", false);
    drop_facts(&facts);
}

TEST(a_zero_that_got_a_sign_is_another_version_in_duckdb_too) {
    struct facts facts;
    make_facts(&facts, APPEND);
    keeps_versions(&facts);
    add_source_column(&facts, "rate", "double precision", "float8", -1)->arrives_as = "DOUBLE";
    add_target_column(&facts, "rate", "DOUBLE", "DOUBLE", -1)->identity = "float8";
    facts.target.dialect = RF_DIALECT_DUCKDB;
    facts.plan = (struct rf_plan){.job = &facts.job, .source = &facts.source, .target = &facts.target, .last = &facts.last, .load_id = 8, .extracted_at = ""};
    mentions(&facts, rf_sql_append, "OR CAST(t.\"rate\" AS VARCHAR) IS DISTINCT FROM CAST(s.\"rate\" AS VARCHAR)", true);
    mentions(&facts, rf_sql_append, "CAST(t.\"id\"", false);
    drop_facts(&facts);
}

TEST(that_a_row_is_gone_is_its_last_version_and_nothing_is_changed) {
    static const struct { const char *more; bool filter; rf_statement_maker *make; const char *part; } cases[] = {
        {",\"sweep\":\"always\"", false, rf_sql_sweep, "rowferry_keys_8"},
        {",\"capture\":\"full\"", false, rf_sql_close_absent, "rowferry_stage_8"},
        {",\"where\":\"paid\"", true, rf_sql_close_gone, "\"_rowferry_gone\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct facts facts;
        plan_versions(&facts, cases[i].more);
        mentions(&facts, cases[i].make, "INSERT INTO \"raw_postgres\".\"orders\" (\"id\", \"amount\", \"note\", \"_extracted_at\", \"_load_id\", \"_deleted_at\", \"_source_xid\")", true);
        mentions(&facts, cases[i].make, "UPDATE", false);
        mentions(&facts, cases[i].make, "newer.\"_load_id\" > t.\"_load_id\"", true);
        mentions(&facts, cases[i].make, cases[i].part, true);
        drop_facts(&facts);
    }
}

TEST(a_new_table_of_versions_has_the_load_in_its_key_and_takes_rows_straight) {
    struct facts facts;
    make_facts(&facts, APPEND);
    never_loaded(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_true(facts.plan.straight);
    mentions(&facts, rf_sql_create_target, "\"_source_xid\" bigint", true);
    mentions(&facts, rf_sql_seal_target, "PRIMARY KEY (\"id\", \"_load_id\")", true);
    mentions(&facts, rf_sql_write, "\"note\", \"_source_xid\") FROM STDIN", true);
    drop_facts(&facts);
}

TEST(of_versions_the_newest_are_compared_with_the_source) {
    struct facts facts;
    plan_versions(&facts, "");
    mentions(&facts, rf_sql_target_checksum, "newer.\"_load_id\" > t.\"_load_id\"", true);
    mentions(&facts, rf_sql_source_checksum, "newer", false);
    assert_true(has_reason(&facts, "came and went between two runs"));
    drop_facts(&facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_read_in_full_and_comes_in_the_place_of_what_was_there),
        cmocka_unit_test(a_copy_needs_no_key_at_either_end),
        cmocka_unit_test(of_a_copy_without_a_key_whole_rows_are_compared),
        cmocka_unit_test(another_mode_than_that_of_the_last_load_is_refused_with_the_way_to_change_it),
        cmocka_unit_test(a_table_of_another_form_is_refused_even_after_a_reset),
        cmocka_unit_test(a_mode_that_is_not_known_any_more_is_no_change),
        cmocka_unit_test(a_version_is_sent_with_its_transaction_in_64_bits),
        cmocka_unit_test(a_row_is_known_by_its_transaction_but_in_a_full_read_by_its_values_alone),
        cmocka_unit_test(told_in_plain_sql_a_row_is_known_by_the_same_and_any_value_that_differs_is_another_version),
        cmocka_unit_test(a_zero_that_got_a_sign_is_another_version_in_duckdb_too),
        cmocka_unit_test(that_a_row_is_gone_is_its_last_version_and_nothing_is_changed),
        cmocka_unit_test(a_new_table_of_versions_has_the_load_in_its_key_and_takes_rows_straight),
        cmocka_unit_test(of_versions_the_newest_are_compared_with_the_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

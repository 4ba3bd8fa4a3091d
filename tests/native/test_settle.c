/* Rows without a key: what is planned, asked of the source before anything is read, noted for the next load, and refused. */
#include "core/settle.h"
#include "core/merge.h"

#include "fakes.h"
#include "units.h"

#include <string.h>

#define APPEND ",\"mode\":\"append\""

/* Loaded before at 1000:1000:, now seen at 1200:1210:1205. */
static void make_events(struct fakes *fakes, const char *more, const char *notes) {
    char all[256], *fingerprint;
    snprintf(all, sizeof all, APPEND "%s", more);
    make_fakes(fakes, all);
    fakes->facts.source.n_keys = 0;
    fakes->facts.source.key_proven = fakes->facts.target.key_unique = false;
    add_target_column(&fakes->facts, "_source_xid", "bigint", "int8", -1);
    fingerprint = needed(rf_arena_take(&fakes->facts.arena, 1024));
    snprintf(fingerprint, 1024, "%s%s", fakes->facts.source.fingerprint, notes);
    fakes->facts.last.fingerprint = fingerprint;
}

static enum rf_code settle(struct fakes *fakes, struct rf_counts *counts) {
    memset(counts, 0, sizeof *counts);
    RF_TRY(plan(&fakes->facts));
    return rf_settle(&fakes->facts.plan, &fakes->run.source, &fakes->facts.arena, counts, &fakes->facts.err);
}

static void refuses(struct fakes *fakes, const char *cause) {
    struct rf_counts counts;
    assert_code(settle(fakes, &counts), RF_CONFIG, &fakes->facts.err);
    assert_contains(fakes->facts.err.message, cause);
    assert_contains(fakes->facts.err.hint, "another target_table");
    drop_fakes(fakes);
}

/* What the source answers to what is asked before its rows. */
static void answers(struct fakes *fakes, const char *first, const char *second) {
    fakes->source.n_streams = 0;
    struct fake_stream *stream = add_stream(&fakes->source);
    begin_copy(stream);
    add_row(stream, second ? 2 : 1);
    add_field(stream, first, (int32_t)strlen(first));
    if (second) add_field(stream, second, (int32_t)strlen(second));
    end_copy(stream, 1);
}

static void sends(struct fakes *fakes, rf_statement_maker *make, const char *part, bool is_there) {
    struct rf_text sql = {0};
    make(&fakes->facts.plan, &sql);
    if (is_there) assert_contains(whole(&sql), part);
    else assert_lacks(whole(&sql), part);
    rf_text_free(&sql);
}

#define NOT_HELD "NOT (pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1200'::xid)) AND pg_catalog.age(xmin) >= 0)"

TEST(a_run_reads_from_the_last_snapshots_xmin_to_before_its_own) {
    struct fakes fakes;
    make_events(&fakes, "", "settled\n");
    assert_code(plan(&fakes.facts), RF_OK, &fakes.facts.err);
    const struct rf_plan *made = &fakes.facts.plan;
    assert_true(!made->full_read && !made->sweep && !made->dedupe && !made->mark_gone && !made->reconcile);
    assert_string_equal(made->capture, "xmin");
    assert_string_equal(made->completeness, "proven");
    sends(&fakes, rf_sql_read, "(pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1000'::xid)) AND pg_catalog.age(xmin) >= 0)) AND " NOT_HELD, true);
    sends(&fakes, rf_sql_append, "FROM (SELECT \"id\", \"amount\", \"note\", \"_rowferry_xid\" FROM pg_temp.\"rowferry_stage_8\") s", true);
    sends(&fakes, rf_sql_append, "EXISTS", false);
    sends(&fakes, rf_sql_target_values, "\"_deleted_at\" IS NULL", true);
    sends(&fakes, rf_sql_target_values, "newer", false);
    drop_fakes(&fakes);
}

TEST(a_first_load_reads_what_settled_straight_into_the_table) {
    struct fakes fakes;
    make_events(&fakes, "", "");
    never_loaded(&fakes.facts);
    assert_code(plan(&fakes.facts), RF_OK, &fakes.facts.err);
    assert_true(fakes.facts.plan.straight && !fakes.facts.plan.full_read && !rf_must_be_empty(&fakes.facts.plan));
    sends(&fakes, rf_sql_read, " WHERE " NOT_HELD, true);
    sends(&fakes, rf_sql_seal_target, "PRIMARY KEY", false);
    drop_fakes(&fakes);
}

TEST(without_a_record_the_table_has_to_be_empty) {
    struct fakes fakes;
    make_events(&fakes, "", "");
    fakes.facts.last = (struct rf_load){0};
    assert_code(plan(&fakes.facts), RF_OK, &fakes.facts.err);
    assert_true(rf_must_be_empty(&fakes.facts.plan));
    drop_fakes(&fakes);
    make_events(&fakes, "", "settled\n");
    fakes.facts.last.is_reset = true;
    assert_code(plan(&fakes.facts), RF_OK, &fakes.facts.err);
    assert_true(rf_must_be_empty(&fakes.facts.plan));
    drop_fakes(&fakes);
}

TEST(what_a_run_verifies_is_what_it_read_and_appended) {
    struct fakes fakes;
    make_events(&fakes, "", "settled\n");
    assert_code(plan(&fakes.facts), RF_OK, &fakes.facts.err);
    fakes.facts.plan.compares_load = true;
    sends(&fakes, rf_sql_source_checksum, NOT_HELD, true);
    sends(&fakes, rf_sql_target_checksum, " WHERE \"_load_id\" = 8)", true);
    drop_fakes(&fakes);
}

TEST(settings_that_need_a_key_are_refused_with_it) {
    static const struct { const char *more, *cause; } cases[] = {
        {",\"capture\":\"full\"", "append every row again"},
        {",\"capture\":\"cursor\"", "may read a row twice"},
        {",\"since\":\"2026-01-01\"", "a window"},
        {",\"sweep\":\"every 3\"", "a sweep"},
        {",\"on_duplicate\":\"fail\"", "on_duplicate"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct fakes fakes;
        make_events(&fakes, cases[i].more, "settled\n");
        assert_code(plan(&fakes.facts), RF_CONFIG, &fakes.facts.err);
        assert_contains(fakes.facts.err.message, cases[i].cause);
        assert_contains(fakes.facts.err.hint, "\"keys\"");
        drop_fakes(&fakes);
    }
}

/* One that is attached between the reading of the catalogs and that of the rows would be read twice. */
TEST(of_a_table_with_leaves_those_are_read_that_the_fingerprint_has) {
    struct fakes fakes;
    make_events(&fakes, "", "leaf 16390 5002 heap orders_b\nsettled\n");
    for (int first = 0; first < 2; first++) {
        if (first) never_loaded(&fakes.facts);
        fakes.facts.source.one_heap = false;
        fakes.facts.source.fingerprint = FINGERPRINT "leaf 16390 5002 heap orders_b\n";
        assert_code(plan(&fakes.facts), RF_OK, &fakes.facts.err);
        sends(&fakes, rf_sql_read, NOT_HELD " AND tableoid IN ('16384'::oid, '16390'::oid)", true);
    }
    drop_fakes(&fakes);
}

/* ---- the ground ---- */

static void another_system(struct facts *facts) { facts->source.identity.system = "70002"; }
static void another_timeline(struct facts *facts) { facts->source.identity.timeline = 2; }
static void another_table(struct facts *facts) { facts->source.identity.table_oid = 16385; }
static void counter_fell_back(struct facts *facts) { facts->source.snapshot.xmin = 999; }
static void counter_ran_away(struct facts *facts) { facts->source.snapshot.xmax = 1000 + (UINT64_C(1) << 31) - (1 << 20); }
static void log_fell_back(struct facts *facts) { facts->last.lsn = "0/2001"; }
static void another_filter(struct facts *facts) { facts->source.fingerprint = FINGERPRINT "filter paid "; }
static void another_policy(struct facts *facts) { facts->source.fingerprint = DATABASE_LINE LEAF_LINE COLUMN_LINES "row security p\n"; }
static void no_longer_logged(struct facts *facts) { facts->source.fingerprint = FINGERPRINT "unlogged public.orders\n"; }
static void went_by_a_key(struct facts *facts) { facts->last.fingerprint = FINGERPRINT; }
static void came_back(struct facts *facts) {
    facts->last.fingerprint = FINGERPRINT "settled\nleft 16390\n";
    facts->source.fingerprint = FINGERPRINT "leaf 16390 5002 heap orders_b\n";
}

TEST(what_would_be_read_again_is_refused_and_named) {
    static const struct { void (*change)(struct facts *facts); const char *cause; } cases[] = {
        {another_system, "another server"}, {another_timeline, "another timeline"}, {another_table, "re-created"}, {counter_fell_back, "counter is behind"},
        {counter_ran_away, "more than 2^31"}, {log_fell_back, "log is behind"}, {another_filter, "filter paid"}, {another_policy, "row security p"},
        {no_longer_logged, "unlogged"}, {went_by_a_key, "went by a key"}, {came_back, "attached again"}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct fakes fakes;
        make_events(&fakes, "", "settled\n");
        cases[i].change(&fakes.facts);
        refuses(&fakes, cases[i].cause);
    }
}

static void target_was_made_anew(struct facts *facts) { facts->target.file = "20002/20002"; }
static void column_came(struct facts *facts) { add_source_column(facts, "more", "text", "text", -1); }
static void leaf_came(struct facts *facts) { facts->source.fingerprint = FINGERPRINT "leaf 16390 5002 heap orders_b\n"; }
static void label_came(struct facts *facts) { facts->source.fingerprint = FINGERPRINT "labels 17 1 'a', 2 'b'\n"; }
static void leaf_went(struct facts *facts) { facts->last.fingerprint = FINGERPRINT "leaf 16390 5002 heap orders_b\nsettled\nleft 16391\naged 5000\n"; }

TEST(what_leaves_each_version_as_it_was_goes_on_and_is_said) {
    static const struct { void (*change)(struct facts *facts); const char *reason, *sent; } cases[] = {
        {target_was_made_anew, "do not come again", ""}, {column_came, "do not come again", "\"more\""}, {leaf_came, "attached since the last load", " OR tableoid IN ('16390'::oid)) AND " NOT_HELD},
        {label_came, "labels 17", ""}, {leaf_went, "detached since the last load", ""}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct fakes fakes;
        make_events(&fakes, "", "settled\n");
        cases[i].change(&fakes.facts);
        assert_code(plan(&fakes.facts), RF_OK, &fakes.facts.err);
        assert_true(has_reason(&fakes.facts, cases[i].reason));
        assert_true(!fakes.facts.plan.full_read && !fakes.facts.plan.reconcile && !fakes.facts.plan.sweep);
        sends(&fakes, rf_sql_read, cases[i].sent, true);
        drop_fakes(&fakes);
    }
}

/* ---- what is asked of the source ---- */

TEST(rows_are_looked_at_only_where_one_may_be_held_back_or_aged) {
    static const struct { uint64_t xmin, xmax; bool looks; } cases[] = {
        {1200, 1200, false}, {1200, 1201, true}, {(UINT64_C(1) << 31) - 1, (UINT64_C(1) << 31) - 1, false}, {UINT64_C(1) << 31, UINT64_C(1) << 31, true}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct fakes fakes;
        struct rf_counts counts;
        make_events(&fakes, "", "settled\n");
        answers(&fakes, "7", "0");
        fakes.facts.source.snapshot.xmin = cases[i].xmin;
        fakes.facts.source.snapshot.xmax = cases[i].xmax;
        fakes.facts.last.snapshot = fakes.facts.last.proven = "1200:1200:";
        if (cases[i].xmin > 1200) fakes.facts.last.snapshot = fakes.facts.last.proven = "2100000000:2100000000:";
        assert_code(settle(&fakes, &counts), RF_OK, &fakes.facts.err);
        assert_int_equal(fakes.source.n_reads, cases[i].looks);
        assert_int_equal(counts.held_back, cases[i].looks ? 7 : 0);
        drop_fakes(&fakes);
    }
}

TEST(rows_of_a_rewritten_leaf_are_told_from_those_that_alter_wrote_anew) {
    static const char leaf[] = DATABASE_LINE "leaf 16384 5009 heap orders\n" COLUMN_LINES POLICY_LINE;
    for (int anew = 0; anew < 2; anew++) {
        struct fakes fakes;
        struct rf_counts counts;
        make_events(&fakes, "", "settled\n");
        fakes.facts.source.fingerprint = leaf;
        fakes.facts.source.snapshot.xmax = 1200;
        answers(&fakes, anew ? "true" : "false", NULL);
        if (anew) {
            refuses(&fakes, "ALTER wrote its rows anew");
            continue;
        }
        assert_code(settle(&fakes, &counts), RF_OK, &fakes.facts.err);
        assert_contains(fakes.source.sql[0], "tableoid = '16384'::oid AND NOT (pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1000'::xid))");
        drop_fakes(&fakes);
    }
}

TEST(an_answer_that_is_none_ends_the_run) {
    struct fakes fakes;
    struct rf_counts counts;
    make_events(&fakes, "", "settled\n");
    answers(&fakes, "a number that is much longer than numbers are", "0");
    assert_code(settle(&fakes, &counts), RF_INTERNAL, &fakes.facts.err);
    drop_fakes(&fakes);
}

/* ---- notes for the next load ---- */

TEST(the_next_load_finds_what_it_needs_behind_the_fingerprint) {
    struct fakes fakes;
    struct rf_counts counts;
    make_events(&fakes, "", "leaf 16390 5002 heap orders_b\nsettled\nleft 16391\naged 5000\n");
    answers(&fakes, "3", "90");
    assert_code(settle(&fakes, &counts), RF_OK, &fakes.facts.err);
    assert_string_equal(fakes.facts.plan.next.fingerprint, FINGERPRINT "settled\nleft 16390\nleft 16391\naged 5000\n");
    drop_fakes(&fakes);

    make_events(&fakes, "", "");
    never_loaded(&fakes.facts);
    fakes.facts.source.fingerprint = FINGERPRINT "filter paid ";
    answers(&fakes, "0", "90");
    assert_code(settle(&fakes, &counts), RF_OK, &fakes.facts.err);
    assert_string_equal(fakes.facts.plan.next.fingerprint, FINGERPRINT "filter paid \nsettled\naged 1300\n");
    drop_fakes(&fakes);
}

/* At 32 bits the row of the note is one of the interval once the snapshot's xmin is behind it. */
TEST(a_number_that_has_come_again_is_refused_and_not_one_that_is_about_to) {
    struct fakes fakes;
    struct rf_counts counts;
    make_events(&fakes, "", "settled\naged 1200\n");
    answers(&fakes, "0", "90");
    assert_code(settle(&fakes, &counts), RF_OK, &fakes.facts.err);
    assert_contains(fakes.facts.plan.next.fingerprint, "aged 1200\n");
    drop_fakes(&fakes);
    make_events(&fakes, "", "settled\naged 1199\n");
    refuses(&fakes, "more than 2^32 transactions ago");
    make_events(&fakes, "", "settled\naged 9000000000\n");
    answers(&fakes, "0", "0");
    assert_code(settle(&fakes, &counts), RF_OK, &fakes.facts.err);
    assert_lacks(fakes.facts.plan.next.fingerprint, "aged");
    drop_fakes(&fakes);
}

TEST(a_run_asks_before_it_reads_and_reports_what_it_held_back) {
    struct fakes fakes;
    make_events(&fakes, "", "settled\n");
    struct fake_stream rows = fakes.source.streams[0];
    answers(&fakes, "2", "0");
    *add_stream(&fakes.source) = rows;
    fakes.merged = (struct rf_counts){.staged = 3, .inserted = 3};
    assert_code(rf_transfer(&fakes.run, &fakes.facts.err), RF_OK, &fakes.facts.err);
    assert_contains(fakes.calls, "sink.describe source.read source.next source.next sink.begin source.read");
    assert_contains(fakes.record, "\"held_back\":2");
    assert_contains(fakes.record, "2 rows are held back");
    drop_fakes(&fakes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_reads_from_the_last_snapshots_xmin_to_before_its_own),
        cmocka_unit_test(a_first_load_reads_what_settled_straight_into_the_table),
        cmocka_unit_test(without_a_record_the_table_has_to_be_empty),
        cmocka_unit_test(what_a_run_verifies_is_what_it_read_and_appended),
        cmocka_unit_test(settings_that_need_a_key_are_refused_with_it),
        cmocka_unit_test(of_a_table_with_leaves_those_are_read_that_the_fingerprint_has),
        cmocka_unit_test(what_would_be_read_again_is_refused_and_named),
        cmocka_unit_test(what_leaves_each_version_as_it_was_goes_on_and_is_said),
        cmocka_unit_test(rows_are_looked_at_only_where_one_may_be_held_back_or_aged),
        cmocka_unit_test(rows_of_a_rewritten_leaf_are_told_from_those_that_alter_wrote_anew),
        cmocka_unit_test(an_answer_that_is_none_ends_the_run),
        cmocka_unit_test(the_next_load_finds_what_it_needs_behind_the_fingerprint),
        cmocka_unit_test(a_number_that_has_come_again_is_refused_and_not_one_that_is_about_to),
        cmocka_unit_test(a_run_asks_before_it_reads_and_reports_what_it_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

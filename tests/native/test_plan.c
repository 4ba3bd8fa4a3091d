/* What a run decides: facts in, decisions out. */
#include "facts.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

/* A change of the facts between two runs. */
typedef void change(struct facts *facts);

static void make_plan(struct facts *facts, const char *more, change *apply) {
    make_facts(facts, more);
    if (apply) apply(facts);
    assert_code(plan(facts), RF_OK, &facts->err);
}

/* ---- reading into memory -------------------------------------------------------------------------------------- */

TEST(what_is_read_into_memory_is_everything_in_ranges_that_meet) {
    struct facts facts;
    make_facts(&facts, ",\"connections\":2");
    struct rf_leaf leaf = {.schema = "public", .name = "orders", .pages = 1024, .readable = true};
    facts.source.leaves = &leaf;
    facts.source.n_leaves = 1;
    facts.source.n_keys = 0;
    assert_code(rf_plan_read(&facts.job, &facts.source, &facts.arena, &facts.plan, &facts.err), RF_OK, &facts.err);
    assert_true(facts.plan.reading == RF_READ_ALL && facts.plan.full_read);
    assert_int_equal(facts.plan.n_parts, 2);
    assert_int_equal(facts.plan.parts[0].to_page, 512);
    assert_int_equal(facts.plan.parts[1].from_page, 512);
    assert_int_equal(facts.plan.parts[1].to_page, 0);
    drop_facts(&facts);
}

/* ---- how much is read --------------------------------------------------------------------------------------- */

TEST(unbroken_ground_is_read_from_the_last_snapshot_on) {
    struct facts facts;
    make_plan(&facts, "", NULL);
    assert_false(facts.plan.full_read);
    assert_false(facts.plan.reconcile);
    assert_int_equal(facts.plan.since, 1000);
    assert_string_equal(facts.plan.capture, "xmin");
    assert_string_equal(facts.plan.completeness, "proven");
    assert_string_equal(facts.plan.hard_deletes, "not_captured");
    assert_true(has_reason(&facts, "do not show hard deletes"));
    drop_facts(&facts);
}

static void no_snapshot(struct facts *facts) { facts->last.snapshot = NULL; }

TEST(a_load_record_without_a_snapshot_is_read_whole) {
    struct facts facts;
    make_plan(&facts, "", no_snapshot);
    assert_true(facts.plan.full_read);
    assert_true(facts.plan.reconcile);
    drop_facts(&facts);
}

static void target_is_missing(struct facts *facts) {
    struct rf_load last = facts->last;
    never_loaded(facts);
    facts->last = last;
}

TEST(a_target_that_was_dropped_is_loaded_again_whole) {
    struct facts facts;
    make_plan(&facts, "", target_is_missing);
    assert_true(facts.plan.first_load && facts.plan.full_read && facts.plan.reconcile && facts.plan.straight);
    assert_false(facts.plan.close_absent);
    assert_true(has_reason(&facts, "missing though it was loaded before"));
    drop_facts(&facts);
}

static void another_system(struct facts *facts) { facts->source.identity.system = "70002"; }

TEST(a_full_capture_reads_everything_without_being_a_reconcile) {
    struct facts facts;
    make_plan(&facts, ",\"capture\":\"full\"", another_system);
    assert_true(facts.plan.full_read && facts.plan.close_absent);
    assert_false(facts.plan.reconcile);
    assert_string_equal(facts.plan.capture, "full");
    assert_string_equal(facts.plan.hard_deletes, "captured");
    drop_facts(&facts);
}

static void rows_are_hidden(struct facts *facts) { facts->source.row_security = true; }

TEST(row_security_lowers_what_can_be_proven) {
    struct facts facts;
    make_plan(&facts, "", rows_are_hidden);
    assert_string_equal(facts.plan.completeness, "best_effort");
    assert_true(has_reason(&facts, "row security"));
    drop_facts(&facts);
}

TEST(the_capture_says_whether_it_was_asked_for) {
    struct facts facts;
    make_plan(&facts, "", NULL);
    assert_contains(facts.plan.capture_reason, "auto");
    drop_facts(&facts);
    make_plan(&facts, ",\"capture\":\"xmin\"", NULL);
    assert_string_equal(facts.plan.capture_reason, "asked for");
    drop_facts(&facts);
}

/* ---- reasons -------------------------------------------------------------------------------------------------- */

TEST(a_long_line_of_the_fingerprint_is_cut_between_characters) {
    for (int shift = 0; shift < 4; shift++) {
        char line[600] = "labels of mood: ";
        memset(line + strlen(line), 'x', (size_t)shift);
        for (int i = 0; i < 120; i++) memcpy(line + strlen(line), "\xE2\x82\xAC", 4);
        struct facts facts;
        make_facts(&facts, "");
        facts.source.fingerprint = line;
        assert_code(plan(&facts), RF_OK, &facts.err);
        assert_true(has_reason(&facts, "new since the last load: labels of mood"));
        for (int i = 0; i < facts.plan.n_reasons; i++) assert_true(is_utf8(facts.plan.reasons[i]));
        drop_facts(&facts);
    }
}

TEST(many_changes_are_cut_and_leave_room_for_what_limits_the_proof) {
    static char lines[4096];
    size_t used = 0;
    for (int i = 0; i < 100; i++) used += (size_t)snprintf(lines + used, sizeof lines - used, "column %d\n", i);
    struct facts facts;
    make_facts(&facts, "");
    facts.source.fingerprint = lines;
    facts.source.row_security = true;
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.n_reasons, RF_MOST_CHANGES + 1);
    assert_true(has_reason(&facts, "row security hides rows"));
    assert_true(facts.plan.full_read);
    drop_facts(&facts);
}

/* ---- how it lands ----------------------------------------------------------------------------------------------- */

TEST(only_a_first_load_with_a_proven_key_goes_straight) {
    for (int first = 0; first < 2; first++) {
        for (int proven = 0; proven < 2; proven++) {
            struct facts facts;
            make_facts(&facts, "");
            if (first) never_loaded(&facts);
            facts.source.key_proven = proven;
            assert_code(plan(&facts), RF_OK, &facts.err);
            assert_int_equal(facts.plan.first_load, first);
            assert_int_equal(facts.plan.straight, first && proven);
            assert_int_equal(facts.plan.dedupe, !proven);
            drop_facts(&facts);
        }
    }
}

TEST(rows_that_left_the_filter_are_marked_where_only_changes_are_read) {
    struct facts facts;
    make_plan(&facts, ",\"where\":\"paid\"", NULL);
    assert_true(facts.plan.mark_gone);
    assert_false(facts.plan.close_absent);
    drop_facts(&facts);
    make_plan(&facts, ",\"where\":\"paid\",\"capture\":\"full\"", NULL);
    assert_false(facts.plan.mark_gone);
    assert_true(facts.plan.close_absent);
    drop_facts(&facts);
    make_plan(&facts, ",\"where\":\"paid\"", never_loaded);
    assert_false(facts.plan.mark_gone || facts.plan.close_absent);
    drop_facts(&facts);
    make_plan(&facts, "", NULL);
    assert_false(facts.plan.mark_gone || facts.plan.close_absent);
    drop_facts(&facts);
}

/* ---- the time of extraction --------------------------------------------------------------------------------------- */

static void check_extracted_at(const char *clock, const char *before, const char *expected) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source.snapshot.clock = clock;
    facts.last.extracted_at = before;
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_string_equal(facts.plan.extracted_at, expected);
    drop_facts(&facts);
}

TEST(the_time_of_extraction_is_the_clock_of_the_source) {
    check_extracted_at("2026-11-22T18:00:00.000001+00:00", "2026-11-22T18:00:00.000000+00:00", "2026-11-22T18:00:00.000001+00:00");
    check_extracted_at("2026-11-22T18:00:00.123456+00:00", NULL, "2026-11-22T18:00:00.123456+00:00");
}

TEST(a_clock_that_stepped_back_never_takes_the_time_of_extraction_back) {
    check_extracted_at("2026-11-22T17:59:59.000000+00:00", "2026-11-22T18:00:00.000000+00:00", "2026-11-22T18:00:00.000001+00:00");
    check_extracted_at("2026-11-22T18:00:00.000000+00:00", "2026-11-22T18:00:00.000000+00:00", "2026-11-22T18:00:00.000001+00:00");
    check_extracted_at("2020-01-01T00:00:00.000000+00:00", "2026-12-31T23:59:59.999999+00:00", "2027-01-01T00:00:00.000000+00:00");
    check_extracted_at("2024-02-28T00:00:00.000000+00:00", "2024-02-28T23:59:59.999999+00:00", "2024-02-29T00:00:00.000000+00:00");
}

TEST(a_clock_that_cannot_be_read_stops_the_run) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source.snapshot.clock = "infinity";
    assert_code(plan(&facts), RF_INTERNAL, &facts.err);
    drop_facts(&facts);
}

/* ---- drift ------------------------------------------------------------------------------------------------------------ */

static void refused(struct facts *facts, enum rf_code code, const char *message, const char *hint) {
    assert_code(plan(facts), code, &facts->err);
    assert_contains(facts->err.message, message);
    assert_contains(facts->err.hint, hint);
    assert_false(facts->err.retryable);
    drop_facts(facts);
}

TEST(an_added_column_is_drift_and_the_fix_is_named) {
    struct facts facts;
    make_facts(&facts, ",\"on_schema_change\":\"fail\"");
    add_source_column(&facts, "color", "character varying(20)", "varchar", 24);
    refused(&facts, RF_DRIFT, "column \"color\" (character varying(20)) was added",
            "ALTER TABLE raw_postgres.orders ADD COLUMN \"color\" character varying(20)");
}

TEST(a_dropped_column_is_noted_and_stays) {
    struct facts facts;
    make_facts(&facts, "");
    add_target_column(&facts, "color", "text", "text", -1);
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.n_dropped, 1);
    assert_string_equal(facts.plan.dropped[0], "color");
    drop_facts(&facts);
}

TEST(every_dropped_column_is_noted_however_many) {
    static char names[30][16];
    struct facts facts;
    make_facts(&facts, "");
    for (int i = 0; i < 30; i++) {
        snprintf(names[i], sizeof names[i], "old%d", i);
        add_target_column(&facts, names[i], "text", "text", -1);
    }
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.n_dropped, 30);
    assert_string_equal(facts.plan.dropped[29], "old29");
    drop_facts(&facts);
}

TEST(a_column_that_may_be_null_only_at_the_source_is_refused) {
    struct facts facts;
    make_facts(&facts, "");
    facts.target_columns[2].not_null = true;
    refused(&facts, RF_DRIFT, "column \"note\" of public.orders may be NULL", "ALTER COLUMN \"note\" DROP NOT NULL");
}

TEST(whether_a_stream_brings_a_null_is_for_the_target_to_judge) {
    struct facts facts;
    make_facts(&facts, "");
    with_stream(&facts);
    facts.target_columns[2].not_null = true;
    assert_code(plan(&facts), RF_OK, &facts.err);
    drop_facts(&facts);
}

TEST(the_time_of_extraction_of_a_stream_is_the_clock_of_the_target_and_never_falls_back) {
    struct facts facts;
    make_facts(&facts, "");
    with_stream(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_string_equal(facts.plan.extracted_at, "2026-11-22T18:00:00.000000+00:00");
    facts.last.extracted_at = "2026-11-22T19:00:00.000000+00:00";
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_string_equal(facts.plan.extracted_at, "2026-11-22T19:00:00.000001+00:00");
    facts.target.server.clock = NULL;
    assert_code(plan(&facts), RF_INTERNAL, &facts.err);
    assert_contains(facts.err.message, "the target's clock");
    drop_facts(&facts);
}

TEST(a_key_may_be_not_null_on_the_target_alone) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source_columns[0].not_null = false;
    assert_code(plan(&facts), RF_OK, &facts.err);
    drop_facts(&facts);
}

TEST(a_type_that_changed_is_drift_naming_column_and_both_types) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source_columns[2] = (struct rf_column){.name = "note", .type = "integer", .base = "int4", .identity = "int4", .typmod = -1};
    refused(&facts, RF_DRIFT, "column \"note\" of public.orders is of type integer and that of raw_postgres.orders is text", "ALTER the target's column to integer");
}

TEST(a_type_that_cannot_be_carried_is_refused_with_its_reason) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source_columns[2].refusal = "its values name objects of one server";
    refused(&facts, RF_CONFIG, "which cannot be carried: its values name objects", "\"columns\"");
    make_facts(&facts, "");
    never_loaded(&facts);
    facts.target_columns[2].refusal = "there is no type of this name on the target";
    refused(&facts, RF_CONFIG, "there is no type of this name on the target", "Create the same type");
}

TEST(names_that_rowferry_uses_itself_are_refused) {
    static const char *const names[] = {"_extracted_at", "_load_id", "_deleted_at", "_rowferry_age", "_rowferry_"};
    for (size_t i = 0; i < N_OF(names); i++) {
        struct facts facts;
        make_facts(&facts, "");
        never_loaded(&facts);
        add_source_column(&facts, names[i], "bigint", "int8", -1);
        add_target_column(&facts, names[i], "bigint", "int8", -1);
        refused(&facts, RF_CONFIG, names[i], "Leave it out with \"columns\"");
    }
}

TEST(names_that_only_resemble_ours_are_carried) {
    static const char *const names[] = {"_extracted", "extracted_at", "_Load_id", "_rowferry", "rowferry_age"};
    for (size_t i = 0; i < N_OF(names); i++) {
        struct facts facts;
        make_facts(&facts, "");
        never_loaded(&facts);
        add_source_column(&facts, names[i], "bigint", "int8", -1);
        add_target_column(&facts, names[i], "bigint", "int8", -1);
        assert_code(plan(&facts), RF_OK, &facts.err);
        drop_facts(&facts);
    }
}

TEST(a_table_that_is_not_ours_is_never_loaded_into) {
    struct facts facts;
    make_facts(&facts, "");
    facts.target.is_ours = false;
    refused(&facts, RF_CONFIG, "raw_postgres.orders exists and was not made by rowferry", "another target_table");
}

TEST(a_target_of_another_source_table_is_refused) {
    struct facts facts;
    make_facts(&facts, "");
    facts.last.source_table = "archive.orders";
    refused(&facts, RF_CONFIG, "is loaded from archive.orders, and this job would load it from public.orders", "{schema}");
}

TEST(a_target_without_a_unique_index_on_the_keys_is_refused) {
    struct facts facts;
    make_facts(&facts, "");
    facts.target.key_unique = false;
    refused(&facts, RF_DRIFT, "no unique index over exactly the keys", "create the unique index");
    make_facts(&facts, "");
    facts.target.key_unique = false;
    facts.last = (struct rf_load){0};
    refused(&facts, RF_CONFIG, "no unique index over exactly the keys", "another target_table");
}

/* ---- positions ---------------------------------------------------------------------------------------------------------- */

TEST(snapshots_and_log_positions_are_read_as_the_server_prints_them) {
    uint64_t xmin = 0, xmax = 0, lsn = 0;
    assert_true(rf_read_snapshot("18446744073709551610:18446744073709551615:18446744073709551611", &xmin, &xmax));
    assert_true(xmin == UINT64_MAX - 5 && xmax == UINT64_MAX);
    assert_true(rf_read_snapshot("10:10:", &xmin, &xmax));
    assert_false(rf_read_snapshot(NULL, &xmin, &xmax));
    assert_false(rf_read_snapshot("10", &xmin, &xmax));
    assert_false(rf_read_snapshot("", &xmin, &xmax));
    assert_true(rf_read_lsn("16/B374D848", &lsn));
    assert_true(lsn == UINT64_C(0x16B374D848));
    assert_false(rf_read_lsn(NULL, &lsn));
    assert_false(rf_read_lsn("16", &lsn));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_into_memory_is_everything_in_ranges_that_meet),
        cmocka_unit_test(unbroken_ground_is_read_from_the_last_snapshot_on),
        cmocka_unit_test(a_load_record_without_a_snapshot_is_read_whole),
        cmocka_unit_test(a_target_that_was_dropped_is_loaded_again_whole),
        cmocka_unit_test(a_full_capture_reads_everything_without_being_a_reconcile),
        cmocka_unit_test(row_security_lowers_what_can_be_proven),
        cmocka_unit_test(the_capture_says_whether_it_was_asked_for),
        cmocka_unit_test(a_long_line_of_the_fingerprint_is_cut_between_characters),
        cmocka_unit_test(many_changes_are_cut_and_leave_room_for_what_limits_the_proof),
        cmocka_unit_test(only_a_first_load_with_a_proven_key_goes_straight),
        cmocka_unit_test(rows_that_left_the_filter_are_marked_where_only_changes_are_read),
        cmocka_unit_test(the_time_of_extraction_is_the_clock_of_the_source),
        cmocka_unit_test(a_clock_that_stepped_back_never_takes_the_time_of_extraction_back),
        cmocka_unit_test(a_clock_that_cannot_be_read_stops_the_run),
        cmocka_unit_test(an_added_column_is_drift_and_the_fix_is_named),
        cmocka_unit_test(a_dropped_column_is_noted_and_stays),
        cmocka_unit_test(every_dropped_column_is_noted_however_many),
        cmocka_unit_test(a_column_that_may_be_null_only_at_the_source_is_refused),
        cmocka_unit_test(whether_a_stream_brings_a_null_is_for_the_target_to_judge),
        cmocka_unit_test(the_time_of_extraction_of_a_stream_is_the_clock_of_the_target_and_never_falls_back),
        cmocka_unit_test(a_key_may_be_not_null_on_the_target_alone),
        cmocka_unit_test(a_type_that_changed_is_drift_naming_column_and_both_types),
        cmocka_unit_test(a_type_that_cannot_be_carried_is_refused_with_its_reason),
        cmocka_unit_test(names_that_rowferry_uses_itself_are_refused),
        cmocka_unit_test(names_that_only_resemble_ours_are_carried),
        cmocka_unit_test(a_table_that_is_not_ours_is_never_loaded_into),
        cmocka_unit_test(a_target_of_another_source_table_is_refused),
        cmocka_unit_test(a_target_without_a_unique_index_on_the_keys_is_refused),
        cmocka_unit_test(snapshots_and_log_positions_are_read_as_the_server_prints_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

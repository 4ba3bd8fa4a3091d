/* A run on a source and a sink that only record what they are asked. */
#include "core/listing.h"

#include "fakes.h"
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum rf_code transfer(struct fakes *fakes) {
    return rf_transfer(&fakes->run, &fakes->facts.err);
}

/* Fails with `code`, having committed nothing and closed both ends. */
static void fails_clean(struct fakes *fakes, enum rf_code code) {
    assert_code(transfer(fakes), code, &fakes->facts.err);
    assert_false(fakes->committed);
    assert_false(was_called(fakes, "sink.commit"));
    assert_true(fakes->source.n_closes > 0);
    assert_true(fakes->sink.n_closes > 0);
}

/* ---- order ----------------------------------------------------------------------------------------------- */

TEST(the_lease_comes_before_the_source_and_the_record_before_the_commit) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_string_equal(fakes.calls,
                        "sink.open sink.lease sink.newest source.open source.snapshot sink.describe sink.begin source.read source.next"
                        " sink.write source.next sink.write source.next source.close sink.merge sink.record sink.commit source.close sink.close");
    assert_true(fakes.prepared);
    assert_true(fakes.committed);
    drop_fakes(&fakes);
}

TEST(a_run_that_verifies_keeps_the_snapshot_until_it_has_compared) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"verify\":true");
    prepare_equal_checksums(&fakes);
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_contains(fakes.calls, "source.next sink.merge ");
    assert_contains(fakes.calls, "sink.record sink.commit source.close sink.close");
    assert_int_equal(fakes.source.n_closes, 1);
    assert_contains(fakes.record, "\"verification\":{\"result\":\"equal\",\"exact\":true,\"compared\":3,\"equal\":3");
    drop_fakes(&fakes);
}

TEST(the_rows_of_a_stream_are_asked_for_by_no_statement) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    with_stream(&fakes.facts);
    fakes.before = (struct rf_run_total){.loads = 1, .counts = {.read = 3, .inserted = 3}};
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_contains(fakes.calls, "sink.begin source.read source.next sink.write");
    assert_contains(fakes.record, "\"run_total\":{\"read\":6,\"staged\":3,\"inserted\":4,\"updated\":2");
    assert_contains(fakes.record, "\"source\":null");
    assert_contains(fakes.record, "\"snapshot\":null,\"lsn\":null,\"watermark\":null");
    drop_fakes(&fakes);
}

TEST(every_step_is_announced_in_the_order_of_the_enum) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"verify\":true,\"sweep\":\"always\"");
    prepare_keys(&fakes, 3);
    prepare_equal_checksums(&fakes);
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    const char *at = fakes.steps;
    for (int step = 0; step < RF_STEPS; step++) {
        char name[32];
        snprintf(name, sizeof name, "[%s]", rf_step_name((enum rf_step)step));
        const char *found = strstr(at, name);
        if (!found) fail_msg("%s is missing or out of order in %s", name, fakes.steps);
        at = found;
    }
    assert_string_equal(rf_step_name(RF_STEPS), "unknown");
    drop_fakes(&fakes);
}

TEST(a_run_needs_no_observer) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    fakes.run.observer.on_step = NULL;
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    drop_fakes(&fakes);
}

TEST(a_run_that_finds_no_changes_still_records_what_it_proved) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    fakes.source.streams[0].n_pieces = 0;
    fakes.source.streams[0].rows = 0;
    fakes.merged = (struct rf_counts){0};
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_false(was_called(&fakes, "sink.write"));
    assert_contains(fakes.record, "\"snapshot\":\"1200:1210:1205\"");
    assert_true(fakes.committed);
    drop_fakes(&fakes);
}

TEST(the_source_is_asked_for_rows_changed_since_the_last_snapshot) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_contains(fakes.source.sql[0], "(pg_catalog.age(xmin) <= (SELECT pg_catalog.age('1000'::xid)) AND pg_catalog.age(xmin) >= 0)");
    drop_fakes(&fakes);
}

/* ---- failing steps ----------------------------------------------------------------------------------------- */

static const char *const CALLS[] = {"sink.open",   "sink.lease",  "sink.newest", "source.open", "source.snapshot", "sink.describe", "sink.begin",
                                    "source.read", "source.next", "sink.write",  "sink.merge",  "sink.record",     "sink.commit"};

static void check_failing_call(const char *call, int nth, enum rf_code code) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    fakes.fail_at = call;
    fakes.fail_nth = nth;
    fakes.fail_code = code;
    assert_code(transfer(&fakes), code, &fakes.facts.err);
    assert_contains(fakes.facts.err.message, "was told to fail");
    assert_false(fakes.committed);
    assert_true(fakes.source.n_closes > 0 && fakes.sink.n_closes > 0);
    char end[128];
    bool source_is_closed = strcmp(call, "sink.merge") == 0;
    snprintf(end, sizeof end, "%s%s source.close sink.close", source_is_closed ? "source.close " : "", call);
    assert_string_equal(fakes.calls + strlen(fakes.calls) - strlen(end), end);
    drop_fakes(&fakes);
}

TEST(a_step_that_fails_is_the_last_one_and_both_ends_are_closed) {
    for (size_t i = 0; i < N_OF(CALLS); i++)
        for (int code = RF_CONFIG; code <= RF_NO_MEMORY; code++) check_failing_call(CALLS[i], 1, (enum rf_code)code);
}

TEST(a_failed_write_never_commits) {
    check_failing_call("sink.write", 2, RF_TARGET);
}

TEST(a_source_that_breaks_in_mid_read_never_commits) {
    check_failing_call("source.next", 2, RF_SOURCE);
    check_failing_call("source.next", 3, RF_SOURCE);
}

TEST(a_failed_record_never_commits) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    fakes.fail_at = "sink.record";
    fakes.fail_code = RF_FENCED;
    fails_clean(&fakes, RF_FENCED);
    drop_fakes(&fakes);
}

TEST(a_plan_that_refuses_begins_no_load) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"on_schema_change\":\"fail\"");
    add_source_column(&fakes.facts, "added", "text", "text", -1);
    fails_clean(&fakes, RF_DRIFT);
    assert_false(was_called(&fakes, "sink.begin"));
    drop_fakes(&fakes);
}

/* ---- counts ------------------------------------------------------------------------------------------------- */

static void check_counts(struct rf_counts merged, enum rf_code code, bool retryable) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    fakes.merged = merged;
    fails_clean(&fakes, code);
    assert_int_equal(fakes.facts.err.retryable, retryable);
    assert_false(was_called(&fakes, "sink.record"));
    drop_fakes(&fakes);
}

TEST(a_target_that_took_fewer_rows_than_were_sent_never_commits) {
    check_counts((struct rf_counts){.staged = 2, .inserted = 2}, RF_TARGET, true);
}

TEST(a_target_that_took_more_rows_than_were_sent_never_commits) {
    check_counts((struct rf_counts){.staged = 4, .inserted = 4}, RF_TARGET, true);
}

TEST(a_swallowed_row_never_commits_and_is_not_tried_again) {
    check_counts((struct rf_counts){.staged = 3, .inserted = 1, .updated = 1}, RF_TARGET, false);
}

TEST(a_row_that_was_counted_twice_never_commits) {
    check_counts((struct rf_counts){.staged = 3, .inserted = 2, .updated = 2}, RF_TARGET, false);
}

TEST(a_stale_row_means_that_the_run_was_fenced_off) {
    check_counts((struct rf_counts){.staged = 3, .inserted = 1, .updated = 1, .stale = 1}, RF_FENCED, true);
}

TEST(rows_loaded_under_other_load_records_are_told_from_a_newer_load) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    fakes.facts.last = (struct rf_load){0};
    fakes.merged = (struct rf_counts){.staged = 3, .inserted = 2, .stale = 1};
    fails_clean(&fakes, RF_CONFIG);
    assert_contains(fakes.facts.err.message, "other load records than those of the control schema _rowferry");
    drop_fakes(&fakes);
}

TEST(duplicates_and_rows_that_left_the_filter_count_as_arrived) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    fakes.merged = (struct rf_counts){.staged = 3, .inserted = 1, .duplicates = 1, .gone = 1, .deleted = 1};
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_true(fakes.committed);
    drop_fakes(&fakes);
}

TEST(rows_closed_on_the_target_do_not_count_as_arrived) {
    check_counts((struct rf_counts){.staged = 3, .inserted = 1, .updated = 1, .deleted = 1}, RF_TARGET, false);
}

/* ---- sweeps ------------------------------------------------------------------------------------------------------ */

#define SWEEP ",\"sweep\":\"always\""

static void make_sweep(struct fakes *fakes, const char *more) {
    struct rf_text job = {0};
    rf_text_addf(&job, SWEEP "%s", more);
    make_fakes(fakes, whole(&job));
    rf_text_free(&job);
    prepare_keys(fakes, 5);
}

TEST(a_sweep_reads_all_keys_after_the_rows_and_before_the_merge) {
    struct fakes fakes;
    make_sweep(&fakes, "");
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_string_equal(fakes.calls,
                        "sink.open sink.lease sink.newest source.open source.snapshot sink.describe sink.begin source.read source.next sink.write source.next"
                        " sink.write source.next sink.keys source.read source.next sink.write source.next source.close sink.merge sink.record sink.commit source.close sink.close");
    assert_contains(fakes.steps, "[written][keys][write][merge]");
    assert_contains(fakes.source.sql[0], "age(xmin)");
    assert_string_equal(fakes.source.sql[1], "COPY (SELECT \"id\" FROM \"public\".\"orders\") TO STDOUT (FORMAT binary)");
    assert_contains(fakes.record, "\"swept\":true,\"live\":{\"source\":5,\"target\":5}");
    assert_contains(fakes.record, "\"hard_deletes\":\"captured\"");
    drop_fakes(&fakes);
}

TEST(keys_count_as_bytes_and_not_as_rows) {
    struct fakes fakes;
    make_sweep(&fakes, "");
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_int_equal(fakes.run.report.this_try.read, 3);
    assert_int_equal(fakes.run.report.this_try.keys_read, 5);
    assert_int_equal(fakes.run.report.this_try.bytes, 25);
    drop_fakes(&fakes);
}

TEST(keys_that_do_not_add_up_never_commit) {
    static const int64_t staged[] = {0, 4, 6};
    for (size_t i = 0; i < N_OF(staged); i++) {
        struct fakes fakes;
        make_sweep(&fakes, "");
        fakes.merged.keys_staged = staged[i];
        fails_clean(&fakes, RF_TARGET);
        assert_contains(fakes.facts.err.message, "the source sent 5 keys");
        assert_false(was_called(&fakes, "sink.record"));
        drop_fakes(&fakes);
    }
}

TEST(a_sweep_that_fails_anywhere_never_commits) {
    static const struct { const char *call; int nth; } cases[] = {{"sink.keys", 1}, {"source.read", 2}, {"source.next", 4}, {"source.next", 5}, {"sink.write", 3}, {"sink.merge", 1}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        for (int code = RF_CONFIG; code <= RF_NO_MEMORY; code++) {
            struct fakes fakes;
            make_sweep(&fakes, "");
            fakes.fail_at = cases[i].call;
            fakes.fail_nth = cases[i].nth;
            fakes.fail_code = (enum rf_code)code;
            fails_clean(&fakes, (enum rf_code)code);
            assert_contains(fakes.facts.err.message, "was told to fail");
            drop_fakes(&fakes);
        }
    }
}

TEST(a_run_without_a_sweep_asks_for_no_keys) {
    static const char *const jobs[] = {"", ",\"sweep\":\"every 2\"", ",\"capture\":\"full\",\"sweep\":\"always\""};
    for (size_t i = 0; i < N_OF(jobs); i++) {
        struct fakes fakes;
        make_fakes(&fakes, jobs[i]);
        assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
        assert_false(was_called(&fakes, "sink.keys"));
        assert_contains(fakes.record, "\"swept\":false,\"live\":null");
        drop_fakes(&fakes);
    }
}

TEST(a_sweep_lists_its_statements_in_order) {
    static const char *const roles[] = {"read", "read keys", "create stage", "load stage", "create stage of keys", "load keys", "fence", "count missed rows",
                                        "merge", "close rows that left the filter", "sweep", "count live rows", "load record"};
    struct fakes fakes;
    char *json = NULL;
    make_fakes(&fakes, SWEEP ",\"capture\":\"cursor\",\"audit\":\"always\",\"where\":\"paid\"");
    with_cursor(&fakes.facts);
    assert_code(rf_transfer_plan(&fakes.run, &json, &fakes.facts.err), RF_OK, &fakes.facts.err);
    const char *at_role = json;
    for (size_t i = 0; i < N_OF(roles); i++) {
        char role[64];
        snprintf(role, sizeof role, "\"role\":\"%s\"", roles[i]);
        at_role = strstr(at_role, role);
        if (!at_role) fail_msg("no %s in its place", role);
    }
    free(json);
    drop_fakes(&fakes);
}

/* ---- several loads of one run --------------------------------------------------------------------------------- */

static void check_total(const struct fakes *fakes, int64_t read, int64_t inserted, int64_t updated) {
    const struct rf_counts *total = &fakes->run.report.run_total;
    assert_int_equal(total->read, read);
    assert_int_equal(total->inserted, inserted);
    assert_int_equal(total->updated, updated);
    assert_int_equal(fakes->run.report.this_try.read, 3);
}

TEST(a_retry_adds_to_what_its_run_did_before) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    fakes.before = (struct rf_run_total){.loads = 2, .counts = {.read = 10, .staged = 10, .inserted = 6, .updated = 3, .deleted = 2, .stale = 0, .duplicates = 1, .bytes = 500}};
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    check_total(&fakes, 13, 7, 5);
    assert_int_equal(fakes.run.report.run_total.staged, 13);
    assert_int_equal(fakes.run.report.run_total.deleted, 2);
    assert_int_equal(fakes.run.report.run_total.duplicates, 1);
    assert_int_equal(fakes.run.report.run_total.bytes, 517);
    assert_int_equal(fakes.run.report.increment, 3);
    assert_contains(fakes.record, "\"run_total\":{\"read\":13");
    drop_fakes(&fakes);
}

TEST(a_retry_of_a_full_read_reports_the_last_load_alone) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"capture\":\"full\"");
    fakes.before = (struct rf_run_total){.loads = 1, .counts = {.read = 10, .inserted = 10}};
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    check_total(&fakes, 3, 1, 2);
    assert_int_equal(fakes.run.report.increment, 2);
    drop_fakes(&fakes);
}

TEST(the_bytes_and_rows_of_every_piece_are_counted) {
    struct fakes fakes;
    make_fakes(&fakes, "");
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_int_equal(fakes.run.report.this_try.bytes, 17);
    assert_int_equal(fakes.run.report.this_try.read, 3); /* the server's own count, not the pieces' estimates */
    drop_fakes(&fakes);
}

/* ---- verifying -------------------------------------------------------------------------------------------------- */

/* Both ends answer checksums that differ, then a row each. */
static void prepare_rows(struct fakes *fakes, const char *source_hash, const char *target_hash) {
    add_checksum(&fakes->source, "1", "1");
    add_checksum(&fakes->sink, "1", "2");
    struct fake_stream *ours = add_stream(&fakes->source), *theirs = add_stream(&fakes->sink);
    begin_copy(ours);
    if (source_hash) add_hash(ours, "(1)", source_hash, false);
    end_copy(ours, 1);
    begin_copy(theirs);
    if (target_hash) add_hash(theirs, "(1)", target_hash, false);
    end_copy(theirs, 1);
}

TEST(a_run_whose_target_differs_never_commits) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"verify\":true");
    prepare_rows(&fakes, "aaaa", "bbbb");
    fails_clean(&fakes, RF_DATA);
    assert_contains(fakes.facts.err.message, "1 rows differ");
    assert_contains(fakes.facts.err.message, "(1)");
    assert_false(was_called(&fakes, "sink.record"));
    drop_fakes(&fakes);
}

TEST(a_run_whose_target_lacks_a_row_never_commits) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"verify\":true");
    prepare_rows(&fakes, "aaaa", NULL);
    fails_clean(&fakes, RF_DATA);
    drop_fakes(&fakes);
}

TEST(a_key_only_in_the_target_stops_a_full_read_alone) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"verify\":true");
    prepare_rows(&fakes, NULL, "aaaa");
    assert_code(transfer(&fakes), RF_OK, &fakes.facts.err);
    assert_contains(fakes.record, "deleted at the source");
    drop_fakes(&fakes);
    make_fakes(&fakes, ",\"verify\":true,\"capture\":\"full\"");
    prepare_rows(&fakes, NULL, "aaaa");
    fails_clean(&fakes, RF_DATA);
    drop_fakes(&fakes);
}

TEST(a_table_altered_while_it_is_compared_is_told_from_a_load_gone_wrong) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"verify\":true");
    prepare_rows(&fakes, "aaaa", "bbbb");
    fakes.later_fingerprint = "leaf 16390 orders_2027 5003 heap\n";
    fails_clean(&fakes, RF_SOURCE);
    assert_contains(fakes.facts.err.message, "was altered while it was read");
    assert_true(fakes.facts.err.retryable);
    drop_fakes(&fakes);
}

TEST(a_comparison_that_breaks_never_commits) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"verify\":true");
    prepare_equal_checksums(&fakes);
    fakes.fail_at = "sink.read";
    fakes.fail_code = RF_TARGET;
    fails_clean(&fakes, RF_TARGET);
    drop_fakes(&fakes);
}

static void only_the_target_has_one(struct fakes *fakes) {
    add_checksum(&fakes->source, "0", "0");
    add_checksum(&fakes->sink, "1", "1");
    struct fake_stream *ours = add_stream(&fakes->source), *theirs = add_stream(&fakes->sink);
    begin_copy(ours);
    end_copy(ours, 0);
    begin_copy(theirs);
    add_hash(theirs, "(1)", "x", false);
    end_copy(theirs, 1);
}

TEST(after_a_sweep_a_key_only_in_the_target_is_an_error) {
    struct fakes fakes;
    make_sweep(&fakes, ",\"verify\":true");
    only_the_target_has_one(&fakes);
    fails_clean(&fakes, RF_DATA);
    drop_fakes(&fakes);
}

/* ---- looking without writing --------------------------------------------------------------------------------------- */

static const char *const WRITING[] = {"sink.lease", "sink.begin", "sink.write", "sink.merge", "sink.record", "sink.commit"};

static void wrote_nothing(const struct fakes *fakes) {
    assert_false(fakes->prepared);
    for (size_t i = 0; i < N_OF(WRITING); i++) assert_false(was_called(fakes, WRITING[i]));
    assert_true(fakes->source.n_closes > 0 && fakes->sink.n_closes > 0);
}

TEST(a_plan_writes_nothing_and_reads_no_row) {
    struct fakes fakes;
    char *json = NULL;
    make_fakes(&fakes, "");
    assert_code(rf_transfer_plan(&fakes.run, &json, &fakes.facts.err), RF_OK, &fakes.facts.err);
    wrote_nothing(&fakes);
    assert_string_equal(fakes.calls, "sink.open sink.newest source.open source.snapshot sink.describe source.close sink.close");
    free(json);
    drop_fakes(&fakes);
}

TEST(a_plan_that_fails_closes_both_ends) {
    static const char *const calls[] = {"sink.open", "sink.newest", "source.open", "source.snapshot", "sink.describe"};
    for (size_t i = 0; i < N_OF(calls); i++) {
        struct fakes fakes;
        char *json = NULL;
        make_fakes(&fakes, "");
        fakes.fail_at = calls[i];
        fakes.fail_code = RF_AUTH;
        assert_code(rf_transfer_plan(&fakes.run, &json, &fakes.facts.err), RF_AUTH, &fakes.facts.err);
        wrote_nothing(&fakes);
        assert_null(json);
        drop_fakes(&fakes);
    }
}

static char *planned(struct fakes *fakes) {
    char *json = NULL;
    assert_code(rf_transfer_plan(&fakes->run, &json, &fakes->facts.err), RF_OK, &fakes->facts.err);
    return json;
}

static void check_roles(char *json, const char *const *roles, size_t n) {
    const char *at = json;
    for (size_t i = 0; i < n; i++) {
        char role[64];
        snprintf(role, sizeof role, "\"role\":\"%s\"", roles[i]);
        const char *found = strstr(at, role);
        if (!found) fail_msg("no %s in its place in %s", role, json);
        at = found;
    }
    free(json);
}

TEST(a_plan_lists_the_statements_of_a_first_load_in_order) {
    static const char *const roles[] = {"begin", "lock", "snapshot", "read", "lease", "create table", "load", "fence", "seal table", "load record", "commit"};
    struct fakes fakes;
    make_fakes(&fakes, "");
    never_loaded(&fakes.facts);
    char *json = planned(&fakes);
    assert_lacks(json, "\"role\":\"merge\"");
    assert_lacks(json, "stage");
    check_roles(json, roles, N_OF(roles));
    drop_fakes(&fakes);
}

TEST(a_plan_lists_the_statements_of_a_merge_in_order) {
    static const char *const roles[] = {"begin", "lock", "snapshot", "read", "lease", "create stage", "load stage", "fence", "merge", "close rows that left the filter", "load record", "commit"};
    struct fakes fakes;
    make_fakes(&fakes, ",\"where\":\"amount > 0\"");
    fakes.facts.last.fingerprint = fakes.facts.source.fingerprint;
    char *json = planned(&fakes);
    assert_lacks(json, "create table");
    check_roles(json, roles, N_OF(roles));
    drop_fakes(&fakes);
}

static void lists(enum rf_dialect dialect, const char *const *roles, size_t n) {
    struct facts facts;
    struct rf_error err;
    char *json = NULL;
    make_facts(&facts, "");
    for (int i = 0; i < facts.source.n_columns; i++) facts.source.columns[i].arrives_as = "text";
    facts.job.target_database = "shop";
    facts.target.dialect = dialect;
    facts.plan = (struct rf_plan){.job = &facts.job, .source = &facts.source, .target = &facts.target, .last = &facts.last, .load_id = 8, .extracted_at = ""};
    assert_code(rf_list_statements(&facts.plan, &facts.arena, &json, &err), RF_OK, &err);
    check_roles(json, roles, n);
    drop_facts(&facts);
}

TEST(a_plan_lists_what_its_kind_of_target_is_sent) {
    static const char *const postgres[] = {"read", "lease", "create stage", "load stage", "fence", "merge", "load record", "commit"};
    static const char *const duckdb[] = {"read", "create stage", "load stage", "delete", "insert", "commit"};
    static const char *const snowflake[] = {"read", "use schema", "create stage", "create stage of files", "send the first file", "load stage", "merge"};
    static const char *const mariadb[] = {"read", "lease", "create stage", "write", "update", "insert"};
    lists(RF_DIALECT_POSTGRES, postgres, N_OF(postgres));
    lists(RF_DIALECT_DUCKDB, duckdb, N_OF(duckdb));
    lists(RF_DIALECT_SNOWFLAKE, snowflake, N_OF(snowflake));
    lists(RF_DIALECT_MARIADB, mariadb, N_OF(mariadb));
}

TEST(a_plan_with_every_statement_fits_the_listing) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"capture\":\"full\",\"where\":\"true\"");
    without_proven_key(&fakes.facts);
    never_loaded(&fakes.facts);
    char *json = planned(&fakes);
    assert_contains(json, "\"role\":\"create stage\"");
    assert_contains(json, "\"role\":\"seal table\"");
    free(json);
    drop_fakes(&fakes);
}

TEST(verifying_later_writes_nothing_and_tells_pending_rows_apart) {
    struct fakes fakes;
    char *json = NULL;
    make_fakes(&fakes, "");
    memset(&fakes.source, 0, sizeof fakes.source);
    add_checksum(&fakes.source, "1", "1");
    add_checksum(&fakes.sink, "1", "2");
    struct fake_stream *ours = add_stream(&fakes.source), *theirs = add_stream(&fakes.sink);
    begin_copy(ours);
    add_hash(ours, "(1)", "new", true);
    end_copy(ours, 1);
    begin_copy(theirs);
    add_hash(theirs, "(1)", "old", false);
    end_copy(theirs, 1);
    assert_code(rf_transfer_verify(&fakes.run, &json, &fakes.facts.err), RF_OK, &fakes.facts.err);
    wrote_nothing(&fakes);
    assert_contains(json, "\"result\":\"equal\",\"exact\":false");
    assert_contains(json, "\"pending\":1");
    assert_contains(fakes.source.sql[1], "'1000'::xid");
    free(json);
    drop_fakes(&fakes);
}

TEST(verifying_what_does_not_exist_is_refused) {
    struct fakes fakes;
    char *json = NULL;
    make_fakes(&fakes, "");
    never_loaded(&fakes.facts);
    assert_code(rf_transfer_verify(&fakes.run, &json, &fakes.facts.err), RF_CONFIG, &fakes.facts.err);
    assert_null(json);
    wrote_nothing(&fakes);
    drop_fakes(&fakes);
}

TEST(verifying_a_window_is_refused_since_it_compares_whole_tables) {
    struct fakes fakes;
    char *json = NULL;
    make_fakes(&fakes, ",\"since\":\"2026-11-01\"");
    with_cursor(&fakes.facts);
    assert_code(rf_transfer_verify(&fakes.run, &json, &fakes.facts.err), RF_CONFIG, &fakes.facts.err);
    assert_contains(fakes.facts.err.message, "only a window of one");
    assert_null(json);
    wrote_nothing(&fakes);
    drop_fakes(&fakes);
}

TEST(verifying_later_goes_by_the_newest_load_and_not_by_the_last_comparison_of_versions) {
    struct fakes fakes;
    char *json = NULL;
    make_fakes(&fakes, ",\"capture\":\"cursor\"");
    with_cursor(&fakes.facts);
    memset(&fakes.source, 0, sizeof fakes.source);
    only_the_target_has_one(&fakes);
    assert_code(rf_transfer_verify(&fakes.run, &json, &fakes.facts.err), RF_OK, &fakes.facts.err);
    assert_contains(fakes.source.sql[1], "'1100'::xid");
    free(json);
    drop_fakes(&fakes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lease_comes_before_the_source_and_the_record_before_the_commit),
        cmocka_unit_test(a_run_that_verifies_keeps_the_snapshot_until_it_has_compared),
        cmocka_unit_test(the_rows_of_a_stream_are_asked_for_by_no_statement),
        cmocka_unit_test(every_step_is_announced_in_the_order_of_the_enum),
        cmocka_unit_test(a_run_needs_no_observer),
        cmocka_unit_test(a_run_that_finds_no_changes_still_records_what_it_proved),
        cmocka_unit_test(the_source_is_asked_for_rows_changed_since_the_last_snapshot),
        cmocka_unit_test(a_step_that_fails_is_the_last_one_and_both_ends_are_closed),
        cmocka_unit_test(a_failed_write_never_commits),
        cmocka_unit_test(a_source_that_breaks_in_mid_read_never_commits),
        cmocka_unit_test(a_failed_record_never_commits),
        cmocka_unit_test(a_plan_that_refuses_begins_no_load),
        cmocka_unit_test(a_target_that_took_fewer_rows_than_were_sent_never_commits),
        cmocka_unit_test(a_target_that_took_more_rows_than_were_sent_never_commits),
        cmocka_unit_test(a_swallowed_row_never_commits_and_is_not_tried_again),
        cmocka_unit_test(a_row_that_was_counted_twice_never_commits),
        cmocka_unit_test(a_stale_row_means_that_the_run_was_fenced_off),
        cmocka_unit_test(rows_loaded_under_other_load_records_are_told_from_a_newer_load),
        cmocka_unit_test(duplicates_and_rows_that_left_the_filter_count_as_arrived),
        cmocka_unit_test(rows_closed_on_the_target_do_not_count_as_arrived),
        cmocka_unit_test(a_retry_adds_to_what_its_run_did_before),
        cmocka_unit_test(a_retry_of_a_full_read_reports_the_last_load_alone),
        cmocka_unit_test(the_bytes_and_rows_of_every_piece_are_counted),
        cmocka_unit_test(a_run_whose_target_differs_never_commits),
        cmocka_unit_test(a_run_whose_target_lacks_a_row_never_commits),
        cmocka_unit_test(a_key_only_in_the_target_stops_a_full_read_alone),
        cmocka_unit_test(a_table_altered_while_it_is_compared_is_told_from_a_load_gone_wrong),
        cmocka_unit_test(a_comparison_that_breaks_never_commits),
        cmocka_unit_test(a_plan_writes_nothing_and_reads_no_row),
        cmocka_unit_test(a_plan_that_fails_closes_both_ends),
        cmocka_unit_test(a_plan_lists_the_statements_of_a_first_load_in_order),
        cmocka_unit_test(a_plan_lists_the_statements_of_a_merge_in_order),
        cmocka_unit_test(a_plan_lists_what_its_kind_of_target_is_sent),
        cmocka_unit_test(a_plan_with_every_statement_fits_the_listing),
        cmocka_unit_test(verifying_later_writes_nothing_and_tells_pending_rows_apart),
        cmocka_unit_test(verifying_what_does_not_exist_is_refused),
        cmocka_unit_test(a_sweep_reads_all_keys_after_the_rows_and_before_the_merge),
        cmocka_unit_test(keys_count_as_bytes_and_not_as_rows),
        cmocka_unit_test(keys_that_do_not_add_up_never_commit),
        cmocka_unit_test(a_sweep_that_fails_anywhere_never_commits),
        cmocka_unit_test(a_run_without_a_sweep_asks_for_no_keys),
        cmocka_unit_test(a_sweep_lists_its_statements_in_order),
        cmocka_unit_test(after_a_sweep_a_key_only_in_the_target_is_an_error),
        cmocka_unit_test(verifying_a_window_is_refused_since_it_compares_whole_tables),
        cmocka_unit_test(verifying_later_goes_by_the_newest_load_and_not_by_the_last_comparison_of_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

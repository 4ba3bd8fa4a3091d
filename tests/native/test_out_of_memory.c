/* What holds however short memory is. Here nothing fails; under build/torture each allocation does, in turn. */
#include "core/cancel.h"
#include "core/job.h"
#include "fakes.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

static const char JOB[] =
    "{\"source\":\"postgresql://s\",\"target\":\"postgresql://t\",\"table\":\"\\\"odd one\\\".\\\"x\\\"\",\"target_table\":\"raw_{source}.{schema}_{table}\","
    "\"keys\":[\"a\",\"b\"],\"columns\":[\"a\",\"b\",\"c\"],\"where\":\"a > 1\"}";

TEST(a_job_is_read_whole_or_not_at_all) {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_error err = {0};
    rf_arena_init(&arena, 1 << 20);
    enum rf_code code = rf_job_parse(JOB, &arena, &job, &err);
    if (code == RF_OK) {
        assert_always(job.keys.n == 2 && job.columns.n == 3 && strcmp(job.where, "a > 1") == 0);
        assert_always(strcmp(job.target_label, "raw_postgres.\"odd one_x\"") == 0);
    }
    assert_always(code == RF_OK || *err.message);
    rf_arena_free(&arena);
    assert_code(code, RF_OK, &err);
}

TEST(an_error_is_told_whole_or_not_at_all) {
    struct rf_error err;
    rf_fail(&err, RF_DATA, "message");
    rf_hint(&err, "hint");
    char *json = rf_error_json(&err);
    assert_always(!json || strstr(json, ",\"retryable\":false}"));
    free(json);
}

/* ---- runs ------------------------------------------------------------------------------------------------------- */

static void is_committed_if_it_says_so(struct fakes *fakes) {
    enum rf_code code = rf_transfer(&fakes->run, &fakes->facts.err);
    assert_always((code == RF_OK) == fakes->committed);
    assert_always((code == RF_OK) == (fakes->run.report_json != NULL));
    assert_always(fakes->source.n_closes > 0 && fakes->sink.n_closes > 0);
    drop_fakes(fakes);
}

TEST(a_run_is_committed_if_and_only_if_it_says_so) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"where\":\"amount > 0\"");
    fakes.facts.source.fingerprint = "leaf 1\nnew 2\n";
    is_committed_if_it_says_so(&fakes);
    make_fakes(&fakes, ",\"verify\":true");
    prepare_equal_checksums(&fakes);
    is_committed_if_it_says_so(&fakes);
}

TEST(a_run_that_differs_never_commits) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"verify\":true");
    add_checksum(&fakes.source, "1", "1");
    add_checksum(&fakes.sink, "1", "2");
    struct fake_stream *ours = add_stream(&fakes.source), *theirs = add_stream(&fakes.sink);
    begin_copy(ours);
    add_hash(ours, "(1)", "x", false);
    end_copy(ours, 1);
    begin_copy(theirs);
    end_copy(theirs, 0);
    assert_always(rf_transfer(&fakes.run, &fakes.facts.err) != RF_OK);
    assert_always(!fakes.committed);
    drop_fakes(&fakes);
}

TEST(a_run_by_cursor_is_committed_if_and_only_if_it_says_so) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"capture\":\"cursor\",\"sweep\":\"always\",\"lookback\":60");
    with_cursor(&fakes.facts);
    prepare_keys(&fakes, 2);
    fakes.facts.source.fingerprint = FINGERPRINT "leaf 16390 1 heap new\n";
    is_committed_if_it_says_so(&fakes);
    make_fakes(&fakes, ",\"capture\":\"cursor\",\"audit\":\"always\",\"where\":\"amount > 0\"");
    with_cursor(&fakes.facts);
    fakes.merged.missed = 1;
    is_committed_if_it_says_so(&fakes);
    make_fakes(&fakes, ",\"since\":\"2026-11-01\"");
    with_cursor(&fakes.facts);
    fakes.facts.source.since = "2026-11-01T00:00:00.000000+00:00";
    fakes.facts.source.fingerprint = FINGERPRINT "leaf 16390 1 heap new\n";
    is_committed_if_it_says_so(&fakes);
}

static void is_planned_if_it_says_so(struct fakes *fakes) {
    char *json = NULL;
    enum rf_code code = rf_transfer_plan(&fakes->run, &json, &fakes->facts.err);
    assert_always((code == RF_OK) == (json != NULL));
    assert_always(!fakes->prepared);
    free(json);
    drop_fakes(fakes);
}

TEST(a_plan_that_is_said_to_be_made_is_there_and_prepares_nothing) {
    struct fakes fakes;
    make_fakes(&fakes, ",\"where\":\"amount > 0\"");
    without_proven_key(&fakes.facts);
    is_planned_if_it_says_so(&fakes);
    make_fakes(&fakes, ",\"capture\":\"cursor\",\"sweep\":\"always\",\"audit\":\"always\",\"on_delete\":\"remove\",\"where\":\"paid\"");
    with_cursor(&fakes.facts);
    is_planned_if_it_says_so(&fakes);
}

/* ---- connections ---------------------------------------------------------------------------------------------------- */

static void ask_nothing(void *arg) {
    (void)arg;
}

static void count_drop(void *arg) {
    ++*(int *)arg;
}

TEST(a_connection_is_dropped_once_registered_or_not) {
    int dropped = 0;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_cancel_slot *slot = rf_cancel_register(cancel, ask_nothing, count_drop, &dropped);
    rf_cancel_unregister(cancel, slot);
    rf_cancel_release(cancel);
    assert_always(dropped == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_read_whole_or_not_at_all),
        cmocka_unit_test(an_error_is_told_whole_or_not_at_all),
        cmocka_unit_test(a_run_is_committed_if_and_only_if_it_says_so),
        cmocka_unit_test(a_run_that_differs_never_commits),
        cmocka_unit_test(a_run_by_cursor_is_committed_if_and_only_if_it_says_so),
        cmocka_unit_test(a_plan_that_is_said_to_be_made_is_there_and_prepares_nothing),
        cmocka_unit_test(a_connection_is_dropped_once_registered_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

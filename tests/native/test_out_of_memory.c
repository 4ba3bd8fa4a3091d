/* Each allocation of the core fails in turn. Nothing crashes, leaks or commits.
 *
 * The three files that allocate for a run are compiled in here under a malloc of ours, instead of coming from
 * the library; cJSON takes the same one.
 */
#include <stdlib.h>

static void *scarce_malloc(size_t n_bytes);
static void *scarce_calloc(size_t n, size_t n_bytes);
static void *scarce_realloc(void *old, size_t n_bytes);
static void scarce_free(void *old);

#define calloc scarce_calloc
#define realloc scarce_realloc
#define free scarce_free
#include "core/arena.c"
#include "core/cancel.c"
#include "core/text.c"
#undef calloc
#undef realloc
#undef free

#include "core/sql.h"
#include "fakes.h"
#include "units.h"

#include <cjson/cJSON.h>
#include <limits.h>

static int left = INT_MAX; /* allocations until one fails; after it they succeed again, as they may */
static int n_failed;
static int n_alive; /* blocks of the core, cJSON's not among them */

static bool is_granted(void) {
    if (left-- > 0) return true;
    left = INT_MAX;
    n_failed++;
    return false;
}

static void *scarce_malloc(size_t n_bytes) {
    return is_granted() ? malloc(n_bytes) : NULL;
}

static void *scarce_calloc(size_t n, size_t n_bytes) {
    if (!is_granted()) return NULL;
    n_alive++;
    return calloc(n, n_bytes);
}

static void *scarce_realloc(void *old, size_t n_bytes) {
    if (!is_granted()) return NULL;
    n_alive += old == NULL;
    return realloc(old, n_bytes);
}

static void scarce_free(void *old) {
    n_alive -= old != NULL;
    free(old);
}

/* cJSON forgets an item whose name it could not copy: its blocks are not looked at, ours are counted. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) {
    return 1;
}

typedef void scene(void);

/* Plays the scene with its first allocation failing, then its second, until none fails any more. */
static void play(scene *act, int at_least) {
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = scarce_malloc, .free_fn = free});
    int n = 0;
    do {
        n_failed = 0;
        left = n++;
        act();
        assert_int_equal(n_alive, 0);
    } while (n_failed > 0 && n < 5000);
    left = INT_MAX;
    cJSON_InitHooks(NULL);
    assert_int_equal(n_failed, 0);
    assert_true(n > at_least);
}

/* ---- jobs and schemas ---------------------------------------------------------------------------------------- */

static const char JOB[] =
    "{\"source\":\"postgresql://s\",\"target\":\"postgresql://t\",\"table\":\"\\\"odd one\\\".\\\"x\\\"\",\"target_table\":\"raw_{source}.{schema}_{table}\","
    "\"keys\":[\"a\",\"b\"],\"columns\":[\"a\",\"b\",\"c\"],\"where\":\"a > 1\"}";

static void parse_a_job(void) {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_error err = {0};
    rf_arena_init(&arena, 1 << 20);
    enum rf_code code = rf_job_parse(JOB, &arena, &job, &err);
    assert_int_equal(code == RF_OK, n_failed == 0);
    if (code == RF_OK) assert_string_equal(job.target_label, "raw_postgres.\"odd one_x\"");
    rf_arena_free(&arena);
}

TEST(a_job_is_read_whole_or_not_at_all) {
    play(parse_a_job, 20);
}

static void print_schemas(void) {
    free(rf_job_schema());
    free(rf_report_schema());
}

TEST(a_schema_is_printed_or_not_without_a_crash) {
    play(print_schemas, 200);
}

static void tell_an_error(void) {
    struct rf_error err;
    rf_fail(&err, RF_DATA, "message");
    rf_hint(&err, "hint");
    free(rf_error_json(&err));
}

TEST(an_error_is_told_or_not_without_a_crash) {
    play(tell_an_error, 10);
}

/* ---- runs ------------------------------------------------------------------------------------------------------- */

/* The set-up has all it needs: only what comes after it is scarce. */
static void make_ready(struct fakes *fakes, const char *more) {
    int wanted = left;
    left = INT_MAX;
    make_fakes(fakes, more);
    left = wanted;
}

static void transfer_is_whole(struct fakes *fakes) {
    enum rf_code code = rf_transfer(&fakes->run, &fakes->facts.err);
    if (code != RF_OK) {
        assert_false(fakes->committed);
        assert_int_equal(code, RF_NO_MEMORY);
    }
    assert_true(fakes->source.n_closes > 0 && fakes->sink.n_closes > 0);
    drop_fakes(fakes);
}

static void transfer_changes(void) {
    struct fakes fakes;
    make_ready(&fakes, ",\"where\":\"amount > 0\"");
    fakes.facts.source.fingerprint = "leaf 1\nnew 2\n";
    transfer_is_whole(&fakes);
}

static void transfer_and_verify(void) {
    struct fakes fakes;
    make_ready(&fakes, ",\"verify\":true");
    prepare_equal_checksums(&fakes);
    transfer_is_whole(&fakes);
}

static void transfer_what_differs(void) {
    struct fakes fakes;
    make_ready(&fakes, ",\"verify\":true");
    add_checksum(&fakes.source, "1", "1");
    add_checksum(&fakes.sink, "1", "2");
    struct fake_stream *ours = add_stream(&fakes.source), *theirs = add_stream(&fakes.sink);
    begin_copy(ours);
    add_hash(ours, "(1)", "x", false);
    end_copy(ours, 1);
    begin_copy(theirs);
    end_copy(theirs, 0);
    assert_int_not_equal(rf_transfer(&fakes.run, &fakes.facts.err), RF_OK);
    assert_false(fakes.committed);
    drop_fakes(&fakes);
}

TEST(a_run_short_of_memory_never_commits_and_closes_both_ends) {
    play(transfer_changes, 50);
    play(transfer_and_verify, 50);
}

TEST(a_run_that_differs_never_commits_however_short_of_memory) {
    play(transfer_what_differs, 5);
}

static void transfer_by_cursor(void) {
    struct fakes fakes;
    make_ready(&fakes, ",\"capture\":\"cursor\",\"sweep\":\"always\",\"lookback\":60");
    with_cursor(&fakes.facts);
    prepare_keys(&fakes, 2);
    fakes.facts.source.fingerprint = FINGERPRINT "leaf 16390 1 heap new\n";
    transfer_is_whole(&fakes);
}

static void transfer_an_audit(void) {
    struct fakes fakes;
    make_ready(&fakes, ",\"capture\":\"cursor\",\"audit\":\"always\",\"where\":\"amount > 0\"");
    with_cursor(&fakes.facts);
    fakes.merged.missed = 1;
    transfer_is_whole(&fakes);
}

static void transfer_a_window(void) {
    struct fakes fakes;
    make_ready(&fakes, ",\"since\":\"2026-11-01\"");
    with_cursor(&fakes.facts);
    fakes.facts.source.since = "2026-11-01T00:00:00.000000+00:00";
    fakes.facts.source.fingerprint = FINGERPRINT "leaf 16390 1 heap new\n";
    transfer_is_whole(&fakes);
}

TEST(a_run_by_cursor_short_of_memory_never_commits_and_closes_both_ends) {
    play(transfer_by_cursor, 60);
    play(transfer_an_audit, 60);
    play(transfer_a_window, 50);
}

static void plan_a_sweep(void) {
    struct fakes fakes;
    char *json = NULL;
    make_ready(&fakes, ",\"capture\":\"cursor\",\"sweep\":\"always\",\"audit\":\"always\",\"on_delete\":\"remove\",\"where\":\"paid\"");
    with_cursor(&fakes.facts);
    enum rf_code code = rf_transfer_plan(&fakes.run, &json, &fakes.facts.err);
    assert_int_equal(code == RF_OK, json != NULL);
    free(json);
    drop_fakes(&fakes);
}

TEST(the_plan_of_a_sweep_is_printed_or_not_without_a_crash) {
    play(plan_a_sweep, 60);
}

static void print_a_plan(void) {
    struct fakes fakes;
    char *json = NULL;
    make_ready(&fakes, ",\"where\":\"amount > 0\"");
    without_proven_key(&fakes.facts);
    enum rf_code code = rf_transfer_plan(&fakes.run, &json, &fakes.facts.err);
    assert_int_equal(code == RF_OK, json != NULL);
    assert_false(fakes.prepared);
    free(json);
    drop_fakes(&fakes);
}

TEST(a_plan_is_printed_or_not_without_a_crash) {
    play(print_a_plan, 50);
}

static void ask_nothing(void *arg) {
    (void)arg;
}

static void make_a_token(void) {
    struct rf_cancel *cancel = rf_cancel_new();
    if (!cancel) return;
    void *connection = malloc(1);
    struct rf_cancel_slot *slot = rf_cancel_register(cancel, ask_nothing, free, connection);
    rf_cancel_unregister(cancel, slot);
    rf_cancel_release(cancel);
}

TEST(a_connection_that_cannot_be_registered_is_dropped) {
    play(make_a_token, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_schema_is_printed_or_not_without_a_crash),
        cmocka_unit_test(an_error_is_told_or_not_without_a_crash),
        cmocka_unit_test(a_run_short_of_memory_never_commits_and_closes_both_ends),
        cmocka_unit_test(a_run_that_differs_never_commits_however_short_of_memory),
        cmocka_unit_test(a_plan_is_printed_or_not_without_a_crash),
        cmocka_unit_test(a_connection_that_cannot_be_registered_is_dropped),
        cmocka_unit_test(a_run_by_cursor_short_of_memory_never_commits_and_closes_both_ends),
        cmocka_unit_test(the_plan_of_a_sweep_is_printed_or_not_without_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

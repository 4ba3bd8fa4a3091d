/* Comparing two streams of keys and hashes, as two fake ends send them. */
#include "core/compare.h"

#include "fakes.h"
#include "units.h"

#include <string.h>

struct comparison {
    struct fakes fakes;
    struct fake_stream *ours;
    struct fake_stream *theirs;
    struct rf_verification found;
};

/* Both ends are past their checksums, which differ. */
static void begin(struct comparison *comparison) {
    struct fakes *fakes = &comparison->fakes;
    make_fakes(fakes, "");
    assert_code(plan(&fakes->facts), RF_OK, &fakes->facts.err);
    memset(&fakes->source, 0, sizeof fakes->source);
    add_checksum(&fakes->source, "2", "10");
    add_checksum(&fakes->sink, "2", "11");
    comparison->ours = add_stream(&fakes->source);
    comparison->theirs = add_stream(&fakes->sink);
    begin_copy(comparison->ours);
    begin_copy(comparison->theirs);
}

static enum rf_code run(struct comparison *comparison) {
    struct fakes *fakes = &comparison->fakes;
    return rf_compare(&fakes->facts.plan, &fakes->run.source, &fakes->run.sink, 1000, &fakes->facts.arena, &comparison->found, &fakes->facts.err);
}

static void end(struct comparison *comparison) {
    end_copy(comparison->ours, 0);
    end_copy(comparison->theirs, 0);
    assert_code(run(comparison), RF_OK, &comparison->fakes.facts.err);
}

static void found(struct comparison *comparison, int64_t compared, int64_t equal, int64_t pending, int64_t target_only, int64_t different, int64_t missing) {
    const struct rf_verification *v = &comparison->found;
    assert_true(v->done);
    assert_int_equal(v->compared, compared);
    assert_int_equal(v->equal, equal);
    assert_int_equal(v->pending, pending);
    assert_int_equal(v->target_only, target_only);
    assert_int_equal(v->different, different);
    assert_int_equal(v->missing, missing);
    assert_int_equal(v->compared, v->equal + v->pending + v->target_only + v->different + v->missing);
    drop_fakes(&comparison->fakes);
}

static void example(const struct comparison *comparison, int i, const char *kind, const char *key) {
    assert_true(i < comparison->found.n_examples);
    assert_string_equal(comparison->found.examples[i].kind, kind);
    assert_string_equal(comparison->found.examples[i].key, key);
}

/* ---- checksums ------------------------------------------------------------------------------------------------ */

static void compare_checksums(struct comparison *comparison, const char *rows, const char *sum, const char *their_rows, const char *their_sum) {
    struct fakes *fakes = &comparison->fakes;
    make_fakes(fakes, "");
    assert_code(plan(&fakes->facts), RF_OK, &fakes->facts.err);
    memset(&fakes->source, 0, sizeof fakes->source);
    add_checksum(&fakes->source, rows, sum);
    add_checksum(&fakes->sink, their_rows, their_sum);
}

TEST(equal_checksums_spare_the_rows) {
    struct comparison comparison;
    compare_checksums(&comparison, "7", "18446744073709551615", "7", "18446744073709551615");
    assert_code(run(&comparison), RF_OK, &comparison.fakes.facts.err);
    assert_string_equal(comparison.found.checksum, "18446744073709551615");
    assert_int_equal(comparison.fakes.source.n_reads, 1);
    assert_false(rf_verification_failed(&comparison.found));
    found(&comparison, 7, 7, 0, 0, 0, 0);
}

static void rows_are_compared(const char *rows, const char *sum, const char *their_rows, const char *their_sum) {
    struct comparison comparison;
    compare_checksums(&comparison, rows, sum, their_rows, their_sum);
    begin_copy(comparison.ours = add_stream(&comparison.fakes.source));
    begin_copy(comparison.theirs = add_stream(&comparison.fakes.sink));
    end(&comparison);
    assert_null(comparison.found.checksum);
    assert_int_equal(comparison.fakes.source.n_reads, 2);
    drop_fakes(&comparison.fakes);
}

TEST(checksums_that_differ_in_sum_or_rows_send_for_the_rows) {
    rows_are_compared("7", "1", "7", "2");
    rows_are_compared("7", "1", "8", "1");
    rows_are_compared("7", "1", "7", "11");
}

/* A server is not trusted with memory: whatever it sends ends in an error. */
static void checksum_is_refused(const void *rows, int32_t n_rows, const void *sum, int32_t n_sum) {
    struct comparison comparison;
    compare_checksums(&comparison, "1", "1", "1", "1");
    struct fake_end *source = &comparison.fakes.source;
    source->n_streams = 0;
    struct fake_stream *stream = add_stream(source);
    begin_copy(stream);
    add_row(stream, 2);
    add_field(stream, rows, n_rows);
    add_field(stream, sum, n_sum);
    end_copy(stream, 1);
    assert_code(run(&comparison), RF_INTERNAL, &comparison.fakes.facts.err);
    drop_fakes(&comparison.fakes);
}

TEST(a_checksum_of_another_form_is_an_error) {
    checksum_is_refused(NULL, -1, "1", 1);
    checksum_is_refused("1", 1, NULL, -1);
    checksum_is_refused("1234567890123456789012345", 25, "1", 1);
    checksum_is_refused("1", 1, "123456789012345678901234", 24);
}

TEST(no_checksum_at_all_is_an_error) {
    struct comparison comparison;
    compare_checksums(&comparison, "1", "1", "1", "1");
    comparison.fakes.source.n_streams = 0;
    struct fake_stream *stream = add_stream(&comparison.fakes.source);
    begin_copy(stream);
    end_copy(stream, 0);
    assert_code(run(&comparison), RF_INTERNAL, &comparison.fakes.facts.err);
    drop_fakes(&comparison.fakes);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

TEST(each_row_is_equal_different_missing_pending_or_only_in_the_target) {
    struct comparison comparison;
    begin(&comparison);
    add_hash(comparison.ours, "(1)", "same", false);
    add_hash(comparison.ours, "(2)", "ours", false);
    add_hash(comparison.ours, "(3)", "lost", false);
    add_hash(comparison.ours, "(4)", "newer", true);
    add_hash(comparison.ours, "(5)", "inserted since", true);
    add_hash(comparison.theirs, "(1)", "same", false);
    add_hash(comparison.theirs, "(2)", "theirs", false);
    add_hash(comparison.theirs, "(4)", "older", false);
    add_hash(comparison.theirs, "(6)", "deleted since", false);
    end(&comparison);
    assert_int_equal(comparison.found.n_examples, 3);
    example(&comparison, 0, "different", "(2)");
    example(&comparison, 1, "missing", "(3)");
    example(&comparison, 2, "target_only", "(6)");
    assert_true(rf_verification_failed(&comparison.found));
    found(&comparison, 6, 1, 2, 1, 1, 1);
}

TEST(a_touched_row_that_is_equal_counts_as_equal) {
    struct comparison comparison;
    begin(&comparison);
    add_hash(comparison.ours, "(1)", "same", true);
    add_hash(comparison.theirs, "(1)", "same", false);
    end(&comparison);
    found(&comparison, 1, 1, 0, 0, 0, 0);
}

TEST(an_empty_end_leaves_everything_missing_or_only_in_the_target) {
    struct comparison comparison;
    begin(&comparison);
    add_hash(comparison.ours, "(1)", "x", false);
    add_hash(comparison.ours, "(2)", "x", false);
    end(&comparison);
    found(&comparison, 2, 0, 0, 0, 0, 2);
    begin(&comparison);
    add_hash(comparison.theirs, "(1)", "x", false);
    end(&comparison);
    assert_false(rf_verification_failed(&comparison.found));
    comparison.found.target_only_is_error = true;
    assert_true(rf_verification_failed(&comparison.found));
    found(&comparison, 1, 0, 0, 1, 0, 0);
}

TEST(a_target_row_may_equal_any_source_row_of_its_key) {
    struct comparison comparison;
    begin(&comparison);
    add_hash(comparison.ours, "(1)", "first", false);
    add_hash(comparison.ours, "(1)", "second", false);
    add_hash(comparison.ours, "(1)", "third", false);
    add_hash(comparison.ours, "(2)", "first", false);
    add_hash(comparison.ours, "(2)", "second", false);
    add_hash(comparison.theirs, "(1)", "second", false);
    add_hash(comparison.theirs, "(2)", "third", false);
    end(&comparison);
    example(&comparison, 0, "different", "(2)");
    found(&comparison, 2, 1, 0, 0, 1, 0);
}

TEST(keys_are_ordered_by_their_bytes_and_a_prefix_comes_first) {
    struct comparison comparison;
    begin(&comparison);
    add_hash(comparison.ours, "(1", "x", false);
    add_hash(comparison.ours, "(10)", "x", false);
    add_hash(comparison.ours, "(Z)", "x", false);
    add_hash(comparison.ours, "(a)", "x", false);
    add_hash(comparison.ours, "(\xC3\xA4)", "x", false);
    add_hash(comparison.theirs, "(1", "x", false);
    add_hash(comparison.theirs, "(10)", "x", false);
    add_hash(comparison.theirs, "(Z)", "x", false);
    add_hash(comparison.theirs, "(a)", "x", false);
    add_hash(comparison.theirs, "(\xC3\xA4)", "x", false);
    end(&comparison);
    found(&comparison, 5, 5, 0, 0, 0, 0);
}

TEST(a_hash_that_is_a_prefix_of_the_other_differs) {
    struct comparison comparison;
    begin(&comparison);
    add_hash(comparison.ours, "(1)", "abc", false);
    add_hash(comparison.theirs, "(1)", "ab", false);
    end(&comparison);
    found(&comparison, 1, 0, 0, 0, 1, 0);
}

TEST(twenty_examples_are_kept_and_all_are_counted) {
    struct comparison comparison;
    begin(&comparison);
    for (char c = 'A'; c <= 'Z'; c++) add_hash(comparison.ours, (char[]){'(', c, ')', '\0'}, "x", false);
    end(&comparison);
    assert_int_equal(comparison.found.n_examples, RF_MOST_EXAMPLES);
    found(&comparison, 26, 0, 0, 0, 0, 26);
}

TEST(rows_come_in_as_many_pieces_as_the_server_likes) {
    struct comparison comparison;
    begin(&comparison);
    end_piece(comparison.ours);
    for (char c = 'A'; c < 'E'; c++) {
        const char key[] = {'(', c, ')', '\0'};
        add_hash(comparison.ours, key, "x", false);
        end_piece(comparison.ours);
        add_hash(comparison.theirs, key, "x", false);
    }
    end(&comparison);
    found(&comparison, 4, 4, 0, 0, 0, 0);
}

/* ---- what servers may do wrong -------------------------------------------------------------------------------------- */

static void is_refused(struct comparison *comparison) {
    end_copy(comparison->ours, 0);
    end_copy(comparison->theirs, 0);
    assert_code(run(comparison), RF_INTERNAL, &comparison->fakes.facts.err);
    drop_fakes(&comparison->fakes);
}

TEST(a_null_where_a_key_or_a_hash_belongs_is_an_error) {
    for (int null_at = 0; null_at < 3; null_at++) {
        struct comparison comparison;
        begin(&comparison);
        add_row(comparison.ours, 3);
        for (int i = 0; i < 3; i++) add_field(comparison.ours, "x", i == null_at ? -1 : 1);
        add_hash(comparison.theirs, "x", "x", false);
        is_refused(&comparison);
    }
}

TEST(a_row_cut_between_two_pieces_is_an_error) {
    struct comparison comparison;
    begin(&comparison);
    add_row(comparison.ours, 3);
    end_piece(comparison.ours);
    is_refused(&comparison);
}

TEST(rows_of_another_form_are_an_error) {
    struct comparison comparison;
    begin(&comparison);
    add_row(comparison.ours, 2);
    add_field(comparison.ours, "(1)", 3);
    add_field(comparison.ours, "x", 1);
    is_refused(&comparison);
}

TEST(an_end_that_fails_ends_the_comparison_with_its_error) {
    static const char *const calls[] = {"source.read", "sink.read", "source.next", "sink.next"};
    for (size_t i = 0; i < N_OF(calls); i++) {
        for (int nth = 1; nth <= 2; nth++) {
            struct comparison comparison;
            begin(&comparison);
            add_hash(comparison.ours, "(1)", "x", false);
            add_hash(comparison.theirs, "(1)", "y", false);
            end_copy(comparison.ours, 0);
            end_copy(comparison.theirs, 0);
            comparison.fakes.fail_at = calls[i];
            comparison.fakes.fail_nth = nth;
            comparison.fakes.fail_code = RF_CANCELLED;
            assert_code(run(&comparison), RF_CANCELLED, &comparison.fakes.facts.err);
            drop_fakes(&comparison.fakes);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_checksums_spare_the_rows),
        cmocka_unit_test(checksums_that_differ_in_sum_or_rows_send_for_the_rows),
        cmocka_unit_test(a_checksum_of_another_form_is_an_error),
        cmocka_unit_test(no_checksum_at_all_is_an_error),
        cmocka_unit_test(each_row_is_equal_different_missing_pending_or_only_in_the_target),
        cmocka_unit_test(a_touched_row_that_is_equal_counts_as_equal),
        cmocka_unit_test(an_empty_end_leaves_everything_missing_or_only_in_the_target),
        cmocka_unit_test(a_target_row_may_equal_any_source_row_of_its_key),
        cmocka_unit_test(keys_are_ordered_by_their_bytes_and_a_prefix_comes_first),
        cmocka_unit_test(a_hash_that_is_a_prefix_of_the_other_differs),
        cmocka_unit_test(twenty_examples_are_kept_and_all_are_counted),
        cmocka_unit_test(rows_come_in_as_many_pieces_as_the_server_likes),
        cmocka_unit_test(a_null_where_a_key_or_a_hash_belongs_is_an_error),
        cmocka_unit_test(a_row_cut_between_two_pieces_is_an_error),
        cmocka_unit_test(rows_of_another_form_are_an_error),
        cmocka_unit_test(an_end_that_fails_ends_the_comparison_with_its_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

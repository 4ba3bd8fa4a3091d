/* Comparing rows that two fake ends give, each as often as it is asked. */
#include "core/compare.h"

#include "fakes.h"
#include "units.h"

#include <string.h>

/* An id and a note, as text; NULL ends a list. */
struct row {
    int id;
    const char *note;
    bool pending;
};

struct comparison {
    struct fakes fakes;
    struct rf_verification found;
};

static const struct rf_form SENT[] = {{.wire = RF_WIRE_INT8}, {.wire = RF_WIRE_NUMERIC}, {.wire = RF_WIRE_TEXT}};
static const struct rf_form GIVEN[] = {{.wire = RF_WIRE_INT4}, {.wire = RF_WIRE_NUMERIC}, {.wire = RF_WIRE_TEXT}};

static void add_rows(struct fake_end *end, const struct row *rows, int width, bool with_pending) {
    struct fake_stream *stream = add_stream(end);
    begin_copy(stream);
    for (; rows->note; rows++) {
        const uint8_t id[8] = {0, 0, 0, 0, 0, 0, (uint8_t)(rows->id >> 8), (uint8_t)rows->id};
        add_row(stream, 3 + with_pending);
        add_field(stream, id + 8 - width, width);
        add_field(stream, NULL, -1);
        add_field(stream, rows->note, (int32_t)strlen(rows->note));
        if (with_pending) add_field(stream, &(uint8_t){rows->pending}, 1);
    }
    end_copy(stream, 0);
}

static void begin(struct comparison *comparison, const struct row *ours, const struct row *theirs, bool since) {
    struct fakes *fakes = &comparison->fakes;
    make_fakes(fakes, "");
    assert_code(plan(&fakes->facts), RF_OK, &fakes->facts.err);
    memset(&fakes->source, 0, sizeof fakes->source);
    give_rows(fakes, SENT, GIVEN);
    add_rows(&fakes->source, ours, 8, false);
    add_rows(&fakes->source, ours, 8, since);
    for (int i = 0; i < 3; i++) add_rows(&fakes->sink, theirs, 4, false);
}

static enum rf_code run(struct comparison *comparison, uint64_t since) {
    struct fakes *fakes = &comparison->fakes;
    return rf_compare(&fakes->facts.plan, &fakes->run.source, &fakes->run.sink, since, &fakes->facts.arena, &comparison->found, &fakes->facts.err);
}

static void compare(struct comparison *comparison, const struct row *ours, const struct row *theirs, uint64_t since) {
    begin(comparison, ours, theirs, since != 0);
    assert_code(run(comparison, since), RF_OK, &comparison->fakes.facts.err);
}

static void found(struct comparison *comparison, int64_t equal, int64_t pending, int64_t target_only, int64_t different, int64_t missing) {
    const struct rf_verification *v = &comparison->found;
    assert_true(v->done);
    assert_int_equal(v->equal, equal);
    assert_int_equal(v->pending, pending);
    assert_int_equal(v->target_only, target_only);
    assert_int_equal(v->different, different);
    assert_int_equal(v->missing, missing);
    assert_int_equal(v->compared, equal + pending + target_only + different + missing);
    drop_fakes(&comparison->fakes);
}

static bool has_example(const struct comparison *comparison, const char *kind, const char *key) {
    for (int i = 0; i < comparison->found.n_examples; i++)
        if (strcmp(comparison->found.examples[i].kind, kind) == 0 && strcmp(comparison->found.examples[i].key, key) == 0) return true;
    return false;
}

TEST(equal_rows_are_read_once_on_each_side_and_have_a_checksum) {
    static struct comparison comparison;
    compare(&comparison, (struct row[]){{1, "a", 0}, {2, "b", 0}, {0}}, (struct row[]){{2, "b", 0}, {1, "a", 0}, {0}}, 1000);
    assert_non_null(comparison.found.checksum);
    assert_int_equal(comparison.fakes.source.n_reads, 1);
    assert_int_equal(comparison.fakes.sink.n_reads, 1);
    assert_lacks(comparison.fakes.source.sql[0], "age(xmin)");
    found(&comparison, 2, 0, 0, 0, 0);
}

TEST(each_row_is_equal_pending_only_there_different_or_missing) {
    static struct comparison comparison;
    compare(&comparison, (struct row[]){{1, "a", 0}, {2, "b", 0}, {3, "c", 1}, {4, "d", 1}, {5, "e", 0}, {0}},
            (struct row[]){{1, "a", 0}, {2, "x", 0}, {3, "y", 0}, {6, "f", 0}, {0}}, 1000);
    assert_null(comparison.found.checksum);
    assert_contains(comparison.fakes.source.sql[1], "age(xmin)");
    assert_int_equal(comparison.found.n_examples, 3);
    assert_true(has_example(&comparison, "different", "(2)") && has_example(&comparison, "missing", "(5)") && has_example(&comparison, "target_only", "(6)"));
    found(&comparison, 1, 2, 1, 1, 1);
}

TEST(where_nothing_may_be_pending_nobody_asks) {
    static struct comparison comparison;
    compare(&comparison, (struct row[]){{1, "a", 1}, {0}}, (struct row[]){{1, "b", 0}, {0}}, 0);
    assert_lacks(comparison.fakes.source.sql[1], "age(xmin)");
    found(&comparison, 0, 0, 0, 1, 0);
}

TEST(what_is_missing_alone_is_named_without_a_third_look) {
    static struct comparison comparison;
    compare(&comparison, (struct row[]){{1, "a", 0}, {0}}, (struct row[]){{0}}, 0);
    assert_int_equal(comparison.fakes.sink.n_reads, 2);
    assert_true(has_example(&comparison, "missing", "(1)"));
    found(&comparison, 0, 0, 0, 0, 1);
}

TEST(twenty_examples_are_kept_and_all_are_counted) {
    static struct comparison comparison;
    struct row ours[31] = {{0}}, theirs[31] = {{0}};
    for (int i = 0; i < 30; i++) {
        ours[i] = (struct row){i, "a", 0};
        theirs[i] = (struct row){i + 15, "b", 0};
    }
    compare(&comparison, ours, theirs, 0);
    assert_int_equal(comparison.found.n_examples, RF_MOST_EXAMPLES);
    found(&comparison, 0, 0, 15, 15, 15);
}

TEST(an_end_that_fails_ends_the_comparison_with_its_error) {
    static const char *const calls[] = {"source.read", "sink.read_rows", "source.next", "sink.next"};
    for (size_t i = 0; i < N_OF(calls); i++)
        for (int nth = 1; nth <= 2; nth++) {
            static struct comparison comparison;
            begin(&comparison, (struct row[]){{1, "a", 0}, {0}}, (struct row[]){{1, "b", 0}, {0}}, true);
            comparison.fakes.fail_at = calls[i];
            comparison.fakes.fail_nth = nth;
            comparison.fakes.fail_code = RF_CANCELLED;
            assert_code(run(&comparison, 1000), RF_CANCELLED, &comparison.fakes.facts.err);
            drop_fakes(&comparison.fakes);
        }
}

TEST(rows_of_another_width_are_an_error) {
    static struct comparison comparison;
    begin(&comparison, (struct row[]){{1, "a", 1}, {0}}, (struct row[]){{1, "b", 0}, {0}}, false);
    assert_code(run(&comparison, 1000), RF_INTERNAL, &comparison.fakes.facts.err);
    drop_fakes(&comparison.fakes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_rows_are_read_once_on_each_side_and_have_a_checksum),
        cmocka_unit_test(each_row_is_equal_pending_only_there_different_or_missing),
        cmocka_unit_test(where_nothing_may_be_pending_nobody_asks),
        cmocka_unit_test(what_is_missing_alone_is_named_without_a_third_look),
        cmocka_unit_test(twenty_examples_are_kept_and_all_are_counted),
        cmocka_unit_test(an_end_that_fails_ends_the_comparison_with_its_error),
        cmocka_unit_test(rows_of_another_width_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where rows of CSV end, in bytes that may be cut anywhere. */
#include "core/csv.h"

#include "units.h"

#include <string.h>

static size_t scan(struct rf_csv *csv, const char *text, int64_t *n_rows) {
    return rf_csv_scan(csv, (const uint8_t *)text, strlen(text), n_rows);
}

TEST(a_row_ends_at_a_line_feed_outside_of_quotes) {
    struct rf_csv csv = {0};
    int64_t n_rows = 0;
    assert_int_equal(scan(&csv, "1,\"two\nlines\",\"say \"\"no\"\"\n\"\n2,,\"\"\n3", &n_rows), strlen("1,\"two\nlines\",\"say \"\"no\"\"\n\"\n2,,\"\"\n"));
    assert_int_equal(n_rows, 2);
    assert_false(rf_csv_is_whole(&csv));
    assert_int_equal(scan(&csv, "\n", &n_rows), 1);
    assert_int_equal(n_rows, 3);
    assert_true(rf_csv_is_whole(&csv));
}

TEST(a_line_without_values_is_a_row) {
    struct rf_csv csv = {0};
    int64_t n_rows = 0;
    assert_int_equal(scan(&csv, "\n\n", &n_rows), 2);
    assert_int_equal(n_rows, 2);
}

TEST(nothing_is_whole_and_has_no_rows) {
    struct rf_csv csv = {0};
    int64_t n_rows = 0;
    assert_int_equal(scan(&csv, "", &n_rows), 0);
    assert_int_equal(n_rows, 0);
    assert_true(rf_csv_is_whole(&csv));
}

TEST(what_is_quoted_is_not_whole_even_behind_a_line_feed) {
    struct rf_csv csv = {0};
    int64_t n_rows = 0;
    assert_int_equal(scan(&csv, "1\n\"\n", &n_rows), 2);
    assert_int_equal(n_rows, 1);
    assert_false(rf_csv_is_whole(&csv));
    assert_int_equal(scan(&csv, "", &n_rows), 0);
    assert_false(rf_csv_is_whole(&csv));
}

TEST(rows_are_the_same_wherever_the_bytes_are_cut) {
    static const char text[] = "a,\"b\nc\"\"\",d\n\"\"\"\"\n,\n\"\n\n\",x\n";
    for (size_t cut = 0; cut < sizeof text - 1; cut++) {
        struct rf_csv csv = {0};
        int64_t n_rows = 0;
        size_t first = rf_csv_scan(&csv, (const uint8_t *)text, cut, &n_rows);
        size_t rest = rf_csv_scan(&csv, (const uint8_t *)text + cut, sizeof text - 1 - cut, &n_rows);
        assert_true(first <= cut);
        assert_int_equal(rest, sizeof text - 1 - cut);
        assert_int_equal(n_rows, 4);
        assert_true(rf_csv_is_whole(&csv));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_ends_at_a_line_feed_outside_of_quotes),
        cmocka_unit_test(a_line_without_values_is_a_row),
        cmocka_unit_test(nothing_is_whole_and_has_no_rows),
        cmocka_unit_test(what_is_quoted_is_not_whole_even_behind_a_line_feed),
        cmocka_unit_test(rows_are_the_same_wherever_the_bytes_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What two sides hold, counted by hashes, in groups as small as the test wants them. */
#include "core/tally.h"

#include "units.h"

enum { MOST_ROWS = 4096 };

struct side {
    struct rf_row_hash rows[MOST_ROWS];
    bool pending[MOST_ROWS];
    int n;
};

static struct side source, target;

static void begin(void) {
    source.n = target.n = 0;
}

static uint64_t scatter(uint64_t n) {
    n = (n + 1) * 0x9e3779b97f4a7c15;
    return n ^ n >> 29;
}

static void add(struct side *side, uint64_t key, uint64_t row, bool pending) {
    side->rows[side->n] = (struct rf_row_hash){.key = scatter(key), .row = scatter(1000000 + row)};
    side->pending[side->n++] = pending;
}

static void add_both(uint64_t key, uint64_t row) {
    add(&source, key, row, false);
    add(&target, key, row, false);
}

static void compare_group(struct rf_tally *tally) {
    for (int i = 0; i < target.n; i++) rf_tally_keep(tally, &target.rows[i]);
    for (int i = source.n - 1; i >= 0; i--) (void)rf_tally_meet(tally, &source.rows[i], source.pending[i]);
    rf_tally_end_group(tally);
}

/* Through all groups; returns how many there were. The tally is to be freed. */
static int compare(int bits, int slot_bits, struct rf_tally **out) {
    struct rf_error err;
    bool more = true;
    int groups = 0;
    enum rf_code code = rf_tally_new(bits, slot_bits, out, &err);
    for (int i = 0; code == RF_OK && i < target.n; i++) rf_tally_count(*out, RF_TALLY_TARGET, &target.rows[i]);
    for (int i = 0; code == RF_OK && i < source.n; i++) rf_tally_count(*out, RF_TALLY_SOURCE, &source.rows[i]);
    while (code == RF_OK && more) {
        code = rf_tally_next_group(*out, &more, &err);
        if (code == RF_OK && more) compare_group(*out);
        groups += more;
    }
    if (code != RF_OK) rf_tally_free(*out);
    assert_code(code, RF_OK, &err);
    return groups;
}

static void comes_to(int64_t equal, int64_t pending, int64_t target_only, int64_t different, int64_t missing) {
    for (int bits = 1; bits <= 12; bits += 11) {
        struct rf_tally *tally;
        int groups = compare(bits, 4, &tally);
        struct rf_tally_counts counts = *rf_tally_counts(tally);
        rf_tally_free(tally);
        assert_int_equal(counts.equal, equal);
        assert_int_equal(counts.pending, pending);
        assert_int_equal(counts.target_only, target_only);
        assert_int_equal(counts.different, different);
        assert_int_equal(counts.missing, missing);
        assert_int_equal(groups > 0, pending + target_only + different + missing > 0 || source.n != target.n);
    }
}

TEST(sides_that_are_equal_need_no_second_look_in_whichever_order_they_come) {
    begin();
    for (uint64_t i = 0; i < 1000; i++) add(&source, i, i, false);
    for (uint64_t i = 1000; i-- > 0;) add(&target, i, i, false);
    comes_to(1000, 0, 0, 0, 0);
}

TEST(two_empty_sides_are_equal) {
    begin();
    comes_to(0, 0, 0, 0, 0);
}

TEST(each_row_is_counted_once_for_what_it_is) {
    begin();
    for (uint64_t i = 0; i < 500; i++) add_both(i, i);
    add(&source, 1000, 1, false), add(&target, 1000, 2, false);
    add(&source, 1001, 1, true), add(&target, 1001, 2, false);
    add(&source, 1002, 1, true), add(&target, 1002, 1, false);
    add(&source, 1003, 1, false);
    add(&source, 1004, 1, true);
    add(&target, 1005, 1, false);
    comes_to(501, 2, 1, 1, 1);
}

TEST(rows_that_changed_places_are_found_although_all_sums_are_the_same) {
    begin();
    add(&source, 1, 1, false), add(&source, 2, 2, false);
    add(&target, 1, 2, false), add(&target, 2, 1, false);
    struct rf_tally *tally;
    compare(20, 4, &tally);
    int64_t different = rf_tally_counts(tally)->different;
    rf_tally_free(tally);
    assert_int_equal(different, 2);
}

TEST(a_target_row_equals_any_source_row_of_its_key) {
    begin();
    for (uint64_t i = 0; i < 3; i++) add(&source, 1, i, i == 2);
    add(&target, 1, 1, false);
    add(&source, 2, 1, false), add(&source, 2, 2, true), add(&source, 2, 3, false);
    add(&target, 2, 4, false);
    comes_to(1, 1, 0, 0, 0);
}

TEST(a_row_that_the_target_holds_twice_is_not_equal_twice) {
    begin();
    add(&source, 1, 1, false);
    add(&target, 1, 1, false), add(&target, 1, 1, false);
    add(&source, 2, 1, true);
    add(&target, 2, 1, false), add(&target, 2, 1, false);
    comes_to(2, 1, 0, 1, 0);
}

TEST(more_rows_than_there_is_room_for_come_in_groups) {
    begin();
    for (uint64_t i = 0; i < 2000; i++) add(&source, i, i, false), add(&target, i, i + 1, false);
    for (uint64_t i = 2000; i < 2100; i++) add(&target, i, i, false);
    for (uint64_t i = 3000; i < 3200; i++) add(&source, i, i, false);
    struct rf_tally *tally;
    int groups = compare(10, 8, &tally);
    rf_tally_free(tally);
    assert_true(groups > 8 && groups < 40);
    comes_to(0, 0, 100, 2000, 200);
}

TEST(a_verdict_is_given_on_the_rows_of_the_group) {
    begin();
    add_both(1, 1);
    add(&source, 2, 1, false), add(&target, 2, 2, false);
    add(&target, 3, 1, false);
    add(&source, 4, 1, true), add(&target, 4, 2, false);
    struct rf_tally *tally;
    struct rf_error err;
    bool more;
    enum rf_code code = rf_tally_new(1, 4, &tally, &err);
    const char *verdicts[4] = {"none"};
    int named[4] = {0};
    for (int i = 0; code == RF_OK && i < 4; i++) rf_tally_count(tally, RF_TALLY_TARGET, &target.rows[i]);
    for (int i = 0; code == RF_OK && i < 3; i++) rf_tally_count(tally, RF_TALLY_SOURCE, &source.rows[i]);
    for (int group = 0; code == RF_OK && group < 2; group++) {
        code = rf_tally_next_group(tally, &more, &err);
        if (code == RF_OK) compare_group(tally);
        for (int i = 0; code == RF_OK && i < 4; i++) {
            const char *verdict = rf_tally_verdict(tally, &target.rows[i]);
            if (verdict) verdicts[i] = verdict;
            named[i] += verdict != NULL;
        }
    }
    rf_tally_free(tally);
    assert_code(code, RF_OK, &err);
    assert_int_equal(named[0] + named[3], 0);
    assert_true(named[1] == 1 && named[2] == 1);
    assert_string_equal(verdicts[1], "different");
    assert_string_equal(verdicts[2], "target_only");
}

TEST(a_checksum_is_the_sum_of_the_sources_rows) {
    begin();
    add_both(1, 1);
    add_both(2, 2);
    struct rf_tally *tally;
    compare(4, 4, &tally);
    uint64_t checksum = rf_tally_checksum(tally);
    rf_tally_free(tally);
    assert_true(checksum == scatter(1000001) + scatter(1000002));
}

TEST(a_side_that_gives_more_rows_than_it_was_counted_with_breaks_nothing) {
    begin();
    add(&source, 1, 1, false), add(&target, 1, 2, false);
    struct rf_tally *tally;
    struct rf_error err;
    bool more;
    enum rf_code code = rf_tally_new(1, 4, &tally, &err);
    if (code == RF_OK) rf_tally_count(tally, RF_TALLY_TARGET, &target.rows[0]);
    if (code == RF_OK) rf_tally_count(tally, RF_TALLY_SOURCE, &source.rows[0]);
    if (code == RF_OK) code = rf_tally_next_group(tally, &more, &err);
    for (uint64_t i = 0; i < 1000; i++) add(&target, 1, i, false);
    if (code == RF_OK) compare_group(tally);
    rf_tally_free(tally);
    assert_code(code, RF_OK, &err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sides_that_are_equal_need_no_second_look_in_whichever_order_they_come),
        cmocka_unit_test(two_empty_sides_are_equal),
        cmocka_unit_test(each_row_is_counted_once_for_what_it_is),
        cmocka_unit_test(rows_that_changed_places_are_found_although_all_sums_are_the_same),
        cmocka_unit_test(a_target_row_equals_any_source_row_of_its_key),
        cmocka_unit_test(a_row_that_the_target_holds_twice_is_not_equal_twice),
        cmocka_unit_test(more_rows_than_there_is_room_for_come_in_groups),
        cmocka_unit_test(a_verdict_is_given_on_the_rows_of_the_group),
        cmocka_unit_test(a_checksum_is_the_sum_of_the_sources_rows),
        cmocka_unit_test(a_side_that_gives_more_rows_than_it_was_counted_with_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

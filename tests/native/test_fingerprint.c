/* The lines of a fingerprint: cut, read, found and taken out. */
#include "core/fingerprint.h"

#include "units.h"

#include <string.h>

static const char FINGERPRINT[] = "database 5\nleaf 16 900 heap orders_1\nleaf 160 901 heap \"orders 2\"\ncolumn 1 id bigint collation 0\n"
                                  "column 12 \"the \"\"name\"\"\" text collation 100\ncolumn 2 note text collation 100\nrow security off\nfilter id > 3";

static struct rf_line line_of(const char *text) {
    return (struct rf_line){.text = text, .n_bytes = strcspn(text, "\n")};
}

/* ---- cutting ---- */

TEST(lines_come_in_turn_with_or_without_an_end_of_the_last) {
    const char *const texts[] = {"a\nbc", "a\nbc\n"};
    for (size_t i = 0; i < N_OF(texts); i++) {
        const char *at = texts[i];
        struct rf_line line;
        assert_true(rf_next_line(&at, &line));
        assert_memory_equal(line.text, "a", 1);
        assert_int_equal(line.n_bytes, 1);
        assert_true(rf_next_line(&at, &line));
        assert_memory_equal(line.text, "bc", 2);
        assert_int_equal(line.n_bytes, 2);
        assert_false(rf_next_line(&at, &line));
        assert_int_equal(rf_count_lines(texts[i]), 2);
    }
}

TEST(no_text_has_no_lines) {
    struct rf_line line = line_of("leaf 16");
    const char *none = NULL;
    assert_false(rf_next_line(&none, &line));
    assert_false(rf_has_line(NULL, &line));
    assert_false(rf_find_number(NULL, "leaf", 16, &line));
    assert_int_equal(rf_count_lines(NULL), 0);
    assert_int_equal(rf_count_lines(""), 0);
}

/* ---- one line ---- */

TEST(a_line_is_about_its_first_word_and_no_part_of_it) {
    struct rf_line line = line_of("leaf 16 900 heap\nsettled"), alone = line_of("settled\n");
    assert_true(rf_is_about(&line, "leaf"));
    assert_false(rf_is_about(&line, "lea"));
    assert_false(rf_is_about(&line, "leaf 16"));
    assert_false(rf_is_about(&line, "leafs"));
    assert_true(rf_is_about(&alone, "settled"));
    assert_true(rf_begins(&line, "leaf 16 9"));
    assert_true(rf_begins(&line, "leaf 16 900 heap"));
    assert_false(rf_begins(&line, "leaf 16 900 heap\n"));
}

TEST(lines_are_the_same_as_far_as_their_words) {
    struct rf_line a = line_of("leaf 16 900 heap a"), b = line_of("leaf 16 900 heap b"), longer = line_of("leaf 160 900 heap a"), shorter = line_of("leaf 16");
    assert_true(rf_same_words(&a, &b, 4));
    assert_false(rf_same_words(&a, &b, 5));
    assert_false(rf_same_line(&a, &b));
    assert_true(rf_same_line(&a, &a));
    assert_false(rf_same_words(&a, &longer, 2));
    assert_true(rf_same_words(&a, &shorter, 2));
    assert_false(rf_same_words(&a, &shorter, 3));
    assert_int_equal(rf_words(&a, 2), strlen("leaf 16"));
    assert_int_equal(rf_words(&shorter, 9), strlen("leaf 16"));
}

TEST(a_number_is_read_up_to_the_largest) {
    struct rf_line leaf = line_of("leaf 4294967295 900\nleaf 7"), aged = line_of("aged 18446744073709551615\n"), none = line_of("settled\n12");
    assert_true(rf_line_number(&leaf) == 4294967295U);
    assert_true(rf_line_number(&aged) == UINT64_MAX);
    assert_true(rf_line_number(&none) == 0);
}

TEST(a_name_is_read_without_its_quotes) {
    static const char *const lines[][2] = {
        {"column 1 id bigint", "id"}, {"column 12 \"the \"\"name\"\"\" text", "the \"name\""}, {"column 3 \"\"\"\" text", "\""}, {"column 4 id", "id"},
        {"column 5 \"a b\"", "a b"}, {"column 6 \"cut\nby its end\" text", "cut"}, {"column 7", ""}, {"column", ""},
    };
    struct rf_arena arena;
    rf_arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < N_OF(lines); i++) {
        struct rf_line line = line_of(lines[i][0]);
        assert_string_equal(needed(rf_line_name(&line, &arena)), lines[i][1]);
    }
    rf_arena_free(&arena);
}

/* ---- among others ---- */

TEST(a_line_is_found_by_its_whole_number) {
    struct rf_line found;
    assert_true(rf_find_number(FINGERPRINT, "leaf", 160, &found));
    assert_true(rf_begins(&found, "leaf 160 901"));
    assert_true(rf_find_number(FINGERPRINT, "column", 2, &found));
    assert_true(rf_begins(&found, "column 2 note"));
    assert_false(rf_find_number(FINGERPRINT, "leaf", 1, &found));
    assert_false(rf_find_number(FINGERPRINT, "column", 16, &found));
}

TEST(only_a_whole_line_is_there) {
    struct rf_line whole_line = line_of("row security off\n"), part = line_of("row security"), last = line_of("filter id > 3");
    assert_true(rf_has_line(FINGERPRINT, &whole_line));
    assert_true(rf_has_line(FINGERPRINT, &last));
    assert_false(rf_has_line(FINGERPRINT, &part));
}

static void removes(const char *line, const char *expected) {
    char text[] = "column 12 a\ncolumn 1 \"two\nlines\" b\ncolumn 1 c\nfilter x";
    rf_remove_line(text, line);
    assert_string_equal(text, expected);
}

TEST(a_line_is_taken_out_whole_and_alone) {
    removes("column 12 a", "column 1 \"two\nlines\" b\ncolumn 1 c\nfilter x");
    removes("column 1 \"two\nlines\" b", "column 12 a\ncolumn 1 c\nfilter x");
    removes("column 1 c", "column 12 a\ncolumn 1 \"two\nlines\" b\nfilter x");
    removes("column 1", "column 12 a\ncolumn 1 \"two\nlines\" b\ncolumn 1 c\nfilter x");
    removes("filter x", "column 12 a\ncolumn 1 \"two\nlines\" b\ncolumn 1 c\nfilter x");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_in_turn_with_or_without_an_end_of_the_last),
        cmocka_unit_test(no_text_has_no_lines),
        cmocka_unit_test(a_line_is_about_its_first_word_and_no_part_of_it),
        cmocka_unit_test(lines_are_the_same_as_far_as_their_words),
        cmocka_unit_test(a_number_is_read_up_to_the_largest),
        cmocka_unit_test(a_name_is_read_without_its_quotes),
        cmocka_unit_test(a_line_is_found_by_its_whole_number),
        cmocka_unit_test(only_a_whole_line_is_there),
        cmocka_unit_test(a_line_is_taken_out_whole_and_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
